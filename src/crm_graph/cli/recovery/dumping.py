"""Dumps: a database as pg_dump writes it, at one snapshot, whose horizon the manifest names."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from crm_graph.cli.console import console
from crm_graph.cli.opening import opened
from crm_graph.cli.operating.migrating import bring_to
from crm_graph.cli.place import Place
from crm_graph.cli.recovery.continuing import continue_log
from crm_graph.cli.recovery.keys import KeysInUse, require_keys
from crm_graph.cli.recovery.manifest import DUMP, DUMP_FILE, Manifest, manifest_of, prepare_folder
from crm_graph.cli.recovery.programs import run_program
from crm_graph.db.address import split_password
from crm_graph.db.connecting import close, connect, unit
from crm_graph.db.revisions import state
from crm_graph.events.epoch import Epoch
from crm_graph.kernel.errors import OperatorError

_PATIENCE = "SET LOCAL idle_in_transaction_session_timeout = 0"
"""The snapshot is held for as long as the dump takes. It holds no reader of the log back: it has no transaction id."""
_TABLES = """
    SELECT count(*) FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE relkind IN ('r', 'p') AND nspname NOT IN ('pg_catalog', 'information_schema') AND nspname NOT LIKE 'pg_toast%'
"""


async def dump_place(place: Place, folder: Path) -> tuple[Manifest, KeysInUse]:
    """Write a dump of a place's database into a new folder; returns what it says of itself, and the keys to keep.
    Raises OperatorError, before anything is written where the keys that are given do not open what is stored."""
    with place.database_url() as url:
        say_address(url)
        async with opened(Place(None, url)) as database:
            keys = await require_keys(database)
        prepare_folder(folder)
        connection = await connect(url, None)
        try:
            async with unit(connection, isolation="repeatable_read", readonly=True):
                await connection.execute(_PATIENCE)
                snapshot = await connection.fetchval("SELECT pg_export_snapshot()")
                said = await manifest_of(connection, DUMP, keys, embedded=place.data is not None)
                file = folder / DUMP_FILE
                what = ["--format=custom", f"--snapshot={snapshot}", "--file", str(file)]
                with console.status("dumping"), _whole_or_none(file):
                    fix = "correct what it says; pg_dump must not be older than the server"
                    await asyncio.to_thread(run_program, "pg_dump", what, fix, url)
        finally:
            await close(connection)
        manifest = said.with_digest(_digest(file))
        manifest.write(folder)
    return manifest, keys


async def restore_dump(place: Place, folder: Path, manifest: Manifest) -> Epoch:
    """Restore a dump into an empty database, continue its log there, and bring it to this version's schema; returns the
    new epoch. Raises OperatorError, before anything is written for a dump that was altered, and a database that is not
    empty."""
    file = folder / DUMP_FILE
    if _digest(file) != manifest.sha256:
        raise OperatorError(f"{file} is not what was backed up: it was altered or cut", "use another backup")
    with place.database_url() as url:
        say_address(url)
        await _require_empty(url)
        what = ["--exit-on-error", "--single-transaction", "--no-owner", "--no-privileges", str(file)]
        with console.status("restoring"):
            fix = "correct what it says and restore again: nothing was written; the server must not be older"
            await asyncio.to_thread(run_program, "pg_restore", what, fix, url)
        epoch = await continue_log(url, manifest.known_xid)
        await bring_to(url)  # after that, so that what migrations write into the log is of the new epoch
    assert epoch is not None, "a database that a dump has just made is another one"
    return epoch


@contextmanager
def _whole_or_none(file: Path) -> Iterator[None]:
    """Take a file away again that could not be written to its end: on a full disk it would take the room of the next
    attempt, which the folder is there for."""
    try:
        yield
    except BaseException:
        file.unlink(missing_ok=True)
        raise


def say_address(url: str) -> None:
    """Say where the database is, for Postgres' own programs."""
    console.print(f"the database: {split_password(url)[0]}", soft_wrap=True, markup=False)


async def _require_empty(url: str) -> None:
    """Raise OperatorError for a database that has tables: a restore never writes over anything."""
    connection = await connect(url)
    try:
        tables = await connection.fetchval(_TABLES)
    finally:
        await close(connection)
    if not tables:
        return
    if (schema := await state(url)).current:
        raise OperatorError(
            f"there is an installation in this database already (revision {schema.current})",
            "restore into another directory (`--data DIR`) or an empty database; where a restore into this one was"
            " interrupted, `crm-graph restore --in-place` ends it",
        )
    raise OperatorError(f"the database is not empty: it has {tables} tables", "restore into an empty database")


def _digest(file: Path) -> str:
    try:
        with file.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    except OSError as error:
        raise OperatorError(f"{file} cannot be read: {error.strerror}", "use another backup") from None
