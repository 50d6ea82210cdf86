"""Jobs on a database of their own, where what is committed stays: two workers, and processes that are killed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from crm_graph.api.schema import make_schema
from crm_graph.app import make_worker
from crm_graph.db.pool import Database
from crm_graph.domains.identity.accounts.directory import MemberDirectory
from crm_graph.domains.platform.jobs.operations import create_job
from crm_graph.domains.platform.jobs.running import Handler, Runner
from crm_graph.identity.services import Services
from crm_graph.identity.tokens import Claims, TokenAuthority
from crm_graph.jobs.worker import Worker
from crm_graph.kernel.settings import Settings
from crm_graph.permissions.compiler import AccessCompiler
from crm_graph.work import Work
from tests.support.services import SECRET, make_services

SETTINGS = Settings(
    job_poll_ms=20, job_backoff_ms=2, job_max_attempts=2, job_lease_seconds=1, timer_poll_ms=50, timer_backoff_ms=2
)
WAIT_S = 30


@dataclass(slots=True)
class Desk:
    """One process's view of the database."""

    database: Database
    services: Services

    def worker(self, handlers: Mapping[str, Handler]) -> Worker:
        """Return a worker with handlers of a test's own."""
        return Worker(self.database, SETTINGS, Runner(self.services, handlers).tasks())

    def product_worker(self) -> Worker:
        """Return the worker of the product."""
        return make_worker(make_schema(), self.services)

    async def claims(self, role: str, workspace: str = "demo") -> Claims:
        """Return the claims of the first active member with a role."""
        (row,) = await self.rows(
            "SELECT member.workspace_id, member.id FROM member"
            " JOIN workspace ON workspace.workspace_id = member.workspace_id"
            " JOIN member_role ON member_role.workspace_id = member.workspace_id AND member_id = member.id"
            " WHERE slug = $1 AND role = $2 AND status = 'ACTIVE' ORDER BY member.id LIMIT 1",
            workspace,
            role,
        )
        return Claims(row[0], row[1], datetime.now(UTC) + timedelta(hours=1))

    @asynccontextmanager
    async def work(self, role: str = "admin") -> AsyncIterator[Work]:
        """Lend the unit of work of a member."""
        schema = make_schema()
        async with self.database.transaction() as session:
            viewer = await MemberDirectory().find(session, await self.claims(role))
            assert viewer is not None
            access = AccessCompiler(schema.policies, schema.vocabulary.inherent).of(viewer)
            now = datetime.now(UTC)
            yield Work(session, viewer, access, lambda: now)

    async def queue(self, kind: str, role: str = "admin", **arguments: Any) -> str:
        """Queue a job and return its id."""
        async with self.work(role) as work:
            return await create_job(work, kind, arguments, 100)

    async def rows(self, query: str, *arguments: Any) -> list[Any]:
        """Return rows of plain SQL."""
        return await self.database.primary_reader().connection.fetch(query, *arguments)

    async def job(self, id_: str) -> Any:
        """Return the row of a job."""
        (row,) = await self.rows("SELECT * FROM job WHERE id = $1", id_)
        return row

    async def until(self, id_: str, holds: Callable[[Any], bool]) -> Any:
        """Wait until something holds of a job, and return it."""
        async with asyncio.timeout(WAIT_S):
            while not holds(row := await self.job(id_)):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        return row


@asynccontextmanager
async def running(worker: Worker) -> AsyncIterator[None]:
    """Run a worker beside the block, and stop it as SIGTERM does."""
    task = asyncio.create_task(worker.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def desk_on(url: str) -> AsyncIterator[Desk]:
    """Open a desk on a database."""
    database = await Database.open(url)
    try:
        authority = TokenAuthority([SECRET], "crm-graph", "crm-graph")
        yield Desk(database, make_services(authority, database, SETTINGS))
    finally:
        await database.close()
