"""The dashboard and the alert rules name metrics, labels and values that a process tells."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
import yaml
from prometheus_client.core import Metric

from crm_graph.api.connections import Connections
from crm_graph.app import running_engine
from crm_graph.graph.schema.build import BuiltSchema
from crm_graph.identity.installation import Installation
from crm_graph.kernel.settings import Settings
from tests.support.database import clone

OPERATING = Path(__file__).parents[2] / "docs" / "operating"
_METRIC = re.compile(r"\b(?:crm_graph|process)_\w+")
_SELECTOR = re.compile(r"\b((?:crm_graph|process)_\w+)\{([^}]*)\}")
_MATCHER = re.compile(r'(\w+)\s*(?:=~|!=|!~|=)\s*"')
_GROUPING = re.compile(r"\bby \(([^)]*)\)")
PROMETHEUS = {"instance", "job"}
"""Labels that Prometheus sets itself."""


def alerts() -> list[dict[str, object]]:
    """Return the rules."""
    found = yaml.safe_load((OPERATING / "alerts.yml").read_text())
    return [rule for group in found["groups"] for rule in group["rules"]]


def expressions() -> Iterator[tuple[str, str]]:
    """Yield what is asked of Prometheus, and where."""
    for rule in alerts():
        yield str(rule["alert"]), str(rule["expr"])
    for panel in json.loads((OPERATING / "dashboard.json").read_text())["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


@pytest.fixture(scope="module")
async def known(postgres: str, schema: BuiltSchema) -> dict[str, set[str]]:
    """The labels of each metric by its name, as they are scraped of a process that does everything."""
    url = await clone(postgres, "observing")
    async with running_engine(Installation(url, [b"s" * 40]), Settings(), schema) as engine:
        metrics = engine.metrics
        metrics.connections = Connections(Settings())
        await metrics.lags.refresh()
        metrics.lags.replica_bytes = 0.0  # there is no replica here
        return dict(_told(metrics.families()))


def _told(families: Iterable[Metric]) -> Iterator[tuple[str, set[str]]]:
    for family in families:
        labels = {name for sample in family.samples for name in sample.labels} | set(getattr(family, "_labelnames", ()))
        for suffix in {"counter": ["_total"], "histogram": ["_bucket", "_count", "_sum"]}.get(family.type, [""]):
            yield family.name + suffix, labels


def faults(expression: str, known: dict[str, set[str]]) -> Iterator[str]:
    """Yield what an expression names that no process tells."""
    named = set(_METRIC.findall(expression))
    yield from sorted(f"no metric {name}" for name in named - known.keys())
    for name, matchers in _SELECTOR.findall(expression):
        for label in _MATCHER.findall(matchers):
            if label not in known.get(name, set()) | PROMETHEUS:
                yield f"{name} has no label {label}"
    labels = set().union(*(known.get(name, set()) for name in named)) | PROMETHEUS
    for group in _GROUPING.findall(expression):
        for label in group.split(","):
            if label.strip() not in labels:
                yield f"nothing in it has the label {label.strip()}"


async def test_what_they_name_is_told(known: dict[str, set[str]]) -> None:
    found = list(expressions())
    assert len(found) > 30
    assert [(where, fault) for where, text in found for fault in faults(text, known)] == []


@pytest.mark.parametrize(
    ("expression", "fault"),
    [
        ("rate(crm_graph_requests[5m])", "no metric crm_graph_requests"),
        ('crm_graph_requests_total{kinds="query"}', "crm_graph_requests_total has no label kinds"),
        ("sum by (cod) (crm_graph_requests_total)", "nothing in it has the label cod"),
    ],
)
async def test_the_lint_sees_what_is_wrong(known: dict[str, set[str]], expression: str, fault: str) -> None:
    assert list(faults(expression, known)) == [fault]


def test_rules_are_whole() -> None:
    """Each has a name of its own, says what it means and what to do, and how bad it is."""
    names = [rule["alert"] for rule in alerts()]
    assert len(set(names)) == len(names)
    for rule in alerts():
        assert rule.keys() <= {"alert", "expr", "for", "labels", "annotations"}, rule
        assert isinstance(rule["annotations"], dict)
        assert rule["annotations"].keys() == {"summary", "action"}
        assert isinstance(rule["labels"], dict)
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}
        assert str(rule["expr"]).count("(") == str(rule["expr"]).count(")")
