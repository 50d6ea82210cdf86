"""`crm-graph events`: what it does to the event log."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, cast

from crm_graph.cli.console import console
from crm_graph.cli.opening import find_workspace, opened
from crm_graph.cli.place import Place, settings
from crm_graph.db.connecting import close, connect, unit
from crm_graph.domains.platform.audit.chainer import passed_position
from crm_graph.events.retention import remove_batch
from crm_graph.kernel.errors import OperatorError

ROWS_PER_FETCH = 2_000
PROGRESS_EVERY = 10_000
_EXPORT = """
    SELECT row_to_json(line)::text FROM (
        SELECT seq, xid::text::bigint AS xid, workspace_id, type, entity, entity_id, actor, at, changes, data,
            client_id, address, request_id, actor_kind, personal
        FROM event WHERE at < $1 AND ($2::uuid IS NULL OR workspace_id = $2) ORDER BY event.xid, event.seq
    ) AS line
"""
_LEFT = "SELECT count(*) FROM event WHERE at < $1"


async def export_events(place: Place, file: Path, before: datetime, workspace: str | None) -> int:
    """Write what happened before a moment to a file, of all workspaces unless one is named; returns how many events.
    Raises OperatorError."""
    async with opened(place) as database:
        workspace_id = None if workspace is None else await find_workspace(database, workspace)
        connection = await connect(database.url, None)  # without the time limits of requests
        try:
            with _whole(file) as out, console.status("exporting") as status:
                count = 0
                async with unit(connection, isolation="repeatable_read", readonly=True):
                    async for row in connection.cursor(_EXPORT, before, workspace_id, prefetch=ROWS_PER_FETCH):
                        out.write(row[0].encode() + b"\n")
                        count += 1
                        if count % PROGRESS_EVERY == 0:
                            status.update(f"exporting: {count:,} events")
        finally:
            await close(connection)
    return count


@contextmanager
def _whole(file: Path) -> Iterator[BinaryIO]:
    """Lend a file that has its name only when it is whole."""
    partial = file.with_name(f"{file.name}.partial")
    try:
        with gzip.open(partial, "wb") if file.suffix == ".gz" else partial.open("wb") as out:
            yield cast(BinaryIO, out)
        partial.replace(file)
    except OSError as error:
        raise OperatorError(f"{file} cannot be written: {error.strerror}", "choose another place") from None
    finally:
        partial.unlink(missing_ok=True)


async def prune_events(place: Place, before: datetime) -> tuple[int, int]:
    """Remove what happened before a moment; returns how many events went, and how many had to be left."""
    async with opened(place) as database:
        connection = await connect(database.url)
        try:
            total = 0
            with console.status("removing") as status:
                while count := await remove_batch(
                    connection, before, passed_position, settings().event_removal_batch_size
                ):
                    total += count
                    status.update(f"removing: {total:,} events")
            return total, int(await connection.fetchval(_LEFT, before))
        finally:
            await close(connection)
