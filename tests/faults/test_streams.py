"""Streams that end: a process that drains, and rights that are taken away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

from crm_graph.kernel.cursor import LogCursor
from crm_graph.kernel.ids import new_id
from tests.faults.clients import Client, until
from tests.faults.expected import expected, read_log
from tests.faults.installation import Installation, installed
from tests.support import plain

pytestmark = pytest.mark.xdist_group("faults")


@pytest.fixture(scope="module")
async def installation(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Installation]:
    """Two API processes."""
    directory = tmp_path_factory.mktemp("streams")
    async with installed(directory, 2) as running:
        yield running


async def mutate(installation: Installation, name: str, input_: dict[str, Any], api: int = 1) -> None:
    """Run a mutation of an administrator, which must succeed."""
    (admin, *_) = await installation.members("admin")
    type_ = f"{name[0].upper()}{name[1:]}Input!"
    query = f"mutation ($input: {type_}) {{ done: {name}(input: $input) {{ errors {{ code message }} }} }}"
    headers = {"Authorization": f"Bearer {installation.token(admin)}"}
    async with plain.async_client(timeout=20, headers=headers) as http:
        body = {"query": query, "variables": {"input": input_}}
        answer = (await http.post(installation.apis[api].address, json=body)).json()
    assert answer.get("data") == {"done": {"errors": []}}, answer


async def create(installation: Installation, owner: str, **more: Any) -> str:
    """Open an opportunity at the second process and return its id."""
    id_ = f"opp_{new_id()}"
    await mutate(installation, "createOpportunity", {"id": id_, "name": id_, "ownerId": f"mem_{owner}", **more})
    return id_


async def position(installation: Installation) -> LogCursor:
    """Return where the log is."""
    (row,) = await installation.rows("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint - 1")
    return LogCursor(row[0], (1 << 63) - 1)


@asynccontextmanager
async def streaming(clients: list[Client], choose: Callable[[], str], pause_s: float = 0.05) -> AsyncIterator[None]:
    """Run clients while the block runs."""
    tasks = [asyncio.create_task(each.run(choose, pause_s)) for each in clients]
    try:
        assert await until(lambda: all(each.connected for each in clients))
        yield
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(each, asyncio.CancelledError) for each in ended), ended


def ids(client: Client) -> set[str]:
    """Return the records that a client was told of."""
    return {each.record_id for each in client.received}


async def test_a_process_that_is_asked_to_stop_hands_its_clients_over(installation: Installation) -> None:
    (admin, *_) = await installation.members("admin")
    first, second = installation.apis
    start, places, done = await position(installation), [first.address], asyncio.Event()
    clients = [
        Client(f"{transport}-{number}", transport, "Opportunity", installation.token(admin), start.encode())
        for transport in ("ws", "sse")
        for number in range(3)
    ]

    async def write() -> None:
        while not done.is_set():
            await create(installation, admin)

    async with streaming(clients, lambda: places[-1]):
        writing = asyncio.create_task(write())
        assert await until(lambda: all(each.received for each in clients))
        places.append(second.address)
        assert await first.terminate() == 0, first.said()
        assert await until(lambda: all(each.connected > 1 for each in clients))
        done.set()
        await writing
        wanted = expected(await read_log(installation, "Opportunity", {}), "Opportunity", start, None)
        await until(lambda: all(len(each.received) >= len(wanted) for each in clients))
    for client in clients:
        assert client.received == wanted
        assert client.endings == (["complete", "1001"] if client.transport == "ws" else ["complete"])
    await first.ready()


async def _suspend(installation: Installation, member: str, _: str) -> None:
    await mutate(installation, "suspendMember", {"id": f"mem_{member}"})


async def _take_roles(installation: Installation, member: str, _: str) -> None:
    await mutate(installation, "setMemberRoles", {"id": f"mem_{member}", "roles": ["support_agent"]})


async def _revoke_session(installation: Installation, _: str, session: str) -> None:
    await installation.rows("UPDATE member_session SET revoked_at = now() WHERE id = $1", session)


async def _wait(*_: object) -> None:
    """Let the token expire."""


OUT = {"ws": "4401", "sse": "UNAUTHENTICATED"}
EXPIRED = {"ws": "4403", "sse": "closed"}
"""Whereupon clients come back with a new token."""


@pytest.mark.parametrize(
    ("end", "lifetime", "ends"),
    [
        pytest.param(_take_roles, timedelta(hours=1), None, id="role taken"),
        pytest.param(_revoke_session, timedelta(hours=1), OUT, id="session revoked"),
        pytest.param(_wait, timedelta(seconds=3), EXPIRED, id="token expired"),
        pytest.param(_suspend, timedelta(hours=1), OUT, id="member suspended"),
    ],
)
async def test_nothing_is_delivered_after_rights_have_ended(
    installation: Installation, end: Callable[..., Any], lifetime: timedelta, ends: dict[str, str] | None
) -> None:
    (admin, *_), members = await installation.members("admin"), await installation.members("sales_rep")
    member, session = members[-1], new_id()
    await installation.rows(
        "INSERT INTO member_session (workspace_id, id, member_id, method, last_used_at, expires_at, salt, version,"
        " created_at, updated_at)"
        " VALUES ($1, $2, $3, 'PASSWORD', now(), now() + interval '1 day', 'x', 1, now(), now())",
        installation.workspace_id,
        session,
        member,
    )
    (customer, *_) = await installation.rows(
        "SELECT id FROM customer WHERE owner_id = $1 AND deleted_at IS NULL", member
    )
    of_account = {"customerId": f"cus_{str(customer['id']).replace('-', '')}"}
    token, start = installation.token(member, lifetime, session_id=session), (await position(installation)).encode()
    watched = [Client(each, each, "Opportunity", token, start) for each in ("ws", "sse")]
    witness = Client("witness", "ws", "Opportunity", installation.token(admin), start)
    async with streaming([*watched, witness], lambda: installation.apis[0].address, pause_s=0.5):
        before = await create(installation, admin, **of_account)  # which shows it to whoever looks after the customer
        assert await until(lambda: all(before in ids(each) for each in watched))
        await end(installation, member, session)
        if end is _wait:
            assert await until(lambda: all(each.endings for each in watched))
        after = [await create(installation, admin, **of_account) for _ in range(3)]
        assert await until(lambda: set(after) <= ids(witness))
        if ends:
            assert await until(lambda: all(each.endings for each in watched))
        await asyncio.sleep(0.5)
    for client in watched:
        assert not ids(client) & set(after)
        if ends:
            assert client.endings[0] == ends[client.transport]
