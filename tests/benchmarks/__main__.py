"""`make bench`: one data set, every server on it in one run, rounds from server to server, medians and ratios.

    BENCH_CUSTOMERS=10000 BENCH_ROUNDS=5 BENCH_SECONDS=3 BENCH_OPERATIONS=page,graph BENCH_SERVERS=crm-graph,mercurius

All are optional; 100,000 customers, 3 rounds of 2 seconds, everything. Machines are shared and noisy, so only a ratio
within one run counts. Prints a table and writes `build/bench.json`. The servers, all with one process and a pool of 10:

    crm-graph     this repository; `crm-graph as rep`: as a sales representative, under row and field rules
    postgraphile  PostGraphile 5 on our tables                                peers/postgraphile.js
    mercurius     mercurius, JIT on, loaders by hand, pg                      peers/mercurius.js
    strawberry    textbook Strawberry, SQLAlchemy's ORM, aiodataloader        peers/strawberry_orm.py
    floor         by hand for these operations, a statement per level         floor.py
    tuned         the same with all that we know                              tuned.py
"""

from __future__ import annotations

import sys
from contextlib import ExitStack

import asyncpg
import uvloop

from crm_graph.kernel.errors import OperatorError
from tests.benchmarks import operations, report
from tests.benchmarks.dataset import DataSet, postgres, prepare
from tests.benchmarks.load import Script, request_bytes, run
from tests.benchmarks.rounds import Figures, compare, measure
from tests.benchmarks.servers import (
    FLOORS,
    OURS,
    OURS_AS_REP,
    PEERS,
    Server,
    environment,
    free_port,
    install_peers,
    running,
    started,
)
from tests.benchmarks.settings import BUILD, CONNECTIONS, Settings, end_on_sigterm
from tests.benchmarks.targets import Requests


async def _ceiling() -> float:
    """Return the requests per second that the load generator reaches against a server that does nothing."""
    port = free_port()
    command = [sys.executable, "-m", "tests.benchmarks.ceiling", str(port)]
    with started("ceiling", command, port, {}) as server:
        scripts = [Script([request_bytes("/", b"{}", {})]) for _ in range(CONNECTIONS)]
        return (await run(server.port, scripts, 1)).rps


def _start(settings: Settings, data: DataSet, stack: ExitStack) -> dict[str, Server]:
    on_node = install_peers() if {"postgraphile", "mercurius"} & {*filter(settings.measures, PEERS)} else set()
    wanted = [name for name in (OURS, *PEERS, *FLOORS) if settings.measures(name)]
    possible = [name for name in wanted if name not in {"postgraphile", "mercurius"} or name in on_node]
    servers = {name: stack.enter_context(running(name, environment(data))) for name in possible}
    if OURS in servers and settings.measures(OURS_AS_REP):
        servers[OURS_AS_REP] = servers[OURS]
    return servers


async def _main(url: str, settings: Settings, stack: ExitStack) -> None:
    data = await prepare(url, settings.customers)
    ceiling_rps = await _ceiling()
    print(f"the load generator reaches {ceiling_rps:,.0f} requests/s against a server that does nothing")
    servers = _start(settings, data, stack)
    connection = await asyncpg.connect(url)
    found: dict[str, dict[str, Figures]] = {}
    for name in operations.NAMES:
        if settings.operations and name not in settings.operations:
            continue
        requests = Requests(name, data)
        targets = [requests.target(server, running_) for server, running_ in servers.items()]
        await compare(name, targets)
        found[name] = await measure(name, targets, settings, connection, data.workspace)
        report.show(name, found[name])
        report.write(found, settings, ceiling_rps)
    await connection.close()
    report.show_ratios(found)


if __name__ == "__main__":
    end_on_sigterm()
    BUILD.mkdir(exist_ok=True)
    try:
        with postgres() as database, ExitStack() as everything:
            uvloop.run(_main(database.url, Settings.from_environment(), everything))
    except OperatorError as error:
        sys.exit(f"error: {error}")
