"""`crm-graph` in processes of their own, forked off one that has imported it all and built its schema.

A process that a shell starts spends 2.5 s of CPU on that, the same in every one of some two hundred that the tests
start. The rest is as it is there: its arguments, environment, output, signals and exit code. What the executable does
before `main` is proven by the journey of a newcomer, and what each command imports by `tests/cli/test_imports.py`.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from multiprocessing import reduction
from typing import IO, Any

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.support.warm"])


class _Descriptor:
    """A file descriptor that is sent to the process that is started."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __reduce__(self) -> tuple[Any, ...]:
        return _detach, (reduction.DupFd(self.number),)


def _detach(sent: Any) -> int:
    number: int = sent.detach()
    return number


class Command:
    """A `crm-graph` that runs: as much of `subprocess.Popen` as tests use. Its output is a descriptor, or PIPE."""

    def __init__(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        stdout: int = subprocess.PIPE,
        stderr: int = subprocess.PIPE,
    ) -> None:
        self.stdout, output = _end(stdout)
        self.stderr, errors = (None, output) if stderr == subprocess.STDOUT else _end(stderr)
        given = list(arguments), dict(environment), os.getcwd(), _Descriptor(output), _Descriptor(errors)
        self._process = _CONTEXT.Process(target=_become, args=given, daemon=True)
        self._process.start()
        for number in {output, errors} - {stdout, stderr}:
            os.close(number)
        assert self._process.pid is not None
        self.pid = self._process.pid

    @property
    def returncode(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """Return the exit code; None while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end, at most some seconds, and return the exit code. Raises TimeoutExpired."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired(self._process.name, timeout or 0)
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        """Send a signal to the process, unless it ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask the process to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the process as a crash does."""
        self.send_signal(signal.SIGKILL)


def _end(wanted: int) -> tuple[IO[str] | None, int]:
    """Return what is read here, and the descriptor that is written to there."""
    if wanted != subprocess.PIPE:
        return None, wanted
    reader, writer = os.pipe()
    return os.fdopen(reader, encoding="utf-8"), writer


def _become(arguments: list[str], environment: dict[str, str], directory: str, output: int, errors: int) -> None:
    """Be the command, as its executable is."""
    from crm_graph.cli import main

    for number, sent in ((1, output), (2, errors)):
        os.dup2(sent, number)
    for sent in {output, errors}:
        os.close(sent)
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["crm-graph", *arguments]
    main()
