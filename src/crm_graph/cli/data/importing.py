"""`crm-graph import`: files into the workspace, under the rights of a member."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from crm_graph.api.schema import SLICES
from crm_graph.cli.access.accounts import find_account
from crm_graph.cli.console import console
from crm_graph.cli.place import (
    Place,
    data_option,
    find_place,
    find_workspace,
    opened,
    run,
    settings,
    vault_of,
    workspace_option,
)
from crm_graph.db.connecting import connect
from crm_graph.db.pool import Database
from crm_graph.db.session import Session
from crm_graph.domains.catalog.products.imports import IMPORTS as PRODUCTS
from crm_graph.domains.customers.contacts.imports import IMPORTS as CONTACTS
from crm_graph.domains.customers.customers.imports import IMPORTS as CUSTOMERS
from crm_graph.domains.identity.accounts.directory import MemberDirectory
from crm_graph.domains.marketing.campaigns.imports import IMPORTS as CAMPAIGNS
from crm_graph.domains.platform.audit.events import SensitiveFieldsRead
from crm_graph.domains.platform.audit.operations import record_reading
from crm_graph.domains.sales.opportunities.imports import IMPORTS as OPPORTUNITIES
from crm_graph.domains.sales.pipelines.imports import IMPORTS as PIPELINES
from crm_graph.domains.service.tickets.imports import IMPORTS as TICKETS
from crm_graph.domains.workspace.members.imports import IMPORTS as MEMBERS
from crm_graph.graph.records.record import record_of
from crm_graph.identity.tokens import Claims
from crm_graph.identity.viewer import Viewer
from crm_graph.kernel.clock import system_clock
from crm_graph.kernel.errors import OperatorError
from crm_graph.kernel.ids import encode_id, new_id
from crm_graph.permissions.access import Access
from crm_graph.permissions.compiler import AccessCompiler
from crm_graph.permissions.roles import ADMIN
from crm_graph.transfer.recipe import Step, read_recipe
from crm_graph.transfer.report import StepReport
from crm_graph.transfer.run import Start, find_spec, run_steps
from crm_graph.transfer.spec import ImportSpec
from crm_graph.vault.vault import Vault
from crm_graph.work import Work

SPECS: tuple[ImportSpec, ...] = (
    *MEMBERS,
    *PRODUCTS,
    *CUSTOMERS,
    *CONTACTS,
    *PIPELINES,
    *OPPORTUNITIES,
    *CAMPAIGNS,
    *TICKETS,
)
"""What can be imported."""
MAX_SHOWN_ERRORS = 50


async def acting_as(
    database: Database, workspace: str | None, email: str | None, role: str | None
) -> tuple[Viewer, Access]:
    """Return a member as a viewer with their access; the first administrator unless said otherwise."""
    workspace_id = await find_workspace(database, workspace)
    account = await find_account(database, workspace_id, email, role or (None if email else ADMIN))
    claims = Claims(workspace_id, account.member_id, system_clock())
    viewer = await MemberDirectory().find(database.primary_reader(), claims)
    if viewer is None:
        raise OperatorError(f"{account.email} cannot sign in", "name another member with --email")
    policies = [record_of(cls).policy for each in SLICES for cls in each.records]
    return viewer, AccessCompiler(policies).of(viewer)


@dataclass(frozen=True, slots=True)
class Options:
    """How an import is run."""

    workspace: str | None = None
    email: str | None = None
    dry_run: bool = False
    skip_errors: bool = False
    encoding: str | None = None


@click.command("import", short_help="Bring in rows from CSV or NDJSON files.")
@click.argument("entity", required=False)
@click.argument("source", metavar="FILE", required=False, type=click.Path(path_type=Path))
@click.option(
    "--recipe", type=click.Path(dir_okay=False, path_type=Path), help="A TOML file of steps; then give the DIR."
)
@click.option("--map", "maps", multiple=True, metavar="COLUMN=FIELD", help="Take a field from a column of the file.")
@click.option("--fix", "fixes", multiple=True, metavar="COLUMN:OLD=NEW", help="Read a value of a column as another.")
@click.option(
    "--set", "constants", multiple=True, metavar="FIELD=VALUE", help="Give a field the same value in all rows."
)
@click.option("--ignore", multiple=True, metavar="COLUMN", help="Leave a column of the file out.")
@click.option("--match", metavar="FIELD[,FIELD]", help="How rows are recognised; external_id, else the natural key.")
@click.option("--encoding", help="The file's encoding; UTF-8 or GB18030 is found without it.")
@click.option("--dry-run", is_flag=True, help="Do it all, say what came of it, and take it back.")
@click.option("--skip-errors", is_flag=True, help="Write the good rows, though others are bad.")
@workspace_option
@click.option("--email", help="The member under whose rights it is done; the first administrator unless given.")
@data_option
def import_(
    entity: str | None,
    source: Path | None,
    recipe: Path | None,
    maps: tuple[str, ...],
    fixes: tuple[str, ...],
    constants: tuple[str, ...],
    ignore: tuple[str, ...],
    match: str | None,
    encoding: str | None,
    dry_run: bool,
    skip_errors: bool,
    workspace: str | None,
    email: str | None,
    data: Path | None,
) -> None:
    """Bring in the rows of a CSV or NDJSON FILE, or of several files by a recipe.

    \b
      crm-graph import customer accounts.csv --map account=name --ignore region
      crm-graph import opportunity deals.csv --set pipeline=Sales --fix "product:GTXPro=GTX Pro" --dry-run
      crm-graph import --recipe recipe.toml DIR

    Rows are recognised by their external_id, else by their natural key: those that are there already are updated, and
    those that did not change are left alone, so that the same file can be imported again. All rows are written, or
    none: every bad one is listed with its row (the header is row 1), column, value and reason, and the exit code is 1.
    References are given by external id, e-mail, name, or id. `--map` takes value fixes (`--map COLUMN:OLD=NEW`) as
    `--fix` does.
    """
    options = Options(workspace, email, dry_run, skip_errors, encoding)
    if recipe is not None:
        if source is not None or entity is None:
            raise click.UsageError("with --recipe give the directory of its files, and nothing else")
        if maps or fixes or constants or ignore or match:
            raise click.UsageError("with --recipe, write columns, fixes and match keys into the recipe")
        steps, directory = read_recipe(recipe), Path(entity)
        if not directory.is_dir():
            raise OperatorError(f"there is no directory {directory}", "give the directory of the recipe's files")
    else:
        if entity is None or source is None:
            raise click.UsageError(f"give an entity and a file; there are: {', '.join(each.entity for each in SPECS)}")
        steps, directory = [step_of(entity, source, maps, fixes, constants, ignore, match)], source.parent
    for step in steps:
        find_spec(SPECS, step.entity)
    reports = run(_import(find_place(data), steps, directory, options))
    if not _show(reports, len(steps), options):
        raise click.exceptions.Exit(1)


def step_of(
    entity: str,
    source: Path,
    maps: Sequence[str] = (),
    fixes: Sequence[str] = (),
    constants: Sequence[str] = (),
    ignore: Sequence[str] = (),
    match: str | None = None,
) -> Step:
    """Return the step that the options of the command line say."""
    renamed: dict[str, str] = {}
    fixed: dict[str, dict[str, str]] = {}
    for given in maps:
        left, right = _pair("--map", given, "COLUMN=FIELD")
        if ":" in left:
            fixes = (*fixes, given)
        else:
            renamed[left] = right
    for given in fixes:
        left, new = _pair("--fix", given, "COLUMN:OLD=NEW")
        column, colon, old = left.partition(":")
        if not colon:
            raise click.BadParameter(f"{given!r} is not COLUMN:OLD=NEW", param_hint="--fix")
        fixed.setdefault(column, {})[old] = new
    values = dict(_pair("--set", given, "FIELD=VALUE") for given in constants)
    spec = find_spec(SPECS, entity)
    keys = None if match is None else tuple(each.strip() for each in match.split(","))
    for name in (*renamed.values(), *values, *(keys or ())):
        if spec.column(name) is None:
            fields = ", ".join(column.name for column in spec.columns)
            raise OperatorError(f"{spec.entity} has no field {name!r}", f"its fields: {fields}")
    return Step(
        entity,
        source.name,
        renamed=renamed,
        constants=values,
        fixes=fixed,
        match=keys,
        ignore=frozenset(ignore),
    )


def _pair(option: str, given: str, form: str) -> tuple[str, str]:
    left, equals, right = given.partition("=")
    if not equals or not left:
        raise click.BadParameter(f"{given!r} is not {form}", param_hint=option)
    return left.strip(), right.strip()


class _TakeBack(Exception):
    """Raised inside the transaction of an import whose rows are not to stay."""


async def _import(place: Place, steps: list[Step], directory: Path, options: Options) -> list[StepReport]:
    async with opened(place) as database:
        viewer, access = await acting_as(database, options.workspace, options.email, None)
        connection = await connect(database.url, None)  # without the time limits of requests
        try:
            vault = await vault_of(database)
            return await import_steps(connection, viewer, access, steps, directory, options, vault)
        finally:
            await connection.close()


async def import_steps(
    connection: asyncpg.Connection[Any],
    viewer: Viewer,
    access: Access,
    steps: Sequence[Step],
    directory: Path,
    options: Options,
    vault: Vault,
) -> list[StepReport]:
    """Run the steps in one transaction, which is taken back after a bad row or for a dry run; returns their reports."""
    reports: list[StepReport] = []
    now = system_clock()
    work = Work(Session(connection), viewer, access, lambda: now, vault=vault)
    with suppress(_TakeBack):
        async with connection.transaction():
            with _progress() as start:
                reports += await run_steps(
                    work,
                    SPECS,
                    steps,
                    directory,
                    skip_errors=options.skip_errors,
                    encoding=options.encoding,
                    start=start,
                )
            await _write_down(work)
            await work.session.finish()
            if options.dry_run or (any(each.error_count for each in reports) and not options.skip_errors):
                raise _TakeBack
    return reports


async def _write_down(work: Work) -> None:
    """Write down the sensitive reads of an import, in its transaction: a list price that it copied, say."""
    if not work.noted:
        return
    prefixes = {record_of(cls).name: record_of(cls).prefix for each in SLICES for cls in each.records}
    records = tuple(dict.fromkeys(encode_id(prefixes[type_], id_) for type_, _, id_ in work.noted))
    fields = tuple(sorted({f"{type_}.{field}" for type_, field, _ in work.noted}))
    event = SensitiveFieldsRead(fields, None, None, records[: settings().audit_max_ids], len(records))
    await record_reading(work.session, work.viewer, work.origin, new_id(), work.now, event)


@contextmanager
def _progress() -> Iterator[Start]:
    """Lend what shows the rows as they are read, where somebody looks on."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description:32}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:

        def start(step: Step) -> _Advance:
            task = bar.add_task(f"{step.entity} from {step.file or 'the recipe'}", total=None)
            return _Advance(bar, task)

        yield start


