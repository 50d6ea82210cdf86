"""`serve` and `worker` do not start without a database that is named, nor with secrets that open nothing of it."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from tests.support.database import clone
from tests.support.server import crm_graph, free_port

SECRET, OTHER = "the secret of this very installation", "the secret of another installation entirely"
MASTER, OTHER_MASTER = "a master key of this very installation", "a master key of another installation"
GIVEN = {"CRM_SECRET": SECRET, "CRM_MASTER_KEY": MASTER}


@pytest.fixture
async def url(postgres: str) -> AsyncIterator[str]:
    """A database of this test's, which an installation with those secrets has written to."""
    name = f"crm_refused_{uuid4().hex[:8]}"
    address = await clone(postgres, name)
    made = await asyncio.to_thread(
        crm_graph,
        "user",
        "create",
        "--email",
        "a@example.com",
        "--role",
        "admin",
        "--new-workspace",
        "mine",
        DATABASE_URL=address,
        **GIVEN,
    )
    assert made.returncode == 0, made.stderr
    rewrapped = await asyncio.to_thread(crm_graph, "keys", "rewrap", DATABASE_URL=address, **GIVEN)
    assert rewrapped.returncode == 0, rewrapped.stderr
    yield address
    server = await asyncpg.connect(postgres)
    await server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    await server.close()


def started(command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Start a service and return how it ended."""
    return crm_graph(command, "--port", str(free_port()), **environment)


@pytest.mark.parametrize("command", ["serve", "worker"])
def test_no_database_is_named(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever lies in the folder where it was started is not served for want of a variable."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".crm").mkdir()
    done = started(command)
    assert done.returncode == 2
    assert "DATABASE_URL is not set" in done.stderr
    assert "--data .crm" in done.stderr
    assert list((tmp_path / ".crm").iterdir()) == []
    named = crm_graph(command, "--port", str(free_port()), "--data", ".crm")
    assert "there is no database in .crm" in named.stderr  # an explicit one is looked at


@pytest.mark.parametrize("command", ["serve", "worker"])
async def test_another_master_key(url: str, command: str) -> None:
    done = await asyncio.to_thread(started, command, DATABASE_URL=url, CRM_SECRET=SECRET, CRM_MASTER_KEY=OTHER_MASTER)
    assert done.returncode == 2
    assert "wrapped by a master key that is not given here" in done.stderr
    assert "put that key back at the end of CRM_MASTER_KEY" in done.stderr


@pytest.mark.parametrize("command", ["serve", "worker"])
async def test_another_secret(url: str, command: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute("UPDATE audit_head SET key_id = key_id")
    sealed = await connection.fetchval("SELECT count(*) FROM audit_head")
    await connection.close()
    if not sealed:
        pytest.fail("the template has an audit trail")
    done = await asyncio.to_thread(started, command, DATABASE_URL=url, CRM_SECRET=OTHER, CRM_MASTER_KEY=MASTER)
    assert done.returncode == 2
    assert "CRM_SECRET is not this installation's" in done.stderr
    assert "put that secret back into CRM_SECRET" in done.stderr
