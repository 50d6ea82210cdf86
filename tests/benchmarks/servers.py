"""The servers: how each is started, and that only the one being measured runs.

An idle server is stopped (SIGSTOP) while another one is measured: timers, garbage collectors and our relay, which looks
at the event log forty times a second, would take their share of two cores.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from crm_graph.kernel.errors import OperatorError
from tests.benchmarks.dataset import DataSet

OURS = "crm-graph"
OURS_AS_REP = "crm-graph as rep"
PEERS = ("postgraphile", "mercurius", "strawberry")
FLOORS = ("floor", "tuned")
_NODE = Path(__file__).parent / "peers"
_START_TIMEOUT_S = 60


@dataclass(frozen=True, slots=True)
class Server:
    """A running server."""

    name: str
    port: int
    process: psutil.Process

    def cpu_seconds(self) -> float:
        """Return what it has used so far, its children included."""
        return sum(sum(each.cpu_times()[:2]) for each in (self.process, *self.process.children(recursive=True)))

    def resident_mb(self) -> float:
        """Return its memory."""
        found = (each.memory_info().rss for each in (self.process, *self.process.children(recursive=True)))
        return float(sum(found)) / 1e6

    @contextmanager
    def awake(self) -> Iterator[None]:
        """Let it run for a while."""
        self.process.resume()
        try:
            yield
        finally:
            self.process.suspend()


def install_peers() -> set[str]:
    """Install what runs on Node, on the first run, and return which of those peers can be measured."""
    wanted = {"postgraphile", "mercurius"}
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        print(f"no {'node' if node is None else 'npm'} on the PATH: {' and '.join(sorted(wanted))} are skipped")
        return set()
    installed = _NODE / "node_modules" / ".package-lock.json"
    if installed.exists() and installed.stat().st_mtime >= (_NODE / "package-lock.json").stat().st_mtime:
        return wanted
    print("npm ci in tests/benchmarks/peers", flush=True)
    done = subprocess.run([npm, "ci", "--no-audit", "--no-fund"], cwd=_NODE, capture_output=True, text=True)
    if done.returncode != 0:
        print(f"npm ci failed, so {' and '.join(sorted(wanted))} are skipped:\n{done.stderr[-1000:]}")
        return set()
    installed.touch()
    return wanted


def commands(port: int) -> Mapping[str, list[str]]:
    """Return how to start each server."""
    at = ["--port", str(port)]
    uvicorn = [sys.executable, "-m", "uvicorn", "--log-level", "error", "--no-access-log", *at]
    return {
        OURS: [str(Path(sys.executable).with_name("crm-graph")), "serve", *at],
        "postgraphile": ["node", str(_NODE / "postgraphile.js")],
        "mercurius": ["node", str(_NODE / "mercurius.js")],
        "strawberry": [*uvicorn, "tests.benchmarks.peers.strawberry_orm:app"],
        "floor": [*uvicorn, "--factory", "tests.benchmarks.floor:make_app"],
        "tuned": [*uvicorn, "--factory", "tests.benchmarks.tuned:make_app"],
    }


def environment(data: DataSet) -> dict[str, str]:
    """Return what servers are told: ours by its own variables, the others by those of this benchmark."""
    return {
        "DATABASE_URL": data.url,
        "CRM_DATA_DIR": "",
        "CRM_MAX_PAGE_SIZE": "1000",
        "CRM_RATE_MEMBER_REQUESTS": "1000000000",
        "CRM_RATE_MEMBER_COST": "1000000000000",
        "CRM_RATE_MEMBER_BUSY_SECONDS": "1000000",
        "CRM_RATE_WORKSPACE_BUSY_SECONDS": "1000000",
        # One member stands for many: all of the pool is theirs, as it is with the other servers.
        "CRM_MEMBER_READ_CONNECTIONS": "10",
        "CRM_MEMBER_WRITE_CONNECTIONS": "10",
        "BENCH_URL": data.url,
        "BENCH_WORKSPACE": data.workspace,
        "BENCH_MEMBER": data.admin.member,
    }


@contextmanager
def running(name: str, variables: Mapping[str, str]) -> Iterator[Server]:
    """Start a server, wait until it listens, and lend it, asleep. Raises OperatorError if it does not start."""
    port = free_port()
    with started(name, commands(port)[name], port, variables) as server:
        server.process.suspend()
        yield server


@contextmanager
def started(name: str, command: list[str], port: int, variables: Mapping[str, str]) -> Iterator[Server]:
    """Start a process that listens, and end it."""
    log = Path("build") / f"bench-{name.replace(' ', '-')}.log"
    production = {"NODE_ENV": "production", "GRAPHILE_ENV": "production", "BENCH_PORT": str(port)}
    with log.open("w") as output:
        process = subprocess.Popen(command, env={**os.environ, **production, **variables}, stdout=output, stderr=output)
    lent = psutil.Process(process.pid)
    try:
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not _listens(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise OperatorError(f"{name} did not start: {log.read_text()[-1000:]}", f"see {log}")
            time.sleep(0.05)
        yield Server(name, port, lent)
    finally:
        process.terminate()
        process.send_signal(signal.SIGCONT)  # a stopped process does not hear that it is to end
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(20)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
