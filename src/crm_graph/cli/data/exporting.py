"""`crm-graph export`: all rows that a member may export, as CSV or NDJSON."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from asyncpg import Connection

from crm_graph.api.schema import make_schema
from crm_graph.cli.console import console
from crm_graph.cli.data.importing import acting_as
from crm_graph.cli.installed import vault_of
from crm_graph.cli.opening import opened
from crm_graph.cli.place import Place
from crm_graph.db.connecting import close, connect, unit
from crm_graph.db.pool import Database
from crm_graph.domains.platform.audit.events import RecordsExported, SensitiveFieldsRead
from crm_graph.domains.platform.audit.operations import record_reading
from crm_graph.graph.exporting.export_lines import lines_of
from crm_graph.graph.exporting.exports import Export, export_rows, plan_export
from crm_graph.graph.records.record import Record
from crm_graph.identity.origin import NOWHERE
from crm_graph.identity.viewer import Viewer
from crm_graph.kernel.clock import system_clock
from crm_graph.kernel.errors import OperatorError
from crm_graph.kernel.ids import new_id
from crm_graph.vault.vault import Vault

BOM = "\ufeff"


async def export_file(
    place: Place,
    entity: str,
    form: str,
    out: Path | None,
    chosen: list[str] | None,
    bom: bool,
    email: str | None,
    role: str | None,
    workspace: str | None,
) -> int:
    """Write the rows of an entity that a member may read and export to a file, or to stdout; returns how many. Raises
    OperatorError."""
    schema = make_schema()
    record = _record(schema.registry.records, entity)
    async with opened(place) as database:
        viewer, access = await acting_as(database, schema, workspace, email, role)
        export = plan_export(record, schema.registry, access, chosen)
        if export.withheld:
            console.print(f"withheld on some rows or all: {', '.join(export.withheld)}", soft_wrap=True)
        connection = await connect(database.url, None)  # without the time limits of requests
        try:
            note = _Note(database, viewer, export, form, out)
            await note.sensitive()
            async with unit(connection, isolation="repeatable_read", readonly=True):
                with _opened(out) as file:
                    if bom:
                        file.write(BOM)
                    vault = await vault_of(database)
                    try:
                        count = await write_rows(connection, export, viewer, form, file, vault, note.count)
                    except BaseException:
                        await note.exported(complete=False)
                        raise
                    await note.exported(complete=True)
                    return count
        finally:
            await close(connection)


@dataclass(slots=True)
class _Note:
    """What the log is told of one export. `rows` counts while it runs, so that also one that is interrupted says how
    many went out."""

    database: Database
    viewer: Viewer
    export: Export
    form: str
    out: Path | None
    rows: int = 0
    request_id: str = field(default_factory=new_id)

    def count(self, rows: int) -> None:
        """Remember how many rows went out."""
        self.rows = rows

    async def sensitive(self) -> None:
        """Write down the sensitive reads, if any, before the first row is written."""
        if self.export.audited:
            await self._record(SensitiveFieldsRead(self.export.audited, "export", None, (), 0))

    async def exported(self, *, complete: bool) -> None:
        """Write down the export. A complete file appears under its name only after that."""
        name = None if self.out is None else self.out.name
        entity = self.export.record.name
        await self._record(RecordsExported(entity, self.export.fields, self.rows, self.form, name, complete))

    async def _record(self, event: SensitiveFieldsRead | RecordsExported) -> None:
        async with self.database.transaction() as session:
            await record_reading(session, self.viewer, NOWHERE, self.request_id, system_clock(), event)


async def write_rows(
    connection: Connection[Any],
    export: Export,
    viewer: Viewer,
    form: str,
    file: TextIO,
    vault: Vault,
    reached: Callable[[int], None] = lambda _: None,
) -> int:
    """Write the rows of an export to a file; returns how many. `reached` is told after each row."""
    count = 0
    head, line = lines_of(export, form)
    file.write(head)
    async for values in export_rows(connection, export, viewer, vault):
        file.write(line(values))
        count += 1
        reached(count)
    return count


def _record(records: Any, entity: str) -> Record:
    wanted = re.sub(r"[-_ ]", "", entity).lower()
    by_name: dict[str, Record] = {name.lower(): record for name, record in records.items()}
    if wanted not in by_name:
        names = (re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower() for name in records)
        raise OperatorError(f"there is no {entity!r} to export", f"there are: {', '.join(sorted(names))}")
    return by_name[wanted]


@contextmanager
def _opened(out: Path | None) -> Iterator[TextIO]:
    """Lend the output; a file appears under its name only when it is complete."""
    if out is None:
        sys.stdout.reconfigure(encoding="utf-8", newline="")  # type: ignore[union-attr]
        yield sys.stdout
        sys.stdout.flush()
        return
    partial = out.with_name(f"{out.name}.part")
    try:
        with partial.open("w", encoding="utf-8", newline="") as file:
            yield file
        os.replace(partial, out)
    except OSError as error:
        raise OperatorError(f"cannot write {out}: {error.strerror or error}", "choose another --out") from error
    finally:
        partial.unlink(missing_ok=True)
