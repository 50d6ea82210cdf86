"""`crm-graph restore`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from crm_graph.cli.console import console
from crm_graph.cli.place import data_option, find_place, run

_WHEN = click.DateTime(["%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S.%fZ"])


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), required=False)
@click.option("--until", type=_WHEN, help="A moment, in UTC, that a followed base backup is brought back to.")
@click.option("--incomplete", is_flag=True, help="Bring back what is before a missing or damaged piece of the log.")
@click.option("--in-place", is_flag=True, help="Continue the log of a database that other means have restored.")
@click.option("--new-epoch", is_flag=True, help="With --in-place: also where nothing shows that it was restored.")
@data_option
def restore(
    folder: Path | None, until: datetime | None, incomplete: bool, in_place: bool, new_epoch: bool, data: Path | None
) -> None:
    """Bring back what `crm-graph backup` wrote into FOLDER, into an empty database or a new data directory.

    The log goes on under a new epoch: events, audit trail, webhooks and cursors of clients go on where they were. A
    client that has seen what came after the backup is told CURSOR_TOO_OLD.

    \b
    --until     is by the clock that the server had then: 2026-11-30T18:00:00Z
    --in-place  the database was restored by pg_restore, from a snapshot or to a point in time, and `serve` says
                that the log is not this cluster's.
    """
    wrong = (new_epoch and not in_place) or (in_place and (until is not None or incomplete))
    if in_place == (folder is not None) or wrong:
        raise click.UsageError("give the FOLDER of a backup, or --in-place, with or without --new-epoch")
    place = find_place(data, makes=folder is not None)
    if folder is None:
        from crm_graph.cli.recovery.continuing import continue_place

        epoch = run(continue_place(place, anyway=new_epoch))
        if epoch is None:
            console.print("the log is this cluster's: there is nothing to do")
            return
    else:
        from crm_graph.cli.recovery.restoring import restore_backup

        moment = None if until is None else until.replace(tzinfo=UTC)
        epoch = run(restore_backup(place, folder, moment, incomplete=incomplete))
    console.print(
        f"the log goes on in epoch {epoch.number}; `crm-graph audit verify` holds the trail against it", soft_wrap=True
    )
