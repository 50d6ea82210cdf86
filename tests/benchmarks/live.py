"""`python -m tests.benchmarks.live`: many subscribers on one process, in groups, while records change.

    LIVE_SUBSCRIBERS=5000 LIVE_GROUPS=200 LIVE_RATE=50 LIVE_SECONDS=15 LIVE_SERVERS=crm-graph,postgraphile

Each group is a sales representative with as many connections as the others, who sees what they own; each change is of
one record, so that one group in `LIVE_GROUPS` hears of it. Changes are written by SQL, outside of the server: the
record and its event in the log, and for PostGraphile the NOTIFY that its `listen` needs, on a topic of the owner, with
no permission of its own to check. What is delivered tells when it was written; client and writer share a process and a
clock. Printed: p50 and p99 of the delivery, what was lost or came twice, memory a subscriber, CPU a change.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import resource
import statistics
import struct
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import asyncpg
import uvloop

from crm_graph.cli.installed import installation
from crm_graph.db.pool import Database
from crm_graph.identity.installation import authority
from crm_graph.kernel.ids import new_id
from crm_graph.kernel.settings import Settings
from tests.benchmarks.dataset import DataSet, postgres, prepare
from tests.benchmarks.servers import Server, environment, free_port, install_peers, started
from tests.benchmarks.servers import commands as commands_of
from tests.benchmarks.settings import BUILD, end_on_sigterm

SUBSCRIBERS = int(os.environ.get("LIVE_SUBSCRIBERS", "5000"))
GROUPS = int(os.environ.get("LIVE_GROUPS", "200"))
RATE = int(os.environ.get("LIVE_RATE", "50"))
SECONDS = float(os.environ.get("LIVE_SECONDS", "15"))
SERVERS = os.environ.get("LIVE_SERVERS", "crm-graph,postgraphile").split(",")
CUSTOMERS = 1_000
ROOM = {
    "CRM_MAX_CONNECTIONS_PER_ADDRESS": "100000",
    "CRM_MAX_SOCKETS_PER_ADDRESS": "100000",
    "CRM_MAX_SOCKETS_PER_MEMBER": "100000",
}
STEPS_AT_ONCE = 50
"""Connections that are opened at the same time."""
OURS = "subscription { opportunityChanged { kind opportunity { id name } } }"
THEIRS = 'subscription {{ opportunityChanged(topic: "{member}") {{ opportunity {{ id name }} }} }}'

_MEMBER = """
    INSERT INTO member (workspace_id, id, version, created_at, updated_at, name, email, status)
    VALUES ($1, $2, 1, now(), now(), $3, $3 || '@live.example.com', 'ACTIVE') ON CONFLICT DO NOTHING
"""
_ROLE = """
    INSERT INTO member_role (workspace_id, member_id, role) SELECT workspace_id, id, 'sales_rep'
    FROM member WHERE workspace_id = $1 AND email LIKE '%@live.example.com' ON CONFLICT DO NOTHING
"""
_WRITE = """
    WITH changed AS (
        UPDATE opportunity SET name = $3, version = version + 1, updated_at = now()
        WHERE workspace_id = $1 AND id = $2 RETURNING id
    )
    INSERT INTO event (workspace_id, type, entity, entity_id, actor, at, changes, data)
    SELECT $1, 'OpportunityUpdated', 'Opportunity', id, NULL, now(), jsonb_build_object('name', ARRAY[$4, $3]), '{}'
    FROM changed
