"""Dumps: a database as pg_dump writes it, at one snapshot, whose horizon the manifest names."""

from __future__ import annotations

import asyncio
import hashlib
from datetime import UTC, datetime
from pathlib import Path

from crm_graph import __version__
from crm_graph.cli.console import console
from crm_graph.cli.opening import opened
from crm_graph.cli.operating.migrating import bring_to
from crm_graph.cli.place import Place
from crm_graph.cli.recovery.continuing import continue_log
from crm_graph.cli.recovery.keys import KeysInUse, require_keys, require_named
from crm_graph.cli.recovery.manifest import DUMP, DUMP_FILE, Manifest
from crm_graph.cli.recovery.programs import run_program
from crm_graph.db.connecting import connect
from crm_graph.db.revisions import revisions, state
from crm_graph.events.epoch import Connection, Epoch
from crm_graph.kernel.errors import OperatorError

_PATIENCE = "SET LOCAL idle_in_transaction_session_timeout = 0"
"""The snapshot is held for as long as the dump takes. It holds no reader of the log back: it has no transaction id."""
_SAYS = """
    SELECT (SELECT version_num FROM alembic_version) AS revision, current_setting('server_version') AS postgres,
        (SELECT max(number) FROM log_epoch) AS epoch, crm_log_horizon()::text::bigint - 1 AS known_xid,
        (SELECT count(*) FROM event) AS events
"""
_TABLES = """
    SELECT count(*) FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE relkind IN ('r', 'p') AND nspname NOT IN ('pg_catalog', 'information_schema') AND nspname NOT LIKE 'pg_toast%'
"""


def prepare_folder(folder: Path) -> None:
    """Make the folder of a new backup, for its owner's eyes alone. Raises OperatorError for one that is in use."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise OperatorError(f"{folder} is not empty", "name a new folder: a backup never writes over another one")
    except OSError as error:
        raise OperatorError(f"{folder} cannot be written: {error.strerror}", "choose another place") from None


async def manifest_of(connection: Connection, kind: str, keys: KeysInUse) -> Manifest:
    """Return what a backup says of itself, as the connection's snapshot has it."""
    row = await connection.fetchrow(_SAYS)
    assert row is not None
    return Manifest(
        kind=kind,
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        version=__version__,
        **row,
        secrets=keys.secrets,
        master_keys=keys.master_keys,
        own_secret=keys.own_secret,
    )


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
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                await connection.execute(_PATIENCE)
                snapshot = await connection.fetchval("SELECT pg_export_snapshot()")
                said = await manifest_of(connection, DUMP, keys)
                file = folder / DUMP_FILE
                what = ["--dbname", url, "--format=custom", f"--snapshot={snapshot}", "--file", str(file)]
                with console.status("dumping"):
                    fix = "correct what it says; pg_dump must not be older than the server"
                    await asyncio.to_thread(run_program, "pg_dump", what, fix)
        finally:
            await connection.close()
        manifest = said.with_digest(_digest(file))
        manifest.write(folder)
    return manifest, keys


async def restore_dump(place: Place, folder: Path, manifest: Manifest) -> tuple[Epoch, str]:
    """Restore a dump into an empty database, bring it to this version's schema, and continue its log there; returns the
    new epoch, and the revision that the dump had. Raises OperatorError, before anything is written for a backup of a
    newer version, one whose keys are not given, one that was altered, and a database that is not empty."""
    _, known = revisions()
    if manifest.revision not in known:
        raise OperatorError(
            f"the backup is of crm-graph {manifest.version}, at revision {manifest.revision}, which this version"
            f" ({__version__}) does not know",
            "restore it by the version that made it, or a newer one",
        )
    require_named(manifest.secrets, manifest.master_keys, own_secret=manifest.own_secret)
    file = folder / DUMP_FILE
    if _digest(file) != manifest.sha256:
        raise OperatorError(f"{file} is not what was backed up: it was altered or cut", "use another backup")
    with place.database_url() as url:
        say_address(url)
        await _require_empty(url)
        what = ["--dbname", url, "--exit-on-error", "--single-transaction", "--no-owner", "--no-privileges", str(file)]
        with console.status("restoring"):
            fix = "correct what it says and restore again: nothing was written; the server must not be older"
            await asyncio.to_thread(run_program, "pg_restore", what, fix)
        epoch = await continue_log(url, manifest.known_xid)
        await bring_to(url)  # after that, so that what migrations write into the log is of the new epoch
    assert epoch is not None, "a database that a dump has just made is another one"
    return epoch, manifest.revision


def say_address(url: str) -> None:
    """Say where the database is, for Postgres' own programs."""
    console.print(f"the database: {url}", soft_wrap=True, markup=False)


async def _require_empty(url: str) -> None:
    """Raise OperatorError for a database that has tables: a restore never writes over anything."""
    connection = await connect(url)
    try:
        tables = await connection.fetchval(_TABLES)
    finally:
        await connection.close()
    if not tables:
        return
    if (found := await state(url)).current:
        raise OperatorError(
            f"there is an installation in this database already (revision {found.current})",
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
