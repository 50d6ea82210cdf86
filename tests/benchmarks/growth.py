"""How our server takes a workspace that is a hundred times larger.

    BENCH_GROWTH_SIZES=10000,1000000 python -m tests.benchmarks.growth

Two workspaces in one database, one server, rounds from one to the other: a page and the graph should take the same
time in both, because both are read by index. A million customers take about ten minutes to seed, once.
"""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from dataclasses import replace

import asyncpg
import uvloop

from crm_graph.kernel.errors import OperatorError
from tests.benchmarks import report
from tests.benchmarks.dataset import postgres, prepare
from tests.benchmarks.rounds import measure
from tests.benchmarks.servers import OURS, environment, running
from tests.benchmarks.settings import BUILD, Settings, end_on_sigterm
from tests.benchmarks.targets import Requests

OPERATIONS = ("point", "page", "graph")


async def _main(url: str, sizes: list[int], settings: Settings, stack: ExitStack) -> None:
    sets = [await prepare(url, size) for size in sizes]
    server = stack.enter_context(running(OURS, environment(sets[0])))
    connection = await asyncpg.connect(url)
    for operation in OPERATIONS:
        targets = [
            replace(Requests(operation, data).target(OURS, server), name=f"{size:,} customers")
            for size, data in zip(sizes, sets, strict=True)
        ]
        found = await measure(operation, targets, settings, connection, sets[0].workspace)
        report.show(operation, found)
        small, large = found[targets[0].name], found[targets[-1].name]
        print(f"  the large one takes x {large['p50_ms'] / small['p50_ms']:.2f} of the time of the small one (p50)")
    await connection.close()


if __name__ == "__main__":
    end_on_sigterm()
    BUILD.mkdir(exist_ok=True)
    chosen = [int(size) for size in os.environ.get("BENCH_GROWTH_SIZES", "10000,1000000").split(",")]
    try:
        with postgres() as database, ExitStack() as everything:
            uvloop.run(_main(database.url, chosen, Settings.from_environment(), everything))
    except OperatorError as error:
        sys.exit(f"error: {error}")
