"""The files of one cluster: where they are, which major version wrote them, and their first initialisation."""

from __future__ import annotations

import hashlib
import os
import pwd
import re
import shutil
import stat
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from crm_graph.db.embedded.account import Account
from crm_graph.db.embedded.binaries import Binaries
from crm_graph.kernel.errors import OperatorError

USER = DATABASE = "crm"
PORT = 5432
_SOCKET_PATH_MAX_BYTES = 100  # the kernel's limit is 108, macOS has 104
_PLAIN_PATH = re.compile(r"[A-Za-z0-9/._-]+\Z")  # needs no quoting in a setting, a URL or a comma separated host list
_UTF8_LOCALE = "en_US.UTF-8" if sys.platform == "darwin" else "C.UTF-8"
_STAGING_PREFIX = "init-"


@dataclass(frozen=True, slots=True)
class Cluster:
    """`data` is the caller's directory, `path` the cluster in it, `sockets` the directory of the socket."""

    data: Path
    path: Path
    sockets: Path
    account: Account
    binaries: Binaries

    @property
    def socket(self) -> Path:
        return self.sockets / f".s.PGSQL.{PORT}"

    @property
    def log(self) -> Path:
        return self.data / "postgres.log"


def exists(data_dir: Path) -> bool:
    """Return whether a data directory holds a cluster, of whatever major version; nothing is made or touched."""
    return any(data_dir.glob("pg-*/PG_VERSION"))


def own_name(directory: Path, account: Account) -> Path:
    """Return the name under which a Postgres process that was started in `directory` should know it.

    `/proc/self/cwd`: the kernel resolves it to the working directory itself, not to a path. So it does not matter
    whether the account can enter the parents; and a server whose directory was deleted and made anew cannot write into
    the new one. By path it does: it writes `pg_control` under its absolute name, and ruins the new cluster.
    """
    working_directory = Path("/proc/self/cwd")
    if working_directory.exists():
        return working_directory
    if blocked := account.blocked_at(directory):  # macOS
        raise OperatorError(
            f"uid {account.uid}, which runs Postgres for root, cannot enter {blocked}",
            "choose a directory that every user may enter with --data DIR, or run as a normal user",
        )
    return directory


def prepare_socket_directory(data: Path, account: Account) -> Path:
    """Return the directory of the socket, mode 0700 and the account's own, made if need be.

    `<data>/run` where its path is short, plain and open to the account. Otherwise a directory in `/tmp`, not in TMPDIR
    or XDG_RUNTIME_DIR: every process that joins must compute the same path, whatever its environment. Anybody may have
    made that directory before us, so its type, owner and mode are checked without following links.
    """
    path = data / "run"
    too_long = len(os.fsencode(path / f".s.PGSQL.{PORT}")) > _SOCKET_PATH_MAX_BYTES
    if too_long or not _PLAIN_PATH.match(str(path)) or account.blocked_at(data):
        digest = hashlib.sha256(os.fsencode(data)).hexdigest()[:16]
        path = Path("/tmp") / f"crm-graph-{digest}"  # noqa: S108 - checked below
    with suppress(FileExistsError):
        path.mkdir(mode=0o700)
    found = path.lstat()
    if stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid():
        account.give(path)  # made just now, or by a process killed before it came to this line
        found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != account.uid or stat.S_IMODE(found.st_mode) != 0o700:
        raise OperatorError(
            f"{path} must be a directory with mode 0700 owned by uid {account.uid}, and is not",
            f"see who made it (`ls -ld {path}`), then remove it",
        )
    return path


def check_major_version(path: Path, binaries: Binaries) -> None:
    """Raise OperatorError if the data directory holds a cluster that these binaries cannot open, and no other."""
    for found in [path] if path.exists() else sorted(path.parent.glob("pg-*")):
        try:
            major = (found / "PG_VERSION").read_text().strip()
        except FileNotFoundError:
            raise OperatorError(f"{found} is not a Postgres cluster: no PG_VERSION", f"move {found} away") from None
        if major != str(binaries.major):
            raise OperatorError(
                f"{found} was created by Postgres {major}, the binaries in {binaries.bin} are {binaries.version}",
                f"set CRM_PG_BIN to Postgres {major}; or dump with it (`pg_dump`), move {found} away and restore;"
                " or start empty with another --data DIR",
            )


