"""`make bench`: one data set, every server on it in one run, interleaved rounds, medians and ratios.

    BENCH_CUSTOMERS=100000 BENCH_ROUNDS=5 BENCH_SECONDS=3 make bench

Machines here are shared and noisy: only a ratio within one run counts. Prints a table and writes `build/bench.json`.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import psutil  # type: ignore[import-untyped]

from crm_graph.api.settings import Settings
from crm_graph.app import authority
from crm_graph.cli.accounts import find_account
from crm_graph.cli.place import installation
from crm_graph.db import embedded
from crm_graph.db.migrate import upgrade
from crm_graph.db.pool import Database
from crm_graph.demo.seed import seed
from tests.benchmarks.load import Measured, once, request_bytes, run

CUSTOMERS = int(os.environ.get("BENCH_CUSTOMERS", "10000"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
SECONDS = float(os.environ.get("BENCH_SECONDS", "2"))
BUILD = Path("build")

OPERATIONS = {
    "point": "query ($id: ID!) { customer(id: $id) { id name kind lifecycle industry city version createdAt } }",
    "page": """{ customers(first: 50) { nodes {
        id name kind lifecycle industry city version createdAt owner { name } } } }""",
    "graph": """{ customers(first: 20) { nodes { name
        opportunities(first: 5) { nodes { name amount { amount currency } owner { name } } }
        tickets(first: 5) { nodes { number subject status } }
        orders(first: 5) { nodes { number status lines { nodes { quantity total { amount currency } } } } } } } }""",
    "filtered": """{ opportunities(first: 50, where: {status: {eq: OPEN}, amount: {gte: "1000"}},
        orderBy: [{field: AMOUNT, direction: DESC}]) { totalCount nodes { id name amount { amount currency } } } }""",
}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def _server(command: list[str], port: int, environment: dict[str, str]) -> Iterator[psutil.Process]:
    process = subprocess.Popen(command, env={**os.environ, **environment}, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(20)


async def _prepare(url: str) -> tuple[str, dict[str, str], str]:
    """Return the workspace, a token by role, and a customer's id."""
    await upgrade(url)
    database = await Database.open(url)
    slug = f"bench-{CUSTOMERS}"
    reader = await asyncpg.connect(url)
    workspace = await reader.fetchval("SELECT replace(id::text, '-', '') FROM workspace WHERE slug = $1", slug)
    if workspace is None:
        print(f"seeding {CUSTOMERS} customers")
        workspace = await seed(database, CUSTOMERS, slug=slug, name="Bench")
    made = await installation(database)
    issuer = authority(made, Settings())
    tokens = {}
    for role in ("admin", "sales_rep"):
        account = await find_account(database, workspace, None, role)
        tokens[role] = issuer.issue(workspace, account.member_id, timedelta(hours=2))
    middle = (
        "SELECT id::text FROM customer WHERE replace(workspace_id::text, '-', '') = $1 ORDER BY id OFFSET $2 LIMIT 1"
    )
    customer = str(await reader.fetchval(middle, workspace, CUSTOMERS // 2)).replace("-", "")
    await reader.close()
    await database.close()
    return workspace, tokens, f"cus_{customer}"


def _rows(value: Any) -> int:
    """Count the objects of a payload, to see that servers answer with the same rows."""
    if isinstance(value, dict):
        return 1 + sum(_rows(each) for each in value.values())
    return sum(_rows(each) for each in value) if isinstance(value, list) else 0


async def _measure(
    ports: dict[str, int], processes: dict[str, psutil.Process], requests: dict[str, Any]
) -> dict[str, Any]:
    results: dict[str, dict[str, Any]] = {}
    for operation, by_server in requests.items():
        bodies = {server: await once(ports[server], request) for server, request in by_server.items()}
        counts = {
            server: _rows(json.loads(body)["data"]) for server, body in bodies.items() if server != "crm-graph as rep"
        }
        assert len(set(counts.values())) == 1, f"{operation}: the servers answer different rows: {counts}"
        rounds: dict[str, list[Measured]] = {server: [] for server in by_server}
        cpu: dict[str, list[float]] = {server: [] for server in by_server}
        for _ in range(ROUNDS):
            for server, request in by_server.items():
                before = sum(processes[server].cpu_times()[:2])
                measured = await run(ports[server], request, SECONDS)
                rounds[server].append(measured)
                cpu[server].append((sum(processes[server].cpu_times()[:2]) - before) / len(measured.latencies) * 1000)
        results[operation] = {
            server: {
                "rps": round(statistics.median(each.rps for each in measured), 1),
                "p50_ms": round(statistics.median(each.percentile(0.5) for each in measured), 2),
                "p99_ms": round(statistics.median(each.percentile(0.99) for each in measured), 2),
                "cpu_ms": round(statistics.median(cpu[server]), 3),
                "rss_mb": round(processes[server].memory_info().rss / 1e6),
            }
            for server, measured in rounds.items()
        }
        _print(operation, results[operation])
    return results


def _print(operation: str, found: dict[str, dict[str, Any]]) -> None:
    floor = found["floor"]["rps"]
    for server, of in found.items():
        ratio = of["rps"] / floor
        print(
            f"{operation:10} {server:18} {of['rps']:8} rps  p50 {of['p50_ms']:7} ms  p99 {of['p99_ms']:7} ms"
            f"  cpu {of['cpu_ms']:6} ms  x {ratio:.2f} of the floor",
            flush=True,
        )


async def _main(url: str, stack: ExitStack) -> dict[str, Any]:
    workspace, tokens, customer = await _prepare(url)
    ports = {"crm-graph": _free_port(), "floor": _free_port()}
    command = str(Path(sys.executable).with_name("crm-graph"))
    environment = {"DATABASE_URL": url, "CRM_DATA_DIR": "", "BENCH_URL": url, "BENCH_WORKSPACE": workspace}
    floor = [sys.executable, "-m", "uvicorn", "--factory", "tests.benchmarks.floor:make_app", "--log-level", "error"]
    processes = {
        "crm-graph": stack.enter_context(
            _server([command, "serve", "--port", str(ports["crm-graph"])], ports["crm-graph"], environment)
        ),
        "floor": stack.enter_context(_server([*floor, "--port", str(ports["floor"])], ports["floor"], environment)),
    }
    await asyncio.sleep(2)
    ports["crm-graph as rep"], processes["crm-graph as rep"] = ports["crm-graph"], processes["crm-graph"]
    requests: dict[str, dict[str, bytes]] = {}
    for name, query in OPERATIONS.items():
        body = json.dumps({"query": query, "variables": {"id": customer}}).encode()
        requests[name] = {
            "crm-graph": request_bytes("/graphql", body, {"Authorization": f"Bearer {tokens['admin']}"}),
            "crm-graph as rep": request_bytes("/graphql", body, {"Authorization": f"Bearer {tokens['sales_rep']}"}),
            "floor": request_bytes(f"/{name}", body, {}),
        }
    return await _measure(ports, processes, requests)


if __name__ == "__main__":
    BUILD.mkdir(exist_ok=True)
    with ExitStack() as everything:
        server = everything.enter_context(embedded.running(BUILD / "bench-data", shared_buffers_mb=1024))
        found = asyncio.run(_main(server.url, everything))
    (BUILD / "bench.json").write_text(json.dumps({"customers": CUSTOMERS, "operations": found}, indent=2) + "\n")
