"""Following a cluster: its write-ahead log, written down beside a base backup as it comes.

The server keeps what was not handed over yet (a replication slot). It keeps it from before the base backup is begun:
what was written between the two would be a hole, and every later moment would lie behind it.
"""

from __future__ import annotations

import asyncio
import hashlib
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg

from crm_graph.cli.console import console
from crm_graph.cli.place import Place
from crm_graph.cli.recovery.manifest import BASE, FILE, WAL_FOLDER, Manifest
from crm_graph.cli.recovery.programs import connection_of, program
from crm_graph.db.connecting import close, connect
from crm_graph.kernel.errors import OperatorError

ROLE = "correct what it says; the role needs REPLICATION, and the server `wal_level = replica` and a free WAL sender"
SLOTS = "crm_backup_"
"""The first letters of the names of our replication slots."""
_MAKE = "SELECT pg_create_physical_replication_slot($1, true)"
_DROP = "SELECT pg_drop_replication_slot($1)"
_NAMES = "SELECT slot_name FROM pg_replication_slots WHERE starts_with(slot_name, $1) ORDER BY 1"


@asynccontextmanager
async def kept_log(url: str, folder: Path) -> AsyncIterator[None]:
    """Have the server keep its log from now on for the backup in a folder, unless that fails: it would be for ever.
    Raises OperatorError."""
    async with _slots(url) as (connection, names):
        if slot_of(folder) not in names:
            await connection.execute(_MAKE, slot_of(folder))
    try:
        yield
    except BaseException:
        async with _slots(url) as (connection, _):
            await connection.execute(_DROP, slot_of(folder))
        raise


async def follow_place(place: Place, folder: Path) -> None:
    """Write the log of a place's cluster into a folder with a base backup, as it comes, until asked to stop. Raises
    OperatorError where the server keeps nothing for it."""
    Manifest.read(folder)
    with place.database_url() as url:
        async with _slots(url) as (_, names):
            _require_kept(folder, names, "make a new backup: what came since it was followed last is possibly lost")
        given, environment = connection_of(url)
        what = [*given, "--slot", slot_of(folder), "--directory", str(folder / WAL_FOLDER), "--synchronous"]
        process = await asyncio.create_subprocess_exec(
            program("pg_receivewal"), *what, env=environment, stdin=subprocess.DEVNULL, start_new_session=True
        )
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, process.send_signal, signal.SIGINT)
        console.print(f"following into {folder / WAL_FOLDER}; SIGTERM stops, and the server keeps what comes then")
        if code := await process.wait():
            raise OperatorError(f"pg_receivewal ended with {code}", ROLE)


async def forget_place(place: Place, folder: Path) -> None:
    """Let the server of a place keep its log no longer for the backup in a folder. Raises OperatorError."""
    with place.database_url() as url:
        async with _slots(url) as (connection, names):
            there = f"end one by `SELECT pg_drop_replication_slot(NAME)`; there is {', '.join(names) or 'none'}"
            _require_kept(folder, names, f"name the folder by the path that it was followed under, or {there}")
            await connection.execute(_DROP, slot_of(folder))


def follows(folder: Path) -> bool:
    """Return whether a folder holds a base backup already, which can be followed."""
    return (folder / FILE).exists() and Manifest.read(folder).kind == BASE


def slot_of(folder: Path) -> str:
    """Return the name of the replication slot of a folder."""
    return f"{SLOTS}{hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:12]}"


def _require_kept(folder: Path, names: list[str], fix: str) -> None:
    if slot_of(folder) not in names:
        raise OperatorError(f"the server keeps no log for {folder}: it has no replication slot {slot_of(folder)}", fix)


@asynccontextmanager
async def _slots(url: str) -> AsyncIterator[tuple[asyncpg.Connection[asyncpg.Record], list[str]]]:
    """Lend a connection, and tell the names of our replication slots. Raises OperatorError for what Postgres refuses
    in the block."""
    connection = await connect(url)
    try:
        yield connection, [row["slot_name"] for row in await connection.fetch(_NAMES, SLOTS)]
    except asyncpg.PostgresError as error:
        raise OperatorError(f"the server refused: {error}", ROLE) from error
    finally:
        await close(connection)