class _Advance:
    """Moves a bar on."""

    def __init__(self, bar: Progress, task: object) -> None:
        self.bar, self.task = bar, task

    def __call__(self, rows: int) -> None:
        self.bar.advance(self.task, rows)  # type: ignore[arg-type]


def _show(reports: Sequence[StepReport], steps: int, options: Options) -> bool:
    """Say what was done, and what was wrong; returns whether all rows were good."""
    shown = 0
    failed = any(report.error_count for report in reports)
    written = not options.dry_run and (options.skip_errors or not failed)
    for report in reports:
        counts = f"{report.inserted:,} inserted, {report.updated:,} updated, {report.unchanged:,} unchanged"
        if report.bad_rows:
            counts += f", {report.bad_rows:,} bad"
        extra = [*report.notes]
        extra += [f"{report.blank:,} blank rows"] if report.blank else []
        note = f" ({'; '.join(extra)})" if extra else ""
        console.print(
            f"{report.entity} from {report.source}: {report.rows:,} rows: {counts}{note}", markup=False, soft_wrap=True
        )
        for error in sorted(report.errors, key=lambda each: each.row)[: max(0, MAX_SHOWN_ERRORS - shown)]:
            console.print(f"  {error}", markup=False, soft_wrap=True)
            shown += 1
    total = sum(report.error_count for report in reports)
    if total > shown:
        console.print(f"  and {total - shown:,} more")
    if failed and len(reports) < steps:
        console.print(f"{steps - len(reports)} later steps were not tried")
    if options.dry_run:
        console.print("dry run: nothing was written")
    elif not written:
        console.print("nothing was written: correct the rows, or write the good ones with --skip-errors")
    return not failed