"""


@dataclass(frozen=True, slots=True)
class Group:
    """A member, their token, and the record that they own; ids with dashes."""

    member: str
    token: str
    opportunity: str


@dataclass(slots=True)
class Received:
    """What all subscribers were told."""

    delays_ms: list[float] = field(default_factory=list)
    by_subscriber: dict[int, list[str]] = field(default_factory=dict)


class Socket:
    """One subscriber, on a bare socket: so that the client costs less than the server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, port: int) -> Socket:
        """Connect and shake hands."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=4096)
        key = base64.b64encode(os.urandom(16)).decode()
        writer.write(
            f"GET /graphql HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n".encode()
        )
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101"), head
        return cls(reader, writer)

    def send(self, message: dict[str, Any]) -> None:
        """Send a message, masked by nothing, as a mask of zeros is."""
        data = json.dumps(message).encode()
        head = bytes([0x81, 0x80 | len(data)]) if len(data) < 126 else struct.pack(">BBH", 0x81, 0xFE, len(data))
        self._writer.write(head + bytes(4) + data)

    async def receive(self) -> dict[str, Any]:
        """Return the next message. Raises ConnectionError with the reason when the server closes."""
        while True:
            first, second = await self._reader.readexactly(2)
            length = second & 0x7F
            if length == 126:
                (length,) = struct.unpack(">H", await self._reader.readexactly(2))
            data = await self._reader.readexactly(length)
            if first & 0x0F == 8:
                raise ConnectionError(data[2:].decode())
            if first & 0x0F == 1:
                message: dict[str, Any] = json.loads(data)
                if message["type"] != "ping":
                    return message
                self.send({"type": "pong"})

    def close(self) -> None:
        """Hang up."""
        self._writer.close()


async def make_groups(data: DataSet) -> list[Group]:
    """Return the groups: as many representatives as there are to be, each with a record."""
    database, connection = await Database.open(data.url), await asyncpg.connect(data.url)
    issuer = authority(await installation(database), Settings())
    await connection.executemany(_MEMBER, [(data.workspace, new_id(), f"live{number}") for number in range(GROUPS)])
    await connection.execute(_ROLE, data.workspace)
    members = await connection.fetch(
        "SELECT id FROM member WHERE workspace_id = $1 AND email LIKE '%@live.example.com' ORDER BY email LIMIT $2",
        data.workspace,
        GROUPS,
    )
    deals = await connection.fetch(
        "SELECT id FROM opportunity WHERE workspace_id = $1 ORDER BY id LIMIT $2", data.workspace, GROUPS
    )
    found = []
    for member, deal in zip(members, deals, strict=True):
        await connection.execute(
            "UPDATE opportunity SET owner_id = $3 WHERE workspace_id = $1 AND id = $2",
            data.workspace,
            deal["id"],
            member["id"],
        )
        token = issuer.issue(data.workspace.replace("-", ""), member["id"].hex, timedelta(hours=2))
        found.append(Group(str(member["id"]), token, str(deal["id"])))
    await database.close()
    await connection.close()
    return found


async def subscribe(port: int, number: int, group: Group, received: Received, *, ours: bool) -> asyncio.Task[None]:
    """Open a connection, subscribe, and return the task that notes what comes."""
    socket = await Socket.open(port)
    socket.send({"type": "connection_init", "payload": {"authorization": f"Bearer {group.token}"}})
    assert (await socket.receive())["type"] == "connection_ack"
    query = OURS if ours else THEIRS.format(member=group.member)
    socket.send({"type": "subscribe", "id": "1", "payload": {"query": query}})
    mine = received.by_subscriber[number] = []

    async def read() -> None:
        try:
            while True:
                message = await socket.receive()
                assert message["type"] == "next", message
                name = message["payload"]["data"]["opportunityChanged"]["opportunity"]["name"]
                received.delays_ms.append((time.monotonic_ns() - int(name.partition(" ")[0])) / 1e6)
                mine.append(name)
        finally:
            socket.close()

    return asyncio.create_task(read())


async def _change(connection: asyncpg.Connection[Any], workspace: str, groups: list[Group], *, ours: bool) -> list[int]:
    """Write changes at the rate, group after group; returns how many each group was to hear of."""
    told, last = [0] * len(groups), [""] * len(groups)
    start, written = time.monotonic(), 0
    while time.monotonic() - start < SECONDS:
        number = (written * 7) % len(groups)
        name = f"{time.monotonic_ns()} {written}"
        await connection.execute(_WRITE, workspace, groups[number].opportunity, name, last[number])
        if not ours:
            payload = json.dumps({"id": groups[number].opportunity})
            await connection.execute("SELECT pg_notify($1, $2)", groups[number].member, payload)
        last[number] = name
        told[number] += 1
        written += 1
        await asyncio.sleep(max(0.0, start + written / RATE - time.monotonic()))
    return told


async def _measure(name: str, server: Server, data: DataSet, groups: list[Group]) -> None:
    ours = name == "crm-graph"
    received = Received()
    connection = await asyncpg.connect(data.url)
    before_mb = server.resident_mb()
    tasks: list[asyncio.Task[None]] = []
    start = time.monotonic()
    for first in range(0, SUBSCRIBERS, STEPS_AT_ONCE):
        numbers = range(first, min(first + STEPS_AT_ONCE, SUBSCRIBERS))
        tasks += await asyncio.gather(
            *(subscribe(server.port, each, groups[each % len(groups)], received, ours=ours) for each in numbers)
        )
    opened_s = time.monotonic() - start
    await asyncio.sleep(2)
    each_kb = (server.resident_mb() - before_mb) * 1000 / SUBSCRIBERS
    cpu, started_at = server.cpu_seconds(), time.monotonic()
    told = await _change(connection, data.workspace, groups, ours=ours)
    await asyncio.sleep(2)
    cpu_s, took_s = server.cpu_seconds() - cpu, time.monotonic() - started_at
    expected = [told[number % len(groups)] for number in range(SUBSCRIBERS)]
    lost = sum(max(0, wanted - len(set(received.by_subscriber[n]))) for n, wanted in enumerate(expected))
    twice = sum(len(each) - len(set(each)) for each in received.by_subscriber.values())
    failed = [task for task in tasks if task.done()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await connection.close()
    delays = sorted(received.delays_ms) or [0.0]
    changes = sum(told)
    print(
        f"{name:12} {SUBSCRIBERS:,} subscribers in {len(groups)} groups, opened in {opened_s:.1f} s;"
        f" {changes} changes, {len(received.delays_ms):,} delivered, {lost} lost, {twice} twice, {len(failed)} closed\n"
        f"{'':12} p50 {statistics.median(delays):.1f} ms, p99 {delays[int(len(delays) * 0.99)]:.1f} ms,"
        f" {each_kb:.1f} kB each, CPU {cpu_s / max(1, changes) * 1e3:.2f} ms a change"
        f" ({cpu_s / took_s * 100:.0f} % of a core)",
        flush=True,
    )
    if failed:
        print(f"{'':12} first closed: {failed[0].exception()!r}")


async def _main(url: str, stack: ExitStack) -> None:
    data = await prepare(url, CUSTOMERS)
    groups = await make_groups(data)
    variables = {**environment(data), **ROOM}
    on_node = install_peers() if "postgraphile" in SERVERS else set()
    for name in SERVERS:
        if name == "postgraphile" and name not in on_node:
            continue
        port = free_port()
        command = commands_of(port)["crm-graph"]
        if name == "postgraphile":
            command = ["node", "tests/benchmarks/peers/postgraphile_live.js"]
        with started(f"live {name}", command, port, variables) as server:
            await asyncio.sleep(2)
            await _measure(name, server, data, groups)


if __name__ == "__main__":
    end_on_sigterm()
    BUILD.mkdir(exist_ok=True)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard < 2 * SUBSCRIBERS + 200:
        sys.exit(f"{SUBSCRIBERS} subscribers need more open files than the {hard} that are allowed: `ulimit -n`")
    with postgres() as running, ExitStack() as everything:
        uvloop.run(_main(running.url, everything))
