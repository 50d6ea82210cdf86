"""A process that does a timer's work and never commits it: `python -m tests.jobs.slow_timer URL`. To be killed."""

from __future__ import annotations

import asyncio
import sys

from crm_graph.db.session import Session
from crm_graph.jobs.due import DueWork
from crm_graph.jobs.timers import Due
from tests.jobs.desk import SETTINGS, desk_on


async def done_and_never_committed(session: Session, due: Due) -> None:
    """Write what the work writes, say so, and wait for the end."""
    await session.connection.fetch("INSERT INTO done VALUES ($1)", due.key)
    print("written", flush=True)
    await asyncio.Event().wait()


async def main(url: str) -> None:
    """Work until killed."""
    async with desk_on(url) as desk:
        await DueWork(desk.database, SETTINGS, {"note": done_and_never_committed}).run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
