"""Postgres' own programs: those of the server that is embedded here, or of `CRM_PG_BIN`."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from crm_graph.db.address import split_password
from crm_graph.db.embedded.binaries import ENVIRONMENT_VARIABLE, find_binaries
from crm_graph.db.embedded.cluster import last_lines
from crm_graph.kernel.errors import OperatorError

OWNER_ONLY = 0o077
"""The umask of backups: whoever reads one may be able to sign in as anybody."""


def program(name: str) -> Path:
    """Return the path of one of Postgres' programs. Raises OperatorError where there is none."""
    directory = find_binaries().bin
    path = directory / name
    if not os.access(path, os.X_OK):
        raise OperatorError(
            f"there is no {name} in {directory}",
            f"install Postgres' client programs there, or set {ENVIRONMENT_VARIABLE} to a `bin` directory with them",
        )
    return path


def run_program(name: str, arguments: Sequence[str | Path], fix: str, url: str | None = None) -> None:
    """Run one of Postgres' programs to its end, on a database where one is given. What it writes is its owner's alone.
    Raises OperatorError with what it said, and how to mend that."""
    given, environment = connection_of(url) if url is not None else ([], None)
    done = subprocess.run(  # noqa: S603 - no shell, a program of Postgres
        [program(name), *given, *arguments],
        check=False,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        umask=OWNER_ONLY,
    )
    if done.returncode:
        raise OperatorError(f"{name} failed; it said:\n{last_lines(done.stdout)}", fix)


def connection_of(url: str) -> tuple[list[str], dict[str, str]]:
    """Return the arguments and the environment of a program that connects to a database."""
    address, password = split_password(url)
    return ["--dbname", address], dict(os.environ) if password is None else {**os.environ, "PGPASSWORD": password}
