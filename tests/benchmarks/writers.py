"""`python -m tests.benchmarks.writers`: what watching costs those who write.

    LIVE_SUBSCRIBERS=1000 LIVE_GROUPS=100 WRITERS=1,4,16,64 WRITERS_SECONDS=4 WRITERS_ROUNDS=3

So many connections rename opportunities by mutations, each its own records, at one process: rounds without anybody who
watches, with subscribers at that process, and with subscribers at another one, by turns; each change is for the
subscribers of its owner. Printed: mutations a second, the ratios, and how many deliveries a change got in that time
(what is late is not lost). Everything shares the machine: load, subscribers, servers and Postgres.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager

import uvloop

from tests.benchmarks import live
from tests.benchmarks.dataset import DataSet, postgres, prepare
from tests.benchmarks.load import Script, request_bytes, run
from tests.benchmarks.servers import OURS, Server, commands, environment, free_port, started
from tests.benchmarks.settings import BUILD, end_on_sigterm

WRITERS = [int(each) for each in os.environ.get("WRITERS", "1,4,16,64").split(",")]
SECONDS = float(os.environ.get("WRITERS_SECONDS", "4"))
ROUNDS = int(os.environ.get("WRITERS_ROUNDS", "3"))
RENAME = """mutation ($input: UpdateOpportunityInput!) {
  updateOpportunity(input: $input) { opportunity { id } } }"""


def _scripts(data: DataSet, groups: list[live.Group], writers: int) -> list[Script]:
    """Return what each writer sends: names for its own records, which `live` reads as times."""
    found = []
    for number in range(writers):
        own = groups[number::writers] or [groups[number % len(groups)]]
        inputs = [
            {"id": f"opp_{group.opportunity.replace('-', '')}", "name": f"0 {turn}"} for turn in (1, 2) for group in own
        ]
        bodies = (json.dumps({"query": RENAME, "variables": {"input": each}}).encode() for each in inputs)
        token = {"Authorization": f"Bearer {data.admin.token}"}
        found.append(Script([request_bytes("/graphql", body, token) for body in bodies]))
    return found


@asynccontextmanager
async def _watching(server: Server, groups: list[live.Group]) -> AsyncIterator[live.Received]:
    received, tasks = live.Received(), []
    for first in range(0, live.SUBSCRIBERS, live.STEPS_AT_ONCE):
        numbers = range(first, min(first + live.STEPS_AT_ONCE, live.SUBSCRIBERS))
        steps = (live.subscribe(server.port, n, groups[n % len(groups)], received, ours=True) for n in numbers)
        tasks += await asyncio.gather(*steps)
    try:
        yield received
        closed = [task for task in tasks if task.done()]
        assert not closed, closed[0].exception()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _compare(server: Server, other: Server, data: DataSet, groups: list[live.Group], writers: int) -> None:
    alone: list[float] = []
    rates: dict[str, list[float]] = {"here": [], "elsewhere": []}
    told: dict[str, list[float]] = {"here": [], "elsewhere": []}
    for _ in range(ROUNDS):
        alone.append((await run(server.port, _scripts(data, groups, writers), SECONDS)).rps)
        for name, at in (("here", server), ("elsewhere", other)):
            async with _watching(at, groups) as received:
                measured = await run(server.port, _scripts(data, groups, writers), SECONDS)
                await asyncio.sleep(1)
            rates[name].append(measured.rps)
            told[name].append(len(received.delays_ms) / len(measured.latencies))
    without = statistics.median(alone)
    said = [f"{writers:3} writers: {without:6,.0f} mutations/s alone"]
    for name, found in rates.items():
        with_ = statistics.median(found)
        said.append(f"{with_:6,.0f} watched {name} ({with_ / without:.2f}, {statistics.median(told[name]):.1f} each)")
    print("; ".join(said), flush=True)


async def _main(url: str, stack: ExitStack) -> None:
    data = await prepare(url, live.CUSTOMERS)
    groups = await live.make_groups(data)
    variables = {**environment(data), **live.ROOM}

    def start(name: str) -> Server:
        port = free_port()
        return stack.enter_context(started(name, commands(port)[OURS], port, variables))

    server, other = start("writers"), start("watchers")
    await asyncio.sleep(2)
    print(f"{live.SUBSCRIBERS:,} subscribers in {len(groups)} groups")
    for writers in WRITERS:
        await _compare(server, other, data, groups, writers)


if __name__ == "__main__":
    end_on_sigterm()
    BUILD.mkdir(exist_ok=True)
    with postgres() as running, ExitStack() as everything:
        uvloop.run(_main(running.url, everything))
