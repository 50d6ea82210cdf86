"""What open timers cost: to set, to ask for, and to do.

    TIMERS=200000 TIMERS_SECONDS=10 python -m tests.benchmarks.timers

A database of its own with timers of a hundred workspaces, a twentieth of them due; the work of each is a row. Workers
are processes, which are run for so many seconds: one, then two.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import asyncpg

from crm_graph.db import embedded
from crm_graph.db.migrate import upgrade
from crm_graph.db.pool import Database
from crm_graph.db.session import Session
from crm_graph.jobs import timers
from crm_graph.jobs.due import DueWork
from crm_graph.jobs.timers import Due, Timers
from crm_graph.kernel.settings import Settings

WORKSPACES: Final = [f"{number:032x}" for number in range(1, 101)]
RECORD: Final = ("Ticket", "a" * 32)
TOGETHER: Final = 1_000
ALONE: Final = 1_000


async def _note(session: Session, due: Due) -> None:
    await session.connection.fetch("INSERT INTO done VALUES ($1)", due.key)


async def work(url: str, seconds: float) -> None:
    """Do what is due for so long."""
    database = await Database.open(url)
    task = asyncio.create_task(DueWork(database, Settings(), {"note": _note}).run())
    await asyncio.sleep(seconds)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await database.close()


async def _set(database: Database, first: int, count: int) -> float:
    """Set so many timers in one transaction; return the seconds that it took. One in twenty was due a while ago."""
    now, started = datetime.now(UTC), time.perf_counter()
    async with database.transaction() as session:
        for number in range(first, first + count):
            due_at = now + timedelta(seconds=number if number % 20 else -number)
            await Timers(session, WORKSPACES[number % 97]).set(f"k{number}", "note", due_at, RECORD)
    return time.perf_counter() - started


async def _explain(url: str, statement: str, *arguments: object) -> None:
    connection = await asyncpg.connect(url)
    transaction = connection.transaction()
    await transaction.start()
    for row in await connection.fetch(f"EXPLAIN (ANALYZE, BUFFERS, COSTS OFF) {statement}", *arguments):
        print(f"    {row[0]}")
    await transaction.rollback()
    await connection.close()


async def _rate(database: Database, url: str, workers: int, seconds: float) -> None:
    reader = database.primary_reader().connection
    await reader.fetch("UPDATE timer SET due_at = due_at - interval '1 year' WHERE due_at > now()")
    (before,) = await reader.fetch("SELECT count(*) FROM done")
    command = (sys.executable, "-m", "tests.benchmarks.timers", url, str(seconds))
    processes = [await asyncio.create_subprocess_exec(*command) for _ in range(workers)]
    for process in processes:
        await process.wait()
    (after,) = await reader.fetch("SELECT count(*), count(DISTINCT key) FROM done")
    assert after[0] == after[1], "each was done once"
    print(f"{workers} worker(s): {(after[0] - before[0]) / seconds:,.0f} timers a second")


async def main(url: str) -> None:
    """Measure, and print."""
    count, seconds = int(os.environ.get("TIMERS", "200000")), float(os.environ.get("TIMERS_SECONDS", "10"))
    await upgrade(url)
    database = await Database.open(url)
    reader = database.primary_reader().connection
    await reader.fetch("CREATE TABLE done (key text)")
    took = sum([await _set(database, first, TOGETHER) for first in range(0, count, TOGETHER)])
    print(f"set {count:,} timers, {TOGETHER:,} in a transaction: {took:.1f} s, {took / count * 1e6:.0f} us each")
    took = sum([await _set(database, number, 1) for number in range(ALONE)])
    print(f"moved one of {count:,} in a transaction of its own: {took / ALONE * 1e3:.2f} ms")
    await reader.fetch("ANALYZE timer")
    print("which workspaces have due timers:")
    await _explain(url, timers._OLDEST.text, ["note"], 100)
    print("the next workspaces, where more are due than a batch:")
    await _explain(url, timers._WALK.text, "0" * 32, 100)
    print("taking one:")
    await _explain(url, timers._TAKE.text, WORKSPACES[0], ["note"], "300ms")
    for workers in (1, 2):
        await _rate(database, url, workers, seconds)
    await database.close()


if __name__ == "__main__":
    if len(sys.argv) == 3:
        asyncio.run(work(sys.argv[1], float(sys.argv[2])))
    else:
        with tempfile.TemporaryDirectory() as folder, embedded.running(Path(folder) / "postgres") as server:
            asyncio.run(main(server.url))
