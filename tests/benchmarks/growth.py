"""How our server takes a workspace that is a hundred times larger.

    make bench-growth                      BENCH_GROWTH_SIZES=10000,1000000 unless said otherwise

Two workspaces in one database, one server, rounds from one to the other: pages, the graph and the lists that people
make (`LISTS`) should take the same time in both, because all are read by index. Lists are asked as an administrator and
as a representative, one request at a time.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import asyncpg
import httpx
import uvloop

from crm_graph.kernel.errors import OperatorError
from tests.benchmarks import report
from tests.benchmarks.dataset import Actor, DataSet, postgres, prepare
from tests.benchmarks.rounds import measure
from tests.benchmarks.servers import OURS, Server, environment, running
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
    await _lists(sets, sizes, server)
    await connection.close()


LISTS = {
    "customers by name": "customers(orderBy: [{field: NAME}])",
    "customers by city": "customers(orderBy: [{field: CITY}])",
    "customers by city, down": "customers(orderBy: [{field: CITY, direction: DESC}])",
    "contacts by e-mail, eq": 'contacts(where: {email: {eq: "%(email)s"}})',
    "name contains two letters": 'customers(where: {name: {contains: "%(two)s"}})',
    "name contains a word": 'customers(where: {name: {contains: "%(word)s"}})',
    "name starts with": 'customers(where: {name: {startsWith: "%(start)s"}})',
    "deals by amount": "opportunities(orderBy: [{field: AMOUNT, direction: DESC}])",
    "open deals by close": "opportunities(where: {status: {eq: OPEN}}, orderBy: [{field: EXPECTED_CLOSE}])",
    "newest open tickets": (
        "tickets(where: {status: {in: [NEW, OPEN]}}, orderBy: [{field: CREATED_AT, direction: DESC}])"
    ),
    "tickets by priority": "tickets(orderBy: [{field: PRIORITY, direction: DESC}])",
    "a city, counted": 'customers(where: {city: {eq: "%(city)s"}}) { totalCount }',
    "customers, counted": "customers { totalCount }",
}
REPEATS = 15


async def _lists(sets: list[DataSet], sizes: list[int], server: Server) -> None:
    """Print how long lists take, in ms, the median of some that are asked one after another."""
    heads = (f"{size:,} {who}" for size in sizes for who in ("admin", "rep"))
    print(f"\n{'lists, ms (p50)':28}" + "".join(f"{head:>18}" for head in heads))
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", timeout=60) as client:
        for name, written in LISTS.items():
            cells = []
            for data in sets:
                words = await _words(client, data.admin)
                source = written % words
                selected = source if source.endswith("}") else source + " { nodes { id } }"
                selected = selected.replace("{ totalCount }", "{ totalCount totalCountIsExact nodes { id } }")
                for actor in (data.admin, data.rep):
                    taken = [(await _ask(client, actor, f"{{ list: {selected} }}"))[0] for _ in range(REPEATS)]
                    cells.append(statistics.median(taken[3:]) * 1_000)
            print(f"  {name:26}" + "".join(f"{cell:18.1f}" for cell in cells), flush=True)


async def _words(client: httpx.AsyncClient, actor: Actor) -> dict[str, str]:
    """Return what lists look for, of records that are there."""
    source = "{ contacts(first: 1, where: {email: {isNull: false}}) { nodes { email customer { name city } } } }"
    (contact,) = (await _ask(client, actor, source))[1]["contacts"]["nodes"]
    name = contact["customer"]["name"]
    words = {"email": contact["email"], "city": contact["customer"]["city"]}
    return words | {"two": name[1:3], "word": name.split()[0], "start": name[:4]}


async def _ask(client: httpx.AsyncClient, actor: Actor, source: str) -> tuple[float, Any]:
    began = time.perf_counter()
    answer = await client.post("/graphql", json={"query": source}, headers={"Authorization": f"Bearer {actor.token}"})
    taken = time.perf_counter() - began
    body = answer.json()
    if "errors" in body:
        raise OperatorError(f"{source}: {body['errors'][0]['message']}", "correct the request")
    return taken, body["data"]


if __name__ == "__main__":
    end_on_sigterm()
    BUILD.mkdir(exist_ok=True)
    chosen = [int(size) for size in os.environ.get("BENCH_GROWTH_SIZES", "10000,1000000").split(",")]
    try:
        with postgres() as database, ExitStack() as everything:
            uvloop.run(_main(database.url, chosen, Settings.from_environment(), everything))
    except OperatorError as error:
        sys.exit(f"error: {error}")
