"""A real `crm-graph dev` in a process of its own, as a newcomer would start it."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.forked import Command

COMMAND_TIMEOUT_S = 300
COMMAND = str(Path(sys.executable).with_name("crm-graph"))


@dataclass(frozen=True, slots=True)
class RunningServer:
    """Where it serves, and the token that it printed."""

    port: int
    token: str
    data: Path
    process: Command | subprocess.Popen[str]
    said: list[str]
    """What it printed so far, its log included."""

    @property
    def address(self) -> str:
        """The address of the graph."""
        return f"http://127.0.0.1:{self.port}/graphql"

    @property
    def headers(self) -> dict[str, str]:
        """The headers of a request."""
        return {"Authorization": f"Bearer {self.token}"}


def environment(**more: str) -> dict[str, str]:
    """Return an environment without the settings of whoever runs the tests."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("CRM_", "DATABASE_", "PG"))}
    return {**kept, **more}


def free_port() -> int:
    """Return a port that nobody uses right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def crm_graph(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the command line to its end; `more` is set in its environment."""
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        command = Command(arguments, environment(**more), output.fileno(), errors.fileno())
        try:
            code = command.wait(COMMAND_TIMEOUT_S)
        finally:
            command.kill()
        said = []
        for file in (output, errors):
            file.seek(0)
            said.append(file.read().decode())
    return subprocess.CompletedProcess(["crm-graph", *arguments], code, *said)


def crm_graph_anew(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a command as a shell does, from its executable."""
    return subprocess.run(
        [COMMAND, *arguments], env=environment(**more), capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S
    )


@contextmanager
def running_server(data: Path, *arguments: str, **settings: str) -> Iterator[RunningServer]:
    """Run `crm-graph dev` on a data directory until the block ends; it must end cleanly."""
    port = free_port()
    process = Command([*_dev(data, port), *arguments], environment(**settings), stderr=subprocess.STDOUT)
    with _serving(process, data, port) as server:
        yield server


@contextmanager
def running_server_anew(data: Path) -> Iterator[RunningServer]:
    """Run `crm-graph dev` as a shell does, from its executable."""
    port = free_port()
    process = subprocess.Popen(
        [COMMAND, *_dev(data, port)], env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    with _serving(process, data, port) as server:
        yield server


def _dev(data: Path, port: int) -> list[str]:
    return ["dev", "--port", str(port), "--data", str(data)]


@contextmanager
def _serving(process: Command | subprocess.Popen[str], data: Path, port: int) -> Iterator[RunningServer]:
    said: list[str] = []
    ready = threading.Event()

    def listen() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            said.append(line)
            if "Application startup complete" in line:
                ready.set()
        ready.set()

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    try:
        assert ready.wait(60), "".join(said)
        token = re.search(r"Authorization: Bearer (\S+)", "".join(said))
        assert token is not None, "".join(said)
        yield RunningServer(port, token[1], data, process, said)
    finally:
        process.terminate()
        try:
            code = process.wait(30)
        finally:
            process.kill()  # one that hangs fails its test, and is not left behind
        thread.join(5)
        if process.stdout is not None:
            process.stdout.close()
    assert code == 0, "".join(said)
