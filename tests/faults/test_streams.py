"""Streams that end: a process that drains, rights that are taken away, a client that does not read."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets import Subprotocol
from websockets.asyncio.client import connect

from crm_graph.kernel.cursor import LogCursor
from crm_graph.kernel.ids import new_id
from tests.faults.clients import Client, until
from tests.faults.expected import expected, read_log
from tests.faults.installation import Installation, installed

pytestmark = pytest.mark.xdist_group("faults")

QUEUE = 20
FAT = "x" * 1_000
ALIASES = 25
"""So many times a fat field is selected by the client that does not read."""


@pytest.fixture(scope="module")
async def installation(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Installation]:
    """Two API processes with short queues."""
    directory = tmp_path_factory.mktemp("streams")
    async with installed(directory, 2, CRM_SUBSCRIPTION_QUEUE_SIZE=str(QUEUE)) as running:
        yield running


async def mutate(installation: Installation, name: str, input_: dict[str, Any], api: int = 1) -> None:
    """Run a mutation of an administrator, which must succeed."""
    (admin, *_) = await installation.members("admin")
    type_ = f"{name[0].upper()}{name[1:]}Input!"
    query = f"mutation ($input: {type_}) {{ done: {name}(input: $input) {{ errors {{ code message }} }} }}"
    headers = {"Authorization": f"Bearer {installation.token(admin)}"}
    async with httpx.AsyncClient(timeout=20, headers=headers) as http:
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


ENDS = {"ws": "4401", "sse": "UNAUTHENTICATED"}


@pytest.mark.parametrize(
    ("end", "lifetime", "ends"),
    [
        pytest.param(_take_roles, timedelta(hours=1), False, id="role taken"),
        pytest.param(_revoke_session, timedelta(hours=1), True, id="session revoked"),
        pytest.param(_wait, timedelta(seconds=3), True, id="token expired"),
        pytest.param(_suspend, timedelta(hours=1), True, id="member suspended"),
    ],
)
async def test_nothing_is_delivered_after_rights_have_ended(
    installation: Installation, end: Callable[..., Any], lifetime: timedelta, ends: bool
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
    token, start = installation.token(member, lifetime, session_id=session), (await position(installation)).encode()
    watched = [Client(each, each, "Opportunity", token, start) for each in ("ws", "sse")]
    witness = Client("witness", "ws", "Opportunity", installation.token(admin), start)
    async with streaming([*watched, witness], lambda: installation.apis[0].address, pause_s=0.5):
        before = await create(installation, member)
        assert await until(lambda: all(before in ids(each) for each in watched))
        await end(installation, member, session)
        if end is _wait:
            assert await until(lambda: all(each.endings for each in watched))
        after = [await create(installation, member) for _ in range(3)]
        assert await until(lambda: set(after) <= ids(witness))
        if ends:
            assert await until(lambda: all(each.endings for each in watched))
        await asyncio.sleep(0.5)
    for client in watched:
        assert not ids(client) & set(after)
        if ends:
            assert client.endings[0] == ENDS[client.transport]


def _memory_kib(pid: int) -> int:
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1])


async def test_a_client_that_does_not_read_is_told_where_to_go_on(installation: Installation) -> None:
    """It costs the process a queue, not what it left unread; the others go on meanwhile."""
    (admin, *_) = await installation.members("admin")
    api = installation.apis[0]
    start = await position(installation)
    selected = " ".join(f"a{number}: nextStep" for number in range(ALIASES))
    watch = "subscription ($after: Cursor) { opportunityChanged(after: $after) { cursor opportunity { %s } } }"
    payload = {"query": watch.replace("%s", selected), "variables": {"after": start.encode()}}
    witness = Client("witness", "ws", "Opportunity", installation.token(admin), start.encode())
    narrow = socket.create_connection(("127.0.0.1", api.port or 0))
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    protocol = Subprotocol("graphql-transport-ws")
    async with streaming([witness], lambda: api.address):
        where = api.address.replace("http", "ws", 1)
        async with connect(where, sock=narrow, subprotocols=[protocol], max_queue=1, ping_interval=None) as lazy:
            authorization = {"Authorization": f"Bearer {installation.token(admin)}"}
            await lazy.send(json.dumps({"type": "connection_init", "payload": authorization}))
            assert json.loads(await lazy.recv())["type"] == "connection_ack"
            await lazy.send(json.dumps({"type": "subscribe", "id": "1", "payload": payload}))
            assert api.running is not None
            id_ = await create(installation, admin)
            memory, written = _memory_kib(api.running.pid), 300
            async with httpx.AsyncClient(headers=authorization, timeout=20) as http:
                for number in range(written):
                    input_ = {"id": id_, "nextStep": f"{number}{FAT}"}
                    query = (
                        "mutation ($i: UpdateOpportunityInput!) { updateOpportunity(input: $i) { errors { code } } }"
                    )
                    body = {"query": query, "variables": {"i": input_}}
                    answer = (await http.post(installation.apis[1].address, json=body)).json()
                    assert answer.get("data") == {"updateOpportunity": {"errors": []}}, answer
            assert await until(lambda: len(witness.received) == written + 1)
            assert _memory_kib(api.running.pid) - memory < 100 * 1_024
            told, cursor = await _read_up(lazy)
    wanted = expected(await read_log(installation, "Opportunity", {}), "Opportunity", start, None)
    assert 0 < len(told) < len(wanted), "it was ended for being slow"
    assert told == [each.cursor for each in wanted][: len(told)]
    assert cursor == told[-1]


async def _read_up(lazy: Any) -> tuple[list[str], str]:
    """Return the cursors that come to a client that reads at last, and the one that it is to resume from."""
    told: list[str] = []
    while True:
        message = json.loads(await asyncio.wait_for(lazy.recv(), 20))
        if message["type"] == "next":
            told.append(message["payload"]["data"]["opportunityChanged"]["cursor"])
        if message["type"] == "error":
            (error,) = message["payload"]
            found = re.search('after: "([0-9a-f-]+)"', error["message"])
            assert found is not None, error
            return told, found[1]
