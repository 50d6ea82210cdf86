"""The job `exportRecords`: all records of a type that its member may see when it runs, as a file."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from asyncpg import Connection

from crm_graph.db.connecting import close, connect, unit
from crm_graph.db.session import ReadSession
from crm_graph.domains.identity.accounts.directory import MemberDirectory
from crm_graph.domains.platform.audit.events import RecordsExported, SensitiveFieldsRead
from crm_graph.domains.platform.audit.operations import record_reading
from crm_graph.domains.platform.jobs.model import Job
from crm_graph.domains.platform.jobs.operations import EXPORT, create_job
from crm_graph.domains.platform.jobs.policy import JOB
from crm_graph.domains.platform.jobs.running import Given, Run
from crm_graph.events.log import end
from crm_graph.graph.changes.positions import scope_of, seal_position
from crm_graph.graph.cursors import CursorSealer
from crm_graph.graph.exporting.export_lines import lines_of
from crm_graph.graph.exporting.exports import Export, export_rows, plan_export
from crm_graph.graph.records.registry import Registry
from crm_graph.identity.origin import NOWHERE
from crm_graph.identity.services import Services
from crm_graph.identity.tokens import Claims
from crm_graph.identity.viewer import Viewer
from crm_graph.kernel.errors import Refused, RequestError
from crm_graph.kernel.ids import encode_id
from crm_graph.permissions import grants
from crm_graph.permissions.access import Access
from crm_graph.permissions.compiler import AccessCompiler
from crm_graph.permissions.sight import sight_of
from crm_graph.work import CREATE, Work

STATEMENT_TIMEOUT_S = 300
"""How long the database may take for the next rows of a file: more, and it is not going to answer."""
PREFIX = "job"


async def export_records(work: Work, registry: Registry, type_: str, form: str, limit: int) -> str:
    """Queue an export. Raises Refused INVALID for a type that there is not, Forbidden for one that may not be read, or
    not exported."""
    work.may(JOB, CREATE)
    if type_ not in registry.records:
        known = ", ".join(sorted(name for name in registry.records if work.access.of(name).allows(grants.EXPORT)))
        raise Refused("INVALID", f"There is no type {type_!r} to export; there are: {known}.", ("type",))
    plan_export(registry.records[type_], registry, work.access, None)
    return await create_job(work, EXPORT, {"type": type_, "format": form}, limit)


@dataclass(frozen=True, slots=True)
class Exporter:
    """The handler. What a run stored before it was stopped is dropped by the next one, which starts anew."""

    services: Services
    registry: Registry
    compiler: AccessCompiler
    sealer: CursorSealer

    async def __call__(self, run: Run) -> dict[str, Any]:
        """Write the file of an export. Raises Given where the member may not have it, or it is too long."""
        form: str = run.job.arguments["format"]
        database = self.services.database
        file = _File(run, self.services.settings.export_part_bytes, self.services.settings.export_max_bytes)
        name = f"{encode_id(PREFIX, run.job.id)}.{form}"
        cursor = await end(database.primary_reader())  # before the snapshot: what it lacks comes after this position
        connection = await connect(database.url, STATEMENT_TIMEOUT_S)  # without the time limits of requests
        try:
            async with unit(connection, isolation="repeatable_read", readonly=True):
                viewer = await self._viewer(run.job, ReadSession(connection))  # of the moment that the rows are of
                access = self.compiler.of(viewer)
                export = self._plan(run.job, access)
                await run.add_sight(sight_of(access, viewer, export.reads))
                await self._write(run, connection, viewer, export, file, name)
        finally:
            await close(connection)
        return {
            "url": f"/exports/{encode_id(PREFIX, run.job.id)}",
            "cursor": seal_position(self.sealer, viewer, cursor, scope_of(access, viewer)),
            "rows": file.rows,
            "bytes": file.bytes,
            "format": form.upper(),
            "withheld": list(export.withheld),
        }

    async def _write(
        self, run: Run, connection: Connection[Any], viewer: Viewer, export: Export, file: _File, name: str
    ) -> None:
        """Write the rows of an export. What was read is in the log before the first is, and how many there were after
        the last, also where it ends early."""
        form: str = run.job.arguments["format"]
        if export.audited:
            await self._note(run, viewer, SensitiveFieldsRead(export.audited, "export", None, (), 0))
        complete = False
        try:
            head, line = lines_of(export, form)
            await file.write(head)
            async for values in export_rows(connection, export, viewer, self.services.vault):
                await file.write(line(values))
                file.rows += 1
                await run.step(file.rows)
            await file.flush()
            complete = True
        finally:
            await self._note(
                run, viewer, RecordsExported(export.record.name, export.fields, file.rows, form, name, complete)
            )

    async def _viewer(self, job: Job, session: ReadSession) -> Viewer:
        """Return the member as of now, cut to the roles of the client by which they asked."""
        never = datetime.max.replace(tzinfo=UTC)
        claims = Claims(job.workspace_id, job.created_by_id, never, job.created_at, client_id=job.client_id)
        viewer = await MemberDirectory().find(session, claims)
        if viewer is None:
            raise Given("The member who asked for it cannot sign in any more, or the API client is gone.")
        return viewer

    def _plan(self, job: Job, access: Access) -> Export:
        record = self.registry.records.get(job.arguments["type"])
        if record is None:
            raise Given(f"There is no type {job.arguments['type']} any more.")
        try:
            return plan_export(record, self.registry, access, None)
        except RequestError as error:
            raise Given(error.message) from error

    async def _note(self, run: Run, viewer: Viewer, event: SensitiveFieldsRead | RecordsExported) -> None:
        """Write down what was read. The job is the request by which it was."""
        async with self.services.database.transaction() as session:
            await record_reading(session, viewer, NOWHERE, run.job.id, self.services.clock(), event)


@dataclass(slots=True)
class _File:
    """What has been written of a file: in pieces, each stored when it is full."""

    run: Run
    part_bytes: int
    max_bytes: int
    rows: int = 0
    bytes: int = 0
    _held: bytearray = field(default_factory=bytearray)

    async def write(self, text: str) -> None:
        """Add text. Raises Given where the file is too long."""
        content = text.encode()
        self.bytes += len(content)
        if self.bytes > self.max_bytes:
            raise Given(
                f"The file is longer than {self.max_bytes:,} bytes, the most that an export may be"
                " (CRM_EXPORT_MAX_BYTES): use `crm-graph export`, which writes to a file."
            )
        self._held += content
        if len(self._held) >= self.part_bytes:
            await self.flush()

    async def flush(self) -> None:
        """Store what is held."""
        if self._held:
            await self.run.add_part(bytes(self._held))
            self._held = bytearray()