def check_backup_version(base: Path, binaries: Binaries) -> None:
    """Raise OperatorError for a base backup that these binaries cannot open."""
    try:
        major = (base / "PG_VERSION").read_text().strip()
    except OSError:
        raise OperatorError(f"{base} is no base backup: no PG_VERSION", "use another backup") from None
    if major != str(binaries.major):
        raise OperatorError(
            f"{base} is of Postgres {major}, the binaries in {binaries.bin} are {binaries.version}",
            f"set CRM_PG_BIN to Postgres {major}; a dump can be restored by any later version",
        )


def initialise(cluster: Cluster) -> None:
    """Make the cluster with its database, and give it its name only when it is complete and on disk.

    An initdb cut short leaves a directory under another name, swept up by the next one. Everything is written without
    fsync and synced once at the end: 0.5 s instead of 0.8 s.
    """
    account, binaries = cluster.account, cluster.binaries
    _require_passwd_entry(account)
    for leftover in cluster.data.glob(f"{_STAGING_PREFIX}*"):
        shutil.rmtree(leftover, ignore_errors=True)
    staging = Path(tempfile.mkdtemp(prefix=_STAGING_PREFIX, dir=cluster.data))
    account.give(staging)
    name = own_name(staging, account)
    locale = [f"--locale={_UTF8_LOCALE}"]
    if binaries.major >= 17:
        locale += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    create: list[str | Path] = [binaries.initdb, "-D", name, f"--username={USER}", "--encoding=UTF8"]
    trust = ["--auth-local=trust", "--auth-host=reject"]
    try:
        _run(cluster, [*create, *locale, *trust, "--no-instructions", "--no-sync"], staging)
        _run(
            cluster,
            [binaries.postgres, "--single", "-F", "-D", name, "-c", "log_checkpoints=off", "template1"],
            staging,
            stdin=f"CREATE DATABASE {DATABASE}\n",
        )
        _run(cluster, [binaries.initdb, "--sync-only", "-D", name], staging)
        staging.rename(cluster.path)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    _sync_directory(cluster.data)


def copy_backup(cluster: Cluster, base: Path, wal: Path | None, settings: Mapping[str, str]) -> None:
    """Make the cluster of a base backup, to be recovered by the `settings` when it is started first, with what a
    `wal` folder has of what came after the backup. As with `initialise`, it has its name only when it is whole."""
    account = cluster.account
    staging = Path(tempfile.mkdtemp(prefix=_STAGING_PREFIX, dir=cluster.data))
    try:
        shutil.copytree(base, staging, symlinks=True, dirs_exist_ok=True)
        for segment in sorted(wal.iterdir()) if wal is not None else ():  # a whole one before its `.partial`
            to = staging / "pg_wal" / segment.name.removesuffix(".partial")
            if to.name == segment.name or not to.exists():
                shutil.copy(segment, to)
        (staging / "recovery.signal").touch()
        with (staging / "postgresql.auto.conf").open("a", encoding="utf-8") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in settings.items())
        for directory, _, names in os.walk(staging):
            for path in (Path(directory), *(Path(directory, name) for name in names)):
                account.give(path)
        staging.chmod(0o700)
        _run(cluster, [cluster.binaries.initdb, "--sync-only", "-D", own_name(staging, account)], staging)
        staging.rename(cluster.path)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    _sync_directory(cluster.data)


def _run(cluster: Cluster, command: list[str | Path], cwd: Path, stdin: str = "") -> None:
    done = cluster.account.run(command, cwd=cwd, stdin=stdin)
    # Single-user mode exits with 0 even if its statement failed.
    if done.returncode == 0 and not re.search(r"\b(ERROR|FATAL|PANIC):", done.stdout):
        return
    raise OperatorError(
        f"a new Postgres cluster could not be made in {cluster.data}; {Path(command[0]).name} said:\n"
        + last_lines(done.stdout),
        f"correct what it says and start again, nothing has to be cleaned up; a new cluster takes 60 MB and grows,"
        f" {free_space(cluster.data)}",
    )


def _require_passwd_entry(account: Account) -> None:
    try:
        pwd.getpwuid(account.uid)
    except KeyError:
        raise OperatorError(
            f"uid {account.uid} has no entry in the password database, and initdb refuses to work without one",
            f"add one (`echo crm:x:{account.uid}:{account.gid}::/:/bin/false >> /etc/passwd`, as root, in a container"
            " image say), run as another user, or set DATABASE_URL",
        ) from None


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def last_lines(text: str, count: int = 15) -> str:
    """Return the end of some output, indented, for an error message."""
    return "\n".join(f"    {line}" for line in text.strip().splitlines()[-count:]) or "    (nothing)"


def free_space(path: Path) -> str:
    return f"{shutil.disk_usage(path).free // 2**20:,} MB are free in {path}"
