"""Coordinates x roles x doors: see `tests.permissions.doors`."""

from __future__ import annotations

import pytest

from crm_graph.permissions.roles import BUILT_IN
from tests.permissions.doors import comparing, leaving, measuring, reading, writing
from tests.permissions.doors.visit import visit
from tests.support.graph import Graph

DOORS = {
    each.__name__.strip("_"): each
    for each in (
        reading.leaf,
        reading.node,
        reading.edge,
        reading.count,
        comparing.filter_,
        comparing.filter_across,
        comparing.order,
        measuring.measure,
        measuring.having,
        measuring.group,
        writing.write,
        leaving.export,
        leaving.subscription,
        leaving.cut,
    )
}


@pytest.mark.parametrize("role", BUILT_IN)
@pytest.mark.parametrize("door", DOORS)
async def test_a_role_reaches_just_what_it_is_granted(graph: Graph, door: str, role: str) -> None:
    made = await visit(graph, role)
    await DOORS[door](made)
    assert sum(made.tried.values()) > 0
    assert not made.wrong, "\n".join(made.wrong[:20])
