"""`crm-graph events`: write older parts of the event log to a file, and remove them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
from rich.markup import escape

from crm_graph.cli.console import console
from crm_graph.cli.place import data_option, find_place, run, settings, workspace_option
from crm_graph.kernel.clock import system_clock
from crm_graph.kernel.errors import OperatorError

_WHEN = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ"])


@click.group()
def events() -> None:
    """The event log: what subscriptions and the change feed read. The audit trail is kept apart, and for ever."""


@events.command("export")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--before", type=_WHEN, required=True, help="What happened before this day, or moment, in UTC.")
@workspace_option
@data_option
def export_(file: Path, before: datetime, workspace: str | None, data: Path | None) -> None:
    """Write events to a file, one JSON object a line, in the log's order; of all workspaces unless one is named.

    \b
      crm-graph events export --before 2026-10-01 events-2026-09.ndjson.gz

    A name that ends in .gz is compressed. The events stay; `crm-graph events prune` removes them.
    """
    if file.exists():
        raise OperatorError(f"{file} exists", "choose another name, or move it away: an archive is not overwritten")
    from crm_graph.cli.operating.archiving import export_events

    count = run(export_events(find_place(data), file, before.replace(tzinfo=UTC), workspace))
    console.print(f"{count:,} events written to {escape(str(file))}", soft_wrap=True)


@events.command("prune")
@click.option("--before", type=_WHEN, help="What happened before this, in UTC; by CRM_EVENT_RETENTION_DAYS else.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@data_option
def prune(before: datetime | None, yes: bool, data: Path | None) -> None:
    """Remove old events of all workspaces, oldest first, as background work does once an hour.

    \b
      crm-graph events prune --before 2026-10-01

    Only what has its entry in the audit trail, and is in the kept history, is removed. Clients whose cursor is older
    must read anew: they are told CURSOR_TOO_OLD.
    """
    days = settings().event_retention_days
    if before is None and not days:
        raise OperatorError("CRM_EVENT_RETENTION_DAYS=0 keeps events for ever", "say which to remove by --before")
    moment = system_clock() - timedelta(days=days) if before is None else before.replace(tzinfo=UTC)
    if not yes:
        click.confirm(f"Remove all events before {moment:%Y-%m-%d %H:%M} UTC?", abort=True)
    from crm_graph.cli.operating.archiving import prune_events

    removed, left = run(prune_events(find_place(data), moment))
    console.print(f"{removed:,} events removed")
    if left:
        console.print(
            f"[yellow]look:[/yellow] {left:,} older events are left: they stand behind newer ones, or are not in the"
            " audit trail or the history yet, which a running server makes",
            soft_wrap=True,
        )
