"""The compose file and the Kubernetes manifests: what they run, set and ask is what there is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from crm_graph.asgi import UNMETERED
from crm_graph.cli.main import commands
from crm_graph.kernel.settings import Settings

DEPLOY = Path(__file__).parents[2] / "deploy"
COMPOSE = DEPLOY / "compose.yaml"
KUBERNETES = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
KNOWN = {f"CRM_{field.name.upper()}" for field in fields(Settings)} | {"DATABASE_URL", "CRM_SECRET", "CRM_WORKERS"}
DRAIN_S = Settings().drain_ms / 1000


def documents(path: Path) -> list[dict[str, Any]]:
    return [found for found in yaml.safe_load_all(path.read_text()) if found is not None]


def containers() -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Yield each container of Kubernetes with its pod."""
    for path in KUBERNETES:
        for manifest in documents(path):
            pod = manifest.get("spec", {}).get("template", {}).get("spec")
            for container in () if pod is None else pod["containers"]:
                yield f"{path.name}: {container['name']}", pod, container


CONTAINERS = {name: (pod, container) for name, pod, container in containers()}
of_each_container = pytest.mark.parametrize(("pod", "container"), CONTAINERS.values(), ids=CONTAINERS.keys())


def accepts(command: list[str]) -> None:
    """Raise what click raises for a command line that it does not take."""
    program, name, *given = command
    assert program == "crm-graph"
    found = commands.get_command(click.Context(commands), name)
    assert found is not None, name
    found.make_context(name, [re.sub(r"\$\{\w+:-(\w+)\}", r"\1", each) for each in given])


def services() -> dict[str, dict[str, Any]]:
    (compose,) = documents(COMPOSE)
    found: dict[str, dict[str, Any]] = compose["services"]
    return found


def test_what_compose_runs_and_sets() -> None:
    ours = {name: service for name, service in services().items() if name != "database"}
    assert ours.keys() == {"migrate", "api", "worker"}
    for name, service in ours.items():
        accepts(service["command"])
        assert service["environment"].keys() <= KNOWN, name
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
        assert int(service["stop_grace_period"].removesuffix("s")) > DRAIN_S
    for name in ("api", "worker"):
        assert ours[name]["depends_on"] == {"migrate": {"condition": "service_completed_successfully"}}


def test_compose_asks_for_what_is_secret() -> None:
    """None has a default: a password that stands here is everybody's."""
    for name, text in re.findall(r"\$\{(\w+)(:[?-][^}]*)\}", COMPOSE.read_text()):
        if any(secret in name for secret in ("SECRET", "PASSWORD", "DIGEST")):
            assert text.startswith(":?"), name


@of_each_container
def test_what_a_pod_runs_and_sets(pod: dict[str, Any], container: dict[str, Any]) -> None:
    accepts(container["command"])
    assert {each["name"] for each in container.get("env", ())} <= KNOWN
    assert container["envFrom"] == [{"secretRef": {"name": "crm-graph"}}]
    assert re.search(r"@sha256:[0-9a-f]{64}$", container["image"])
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["runAsUser"] == 10001, "the user of the Dockerfile"
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["resources"]["limits"].keys() == {"memory"}, "a limit of CPU slows what is idle otherwise"


@of_each_container
def test_the_probes_of_a_pod_ask_what_answers(pod: dict[str, Any], container: dict[str, Any]) -> None:
    probes = {name: each["httpGet"] for name, each in container.items() if name.endswith("Probe")}
    ports = {port["name"]: port["containerPort"] for port in container.get("ports", ())}
    if pod["restartPolicy" if "restartPolicy" in pod else "containers"] == "OnFailure":
        assert probes == {}
        return
    assert probes.keys() == {"startupProbe", "readinessProbe", "livenessProbe"}
    assert {probe["path"] for probe in probes.values()} == UNMETERED
    assert {probe["port"] for probe in probes.values()} == {"http"}
    assert probes["readinessProbe"]["path"] == "/ready"
    assert probes["livenessProbe"]["path"] == "/health", "a database that is away is no reason to restart a process"
    command = container["command"]
    assert ports["http"] == int(command[command.index("--port") + 1])
    given = {each["name"]: each["value"] for each in container["env"]}
    assert ports["metrics"] == int(given["CRM_METRICS_PORT"])
    assert pod["terminationGracePeriodSeconds"] > DRAIN_S + int(given.get("CRM_UNREADY_MS", "0")) / 1000


def test_labels_select_what_they_mean() -> None:
    for path in KUBERNETES:
        for manifest in documents(path):
            spec = manifest["spec"]
            if manifest["kind"] == "Deployment":
                assert spec["selector"]["matchLabels"] == spec["template"]["metadata"]["labels"], path.name
            if manifest["kind"] == "Service":
                pods = [other for other in documents(path) if other["kind"] == "Deployment"]
                assert [spec["selector"]] == [pod["spec"]["template"]["metadata"]["labels"] for pod in pods]
