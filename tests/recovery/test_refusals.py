"""Backups that cannot be brought back are named before anything is written, and so are databases that were restored by
other means."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest

from crm_graph.cli.recovery.following import kept_log, slot_of
from crm_graph.cli.recovery.programs import program
from crm_graph.db import embedded
from crm_graph.db.pool import Database
from crm_graph.domains.identity.accounts.outbox import enqueue
from crm_graph.domains.platform.audit.chain import seal_keys
from crm_graph.domains.platform.audit.chainer import Chainer
from crm_graph.events.epoch import RESTORING, current_epoch
from crm_graph.identity.installation import Installation, make_services
from crm_graph.identity.secrets import secrets_of_environment
from crm_graph.kernel.settings import Settings
from crm_graph.vault.master import MasterKeys
from tests.recovery.brought_back import rows_of
from tests.support.database import with_database
from tests.support.server import COMMAND, crm_graph, environment
from tests.support.trail import connect

pytestmark = pytest.mark.xdist_group("recovery")

KEYS = {
    "CRM_SECRET": "the secret of a backup that is long enough",
    "CRM_MASTER_KEY": "the master key of a backup that is long enough",
}
OTHER = "another one that is long enough too"


LATER = "now() + interval '3 hours'"
TAKEN_BY_A_CLOCK_AHEAD = (
    f"UPDATE mail SET next_at = {LATER}",
    "INSERT INTO crm_jobs.pgqueuer (priority, status, entrypoint, heartbeat, execute_after)"
    f" VALUES (0, 'picked', 'export', {LATER}, now()), (0, 'queued', 'export', now(), {LATER})",
    f"INSERT INTO crm_jobs.pgqueuer_schedules (expression, entrypoint, next_run) VALUES ('x', 'prune', {LATER})",
)
"""As a process has left it that is gone, whose clock was three hours ahead of the one that goes on."""
STILL_TAKEN = """
    SELECT (SELECT count(*) FROM mail WHERE next_at > now())
        + (SELECT count(*) FROM crm_jobs.pgqueuer WHERE status = 'picked' AND heartbeat > now() - interval '1 hour')
        + (SELECT count(*) FROM crm_jobs.pgqueuer WHERE execute_after > now())
        + (SELECT count(*) FROM crm_jobs.pgqueuer_schedules WHERE next_run > now())
