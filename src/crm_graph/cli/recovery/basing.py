"""Base backups: the files of a whole cluster, with the write-ahead log behind it, for any point in time since.

`--follow` has the server keep its log for this backup (a replication slot), and writes it down as it comes.
"""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import signal
import subprocess
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
from crm_graph.cli.recovery.keys import KeysInUse, require_keys
from crm_graph.cli.recovery.manifest import BASE, BASE_FOLDER, FILE, WAL_FOLDER, Manifest, manifest_of, prepare_folder
from crm_graph.cli.recovery.programs import program, run_program
from crm_graph.db import embedded
from crm_graph.db.connecting import connect
from crm_graph.db.embedded.cluster import last_lines
from crm_graph.events.epoch import RESTORING, Epoch
from crm_graph.kernel.errors import OperatorError

_ROLE = "correct what it says; the role needs REPLICATION, and the server `wal_level = replica` and a free WAL sender"
_POLL_S = 0.2
SLOTS = "crm_backup_"
"""The first letters of the names of our replication slots."""
_LOG_LINES = 8


async def base_place(place: Place, folder: Path, *, follow: bool) -> tuple[Manifest, KeysInUse]:
    """Write a base backup of the cluster of a place into a new folder; with `follow` the server keeps its log from now
    on, until `follow_place` has it. Returns what it says of itself, and the keys to keep. Raises OperatorError."""
    with place.database_url() as url:
        console.print(f"the database: {url}", soft_wrap=True, markup=False)
        async with opened(Place(None, url)) as database:
            keys = await require_keys(database)
        prepare_folder(folder)
        connection = await connect(url, None)
        try:
            manifest = await manifest_of(connection, BASE, keys, embedded=place.data is not None)
        finally:
            await connection.close()
        with _kept_log(url, folder) if follow else nullcontext():
            await _copy(url, folder)
        manifest.write(folder)
    return manifest, keys


async def _copy(url: str, folder: Path) -> None:
    what = ["--dbname", url, "--pgdata", str(folder / BASE_FOLDER), "--checkpoint=fast", "--wal-method=stream"]
    with console.status("copying"):
        await asyncio.to_thread(run_program, "pg_basebackup", what, _ROLE)
    (folder / WAL_FOLDER).mkdir(mode=0o700)


@contextmanager
def _kept_log(url: str, folder: Path) -> Iterator[None]:
    """Have the server keep its log from now on for the backup in a folder, unless that fails: it would be for ever."""
    run_program("pg_receivewal", [*_slot(url, folder), "--create-slot", "--if-not-exists"], _ROLE)
    try:
        yield
    except BaseException:
        run_program("pg_receivewal", [*_slot(url, folder), "--drop-slot"], _ROLE)
        raise


async def follow_place(place: Place, folder: Path) -> None:
    """Write the log of a place's cluster into a folder with a base backup, as it comes, until asked to stop. Raises
    OperatorError."""
    Manifest.read(folder)
    with place.database_url() as url:
        what = [*_slot(url, folder), "--directory", str(folder / WAL_FOLDER), "--synchronous"]
        process = await asyncio.create_subprocess_exec(
            program("pg_receivewal"), *what, stdin=subprocess.DEVNULL, start_new_session=True
        )
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, process.send_signal, signal.SIGINT)
        console.print(f"following into {folder / WAL_FOLDER}; SIGTERM stops, and the server keeps what comes then")
        if code := await process.wait():
            raise OperatorError(f"pg_receivewal ended with {code}", _ROLE)


def forget_place(place: Place, folder: Path) -> None:
    """Let the server of a place keep its log no longer for the backup in a folder. Raises OperatorError."""
    with place.database_url() as url:
        run_program("pg_receivewal", [*_slot(url, folder), "--drop-slot"], "correct what it says")


def follows(folder: Path) -> bool:
    """Return whether a folder holds a base backup already, which can be followed."""
    return (folder / FILE).exists() and Manifest.read(folder).kind == BASE


def _slot(url: str, folder: Path) -> list[str]:
    name = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:12]
    return ["--dbname", url, "--slot", f"{SLOTS}{name}"]


async def restore_base(place: Place, folder: Path, manifest: Manifest, until: datetime | None) -> Epoch:
    """Make the cluster of a new data directory from a base backup, recovered to the end of its log or to a moment, and
    continue the log there; returns the new epoch. Raises OperatorError, before anything is written for a place that is
    no new directory, and a backup that is not whole."""
    base = folder / BASE_FOLDER
    if place.data is None or not manifest.embedded:
        raise OperatorError(
            "a base backup of a server of one's own is restored there: it is a whole cluster",
            f"copy {base} to a new data directory, set restore_command to take from {folder / WAL_FOLDER}, touch"
            " recovery.signal, start the server, then `crm-graph restore --in-place`",
        )
    run_program("pg_verifybackup", ["--quiet", str(base)], "use another backup: this one was altered or cut")
    settings = {"restore_command": "false", "recovery_target_action": "promote", RESTORING: "on"}
    if until is not None:
        settings["recovery_target_time"] = until.isoformat()
    path = embedded.install(place.data, base, folder / WAL_FOLDER, settings)
    with _discarded(path, place.data), place.database_url() as url:
        console.print(f"the database: {url}", soft_wrap=True, markup=False)
        with console.status("recovering"):
            await _recovered(url)
    with place.database_url() as url:
        epoch = await continue_log(url, manifest.known_xid)
        assert epoch is not None, "recovery begins another timeline"
        connection = await connect(url)
        try:
            for name in settings:
                await connection.execute(f"ALTER SYSTEM RESET {name}")
        finally:
            await connection.close()
        await bring_to(url)
    return epoch


@contextmanager
def _discarded(path: Path, data: Path) -> Iterator[None]:
    """Take a cluster that could not be recovered away again, and say what its server said."""
    try:
        yield
    except (OperatorError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        log = data / "postgres.log"
        said = last_lines(log.read_text(errors="replace"), _LOG_LINES) if log.exists() else f"    {error}"
        shutil.rmtree(path, ignore_errors=True)
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
        await connection.close()
