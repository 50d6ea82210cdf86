"""Live changes end to end: writers, the log, the relay, the hub, and what each subscriber may see."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from crm_graph.api.body import GraphQLRequest
from crm_graph.domains.identity.accounts.sessions import revoke_session, start_session
from crm_graph.identity.origin import NOWHERE
from crm_graph.identity.tokens import Claims
from crm_graph.kernel.errors import Unauthenticated
from crm_graph.kernel.ids import decode_id
from tests.events.live import Live


async def test_changes_arrive_in_order(live: Live) -> None:
    admin = await live.member("admin")
    async with live.watching(admin) as stream:
        id_ = await live.create(admin, "one")
        for name in ("two", "three"):
            await live.rename(admin, id_, name)
        await live.mutate(admin, "deleteOpportunity", {"id": id_}, "deletedId")
        received = await stream.wait_for(4)
    assert [change["kind"] for change in received] == ["CREATED", "UPDATED", "UPDATED", "DELETED"]
    assert [change["event"] for change in received] == [
        "OpportunityCreated",
        "OpportunityUpdated",
        "OpportunityUpdated",
        "OpportunityDeleted",
    ]
    assert {change["recordId"] for change in received} == {id_}
    assert received[1]["changedFields"] == ["name"]
    assert received[3]["opportunity"] is None
    assert len({change["cursor"] for change in received}) == 4


async def test_nothing_is_lost_while_away(live: Live) -> None:
    admin = await live.member("admin")
    async with live.watching(admin) as stream:
        id_ = await live.create(admin, "seen")
        (first,) = await stream.wait_for(1)
    names = [f"missed {index}" for index in range(20)]
    for name in names:
        await live.rename(admin, id_, name)
    async with live.watching(admin, f'(after: "{first["cursor"]}")') as stream:
        await live.rename(admin, id_, "live again")
        received = await stream.wait_for(21)
        assert len(await stream.settle()) == 21, "nothing comes twice"
    assert [change["kind"] for change in received] == ["UPDATED"] * 21
    cursors = [tuple(int(part, 16) for part in change["cursor"].split("-")) for change in received]
    assert cursors == sorted(cursors)


async def test_concurrent_writers_lose_nothing(live: Live) -> None:
    admin = await live.member("admin")
    async with live.watching(admin) as stream:

        async def writer(number: int) -> list[str]:
            return [await live.create(admin, f"writer {number}") for _ in range(10)]

        made = await asyncio.gather(*(writer(number) for number in range(8)))
        received = await stream.wait_for(80)
        assert len(await stream.settle()) == 80
    assert sorted(change["recordId"] for change in received) == sorted(id_ for ids in made for id_ in ids)


async def test_only_what_may_be_seen_is_told(live: Live) -> None:
    admin, rep = await live.member("admin"), await live.member("sales_rep")
    stranger = await live.member("marketer")
    mine = f"mem_{rep.member_id}"
    theirs = f"mem_{stranger.member_id}"
    async with live.watching(rep) as stream:
        hidden = await live.create(admin, "hidden", ownerId=theirs)
        await live.rename(admin, hidden, "still hidden")
        id_ = await live.create(admin, "shown", ownerId=mine)
        await live.mutate(admin, "updateOpportunity", {"id": id_, "ownerId": theirs}, "opportunity { id }")
        await live.rename(admin, id_, "hidden now")
        await live.mutate(admin, "updateOpportunity", {"id": id_, "ownerId": mine}, "opportunity { id }")
        received = await stream.wait_for(3)
        assert len(await stream.settle()) == 3
    assert [(change["recordId"], change["kind"]) for change in received] == [
        (id_, "CREATED"),
        (id_, "LEFT"),
        (id_, "ENTERED"),
    ]
    assert received[1]["opportunity"] is None
    assert received[1]["changedFields"] == []


async def test_a_filter_is_entered_and_left(live: Live) -> None:
    admin = await live.member("admin")
    async with live.watching(admin, '(where: {name: {startsWith: "big"}})') as stream:
        id_ = await live.create(admin, "small")
        await live.rename(admin, id_, "big deal")
        await live.rename(admin, id_, "bigger deal")
        await live.rename(admin, id_, "small deal")
        received = await stream.wait_for(3)
        assert len(await stream.settle()) == 3
    assert [change["kind"] for change in received] == ["ENTERED", "UPDATED", "LEFT"]


async def test_a_suspended_member_hears_nothing_more(live: Live) -> None:
    admin, rep = await live.member("admin"), await live.member("sales_rep", skip=1)
    owned = "{ customers(first: 1, where: {owner: {isViewer: true}}) { nodes { id } } }"
    customer = (await live.data(rep, owned))["customers"]["nodes"][0]["id"]  # who looks after it sees its deals
    async with live.watching(rep) as stream:
        await live.create(admin, "before", customerId=customer)
        await stream.wait_for(1)
        await live.mutate(admin, "suspendMember", {"id": f"mem_{rep.member_id}"}, "member { id }")
        await live.create(admin, "after", customerId=customer)
        received = await stream.settle()
        assert len(received) == 1
        with pytest.raises(Unauthenticated):
            await stream.task


async def test_a_revoked_session_hears_nothing_more(live: Live) -> None:
    admin, rep = await live.member("admin"), await live.member("sales_rep", skip=2)
    services = live.engine.services
    async with services.database.transaction() as session:
        pair = await start_session(
            services, session, rep.workspace_id, rep.member_id, method="PASSWORD", origin=NOWHERE
        )
    signed_in = services.authority.check(pair.access_token)
    async with live.watching(signed_in) as stream:
        await live.create(admin, "before", ownerId=f"mem_{rep.member_id}")
        await stream.wait_for(1)
        async with services.database.transaction() as session:
            assert await revoke_session(services, session, rep.workspace_id, pair.session_id, "BY_MEMBER")
        await live.create(admin, "after", ownerId=f"mem_{rep.member_id}")
        assert len(await stream.settle()) == 1
        with pytest.raises(Unauthenticated):
            await stream.task


@pytest.mark.parametrize("cursor", ["", "nonsense", "fffffffffff-1", "1"])
async def test_a_wrong_cursor_is_refused(live: Live, cursor: str) -> None:
    admin = await live.member("admin")
    request = GraphQLRequest(f'subscription {{ opportunityChanged(after: "{cursor}") {{ cursor }} }}')
    operation = await live.engine.admission.operation(request, admin)
    refusal, _ = await live.engine.subscribe(request, operation, lambda: admin)
    assert refusal is not None
    (error,) = refusal.body["errors"]
    assert error["extensions"]["code"] == "BAD_USER_INPUT"


async def test_a_filter_by_a_hidden_field_is_refused(live: Live) -> None:
    marketer = await live.member("marketer")
    request = GraphQLRequest('subscription { opportunityChanged(where: {amount: {gt: "1"}}) { cursor } }')
    operation = await live.engine.admission.operation(request, marketer)
    refusal, _ = await live.engine.subscribe(request, operation, lambda: marketer)
    assert refusal is not None
    assert refusal.body["errors"][0]["extensions"]["code"] == "FORBIDDEN"


async def test_another_workspace_hears_nothing(live: Live) -> None:
    admin = await live.member("admin")
    row = await live.connection.fetchrow(
        "SELECT replace(workspace_id::text, '-', ''), replace(member_id::text, '-', '') FROM member_role"
        " WHERE role = 'admin' AND workspace_id = (SELECT id FROM workspace WHERE slug = 'other')"
    )
    assert row is not None
    other = Claims(row[0], row[1], datetime.now(UTC) + timedelta(hours=1))
    async with live.watching(other) as stream:
        await live.create(admin, "not theirs")
        assert await stream.settle() == []


async def test_the_default_of_a_client_holds_for_subscriptions(live: Live) -> None:
    """As of each event: a default that is changed in mid-stream counts with the next one."""
    admin = await live.member("admin")
    made = await live.mutate(admin, "createApiClient", {"name": "watcher"}, "apiClient { id }")
    id_ = made["apiClient"]["id"]
    web = replace(admin, client_id=decode_id("apc", id_))
    clients, offset_s = live.engine.trusted._clients, [0.0]
    clock = clients._clock
    clients._clock = lambda: clock() + offset_s[0]
    source = "subscription { opportunityChanged { event opportunity { name lines(first: -1) { totalCount } } } }"
    request = GraphQLRequest(source)
    operation = await live.engine.admission.operation(request, web)
    refusal, stream = await live.engine.subscribe(request, operation, lambda: web)
    assert refusal is None
    try:
        for value, left in ((None, None), ("NULL", {"name": "NULL", "lines": None}), ("PROPAGATE", None)):
            await live.mutate(admin, "updateApiClient", {"id": id_, "onError": value}, "apiClient { id }")
            offset_s[0] += 60
            await live.create(admin, str(value))
            async with asyncio.timeout(60):
                _, answer = await anext(stream)
            assert answer.body["data"]["opportunityChanged"]["opportunity"] == left
            assert answer.body["errors"][0]["path"] == ["opportunityChanged", "opportunity", "lines"]
    finally:
        clients._clock = clock
        await stream.aclose()
