"""What is equal to what: texts fold case, width and composition, keys nothing, and both are looked for folded."""

from __future__ import annotations

import pytest

from crm_graph.domains.customers.customers.graph import Customer
from tests.support.graph import Graph

LIST = "query ($where: CustomerFilter) { customers(where: $where, archived: true) { totalCount nodes { id } } }"
EQUAL = [
    ("Café Süd", "cafe\u0301 SÜD"),
    ("ＡＣＭＥ　１２", "acme 12"),
    ("上海鑫晟", "上海鑫晟"),
    ("100% Wolle", "100% wolle"),
]
PARTS = [
    ("Café Süd", "contains", "FE\u0301 s"),
    ("ＡＣＭＥ Tools", "startsWith", "acm"),
    ("上海鑫晟科技", "contains", "晟"),
    ("龘鑫科技", "startsWith", "龘"),
    ("100% Wolle", "contains", "0％"),
    ("a_b", "contains", "_"),
]


async def _found(graph: Graph, where: dict[str, object]) -> list[str]:
    data = await graph.data(LIST, {"where": where})
    assert data["customers"]["totalCount"] == len(data["customers"]["nodes"])
    return [node["id"] for node in data["customers"]["nodes"]]


async def _named(graph: Graph, name: str, **columns: str) -> str:
    id_ = await graph.id_of(Customer)
    await graph.rows("UPDATE customer SET name = $2 WHERE id = $1", id_[4:], name)
    for column, value in columns.items():
        await graph.rows(f"UPDATE customer SET {column} = $2 WHERE id = $1", id_[4:], value)
    return id_


@pytest.mark.parametrize("executor", ["planned", "reference"])
@pytest.mark.parametrize(("stored", "asked"), EQUAL)
async def test_texts_that_are_spelled_otherwise_are_equal(graph: Graph, stored: str, asked: str, executor: str) -> None:
    graph.use(executor)
    id_ = await _named(graph, stored)
    assert await _found(graph, {"name": {"eq": asked}}) == [id_]
    assert await _found(graph, {"name": {"in": ["nobody", asked]}}) == [id_]
    assert id_ not in await _found(graph, {"name": {"ne": asked}})
    assert id_ not in await _found(graph, {"name": {"notIn": [asked]}})


@pytest.mark.parametrize("executor", ["planned", "reference"])
@pytest.mark.parametrize(("stored", "operator", "asked"), PARTS)
async def test_texts_are_looked_for_folded(graph: Graph, stored: str, operator: str, asked: str, executor: str) -> None:
    graph.use(executor)
    id_ = await _named(graph, stored)
    assert await _found(graph, {"name": {operator: asked}}) == [id_]
    assert await _found(graph, {"or": [{"name": {operator: asked}}, {"email": {operator: "nobody@"}}]}) == [id_]
    assert id_ not in await _found(graph, {"not": {"name": {operator: asked}}})


async def test_a_pattern_is_no_pattern(graph: Graph) -> None:
    """Full width signs of a pattern are folded before they are escaped."""
    await _named(graph, "plain")
    assert await _found(graph, {"name": {"contains": "pl％in"}}) == []
    assert await _found(graph, {"name": {"contains": "pla＿n"}}) == []


async def test_keys_are_exact(graph: Graph) -> None:
    id_ = await _named(graph, "Keyed", external_id="ERP-a１")
    assert await _found(graph, {"externalId": {"eq": "ERP-a１"}}) == [id_]
    assert await _found(graph, {"externalId": {"eq": "erp-a１"}}) == []
    assert await _found(graph, {"externalId": {"in": ["ERP-a1", "ERP-A１"]}}) == []
    assert await _found(graph, {"externalId": {"startsWith": "erp-A1"}}) == [id_]
    assert await _found(graph, {"externalId": {"contains": "p-a"}}) == [id_]
