"""Real neighbours of a database: a streaming standby, and PgBouncer in transaction mode."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from crm_graph.db.embedded.cluster import DATABASE, PORT, USER, Cluster
from tests.support.server import free_port

START_TIMEOUT_S = 60
SERVERS_OF_POOLER = 3
"""Fewer than a process has connections: statements meet servers that have not prepared them."""


def find_pgbouncer() -> str | None:
    """Return PgBouncer 1.21 or later, where there is one: CRM_TEST_PGBOUNCER, or on the PATH."""
    found = os.environ.get("CRM_TEST_PGBOUNCER") or shutil.which("pgbouncer")
    if found is None:
        return None
    said = subprocess.run([found, "--version"], capture_output=True, text=True).stdout
    version = re.search(r"(\d+)\.(\d+)", said)
    return found if version is not None and (int(version[1]), int(version[2])) >= (1, 21) else None


@contextmanager
def _running(cluster: Cluster, command: list[str | Path], home: Path, ready: Path) -> Iterator[None]:
    log = home / "log"
    with log.open("wb") as output:
        process = cluster.account.launch(command, cwd=home, output=output)
    try:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not ready.exists():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        yield
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(30)
        finally:
            process.kill()  # one that waits for its clients is not left behind


@contextmanager
def _home(cluster: Cluster) -> Iterator[Path]:
    """Lend a directory that whoever runs Postgres may enter, as not every one of a test's is."""
    path = Path(tempfile.mkdtemp(prefix="crm-neighbour-"))
    cluster.account.give(path)
    try:
        yield path
    finally:
        shutil.rmtree(path)


@contextmanager
def standby(cluster: Cluster) -> Iterator[str]:
    """Run a standby of a cluster and lend its address."""
    with _home(cluster) as home:
        copy = [cluster.binaries.bin / "pg_basebackup", "-D", "data", "-h", cluster.sockets, "-p", PORT, "-U", USER]
        done = cluster.account.run([*map(str, copy), "--write-recovery-conf", "--checkpoint=fast"], cwd=home)
        assert done.returncode == 0, done.stdout
        settings = {"listen_addresses": "", "port": PORT, "unix_socket_directories": home, "shared_buffers": "64MB"}
        given = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        command: list[str | Path] = [cluster.binaries.postgres, "-D", str(home / "data"), *given]
        with _running(cluster, command, home, home / f".s.PGSQL.{PORT}"):
            yield f"postgresql://{USER}@/{DATABASE}?host={home}&port={PORT}"


@contextmanager
def pooler(cluster: Cluster, pgbouncer: str) -> Iterator[str]:
    """Run PgBouncer in transaction mode before a cluster and lend its address."""
    port = free_port()
    with _home(cluster) as home:
        settings = home / "pgbouncer.ini"
        settings.write_text(
            f"[databases]\n* = host={cluster.sockets} port={PORT} user={USER}\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir = {home}\nauth_type = any\n"
            f"pool_mode = transaction\ndefault_pool_size = {SERVERS_OF_POOLER}\nmax_prepared_statements = 100\n"
        )
        settings.chmod(0o644)
        with _running(cluster, [pgbouncer, settings], home, home / f".s.PGSQL.{port}"):
            yield f"postgresql://{USER}@127.0.0.1:{port}/{DATABASE}"
