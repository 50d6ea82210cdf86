"""The operating-system account that runs Postgres, and running commands as it.

A normal user is its own account. Postgres refuses to run as root, so root drops to another account for the Postgres
processes only. Nothing is asked of that account but a passwd entry: no home, no shell.
"""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from crm_graph.kernel.errors import OperatorError

_ROOT = 0
_CANDIDATES = ("postgres", "nobody")
_COMMAND_TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True)
class Account:
    """`foreign` means that this process must drop privileges to act as the account."""

    uid: int
    gid: int
    foreign: bool

    def run(self, command: Sequence[str | Path], *, cwd: Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run to the end; stdout holds both streams. Raises OSError if it cannot be executed."""
        return subprocess.run(  # noqa: S603 - no shell, and every command is written in this package
            command,
            check=False,
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=_COMMAND_TIMEOUT_S,
            start_new_session=True,
            **self._options(cwd),
        )

    def launch(self, command: Sequence[str | Path], *, cwd: Path, output: IO[bytes]) -> subprocess.Popen[bytes]:
        """Run in the background, in a session of its own: Ctrl-C in the terminal must end the application first."""
        return subprocess.Popen(  # noqa: S603 - as above
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            **self._options(cwd),
        )

    def blocked_at(self, path: Path) -> Path | None:
        """Return the first part of `path` that the account cannot enter or execute, None if it can reach it all.

        Tried by a process of that account rather than computed from mode bits, which know nothing of ACLs.
        """
        if not self.foreign:
            return None
        script = 'for part do test -x "$part" || { printf %s "$part"; exit; }; done'
        parts = [*reversed(path.parents), path]
        blocked = self.run(["/bin/sh", "-c", script, "sh", *parts], cwd=Path("/")).stdout
        return Path(blocked) if blocked else None

    def give(self, path: Path) -> None:
        """Hand a file or directory that this process just made to the account."""
        if self.foreign:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)

    def _options(self, cwd: Path) -> dict[str, Any]:
        # A fixed environment: PGPORT, PGDATA, PGOPTIONS or a translated LC_MESSAGES of the caller would all change what
        # Postgres does or says. The working directory is entered before privileges are dropped.
        environment = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
        if "LD_LIBRARY_PATH" in os.environ:
            environment["LD_LIBRARY_PATH"] = os.environ["LD_LIBRARY_PATH"]
        options: dict[str, Any] = {"cwd": cwd, "env": environment, "umask": 0o077}
        if self.foreign:
            options |= {"user": self.uid, "group": self.gid, "extra_groups": []}
        return options


def choose_account(data: Path, cluster: Path) -> Account:
    """Return who runs Postgres here: the caller, or for root the owner of what is already there, or a candidate.

    Following the owner keeps `sudo crm-graph dev` in a user's checkout usable for that user afterwards.
    Raises OperatorError if an existing cluster belongs to somebody this process cannot act as.
    """
    caller = os.geteuid()
    owner = cluster.stat().st_uid if cluster.exists() else None
    if caller != _ROOT:
        if owner not in (None, caller):
            raise OperatorError(
                f"{cluster} belongs to uid {owner}, this process runs as uid {caller}",
                "run as that user or as root, or choose another directory with --data DIR",
            )
        return Account(caller, os.getegid(), foreign=False)
    if owner is not None:
        if owner == _ROOT:
            raise OperatorError(
                f"{cluster} belongs to root, and Postgres refuses to run as root",
                f"chown -R nobody {cluster}",
            )
        return Account(owner, cluster.stat().st_gid, foreign=True)
    with suppress(KeyError):
        entry = pwd.getpwuid(data.stat().st_uid)
        if entry.pw_uid != _ROOT:
            return Account(entry.pw_uid, entry.pw_gid, foreign=True)
    for name in _CANDIDATES:
        with suppress(KeyError):
            entry = pwd.getpwnam(name)
            return Account(entry.pw_uid, entry.pw_gid, foreign=True)
    raise OperatorError(
        f"Postgres refuses to run as root, and there is no user {' or '.join(_CANDIDATES)} to run it as",
        "add one (`useradd --system postgres`), run as a normal user, or set DATABASE_URL",
    )
