"""Upgrades without an outage: code runs on a later schema that only adds to its own, and says so where it does not."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import asyncpg
import httpx
import pytest

from crm_graph.cli.operating.migrating import bring_to
from crm_graph.db import migrate, revisions
from crm_graph.db.revisions import Revision, require_current, served_by, state
from crm_graph.kernel.errors import OperatorError
from tests.support.database import clone
from tests.support.server import COMMAND, crm_graph, environment, free_port

ADDS = """
import sqlalchemy as sa
from alembic import op

revision = "2099_01_01_adds"
down_revision = "{head}"
branch_labels = None
depends_on = None
adds_only = {adds_only}


def upgrade():
    op.execute("SET LOCAL lock_timeout = '200ms'")
    op.add_column("customer", sa.Column("mood", sa.Text()))
    op.create_table("mood", sa.Column("id", sa.Uuid(), primary_key=True))


def downgrade():
    op.execute("SET LOCAL lock_timeout = '200ms'")
    op.drop_table("mood")
    op.drop_column("customer", "mood")
"""
SECRET = "s" * 40
READS = "{ customers(first: 2) { nodes { id name version } } }"
WRITES = 'mutation { createCustomer(input: {name: "Upgraded %d"}) { errors { code } } }'


@pytest.fixture
async def url(postgres: str) -> AsyncIterator[str]:
    """A database of its own, at this version's revision, with data."""
    name = f"upgrades_{uuid4().hex}"
    yield await clone(postgres, name)
    server = await asyncpg.connect(postgres)
    await server.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await server.close()


@pytest.fixture
def head() -> str:
    return revisions.revisions()[0]


def next_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, head: str, *, adds_only: bool) -> None:
    """Let this process be of a version that has one more migration."""
    place = tmp_path / "migrations"
    shutil.copytree(revisions.migrations(), place, ignore=shutil.ignore_patterns("__pycache__"))
    (place / "versions" / "2099_01_01_adds.py").write_text(ADDS.format(head=head, adds_only=adds_only))
    for module in (revisions, migrate):
        monkeypatch.setattr(module, "migrations", lambda: place)


def started(port: int, given: dict[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen([COMMAND, "serve", "--port", str(port)], env=given, stderr=subprocess.DEVNULL)


def this_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()


def test_what_a_schema_serves() -> None:
    known = {
        name: Revision(name, follows, adds_only)
        for name, follows, adds_only in (("a", None, False), ("b", "a", True), ("c", "b", True), ("d", "c", False))
    }
    assert [served_by(name, known) for name in "abcd"] == [[], ["a"], ["b", "a"], []]


@pytest.mark.parametrize(
    "name", [name for name, each in revisions.revisions()[1].items() if each.adds_only] or ["none does"]
)
def test_what_only_adds(name: str) -> None:
    """New tables, indexes and columns, and nothing that code of before would stumble over."""
    text = (revisions.migrations() / "versions" / f"{name}.py").read_text()
    up = text[text.index("def upgrade") : text.index("def downgrade")]
    assert set(re.findall(r"\bop\.(\w+)\(", up)) <= {"create_table", "create_index", "add_column", "execute", "f"}
    assert all("SET LOCAL" in said for said in re.findall(r"op\.execute\((.*)\)", up))
    assert all(
        "nullable=True" in said or "server_default" in said for said in re.findall(r"op\.add_column\((.*)\)", up)
    )


async def test_code_runs_on_what_only_adds(
    url: str, head: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    next_version(tmp_path, monkeypatch, head, adds_only=True)
    await migrate.upgrade(url)
    assert (await state(url)).current == "2099_01_01_adds"
    this_version(monkeypatch)
    await require_current(url)
    said = await asyncio.to_thread(crm_graph, "migrate", DATABASE_URL=url)
    assert (said.returncode, "2099_01_01_adds" in said.stderr) == (0, True)
    next_version(tmp_path / "again", monkeypatch, head, adds_only=True)
    await bring_to(url, head)  # what `crm-graph migrate --to` does
    this_version(monkeypatch)
    assert (await state(url)).up_to_date
    with pytest.raises(OperatorError, match="there is no revision nonsense"):
        await bring_to(url, "nonsense")


async def test_code_does_not_run_on_what_changes(
    url: str, head: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    next_version(tmp_path, monkeypatch, head, adds_only=False)
    await migrate.upgrade(url)
    this_version(monkeypatch)
    with pytest.raises(OperatorError, match="newer than this code"):
        await require_current(url)


async def test_nothing_fails_while_a_process_is_upgraded_under(
    url: str, head: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reads and writes go on over an upgrade and the way back; processes start on both."""
    said = await asyncio.to_thread(
        crm_graph, "token", "--role", "admin", "--workspace", "demo", DATABASE_URL=url, CRM_SECRET=SECRET
    )
    token = said.stdout
    headers = {"Authorization": f"Bearer {token.strip()}"}
    ports = [free_port(), free_port()]
    given = environment(DATABASE_URL=url, CRM_SECRET=SECRET)
    processes = [started(ports[0], given)]
    done, stop = 0, asyncio.Event()

    async def ask(client: httpx.AsyncClient, port: int, query: str) -> dict[str, object]:
        answer = await client.post(f"http://127.0.0.1:{port}/graphql", json={"query": query}, headers=headers)
        body: dict[str, object] = answer.json()
        assert "errors" not in body, body
        return body

    async def use(client: httpx.AsyncClient) -> None:
        nonlocal done
        while not stop.is_set():
            await ask(client, ports[0], READS)
            await ask(client, ports[0], WRITES % done)
            done += 1

    async def ready(client: httpx.AsyncClient, port: int) -> None:
        async with asyncio.timeout(120):
            while True:
                try:
                    if (await client.get(f"http://127.0.0.1:{port}/ready")).status_code == 200:
                        return
                except httpx.TransportError:
                    await asyncio.sleep(0.1)

    async def passed(more: int) -> None:
        """Wait until so many rounds more are done, or one has failed."""
        goal = done + more
        while done < goal and not using.done():  # noqa: ASYNC110 - what is counted is requests
            await asyncio.sleep(0.02)

    try:
        async with httpx.AsyncClient(timeout=60) as client:
            await ready(client, ports[0])
            using = asyncio.create_task(use(client))
            await passed(5)
            next_version(tmp_path, monkeypatch, head, adds_only=True)
            await migrate.upgrade(url)
            this_version(monkeypatch)
            await passed(5)
            processes.append(started(ports[1], given))
            await ready(client, ports[1])
            await ask(client, ports[1], READS)
            next_version(tmp_path / "again", monkeypatch, head, adds_only=True)
            await migrate.downgrade(url, head)
            this_version(monkeypatch)
            await passed(5)
            stop.set()
            await using
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(60)
    connection = await asyncpg.connect(url)
    assert await connection.fetchval("SELECT count(*) FROM customer WHERE name LIKE 'Upgraded %'") == done
    await connection.close()
