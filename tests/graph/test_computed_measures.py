"""Measures computed of several fields, under rights, and what they cost."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from crm_graph.api.body import GraphQLRequest
from crm_graph.graph.reading.aggregate_fields import use_of
from crm_graph.graph.records.measures import Use
from crm_graph.graph.schema.build import BuiltSchema
from tests.support.graph import Graph


async def test_durations_are_those_of_brute_force(graph: Graph) -> None:
    document = """{ ticketsAggregate(groupBy: [{field: PRIORITY}]) {
      groups { key { priority } count sum { resolutionSeconds } max { resolutionSeconds } } }
      tickets(first: 200) { totalCount nodes { priority createdAt resolvedAt } } }"""
    data = await graph.data(document)
    nodes = data["tickets"]["nodes"]
    assert data["tickets"]["totalCount"] == len(nodes)
    for group in data["ticketsAggregate"]["groups"]:
        seconds = [
            (datetime.fromisoformat(node["resolvedAt"]) - datetime.fromisoformat(node["createdAt"])).total_seconds()
            for node in nodes
            if node["priority"] == group["key"]["priority"] and node["resolvedAt"] is not None
        ]
        if seconds:
            assert float(group["sum"]["resolutionSeconds"]) == pytest.approx(sum(seconds), abs=0.01)
            assert float(group["max"]["resolutionSeconds"]) == pytest.approx(max(seconds), abs=0.01)
        else:
            assert group["sum"]["resolutionSeconds"] is None


async def test_the_weighted_pipeline_is_amount_times_probability(graph: Graph) -> None:
    await graph.rows("UPDATE opportunity SET currency = 'CNY'")
    document = """{ opportunitiesAggregate(where: {status: {eq: OPEN}}) {
      groups { sum { weightedAmount } min { daysInStage } max { ageDays } } }
      opportunities(first: 200, where: {status: {eq: OPEN}}) { totalCount
        nodes { amount { amount } probability stageSince openedOn } } }"""
    data = await graph.data(document)
    nodes = data["opportunities"]["nodes"]
    assert data["opportunities"]["totalCount"] == len(nodes) > 0
    (group,) = data["opportunitiesAggregate"]["groups"]
    weighted = sum(
        Decimal(node["amount"]["amount"]) * node["probability"] / 100
        for node in nodes
        if node["amount"] is not None and node["probability"] is not None
    )
    assert Decimal(group["sum"]["weightedAmount"]) == weighted
    latest = max(datetime.fromisoformat(node["stageSince"]) for node in nodes)
    days = (datetime.now(UTC) - latest).total_seconds() / 86_400
    assert float(group["min"]["daysInStage"]) == pytest.approx(days, abs=0.1)
    oldest = min(datetime.fromisoformat(node["openedOn"]).date() for node in nodes)
    assert abs(int(group["max"]["ageDays"]) - (datetime.now(UTC).date() - oldest).days) <= 1


async def test_a_computed_measure_is_hidden_with_what_it_is_computed_of(graph: Graph) -> None:
    """A marketer reads probabilities and measures amounts: the weighted sum is rounded too."""
    await graph.rows("UPDATE opportunity SET currency = 'CNY'")
    document = "{ opportunitiesAggregate { groups { sum { weightedAmount } avg { probability } } } }"
    body = await graph.execute(document, role="marketer")
    assert body["extensions"]["withheld"] == ["Opportunity.amount"]
    (group,) = body["data"]["opportunitiesAggregate"]["groups"]
    found, exact = Decimal(group["sum"]["weightedAmount"]), (await graph.data(document))["opportunitiesAggregate"]
    (whole,) = exact["groups"]
    assert found != Decimal(whole["sum"]["weightedAmount"])
    assert found % 10 == 0
    assert group["avg"] == whole["avg"]


@pytest.mark.parametrize(
    ("source", "cost"),
    [
        ("{ orderLinesAggregate { groups { count } } }", 101),
        ("{ orderLinesAggregate(first: 10) { groups { count } } }", 11),
        ("{ orderLinesAggregate(first: 10) { totalGroups groups { count } } }", 21),
        ("{ orderLinesAggregate(first: 10) { groups { countDistinct { order } matching { count } } } }", 31),
        ("{ customers(first: 10) { nodes { ordersAggregate { count } } } }", 111),
    ],
)
async def test_what_is_new_is_charged(graph: Graph, source: str, cost: int) -> None:
    operation = await graph.engine.admission.operation(GraphQLRequest(source, None, {}), await graph.claims("admin"))
    assert operation.cost.of({}) == cost


def test_what_a_field_is_follows_from_its_type_unless_it_is_said(schema: BuiltSchema) -> None:
    registry = schema.registry
    for type_, name, use in (
        ("Customer", "country", Use.DIMENSION),
        ("Customer", "email", Use.NEITHER),
        ("Customer", "externalId", Use.NEITHER),
        ("Customer", "owner", Use.DIMENSION),
        ("Customer", "orders", Use.NEITHER),
        ("Customer", "annualRevenue", Use.MEASURE),
        ("Order", "orderedOn", Use.DIMENSION),
        ("Order", "notes", Use.NEITHER),
        ("Order", "rejectedReason", Use.DIMENSION),
        ("Ticket", "satisfaction", Use.DIMENSION | Use.MEASURE),
        ("Ticket", "version", Use.NEITHER),
    ):
        assert use_of(registry.records[type_], registry, name) == use, (type_, name)
        text = schema.core.type_map[type_].fields[name].description  # type: ignore[attr-defined]
        assert text.endswith(use.text)
        if use is Use.NEITHER:
            assert not text.endswith(("Dimension.", "Measure.", "measure."))
