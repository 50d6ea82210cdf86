"""Postgres that is there and answers nothing: all of its processes stopped by SIGSTOP, as a machine that hangs."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def _processes(data: Path) -> list[int]:
    """Return the postmaster of a data directory, and its children."""
    (pid_file,) = data.glob("pg-*/postmaster.pid")
    postmaster = int(pid_file.read_text().partition("\n")[0])
    children = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parent = int(status.read_text().rpartition(")")[2].split()[1])
            if parent == postmaster:
                children.append(int(status.parent.name))
    return [postmaster, *children]


@contextmanager
def frozen(data: Path) -> Iterator[None]:
    """Stop the server of a data directory while the block runs."""
    stopped = _processes(data)
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in reversed(stopped):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
