"""`crm-graph serve --workers N`: one port, several processes, of which one that ends is started anew."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.support.database import clone
from tests.support.server import COMMAND, environment, free_port

SECRET = "s" * 40
READY_S = 120


@pytest.fixture(scope="module")
async def own_url(postgres: str) -> str:
    """A database of its own: what serves it writes to its log."""
    return await clone(postgres, "workers")


def children_of(pid: int) -> set[int]:
    """Return the processes that a process has started."""
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return {int(each) for each in listed.split()}


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it has not come to be"
        time.sleep(0.05)


@contextmanager
def serving(url: str, port: int) -> Iterator[subprocess.Popen[str]]:
    """Run two processes on a port."""
    command = [COMMAND, "serve", "--workers", "2", "--port", str(port)]
    given = environment(DATABASE_URL=url, CRM_SECRET=SECRET)
    process = subprocess.Popen(command, env=given, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait(30)
        assert process.stderr is not None
        process.stderr.close()


def answers(port: int) -> bool:
    """Return whether a new connection is answered."""
    try:
        return httpx.get(f"http://127.0.0.1:{port}/ready", timeout=10).status_code == 200
    except httpx.TransportError:
        return False


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def ignores(pid: int, number: int) -> bool:
    """Return whether a process takes no notice of a signal."""
    (mask,) = (line.split()[1] for line in Path(f"/proc/{pid}/status").read_text().splitlines() if "SigIgn" in line)
    return bool(int(mask, 16) >> (number - 1) & 1)


def test_two_processes_serve_one_port(own_url: str) -> None:
    port = free_port()
    with serving(own_url, port) as process:
        assert process.stderr is not None
        said = next(line for line in process.stderr if "serves" in line)
        assert "with 2 processes" in said
        first = children_of(process.pid)
        assert len(first) == 2
        assert all(answers(port) for _ in range(8))
        assert all(ignores(pid, signal.SIGINT) for pid in first), "a terminal sends it to all; the parent tells them"

        victim = first.copy().pop()
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: len(children_of(process.pid) - {victim}) == 2)
        wait_until(lambda: all(answers(port) for _ in range(8)))
        told = next(line for line in process.stderr if "started anew" in line)
        assert f"pid {victim}, ended by signal 9" in told

        process.terminate()
        assert process.wait(60) == 0
        assert all(is_gone(pid) for pid in first)


def test_whose_parent_is_killed_ends_too(own_url: str) -> None:
    port = free_port()
    with serving(own_url, port) as process:
        wait_until(lambda: len(children_of(process.pid)) == 2 and answers(port), READY_S)
        children = children_of(process.pid)
        process.kill()
        process.wait(30)
        wait_until(lambda: all(is_gone(pid) for pid in children))


@pytest.mark.parametrize("taken", [True, False])
def test_what_keeps_it_from_starting_is_said_once(own_url: str, taken: bool) -> None:
    """A port that others use, though they share it; a database that is not there."""
    port = free_port()
    if not taken:
        with serving(own_url.rpartition("/")[0] + "/nowhere", port) as process:
            assert process.stderr is not None
            said = process.stderr.read()
            assert process.wait(60) == 2
        assert said.count("error:") == said.count("fix:") == 1
        return
    with serving(own_url, port) as first:
        wait_until(lambda: answers(port), READY_S)
        with serving(own_url, port) as second:
            assert second.stderr is not None
            assert f"cannot listen on 127.0.0.1:{port}" in second.stderr.read()
            assert second.wait(60) == 2
        assert first.poll() is None
