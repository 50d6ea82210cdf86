"""Orders against brute force: directions, nulls, filters that leave none, and their pages."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from tests.support.graph import Graph

FIELDS = "id amount { amount } expectedClose closedOn stageSince probability"
KEYS: dict[str, Callable[[Any], Any]] = {
    "AMOUNT": lambda node: node["amount"] and float(node["amount"]["amount"]),
    "EXPECTED_CLOSE": lambda node: node["expectedClose"],
    "CLOSED_ON": lambda node: node["closedOn"],
    "STAGE_SINCE": lambda node: node["stageSince"],
}
FILTERS: dict[str, Callable[[Any], bool] | None] = {
    "": None,
    '{amount: {gte: "1"}}': lambda node: node["amount"] is not None and float(node["amount"]["amount"]) >= 1,
    '{or: [{amount: {gte: "1"}}, {probability: {lt: 101}}]}': None,
    "{amount: {isNull: false}}": lambda node: node["amount"] is not None,
    '{not: {amount: {lt: "1"}}}': lambda node: node["amount"] is None or float(node["amount"]["amount"]) >= 1,
}


def _sorted(nodes: list[Any], order: list[tuple[str, bool, bool]]) -> list[str]:
    found = sorted(nodes, key=lambda node: node["id"], reverse=order[-1][1])
    for key, descending, nulls_first in reversed(order):
        value = KEYS[key]
        present = sorted((node for node in found if value(node) is not None), key=value, reverse=descending)
        if descending:  # stable in both directions: equals stay in the order of their ids
            groups: dict[Any, list[Any]] = {}
            for node in (node for node in found if value(node) is not None):
                groups.setdefault(value(node), []).append(node)
            present = [node for each in sorted(groups, reverse=True) for node in groups[each]]
        absent = [node for node in found if value(node) is None]
        found = [*absent, *present] if nulls_first else [*present, *absent]
    return [node["id"] for node in found]


@pytest.mark.parametrize("role", ["admin", "sales_rep"])
@pytest.mark.parametrize("seed", range(12))
async def test_a_list_and_its_pages_are_in_order(graph: Graph, role: str, seed: int) -> None:
    random = Random(f"{role}:{seed}")
    await graph.rows("UPDATE opportunity SET amount = NULL WHERE id::text ~ '[0-3]$'")
    await graph.rows("UPDATE opportunity SET expected_close = NULL WHERE id::text ~ '[4-7]$'")
    order = [
        (key, random.random() < 0.5, random.random() < 0.5) for key in random.sample(list(KEYS), random.choice((1, 2)))
    ]
    where, matches = random.choice(list(FILTERS.items()))
    spelled = ", ".join(
        f"{{field: {key}, direction: {'DESC' if down else 'ASC'}, nulls: {'FIRST' if first else 'LAST'}}}"
        for key, down, first in order
    )
    arguments = f"orderBy: [{spelled}]" + (f", where: {where}" if where else "")
    everything = await graph.data(f"{{ opportunities(first: 200) {{ nodes {{ {FIELDS} }} }} }}", role=role)
    nodes = [node for node in everything["opportunities"]["nodes"] if matches is None or matches(node)]
    expected = _sorted(nodes, order)
    whole = await graph.data(f"{{ opportunities(first: 200, {arguments}) {{ nodes {{ id }} }} }}", role=role)
    assert [node["id"] for node in whole["opportunities"]["nodes"]] == expected
    paged: list[str] = []
    after = None
    while True:
        page = await graph.data(
            f"query ($after: String) {{ opportunities(first: 9, after: $after, {arguments})"
            " { nodes { id customer { name } } pageInfo { hasNextPage endCursor } } }",
            {"after": after},
            role=role,
        )
        paged += [node["id"] for node in page["opportunities"]["nodes"]]
        after = page["opportunities"]["pageInfo"]["endCursor"]
        if not page["opportunities"]["pageInfo"]["hasNextPage"]:
            break
    assert paged == expected
