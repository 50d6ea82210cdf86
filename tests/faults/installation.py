"""An installation as in production, and what can go wrong in it: API processes and a worker over one Postgres."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import httpx

from crm_graph.db import embedded
from crm_graph.db.migrate import upgrade
from crm_graph.db.pool import Database
from crm_graph.demo.seed import seed
from crm_graph.events.relay import ADVISORY_LOCK
from crm_graph.identity.installation import Installation as Made
from crm_graph.identity.installation import authority
from crm_graph.identity.secrets import secrets_of_environment
from crm_graph.kernel.settings import Settings
from tests.support import plain
from tests.support.forked import Command
from tests.support.server import environment, free_port

SECRET = "the secret of an installation for tests"
UNLIMITED = "100000000"
SETTINGS = {
    "CRM_SECRET": SECRET,
    "CRM_READ_POOL_SIZE": "4",
    "CRM_WRITE_POOL_SIZE": "4",
    "CRM_HEARTBEAT_MS": "1000",
    **{
        f"CRM_RATE_{whose}_{what}": UNLIMITED
        for whose in ("MEMBER", "ADDRESS")
        for what in ("REQUESTS", "COST", "BUSY_SECONDS")
    },
    "CRM_RATE_WORKSPACE_BUSY_SECONDS": UNLIMITED,
}
CUSTOMERS = 10
START_TIMEOUT_S = 240


@dataclass(slots=True)
class Process:
    """An API process or a worker, which can be killed and started anew on the same port."""

    name: str
    """Its user in the database too: so that a connection tells whose it is."""
    url: str
    log: Path
    port: int | None
    settings: dict[str, str]
    running: Command | None = None

    @property
    def address(self) -> str:
        """Where it serves."""
        return f"http://127.0.0.1:{self.port}/graphql"

    def start(self) -> None:
        """Start it; `ready` waits for it."""
        what = ["worker"] if self.port is None else ["serve", "--port", str(self.port)]
        given = environment(DATABASE_URL=self.url, **self.settings)
        with self.log.open("ab") as output:
            self.running = Command(what, given, output.fileno(), output.fileno())

    async def ready(self) -> None:
        """Wait until it serves, starting it anew where it ended because the database was away."""
        said = "nothing"
        try:
            async with asyncio.timeout(START_TIMEOUT_S), plain.async_client() as client:
                while True:
                    if self.running is None or self.running.poll() is not None:
                        self.start()
                    if self.port is None:
                        return
                    try:
                        answer = await client.get(self.address.replace("/graphql", "/ready"))
                        said = f"{answer.status_code} {answer.text}"
                        if answer.status_code == 200:
                            return
                    except httpx.HTTPError as error:
                        said = repr(error)
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise AssertionError(f"{self.name} does not get ready: {said}; {self._state()}\n{self.said()}") from None

    def kill(self) -> None:
        """End it as a crash does."""
        if self.running is not None:
            self.running.kill()
            self.running.wait()

    async def terminate(self) -> int:
        """Ask it to stop and return its exit code."""
        assert self.running is not None
        self.running.terminate()
        return await asyncio.to_thread(self.running.wait, 30)

    def _state(self) -> str:
        assert self.running is not None
        status = Path(f"/proc/{self.running.pid}/status")
        state = status.read_text().splitlines()[2] if status.exists() else "gone"
        return f"pid {self.running.pid}, exit code {self.running.poll()}, {state}"

    def said(self) -> str:
        """Return the end of its log."""
        return self.log.read_text(errors="replace")[-4_000:]


@dataclass(slots=True)
class Installation:
    """The processes, their database, and who is in it."""

    data: Path
    url: str
    apis: list[Process] = field(default_factory=list)
    worker: Process | None = None
    workspace_id: str = ""

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[asyncpg.Connection[Any]]:
        """Lend a connection to the database."""
        connection = await asyncpg.connect(self.url, server_settings={"application_name": "faults"})
        try:
            yield connection
        finally:
            with suppress(Exception):
                await connection.close(timeout=2)

    async def rows(self, query: str, *arguments: Any) -> list[asyncpg.Record]:
        """Return the rows of a statement."""
        async with self.connection() as connection:
            found: list[asyncpg.Record] = await connection.fetch(query, *arguments)
            return found

    async def members(self, role: str) -> list[str]:
        """Return the ids of the members with a role, as hex."""
        rows = await self.rows(
            "SELECT member_id FROM member_role WHERE workspace_id = $1 AND role = $2 ORDER BY member_id",
            self.workspace_id,
            role,
        )
        return [row[0].hex for row in rows]

    def token(self, member_id: str, lifetime: timedelta = timedelta(hours=2), **claims: Any) -> str:
        """Return a bearer token of a member."""
        secrets = secrets_of_environment({"CRM_SECRET": SECRET})
        return authority(Made(self.url, secrets), Settings()).issue(self.workspace_id, member_id, lifetime, **claims)

    async def relay_holder(self) -> Process | None:
        """Return the process that relays now."""
        rows = await self.rows(
            "SELECT usename FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE locktype = 'advisory' AND granted"
            " AND ((classid::bigint << 32) | objid::bigint) = $1",
            ADVISORY_LOCK,
        )
        names = {row[0] for row in rows}
        processes = [*self.apis, *([self.worker] if self.worker is not None else [])]
        return next((each for each in processes if each.name in names), None)

    async def cut_connections(self, at_most: int) -> int:
        """End connections of the processes, as a network does; return how many."""
        rows = await self.rows(
            "SELECT pg_terminate_backend(pid) FROM (SELECT pid FROM pg_stat_activity"
            " WHERE application_name = 'crm-graph' ORDER BY random() LIMIT $1) AS chosen",
            at_most,
        )
        return len(rows)

    async def crash_postgres(self) -> None:
        """Kill the postmaster and start it anew: it recovers from its log."""
        (pid_file,) = self.data.glob("pg-*/postmaster.pid")
        os.kill(int(pid_file.read_text().partition("\n")[0]), signal.SIGKILL)
        await asyncio.sleep(0.3)
        await asyncio.to_thread(self.revive)

    def revive(self) -> None:
        """Start Postgres again."""
        with embedded.running(self.data):
            pass


async def _prepare(made: Installation, names: Sequence[str]) -> None:
    await upgrade(made.url)
    database = await Database.open(made.url)
    try:
        made.workspace_id = (await seed(database, CUSTOMERS, slug="demo", name="Demo")).replace("-", "")
    finally:
        await database.close()
    async with made.connection() as connection:
        for name in names:
            await connection.execute(f'CREATE ROLE "{name}" LOGIN SUPERUSER')


@asynccontextmanager
async def installed(
    directory: Path, apis: int, *, worker: bool = False, **settings: str
) -> AsyncIterator[Installation]:
    """Run an installation with demo data until the block ends; nothing of it is left behind."""
    data = directory / "data"
    with embedded.running(data, shared_buffers_mb=64) as server:
        made = Installation(data, server.url)
        names = [f"api_{number}" for number in range(apis)]
        await _prepare(made, [*names, "worker"])
        given = {**SETTINGS, **settings}

        def process(name: str, port: int | None) -> Process:
            return Process(name, made.url.replace("//crm@", f"//{name}@"), directory / f"{name}.log", port, given)

        made.apis = [process(name, free_port()) for name in names]
        made.worker = process("worker", None) if worker else None
        processes = [*made.apis, *([made.worker] if made.worker is not None else [])]
        try:
            await asyncio.gather(*(each.ready() for each in processes))
            yield made
        finally:
            for each in processes:
                each.kill()
