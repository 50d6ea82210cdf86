"""Locks between processes, by `flock`: the kernel drops them when their holder dies, however it dies.

Both locks live on files that are never deleted (deleting a locked file lets two processes lock two different inodes)
and never read. Neither leaks into children: descriptors are close-on-exec, and a forked child closes its copies, so
that a worker which outlives its parent does not look like a user of the server.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from crm_graph.kernel.errors import OperatorError

_POLL_S = 0.02


def open_or_create(path: Path, flags: int) -> int:
    """Open a private file for the owner of its directory: what root creates in a user's must not lock the user out."""
    descriptor = os.open(path, flags | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    if os.geteuid() == 0:
        directory = path.parent.stat()
        os.fchown(descriptor, directory.st_uid, directory.st_gid)
    return descriptor


class LockFile:
    """An open lock file. `fd` is None once closed, and in every forked child."""

    def __init__(self, path: Path) -> None:
        # Opened for writing because NFS maps an exclusive flock to a write lock.
        self.fd: int | None = open_or_create(path, os.O_RDWR)
        _open_files.add(self)

    def take(self, operation: int) -> bool:
        """Take or convert the lock without waiting; False if another process holds a conflicting one."""
        assert self.fd is not None
        try:
            fcntl.flock(self.fd, operation | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def close(self) -> None:
        if self.fd is not None:
            os.close(self.fd)
            self.fd = None
        _open_files.discard(self)


_open_files: set[LockFile] = set()


def _close_in_child() -> None:
    for file in list(_open_files):
        file.close()


os.register_at_fork(after_in_child=_close_in_child)


@contextmanager
def exclusive(path: Path, timeout_s: float) -> Iterator[None]:
    """Hold the only lock on `path`: starting, stopping and copying are transitions that must not meet.

    Raises OperatorError after `timeout_s`, because a holder that hangs would otherwise hang everybody silently.
    """
    file = LockFile(path)
    try:
        deadline = time.monotonic() + timeout_s
        while not file.take(fcntl.LOCK_EX):
            if time.monotonic() > deadline:
                raise OperatorError(
                    f"another process has been starting or stopping Postgres for {timeout_s:.0f} s; it locks {path}",
                    f"see who it is with `fuser {path}`, end that process and try again",
                )
            time.sleep(_POLL_S)
        yield
    finally:
        file.close()


class Presence:
    """A shared lock that says "I use this server", held from entering to leaving.

    Entering and leaving both happen under `exclusive`: only there may anybody try this lock exclusively, which is how
    they learn whether somebody else is here.
    """

    def __init__(self, path: Path) -> None:
        self._file = LockFile(path)

    def enter(self) -> bool:
        """Become a user; True if there was no other."""
        alone = self._file.take(fcntl.LOCK_EX)
        shared = self._file.take(fcntl.LOCK_SH)
        assert shared, "somebody tried the lock of users outside of the exclusive one"
        return alone

    def leave(self) -> bool:
        """Stop being a user; True if no other is left."""
        last = self._file.take(fcntl.LOCK_EX)
        self._file.close()
        return last

    def abandon(self) -> None:
        """Stop being a user without asking who is left, which needs no other lock."""
        self._file.close()

    @property
    def entered(self) -> bool:
        return self._file.fd is not None
