"""An audit trail on a database of its own: events as writers write them, a chainer to call, and verification."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import asyncpg

from crm_graph.db.codecs import set_codecs
from crm_graph.db.nodes import on_workers_down
from crm_graph.db.session import Session
from crm_graph.domains.customers.customers.events import CustomerUpdated
from crm_graph.domains.platform.audit.chain import SealKey, seal_keys
from crm_graph.domains.platform.audit.chainer import Chainer
from crm_graph.domains.platform.audit.deferrals import Down
from crm_graph.domains.platform.audit.verify import BEGINNING, Anchor, Tampered, Verified, verify, workspaces_of
from crm_graph.events.log import append, entry
from crm_graph.identity.viewer import Actor, ActorKind
from crm_graph.kernel.clock import Clock
from crm_graph.kernel.ids import new_id
from tests.support.database import clone

SECRET, NEWER_SECRET = b"a" * 32, b"b" * 32
UNSEALED = "SELECT (SELECT count(*) FROM event) > (SELECT count(*) FROM audit_entry)"
PREFIXES: Mapping[str, str] = {"Customer": "cus", "Workspace": "wrk"}


async def connect(url: str) -> asyncpg.Connection[Any]:
    """Return a connection as ours are."""
    connection = await asyncpg.connect(url, server_settings={"TimeZone": "UTC", "DateStyle": "ISO, YMD"})
    await set_codecs(connection)
    return connection


def now() -> datetime:
    """Return the time, as a clock."""
    return datetime.now(UTC)


class Trail:
    """The trail of one database, with one connection for whatever the test does."""

    def __init__(self, url: str, connection: asyncpg.Connection[Any]) -> None:
        self.url = url
        self.connection = connection
        self.secrets: Sequence[bytes] = [SECRET]
        self.first, self.second = new_id(), new_id()

    @property
    def keys(self) -> list[SealKey]:
        """The keys of the secrets that are in force."""
        return seal_keys(self.secrets)

    def chainer(self, batch: int = 1_000, clock: Clock = now, down: Down = on_workers_down) -> Chainer:
        """Return a chainer of this database."""
        return Chainer(self.url, self.keys, PREFIXES, poll_ms=5, batch=batch, election_ms=20, clock=clock, down=down)

    async def write(
        self, count: int = 1, workspace: str | None = None, connection: asyncpg.Connection[Any] | None = None
    ) -> None:
        """Write events in one transaction."""
        on = connection or self.connection
        async with on.transaction():
            session = Session(on)
            for number in range(count):
                changes = {"name": ("old", f"new {number}"), "score": (1, 12345678901234567890)}
                told = entry(
                    CustomerUpdated(),
                    workspace_id=workspace or self.first,
                    entity="Customer",
                    entity_id=new_id(),
                    at=now(),
                    by=Actor(ActorKind.MEMBER, new_id(), new_id()),
                    changes=changes,
                    address="203.0.113.9",
                    request_id=new_id(),
                )
                await append(session, told)
            await session.finish()

    async def seal(self, batch: int = 1_000, clock: Clock = now) -> int:
        """Seal all that is committed and return how many entries that made.

        Transactions of other tests, in other databases of the server, hold the horizon: it is waited for.
        """
        chainer = self.chainer(batch, clock)
        total = 0
        async with asyncio.timeout(60):
            while True:
                sealed = await chainer.chain_batch(self.connection)
                total += sealed
                if not sealed and not await self.connection.fetchval(UNSEALED):
                    return total
                if not sealed:
                    await asyncio.sleep(0.02)

    async def verify(
        self, workspace: str | None = None, *, since: Anchor = BEGINNING, expect: Anchor | None = None
    ) -> Verified:
        """Verify a workspace's chain. Raises Tampered."""
        async with self.connection.transaction(isolation="repeatable_read", readonly=True):
            return await verify(self.connection, self.keys, workspace or self.first, since=since, expect=expect)

    async def wrong(self, workspace: str | None = None, **options: Any) -> tuple[int, str]:
        """Return the number and the reason of what is wrong; fails where nothing is."""
        try:
            found = await self.verify(workspace, **options)
        except Tampered as error:
            return error.number, error.what
        raise AssertionError(f"nothing is wrong: {found}")

    async def workspaces(self) -> list[str]:
        """Return the workspaces that verification would look at."""
        return await workspaces_of(self.connection)

    async def sql(self, query: str, *arguments: Any) -> list[Any]:
        """Run plain SQL on the first workspace, which is $1: what somebody does who has the database's password."""
        return await self.connection.fetch(query, self.first, *arguments)


@asynccontextmanager
async def trail_of(postgres: str, name: str) -> AsyncIterator[Trail]:
    """Lend a trail on a clone of the template whose own events are sealed away: only what the test writes is seen."""
    url = await clone(postgres, f"trail_{name}_{os.getpid()}")
    connection = await connect(url)
    try:
        await connection.execute("TRUNCATE event")
        yield Trail(url, connection)
    finally:
        await connection.close()
        server = await asyncpg.connect(postgres)
        await server.execute(f'DROP DATABASE "trail_{name}_{os.getpid()}" WITH (FORCE)')
        await server.close()
