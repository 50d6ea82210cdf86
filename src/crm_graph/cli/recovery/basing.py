"""Base backups: the files of a whole cluster, with the write-ahead log behind it, for any point in time since.

`following.py` writes the log down as it comes.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import datetime
from pathlib import Path

import asyncpg

from crm_graph.cli.console import console
from crm_graph.cli.opening import opened
from crm_graph.cli.operating.migrating import bring_to
from crm_graph.cli.place import Place
from crm_graph.cli.recovery.continuing import continue_log
from crm_graph.cli.recovery.dumping import say_address
from crm_graph.cli.recovery.following import ROLE, kept_log
from crm_graph.cli.recovery.keys import KeysInUse, require_keys
from crm_graph.cli.recovery.manifest import BASE, BASE_FOLDER, WAL_FOLDER, Manifest, manifest_of, prepare_folder
from crm_graph.cli.recovery.programs import run_program
from crm_graph.cli.recovery.segments import RecoveryEndedEarly, require_to_the_end
from crm_graph.db import embedded
from crm_graph.db.connecting import close, connect
from crm_graph.db.embedded.cluster import last_lines
from crm_graph.events.epoch import RESTORING, Epoch
from crm_graph.kernel.errors import OperatorError

_POLL_S = 0.2
_LOG_LINES = 8
_FAILED = (OperatorError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError)


async def base_place(place: Place, folder: Path, *, follow: bool) -> tuple[Manifest, KeysInUse]:
    """Write a base backup of the cluster of a place into a new folder; with `follow` the server keeps its log from now
    on, until `follow_place` has it. Returns what it says of itself, and the keys to keep. Raises OperatorError."""
    with place.database_url() as url:
        say_address(url)
        async with opened(Place(None, url)) as database:
            keys = await require_keys(database)
        prepare_folder(folder)
        connection = await connect(url, None)
        try:
            manifest = await manifest_of(connection, BASE, keys, embedded=place.data is not None)
        finally:
            await close(connection)
        async with kept_log(url, folder) if follow else nullcontext():
            await _copy(url, folder)
            manifest.write(folder)
    return manifest, keys


async def _copy(url: str, folder: Path) -> None:
    what = ["--pgdata", str(folder / BASE_FOLDER), "--checkpoint=fast", "--wal-method=stream"]
    with console.status("copying"):
        await asyncio.to_thread(run_program, "pg_basebackup", what, ROLE, url)
    (folder / WAL_FOLDER).mkdir(mode=0o700)


async def restore_base(
    place: Place, folder: Path, manifest: Manifest, until: datetime | None, *, incomplete: bool
) -> Epoch:
    """Make the cluster of a new data directory from a base backup, recovered to the end of its log or to a moment, and
    continue the log there; returns the new epoch. Raises OperatorError, before anything is written for a place that is
    no new directory, and a backup that is not whole; and where recovery ended before the log does, unless it may be
    `incomplete`."""
    base, wal = folder / BASE_FOLDER, folder / WAL_FOLDER
    if place.data is None or not manifest.embedded:
        raise OperatorError(
            "a base backup of a server of one's own is restored there: it is a whole cluster",
            f"copy {base} to a new data directory, set restore_command = 'cp {wal}/%f %p || cp {wal}/%f.partial %p',"
            " touch recovery.signal, start the server, then `crm-graph restore --in-place`",
        )
    run_program("pg_verifybackup", ["--quiet", str(base)], "use another backup: this one was altered or cut")
    settings = {"restore_command": "false", "recovery_target_action": "promote", RESTORING: "on"}
    if until is not None:
        settings["recovery_target_time"] = until.isoformat()
    path = embedded.install(place.data, base, wal, settings)
    with _discarded(path, place.data), place.database_url() as url:
        say_address(url)
        with console.status("recovering"):
            await _recovered(url)
        if until is None and not incomplete:
            await require_to_the_end(url, wal)
    with place.database_url() as url:
        epoch = await continue_log(url, manifest.known_xid)
        assert epoch is not None, "recovery begins another timeline"
        connection = await connect(url)
        try:
            for name in settings:
                await connection.execute(f"ALTER SYSTEM RESET {name}")
        finally:
            await close(connection)
        await bring_to(url)
    return epoch


@contextmanager
def _discarded(path: Path, data: Path) -> Iterator[None]:
    """Take a cluster that could not be recovered away again, and say what its server said."""
    try:
        yield
    except BaseException as error:
        log = data / "postgres.log"
        said = last_lines(log.read_text(errors="replace"), _LOG_LINES) if log.exists() else f"    {error}"
        shutil.rmtree(path, ignore_errors=True)
        if isinstance(error, RecoveryEndedEarly) or not isinstance(error, _FAILED):
            raise
        raise OperatorError(
            f"the backup could not be recovered; Postgres said:\n{said}",
            "where it says that the target was not reached, name an earlier moment by --until: what counts is the clock"
            " that the server had then; nothing is left of this attempt",
        ) from error


async def _recovered(url: str) -> None:
    """Wait until the server has recovered; it ends where it cannot."""
    connection = await connect(url)
    try:
        while await connection.fetchval("SELECT pg_is_in_recovery()"):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(_POLL_S)
    finally:
        await close(connection)
