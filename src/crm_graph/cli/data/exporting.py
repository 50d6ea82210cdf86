"""`crm-graph export`: all rows that a member may see, as CSV or NDJSON."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import click
from asyncpg import Connection

from crm_graph.api.schema import make_schema
from crm_graph.cli.console import console
from crm_graph.cli.data.importing import acting_as
from crm_graph.cli.place import Place, data_option, find_place, opened, run, vault_of, workspace_option
from crm_graph.db.connecting import connect
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
from crm_graph.permissions.roles import BUILT_IN
from crm_graph.vault.vault import Vault

BOM = "\ufeff"


@click.command(short_help="Write all rows that a member may see to CSV or NDJSON.")
@click.argument("entity")
@click.option("--format", "form", type=click.Choice(["csv", "ndjson"]), help="By the name of --out, else csv.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="The file; standard output unless given.")
@click.option("--columns", metavar="A,B", help="Only these columns, in this order.")
@click.option("--bom", is_flag=True, help="Start with a byte order mark, by which Excel knows UTF-8.")
@click.option("--email", help="The member whose view it is; the first administrator unless given.")
@click.option("--role", help=f"The first member with a role: {', '.join(BUILT_IN)}.")
@workspace_option
@data_option
def export(
    entity: str,
    form: str | None,
    out: Path | None,
    columns: str | None,
    bom: bool,
    email: str | None,
    role: str | None,
    workspace: str | None,
    data: Path | None,
) -> None:
    """Write all rows of an ENTITY that a member may see.

    \b
      crm-graph export customer --out customers.csv
      crm-graph export opportunity --role sales_rep --columns external_id,name,amount,stage --format ndjson

    In CSV, a cell that a spreadsheet would run as a formula (it starts with = + - @, a tab or a return) gets an
    apostrophe before it; an import takes it away again. Edges are external ids, e-mails or names, or ids where these
    are not unique; an import of the file changes nothing.
    """
    if email is not None and role is not None:
        raise click.UsageError("give --email or --role, not both")
    form = form or ("ndjson" if out is not None and out.suffix in {".ndjson", ".jsonl"} else "csv")
    chosen = None if columns is None else [each.strip() for each in columns.split(",")]
    count = run(_export(find_place(data), entity, form, out, chosen, bom, email, role, workspace))
    console.print(f"{count:,} rows of {entity}")


async def _export(
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
    registry = make_schema().registry
    record = _record(registry.records, entity)
    async with opened(place) as database:
        viewer, access = await acting_as(database, workspace, email, role)
        export = plan_export(record, registry, access, chosen)
        if export.withheld:
            console.print(f"withheld on some rows or all: {', '.join(export.withheld)}", soft_wrap=True)
        connection = await connect(database.url, None)  # without the time limits of requests
        try:
            note = _Note(database, viewer, export, form, out)
            await note.sensitive()
            async with connection.transaction(isolation="repeatable_read", readonly=True):
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
            await connection.close()


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
