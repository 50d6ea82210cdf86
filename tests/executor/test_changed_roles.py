"""The member's roles change between any two statements of an operation: the answer is that of before or of after, and
the log knows nothing of it. A guard that fails leaves a statement without the rows that it always has."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from crm_graph.executor.results import OnError
from tests.executor.test_corpus import CASES, _head, _variables, comparable
from tests.support.graph import Graph

MORE = {
    "changes": "{ changes(first: 5) { nodes { cursor event } } }",
    "aggregate": "{ opportunitiesAggregate { groups { count } } }",
    "webhook": 'mutation { createWebhookEndpoint(input: {url: "https://example.com", eventTypes: ["CustomerCreated"],'
    ' roles: ["admin"]}) { errors { code } } }',
    "export": 'mutation { exportRecords(input: {type: "Customer"}) { job { kind } errors { code } } }',
    "ticket": 'mutation { createTicket(input: {subject: "Lost"}) { ticket { subject } errors { code } } }',
    "timeline": "{ customers(first: 1) { totalCount nodes { timeline(first: 3) { nodes { __typename } } } } }",
}
QUERIES = {case.stem: case.read_text() for case in CASES} | MORE
OTHER = {"admin": "sales_rep", "sales_rep": "support_agent"}


class _TakeBack(Exception):
    """Raised so that a savepoint is rolled back."""


@asynccontextmanager
async def taken_back(graph: Graph) -> AsyncIterator[None]:
    """Roll back what a block does."""
    try:
        async with graph.database.one.savepoint():
            yield
            raise _TakeBack
    except _TakeBack:
        pass


async def _change(graph: Graph, member_id: str, role: str) -> None:
    await graph.rows("UPDATE member_role SET role = $2 WHERE member_id = $1", member_id, role)
    await graph.rows("UPDATE workspace_directory SET directory_version = 1000")


@pytest.mark.parametrize("executor", ["planned", "reference"])
@pytest.mark.parametrize("name", QUERIES)
async def test_between_any_two_statements(
    graph: Graph, name: str, executor: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    source = QUERIES[name]
    role = _head(source, "role") or "admin"
    on_error = OnError[_head(source, "onError") or "PROPAGATE"]
    graph.use(executor)
    claims, variables = await graph.claims(role), await _variables(graph, source)

    async def run() -> str:
        return comparable(await graph.execute(source, variables, claims=claims, on_error=on_error))

    async def aside(changed: bool) -> str:
        async with taken_back(graph):
            if changed:
                await _change(graph, claims.member_id, OTHER.get(role, "sales_rep"))
            return await run()
        raise AssertionError

    before, after = await aside(False), await aside(True)
    one, fetch = graph.database.one, graph.database.one.fetch
    caplog.set_level(logging.WARNING)
    for position in range(1, 8):
        sent = 0

        async def changing(query: str, *arguments: Any, position: int = position) -> Any:
            nonlocal sent
            sent += 1
            if sent >= position:  # and stays so: here it would be rolled back with the operation's savepoint
                async with one.busy():
                    await _change(graph, claims.member_id, OTHER.get(role, "sales_rep"))
            return await fetch(query, *arguments)

        answer = ""
        async with taken_back(graph):
            await run()  # the viewer is remembered as it is now
            with monkeypatch.context() as patched:
                patched.setattr(one, "fetch", changing)
                answer = await run()
        if "mutation" not in source:
            assert answer in {before, after}, f"changed before statement {position}"
        assert not [record for record in caplog.records if record.name == "crm_graph.errors"], position
        if sent < position:
            break


def test_the_operations_are_those_of_the_corpus() -> None:
    assert len(QUERIES) > 50
    assert all(isinstance(case, Path) for case in CASES)
