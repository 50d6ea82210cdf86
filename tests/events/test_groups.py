"""Subscribers who see the same cost what one of them costs, and each is held to the rights of the moment."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import Any

import pytest

from crm_graph.api.body import GraphQLRequest
from crm_graph.db.lending import Reader
from crm_graph.events.hub import FeedOverflow
from crm_graph.kernel.cursor import LogCursor
from tests.events.live import Live

SUBSCRIPTION = (
    "subscription($after: Cursor) { opportunityChanged(after: $after) { cursor recordId opportunity { id } } }"
)


class Statements:
    """What was sent to the database outside of leases: the hub's reading, and what groups ask."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def count(self, pattern: str) -> int:
        """Return how many statements match."""
        return sum(re.search(pattern, text) is not None for text in self.texts)

    @property
    def beside_the_hub(self) -> int:
        """How many statements are not the hub's, nor of what a process does by the clock."""
        return len(self.texts) - self.count(r"FROM event WHERE \(xid, seq\)|crm_log_horizon|FROM timer|workspace_usage")


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Statements]:
    """Count statements."""
    found, fetch = Statements(), Reader.fetch

    async def counting(self: Reader, query: str, *arguments: Any) -> Any:
        found.texts.append(query)
        return await fetch(self, query, *arguments)

    with monkeypatch.context() as patched:
        patched.setattr(Reader, "fetch", counting)
        yield found


async def test_an_event_costs_its_groups_and_not_its_subscribers(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    admin, rep = await live.member("admin"), await live.member("sales_rep")
    reader = live.engine.database.primary_reader()
    for skip in range(1, 4):
        other = await live.member("sales_rep", skip)
        if rep.member_id not in (await live.engine.authenticator.viewer(other, reader)).circle:
            break
    async with AsyncExitStack() as stack:
        admins = [await stack.enter_async_context(live.watching(admin)) for _ in range(20)]
        reps = [await stack.enter_async_context(live.watching(rep)) for _ in range(5)]
        others = [await stack.enter_async_context(live.watching(other)) for _ in range(5)]
        assert live.engine.subscriptions.groups.count == (2, 3), "both representatives filter alike"
        with counted(monkeypatch) as statements:
            id_ = await live.create(admin, "told once", ownerId=f"mem_{rep.member_id}")
            for each in (*admins, *reps):
                await each.wait_for(1)
            assert await others[0].settle() == []
        assert statements.count(r"jsonb_to_recordset") == 2, "one judges a family"
        assert statements.count(r"WITH ORDINALITY AS one") == 2, "one confirms a family's receivers"
        # The judge of the representatives reads their accounts, and looks like the hub's for the horizon in it.
        assert statements.beside_the_hub == 5, "one executes for each group that sees it"
        assert {id(each.answers[0]) for each in admins} == {id(admins[0].answers[0])}
        assert {each.received[0]["recordId"] for each in (*admins, *reps)} == {id_}
        assert [len(each.received) for each in (*admins, *reps, *others)] == [1] * 25 + [0] * 5
    assert live.engine.subscriptions.groups.count[1] == 0


async def test_a_role_given_in_mid_stream_counts_from_the_next_event(live: Live) -> None:
    admin, rep = await live.member("admin"), await live.member("sales_rep", 3)
    stranger = f"mem_{(await live.member('marketer')).member_id}"
    roles = {"id": f"mem_{rep.member_id}", "roles": ["admin"]}
    async with live.watching(rep) as stream, live.watching(rep) as second:
        await live.create(admin, "hidden", ownerId=stranger)
        assert await stream.settle() == []
        await live.mutate(admin, "setMemberRoles", roles, "member { id }")
        shown = await live.create(admin, "shown", ownerId=stranger)
        for each in (stream, second):
            assert [change["kind"] for change in await each.wait_for(2)] == ["RESYNC", "CREATED"]
        await live.mutate(admin, "setMemberRoles", {**roles, "roles": ["sales_rep"]}, "member { id }")
        await live.create(admin, "hidden again", ownerId=stranger)
        mine = await live.create(admin, "mine", ownerId=f"mem_{rep.member_id}")
        for each in (stream, second):
            await each.wait_for(4)
            assert [change["recordId"] for change in await each.settle()] == [None, shown, None, mine]


async def test_streams_that_resume_elsewhere_join_one_group(live: Live) -> None:
    admin = await live.member("admin")
    request = GraphQLRequest(SUBSCRIPTION)
    async with live.watching(admin) as stream:
        made = [await live.create(admin, f"number {number}") for number in range(3)]
        cursors = [change["cursor"] for change in await stream.wait_for(3)]
    streams = []
    for cursor in cursors:
        resumed = GraphQLRequest(SUBSCRIPTION, None, {"after": cursor})
        operation = await live.engine.admission.operation(request, admin)
        refusal, found = await live.engine.subscribe(resumed, operation, lambda: admin)
        assert refusal is None
        streams.append(found)
    received: list[list[str]] = [[], [], []]

    async def read(number: int) -> None:
        async for _, answer in streams[number]:
            received[number].append(answer.body["data"]["opportunityChanged"]["recordId"])

    tasks = [asyncio.create_task(read(number)) for number in range(3)]
    await asyncio.sleep(0.2)
    assert live.engine.subscriptions.groups.count == (1, 1)
    made.append(await live.create(admin, "live"))
    async with asyncio.timeout(60):
        while any(each[-1:] != made[-1:] for each in received):  # noqa: ASYNC110 - polls what others append
            await asyncio.sleep(0.01)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert received == [made[1:], made[2:], made[3:]]


async def test_who_does_not_keep_up_resumes_and_misses_nothing(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    admin = await live.member("admin")
    monkeypatch.setattr(live.engine.subscriptions.groups, "_queue_size", 3)
    operation = await live.engine.admission.operation(GraphQLRequest(SUBSCRIPTION), admin)
    _, stream = await live.engine.subscribe(GraphQLRequest(SUBSCRIPTION), operation, lambda: admin)
    first = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0.1)
    made = [await live.create(admin, f"fast {number}") for number in range(12)]
    async with live.watching(admin) as other:
        made.append(await live.create(admin, "the last"))
        await other.wait_for(1)
    received = [(await first)[1].body["data"]["opportunityChanged"]]

    async def read() -> None:
        async for _, answer in stream:
            received.append(answer.body["data"]["opportunityChanged"])

    with pytest.raises(FeedOverflow) as overflow:
        await read()
    assert len(received) < 13
    assert overflow.value.cursor == LogCursor.decode(received[-1]["cursor"])
    _, rest = await live.engine.subscribe(
        GraphQLRequest(SUBSCRIPTION, None, {"after": overflow.value.cursor.encode()}), operation, lambda: admin
    )
    while len(received) < 13:
        received.append((await anext(rest))[1].body["data"]["opportunityChanged"])
    assert [change["recordId"] for change in received] == made
