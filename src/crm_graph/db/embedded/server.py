"""Start, join, adopt and stop: the protocol between the processes that use one data directory.

Every user holds a shared lock on `users`. Under the exclusive `lock`, whoever enters makes sure that the server runs,
and whoever leaves stops it if no other user is left. So a start never meets a stop, an import outlives the `dev` it
joined, and a process killed at any point leaves only locks that the kernel drops.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from crm_graph.db.embedded.account import choose_account
from crm_graph.db.embedded.binaries import find_binaries, reachable_binaries
from crm_graph.db.embedded.cluster import (
    DATABASE,
    PORT,
    USER,
    Cluster,
    check_backup_version,
    check_major_version,
    copy_backup,
    exists,
    initialise,
    prepare_socket_directory,
)
from crm_graph.db.embedded.lock import Presence, exclusive
from crm_graph.db.embedded.postmaster import DRAIN_TIMEOUT_S, START_TIMEOUT_S, Log, Postmaster
from crm_graph.kernel.errors import OperatorError

# As long as a start may take, for that is what one waits for.
_LOCK_TIMEOUT_S = START_TIMEOUT_S + DRAIN_TIMEOUT_S


class Server:
    """A running Postgres that this process uses until `stop()`.

    `url` is a libpq URL (asyncpg, psycopg, psql); `version` is the server's, "18.6"; `owner` is True for the process
    that found the data directory unused (so at most one), and False for those that joined it.
    """

    def __init__(self, postmaster: Postmaster, lock: Path, presence: Presence, owner: bool) -> None:
        self.url = f"postgresql://{USER}@/{DATABASE}?host={postmaster.cluster.sockets}&port={PORT}"
        self.version = postmaster.cluster.binaries.version
        self.owner = owner
        self._postmaster = postmaster
        self._lock = lock
        self._presence = presence

    def stop(self) -> None:
        """Leave; the last user to leave stops the server. Does nothing the second time, nor in a forked child."""
        if not self._presence.entered:
            return
        try:
            with exclusive(self._lock, _LOCK_TIMEOUT_S):
                if self._presence.leave():
                    self._postmaster.stop()
        except FileNotFoundError:
            # The data directory was deleted under us. Postgres notices within a minute, and ends.
            self._presence.abandon()


def start(data_dir: Path, *, shared_buffers_mb: int = 256, log: Log | None = None) -> Server:
    """Return the server of `data_dir`: started, joined or adopted, initialised if the directory is new.

    `shared_buffers_mb` counts for whoever starts it. `log` receives a sentence before anything that takes time.
    Cold start 0.8 s, warm 0.1 s. Raises OperatorError for everything that can be wrong with the installation.
    """
    log = log or _silent
    try:
        data = _data_directory(data_dir)
        lock, presence = data / "lock", Presence(data / "users")
        try:
            with exclusive(lock, _LOCK_TIMEOUT_S):
                return _enter(data, lock, presence, shared_buffers_mb, log)
        except BaseException:
            presence.abandon()
            raise
    except (OSError, subprocess.SubprocessError) as error:
        raise OperatorError(
            f"Postgres could not be started in {data_dir}: {error}",
            "correct that, choose another directory with --data DIR, or set DATABASE_URL",
        ) from error


def install(data_dir: Path, base: Path, wal: Path | None, settings: Mapping[str, str]) -> Path:
    """Make the cluster of a data directory from a base backup; `start` recovers it then. Returns the cluster's folder.
    See `copy_backup`. Raises OperatorError where there is a cluster already, and for a backup of another major version.
    """
    try:
        data = _data_directory(data_dir)
        with exclusive(data / "lock", _LOCK_TIMEOUT_S):
            if exists(data):
                raise OperatorError(
                    f"there is a cluster in {data} already", "restore into another directory: --data DIR"
                )
            found = find_binaries()
            check_backup_version(base, found)
            path = data / f"pg-{found.major}"
            account = choose_account(data, path)
            sockets = prepare_socket_directory(data, account)
            cluster = Cluster(data, path, sockets, account, reachable_binaries(found, account, data))
            copy_backup(cluster, base, wal, settings)
            return path
    except (OSError, subprocess.SubprocessError) as error:
        files = error.args[0] if isinstance(error, shutil.Error) else None
        said = f"{len(files)} files, the last of them {files[-1][-1]}" if isinstance(files, list) else str(error)
        raise OperatorError(
            f"the backup in {base} could not be copied to {data_dir}: {said}",
            "correct that, or choose another directory with --data DIR",
        ) from error


@contextmanager
def running(data_dir: Path, *, shared_buffers_mb: int = 256, log: Log | None = None) -> Iterator[Server]:
    """`start()` as a context; leaves at its end."""
    server = start(data_dir, shared_buffers_mb=shared_buffers_mb, log=log)
    try:
        yield server
    finally:
        server.stop()


def _enter(data: Path, lock: Path, presence: Presence, shared_buffers_mb: int, log: Log) -> Server:
    owner = presence.enter()
    found = find_binaries()
    path = data / f"pg-{found.major}"
    account = choose_account(data, path)
    check_major_version(path, found)
    sockets = prepare_socket_directory(data, account)
    cluster = Cluster(data, path, sockets, account, reachable_binaries(found, account, data))
    if not path.exists():
        log(f"initialising Postgres {found.version} in {path}")
        initialise(cluster)
    postmaster = Postmaster(cluster, shared_buffers_mb)
    try:
        postmaster.ensure_running(log)
    except BaseException:
        if presence.leave():
            postmaster.stop()
        raise
    return Server(postmaster, lock, presence, owner)


def _data_directory(data_dir: Path) -> Path:
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        data = data_dir.resolve(strict=True)
        probe = data / "lock"
        probe.touch(mode=0o600)
    except OSError as error:
        raise OperatorError(
            f"the data directory {data_dir} cannot be written: {error}",
            "choose another one with --data DIR, or give it to the user who runs crm-graph (`chown -R USER DIR`)",
        ) from error
    return data


def _silent(_: str) -> None:
    pass
