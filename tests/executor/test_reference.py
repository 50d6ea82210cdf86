"""What the reference executor must do that no document shows every time: it depends on which statement is slow."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.support.graph import Graph


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
async def test_a_field_that_is_given_up_takes_no_shared_record_with_it(
    graph: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Owners share a team. Those with a rejected order fail while the team is on its way; the others still get it."""
    one = graph.database.one
    fetch = one.fetch

    async def slow_for_teams(query: str, *arguments: Any) -> Any:
        if "FROM team" in query:
            await asyncio.sleep(0.2)
        return await fetch(query, *arguments)

    graph.use("reference")
    await graph.claims("admin")
    monkeypatch.setattr(one, "fetch", slow_for_teams)
    body = await graph.execute(
        "{ opportunities(first: 50) { nodes { owner {"
        " team { name }"
        " orders(first: 1, where: {status: {eq: REJECTED}}) { nodes { lines(first: -1) { totalCount } } }"
        "} } } }"
    )
    owners = [node["owner"] for node in body["data"]["opportunities"]["nodes"]]
    assert None in owners
    assert any(owner is not None and owner["team"] is not None for owner in owners)
    assert {error["extensions"]["code"] for error in body["errors"]} == {"BAD_USER_INPUT"}
