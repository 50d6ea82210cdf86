"""Several API processes on one port: `crm-graph serve --workers 4`.

One Python process computes on one core. The parent listens and forks; each process serves for itself, with its own
pools and caches, and what one process does for all is elected among them as among those of other machines. Each has a
listening socket of its own on the port, among which the kernel shares connections out (SO_REUSEPORT): of one socket for
all, the process that wakes up first takes a burst of connections, and keeps them. The parent holds the sockets, so that
connections wait while a process that ended is started anew.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from threading import Event
from types import FrameType
from typing import NoReturn

from crm_graph.cli.failures import EXIT_FAILED, code_of

log = logging.getLogger(__name__)
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 30.0
"""Before a process that ended soon after its start is started anew; doubled each time."""
SOON_S = 10.0


@dataclass(frozen=True, slots=True)
class Lifeline:
    """What ties a process to its parent: it says that it has started, and learns that the parent is gone."""

    told: int
    """File descriptor: whoever has started writes a byte."""
    held: int
    """File descriptor: it reads an end when the parent has ended, however that came."""

    def started(self) -> None:
        """Say that this process serves."""
        os.write(self.told, b"1")


Serve = Callable[[socket.socket, Lifeline], None]


@dataclass(slots=True)
class _Child:
    place: int
    pid: int
    since: float


@dataclass(slots=True)
class Workers:
    """The processes of one port. `serve` is what each of them does until it is told to stop, `ready` is done when all
    have started."""

    listeners: Sequence[socket.socket]
    serve: Serve
    ready: Callable[[], None]
    _children: dict[int, _Child] = field(default_factory=dict)
    _pauses: dict[int, float] = field(default_factory=dict)
    _stopping: Event = field(default_factory=Event)
    _lifeline: tuple[int, int] = (-1, -1)

    def run(self) -> int:
        """Serve until SIGTERM or SIGINT, and return the code to exit with. A process that ends by itself is started
        anew; where the first cannot start, none does, and its code is returned."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        self._lifeline = os.pipe()
        try:
            code = self._start_all()
            if self._children and not self._stopping.is_set():
                self.ready()
            while self._children:
                self._reap()
        finally:
            for descriptor in self._lifeline:
                os.close(descriptor)
        return code

    def _start_all(self) -> int:
        """Start the first, and the others when it serves: what stands in the way is then said once."""
        for place in range(len(self.listeners)):
            if self._stopping.is_set():
                break
            if not self._start(place) and not self._stopping.is_set() and place == 0:
                return self._wait_for(place)
        return 0

    def _start(self, place: int) -> bool:
        """Start a process; return whether it serves, which it may do later all the same."""
        read, write = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            os.close(read)
            self._be(place, write)
        os.close(write)
        self._children[pid] = _Child(place, pid, time.monotonic())
        if self._stopping.is_set():  # the signal came between the two lines
            os.kill(pid, signal.SIGTERM)
        with os.fdopen(read, "rb") as told:
            return bool(told.read(1))

    def _be(self, place: int, told: int) -> NoReturn:
        """Be the child: serve, and exit."""
        code = EXIT_FAILED
        try:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal all are told; the parent tells the children
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.close(self._lifeline[1])
            for other, listener in enumerate(self.listeners):
                if other != place:
                    listener.close()
            code = code_of(partial(self.serve, self.listeners[place], Lifeline(told, self._lifeline[0])))
        except BaseException:
            log.exception("process %d of %d ended", place + 1, len(self.listeners))
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self._stopping.set()
        for pid in self._children:
            os.kill(pid, signal.SIGTERM)

    def _wait_for(self, place: int) -> int:
        """Return the code of a process that has not started."""
        (pid,) = (child.pid for child in self._children.values() if child.place == place)
        _, status = os.waitpid(pid, 0)
        del self._children[pid]
        return max(1, os.waitstatus_to_exitcode(status))

    def _reap(self) -> None:
        """Wait for a process to end, and start it anew unless all are to stop."""
        pid, status = os.waitpid(-1, 0)
        child = self._children.pop(pid, None)
        if child is None or self._stopping.is_set():
            return
        code = os.waitstatus_to_exitcode(status)
        how = f"by signal {-code}" if code < 0 else f"with code {code}"
        pause = 0.0
        if time.monotonic() - child.since < SOON_S:
            pause = min(LONGEST_PAUSE_S, 2 * self._pauses.get(child.place, FIRST_PAUSE_S / 2))
        self._pauses[child.place] = pause
        log.error("process %d, pid %d, ended %s: it is started anew", child.place + 1, pid, how)
        if not self._stopping.wait(pause):
            self._start(child.place)
