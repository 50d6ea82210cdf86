"""Errors say where: a wrong literal its place in the document, a wrong value in a variable its path there."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.graph import Graph

LITERALS = {
    "a scalar of ours": ('{ customers(where: {createdAt: {eq: "now"}}) { totalCount } }', 37),
    "one in a list": ('{ customers(where: {createdAt: {in: ["2026-01-01T00:00:00Z", "now"]}}) { totalCount } }', 62),
    "a built-in one": ("{ customer(id: 1.5) { id } }", 16),
    "an object for a scalar": ("{ customers(first: {}) { totalCount } }", 20),
    "a list for an enum": ("{ customers(orderBy: [{field: [[]]}]) { totalCount } }", 31),
    "a field that is missing": ("mutation { createCustomer(input: {}) { errors { code } } }", 34),
}
_FILTER = "query ($v: CustomerFilter) { customers(where: $v) { totalCount } }"
VARIABLES: dict[str, tuple[str, Any, list[str | int]]] = {
    "a scalar": ("query ($v: ID!) { customer(id: $v) { id } }", 1.5, ["v"]),
    "within objects": (_FILTER, {"createdAt": {"eq": "now"}}, ["v", "createdAt", "eq"]),
    "within a list": (_FILTER, {"or": [{}, {"name": {"in": ["a", 1]}}]}, ["v", "or", 1, "name", "in", 1]),
    "an unknown field": (_FILTER, {"owner": {"nme": 1}}, ["v", "owner"]),
}


@pytest.mark.parametrize("executor", ["planned", "reference"])
@pytest.mark.parametrize(("source", "column"), LITERALS.values(), ids=LITERALS.keys())
async def test_a_literal(graph: Graph, executor: str, source: str, column: int) -> None:
    graph.use(executor)
    error = await graph.error(source)
    assert error["extensions"]["code"] == "VALIDATION_FAILED"
    assert error["locations"] == [{"line": 1, "column": column}]


@pytest.mark.parametrize("executor", ["planned", "reference"])
@pytest.mark.parametrize(("source", "value", "path"), VARIABLES.values(), ids=VARIABLES.keys())
async def test_a_variable(graph: Graph, executor: str, source: str, value: Any, path: list[str | int]) -> None:
    graph.use(executor)
    error = await graph.error(source, {"v": value})
    assert (error["extensions"]["code"], error["extensions"]["variable"]) == ("BAD_USER_INPUT", path)


async def test_a_text_that_no_index_takes(graph: Graph) -> None:
    """Said before Postgres says it, which would be an error of ours."""
    source = "mutation ($v: CreateCustomerInput!) { createCustomer(input: $v) { errors { code field } } }"
    data = await graph.data(source, {"v": {"name": "名" * 500, "externalId": "🚀" * 500}})
    assert data["createCustomer"]["errors"] == []
    for field in ("name", "externalId"):
        data = await graph.data(source, {"v": {"name": "x", field: "x" * 501}})
        assert data["createCustomer"]["errors"] == [{"code": "INVALID", "field": [field]}]