"""


@dataclass(frozen=True, slots=True)
class Kept:
    """A data directory, and a dump of it."""

    data: Path
    folder: Path

    def copy(self, to: Path) -> Path:
        """Return a copy of the backup that a test may spoil."""
        return shutil.copytree(self.folder, to)


async def _use_keys(url: str) -> None:
    """Have a workspace make its keys, seal a mail and its log."""
    secrets = secrets_of_environment(KEYS)
    database, connection = await Database.open(url), await connect(url)
    service = MasterKeys.of(KEYS, secrets)
    services = make_services(Installation(url, secrets, key_service=service), Settings(), database)
    workspace = await connection.fetchval("SELECT id FROM workspace")
    async with database.apart() as session:
        await services.vault.keys(session, workspace)
        await enqueue(services, session, workspace, "nothing", {})
    await Chainer(url, seal_keys(secrets), {}).chain_batch(connection)
    await connection.close()
    await database.close()


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    """A small installation that was backed up."""
    made = Kept(tmp_path_factory.mktemp("kept") / "data", tmp_path_factory.mktemp("backups") / "dump")
    with embedded.running(made.data, shared_buffers_mb=32) as server:
        for command in (("migrate",), ("seed", "--customers", "3", "--workspace", "demo")):
            done = crm_graph(*command, "--data", str(made.data), **KEYS)
            assert done.returncode == 0, done.stderr
        asyncio.run(_use_keys(server.url))
        done = crm_graph("backup", str(made.folder), "--data", str(made.data), **KEYS)
        assert done.returncode == 0, done.stderr
        assert all(name in done.stderr for name in KEYS), done.stderr
    return made


def _says(**more: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        file = folder / "manifest.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), **more}))

    return change


def _cut(folder: Path) -> None:
    with (folder / "database.dump").open("r+b") as file:
        file.truncate(os.fstat(file.fileno()).st_size - 1)


SPOILED = {
    "a newer version": (_says(revision="2099_01_01_later", version="9.0"), KEYS, "which this version"),
    "a newer format": (_says(format=2), KEYS, "a newer version of crm-graph"),
    "interrupted": (lambda folder: (folder / "manifest.json").unlink(), KEYS, "interrupted"),
    "cut": (_cut, KEYS, "altered or cut"),
    "nonsense": (lambda folder: (folder / "manifest.json").write_text("{"), KEYS, "cannot be read"),
    "no secret": (_says(), {"CRM_MASTER_KEY": KEYS["CRM_MASTER_KEY"]}, "secrets that are not given here"),
    "another secret": (_says(), {**KEYS, "CRM_SECRET": OTHER}, "secrets that are not given here"),
    "no master key": (_says(), {"CRM_SECRET": KEYS["CRM_SECRET"]}, "master keys that are not given here"),
    "another master key": (_says(), {**KEYS, "CRM_MASTER_KEY": OTHER}, "master keys that are not given here"),
    "its secret in itself": (_says(own_secret=True), {**KEYS, "CRM_SECRET": OTHER}, "unset CRM_SECRET"),
}


@pytest.mark.parametrize(("spoil", "keys", "why"), SPOILED.values(), ids=SPOILED)
def test_a_backup_that_cannot_be_brought_back_writes_nothing(
    kept: Kept, tmp_path: Path, spoil: Callable[[Path], None], keys: dict[str, str], why: str
) -> None:
    folder = kept.copy(tmp_path / "spoiled")
    spoil(folder)
    refused = crm_graph("restore", str(folder), "--data", str(tmp_path / "data"), **keys)
    assert refused.returncode == 2, refused.stderr
    assert why in refused.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("name", KEYS)
def test_a_backup_is_not_made_under_keys_that_do_not_open_it(kept: Kept, tmp_path: Path, name: str) -> None:
    refused = crm_graph("backup", str(tmp_path / "new"), "--data", str(kept.data), **{**KEYS, name: OTHER})
    assert refused.returncode == 2, refused.stderr
    assert name in refused.stderr
    assert not (tmp_path / "new").exists()
    taken = crm_graph("backup", str(kept.folder), "--data", str(kept.data), **KEYS)
    assert taken.returncode == 2
    assert "is not empty" in taken.stderr


def test_an_installation_is_not_written_over(kept: Kept) -> None:
    with embedded.running(kept.data, shared_buffers_mb=32) as server:
        before = asyncio.run(rows_of(server.url))
        for place in ({"DATABASE_URL": server.url}, {"CRM_DATA_DIR": str(kept.data)}):
            refused = crm_graph("restore", str(kept.folder), **KEYS, **place)
            assert refused.returncode == 2
            assert "there is an installation in this database already" in refused.stderr
        assert asyncio.run(rows_of(server.url)) == before


async def test_a_dump_restored_by_hand_beside_its_database_is_seen(kept: Kept) -> None:
    """In the same cluster: its transactions are the same, and yet it is another history."""
    with embedded.running(kept.data, shared_buffers_mb=32) as server:
        url = with_database(server.url, "copied")
        connection = await asyncpg.connect(server.url)
        await connection.execute("CREATE DATABASE copied")
        dump = str(kept.folder / "database.dump")
        process = await asyncio.create_subprocess_exec(program("pg_restore"), "--dbname", url, "--no-owner", dump)
        assert await process.wait() == 0

        def run(*command: str, **keys: str) -> subprocess.CompletedProcess[str]:
            return crm_graph(*command, **{**keys, "DATABASE_URL": url})

        refused = run("user", "list", **KEYS)
        assert refused.returncode == 2
        assert "its tables were made anew" in refused.stderr
        copied = await asyncpg.connect(url)
        for statement in TAKEN_BY_A_CLOCK_AHEAD:
            await copied.execute(statement)
        assert "master key" in run("restore", "--in-place", CRM_SECRET=KEYS["CRM_SECRET"]).stderr
        assert run("user", "list", **KEYS).returncode == 2, "nothing was written without the keys"
        done = run("restore", "--in-place", **KEYS)
        assert done.returncode == 0, done.stderr
        assert run("user", "list", **KEYS).returncode == 0
        assert await copied.fetchval(STILL_TAKEN) == 0
        await copied.close()
        await connection.execute("DROP DATABASE copied WITH (FORCE)")
        await connection.close()


def test_a_base_backup_that_was_started_by_itself_is_seen(kept: Kept, tmp_path: Path) -> None:
    """It has the system identifier and the timeline of the cluster that it is of."""
    folder, data = tmp_path / "base", tmp_path / "data"
    assert crm_graph("backup", str(folder), "--base", "--data", str(kept.data), **KEYS).returncode == 0
    path = embedded.install(data, folder / "base", None, {})
    (path / "recovery.signal").unlink()
    refused = crm_graph("user", "list", "--data", str(data), **KEYS)
    assert refused.returncode == 2
    assert "a base backup that was started by itself" in refused.stderr
    assert crm_graph("restore", "--in-place", "--data", str(data), **KEYS).returncode == 0
    assert crm_graph("user", "list", "--data", str(data), **KEYS).returncode == 0
    (folder / "base" / "PG_VERSION").write_text("18 altered\n")
    refused = crm_graph("restore", str(folder), "--data", str(tmp_path / "other"), **KEYS)
    assert refused.returncode == 2
    assert "altered or cut" in refused.stderr
    assert not (tmp_path / "other").exists()


def _install(kept: Kept, folder: Path, data: Path, settings: dict[str, str]) -> Path:
    """Make the cluster of a data directory from a base backup, as one does without our command."""
    done = crm_graph("backup", str(folder), "--base", "--data", str(kept.data), **KEYS)
    assert done.returncode == 0, done.stderr
    return embedded.install(data, folder / "base", None, settings)


async def test_a_standby_that_is_promoted_goes_on(kept: Kept, tmp_path: Path) -> None:
    """It was made from a base backup too, whose label it has: nobody is asked, unless that is wanted."""
    data = tmp_path / "standby"
    with embedded.running(kept.data, shared_buffers_mb=32) as primary:
        sockets = parse_qs(urlsplit(primary.url).query)["host"][0]
        path = _install(kept, tmp_path / "base", data, {"primary_conninfo": f"host={sockets} user=crm"})
        (path / "recovery.signal").rename(path / "standby.signal")
        with embedded.running(data, shared_buffers_mb=32) as standby:
            given = {**KEYS, "DATABASE_URL": standby.url}
            assert "is a standby" in crm_graph("user", "list", **given).stderr
            connection = await asyncpg.connect(standby.url)
            assert await connection.fetchval("SELECT pg_promote()")
            refused = crm_graph("user", "list", **given, CRM_CONTINUE_AFTER_FAILOVER="0")
            assert refused.returncode == 2
            assert "a standby was promoted" in refused.stderr
            assert "the first process that comes continues the log" in refused.stderr
            done = crm_graph("user", "list", **given)
            assert done.returncode == 0, done.stderr
            assert (await current_epoch(connection)).number > 0
            await connection.close()


BY_HAND = {
    "a point in time": ({"recovery_target": "immediate"}, "recovered to a point in time"),
    "interrupted": ({RESTORING: "on"}, "a restore of it was interrupted"),
}


@pytest.mark.parametrize(("settings", "why"), BY_HAND.values(), ids=BY_HAND)
async def test_what_was_recovered_is_no_failover(
    kept: Kept, tmp_path: Path, settings: dict[str, str], why: str
) -> None:
    """By hand, or by a restore that was killed before the log went on: what came after is certainly missing."""
    data = tmp_path / "data"
    promoting = {"restore_command": "false", "recovery_target_action": "promote"}
    _install(kept, tmp_path / "base", data, {**settings, **promoting})
    with embedded.running(data, shared_buffers_mb=32) as server:
        connection = await asyncpg.connect(server.url)
        async with asyncio.timeout(60):
            while await connection.fetchval("SELECT pg_is_in_recovery()"):  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.05)
        await connection.close()
        refused = crm_graph("user", "list", "--data", str(data), **KEYS)
        assert refused.returncode == 2, refused.stderr
        assert why in refused.stderr
        assert crm_graph("restore", "--in-place", "--data", str(data), **KEYS).returncode == 0
        assert crm_graph("user", "list", "--data", str(data), **KEYS).returncode == 0


async def test_a_point_in_time(kept: Kept, tmp_path: Path) -> None:
    """A base backup that is followed holds every moment since; one that it does not hold is named, and leaves
    nothing."""
    folder, moments = tmp_path / "followed", list[datetime]()
    with embedded.running(kept.data, shared_buffers_mb=32) as server:
        what = [COMMAND, "backup", str(folder), "--follow", "--data", str(kept.data)]
        following = await asyncio.create_subprocess_exec(*what, env=environment(**KEYS))
        async with asyncio.timeout(120):
            while not list(folder.glob("wal/*.partial")):
                assert following.returncode is None
                await asyncio.sleep(0.05)
        connection = await asyncpg.connect(server.url)
        await connection.execute("CREATE TABLE moment (number int)")
        for number in range(3):
            await connection.execute("INSERT INTO moment VALUES ($1)", number)
            moments.append(await connection.fetchval("SELECT clock_timestamp()"))
            await connection.execute("SELECT pg_switch_wal()")
        flushed = "SELECT flush_lsn >= $1::text::pg_lsn FROM pg_stat_replication"
        last = await connection.fetchval("SELECT pg_current_wal_flush_lsn()::text")
        async with asyncio.timeout(60):
            while not await connection.fetchval(flushed, last):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        following.send_signal(signal.SIGTERM)
        assert await following.wait() == 0
        done = crm_graph("backup", str(folder), "--unfollow", "--data", str(kept.data), **KEYS)
        assert done.returncode == 0, done.stderr
        assert await connection.fetchval("SELECT count(*) FROM pg_replication_slots") == 0
        await connection.execute("DROP TABLE moment")
        await connection.close()

    def restored(name: str, *more: str, folder: Path = folder) -> subprocess.CompletedProcess[str]:
        return crm_graph("restore", str(folder), "--data", str(tmp_path / name), *more, **KEYS)

    done = restored("then", "--until", f"{moments[1].astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}")
    assert done.returncode == 0, done.stderr
    assert await _moments(tmp_path / "then") == [0, 1]
    assert restored("all").returncode == 0
    assert await _moments(tmp_path / "all") == [0, 1, 2]
    late = restored("later", "--until", "2099-01-01T00:00:00Z")
    assert late.returncode == 2
    assert "recovery ended before configured recovery target was reached" in late.stderr
    assert not list((tmp_path / "later").glob("pg-*"))
    for name, spoil in (("hole", Path.unlink), ("damaged", _damage)):
        spoiled = shutil.copytree(folder, tmp_path / f"{name}-backup")
        spoil(sorted(spoiled.glob("wal/*"))[-2])
        refused = restored(name, folder=spoiled)
        assert refused.returncode == 2, refused.stderr
        assert "a segment is missing or damaged" in refused.stderr
        assert not list((tmp_path / name).glob("pg-*"))
        assert restored(name, "--incomplete", folder=spoiled).returncode == 0
        found = await _moments(tmp_path / name)
        assert found == [0, 1, 2][: len(found)]
        assert len(found) < 3


def _damage(segment: Path) -> None:
    with segment.open("r+b") as file:
        file.seek(120)
        file.write(b"damaged!")


async def test_what_is_followed_has_no_hole(kept: Kept, tmp_path: Path) -> None:
    """The server keeps its log from before the base backup is begun, and for a backup that failed not at all; a part of
    a segment does not take the place of the whole one in the base backup."""
    folder = tmp_path / "followed"
    slots = f"SELECT restart_lsn FROM pg_replication_slots WHERE slot_name = '{slot_of(folder)}'"
    with embedded.running(kept.data, shared_buffers_mb=32) as server:
        connection = await asyncpg.connect(server.url)
        with suppress(ZeroDivisionError):
            async with kept_log(server.url, folder):
                (kept_from,) = await connection.fetch(slots)
                assert kept_from[0] is not None
                raise ZeroDivisionError
        assert await connection.fetch(slots) == []
        await connection.close()
    done = crm_graph("backup", str(folder), "--base", "--data", str(kept.data), **KEYS)
    assert done.returncode == 0, done.stderr
    for command in ("--follow", "--unfollow"):
        refused = crm_graph("backup", str(folder), command, "--data", str(kept.data), **KEYS)
        assert refused.returncode == 2
        assert "the server keeps no log for" in refused.stderr
    (whole,) = folder.glob("base/pg_wal/0*")
    (folder / "wal" / f"{whole.name}.partial").write_bytes(bytes(whole.stat().st_size))
    done = crm_graph("restore", str(folder), "--data", str(tmp_path / "data"), **KEYS)
    assert done.returncode == 0, done.stderr


def test_nobody_else_reads_a_backup(kept: Kept, tmp_path: Path) -> None:
    """Also in a folder that was there."""
    for kind in ((), ("--base",)):
        folder = tmp_path / "-".join(("backup", *kind))
        folder.mkdir(mode=0o755)
        done = crm_graph("backup", str(folder), *kind, "--data", str(kept.data), **KEYS)
        assert done.returncode == 0, done.stderr
        files = [path for path in folder.rglob("*") if path.is_file()]
        assert files
        assert [path for path in files if path.stat().st_mode & 0o077] == []


async def _moments(data: Path) -> list[int]:
    with embedded.running(data, shared_buffers_mb=32) as server:
        connection = await asyncpg.connect(server.url)
        rows = await connection.fetch("SELECT number FROM moment ORDER BY number")
        await connection.close()
    return [row[0] for row in rows]
