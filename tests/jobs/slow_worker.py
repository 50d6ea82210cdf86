"""A worker process whose first job never ends: `python -m tests.jobs.slow_worker URL`. To be killed."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from crm_graph.domains.platform.jobs.running import Run
from tests.jobs.desk import desk_on


async def never(run: Run) -> dict[str, Any]:
    """Store something, say so, and go on for good."""
    await run.add_part(b"of the killed")
    while True:
        await run.step(1)
        await asyncio.sleep(0.05)


async def main(url: str) -> None:
    """Work until killed."""
    async with desk_on(url) as desk:
        await desk.worker({"slow": never}).run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
