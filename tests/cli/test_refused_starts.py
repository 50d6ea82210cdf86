"""`serve` and `worker` do not start without a database that is named, nor with secrets that open nothing of it."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from crm_graph.app import chainer
from crm_graph.db.connecting import connect
from crm_graph.db.pool import Database
from crm_graph.graph.schema.build import BuiltSchema
from crm_graph.identity.installation import Installation, make_vault
from crm_graph.identity.secrets import secrets_of_environment
from crm_graph.kernel.settings import Settings
from crm_graph.vault.master import MasterKeys
from tests.support.database import clone
from tests.support.server import crm_graph, free_port

SECRET, OTHER = "the secret of this very installation", "the secret of another installation entirely"
MASTER, OTHER_MASTER = "a master key of this very installation", "a master key of another installation"


@pytest.fixture
async def url(postgres: str, schema: BuiltSchema) -> AsyncIterator[str]:
    """A database of this test's, in which an installation with those secrets has sealed its trail and made keys."""
    name = f"crm_refused_{uuid4().hex[:8]}"
    address = await clone(postgres, name)
    secrets = secrets_of_environment({"CRM_SECRET": SECRET})
    installed = Installation(address, secrets, key_service=MasterKeys.of({"CRM_MASTER_KEY": MASTER}, secrets))
    database, connection = await Database.open(address), await connect(address)
    await connection.execute("DELETE FROM workspace_key")
    workspace_id = await connection.fetchval("SELECT id FROM workspace LIMIT 1")
    await make_vault(installed, Settings(), database).keys(database.primary_reader(), workspace_id)
    assert await chainer(installed, Settings(), schema).chain_batch(connection)
    await connection.close()
    await database.close()
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
    done = await asyncio.to_thread(started, command, DATABASE_URL=url, CRM_SECRET=OTHER, CRM_MASTER_KEY=MASTER)
    assert done.returncode == 2
    assert "CRM_SECRET is not this installation's" in done.stderr
    assert "put that secret back into CRM_SECRET" in done.stderr


MEANT_OTHERWISE = {
    "CRM_METRICS_PORT": "70000",
    "CRM_READ_POOL_SIZE": "9" * 20,
    "CRM_TCP_KEEPALIVE_SECONDS": "99999",
    "CRM_TRACES_URL": "collector",
    "CRM_PROVIDER_PRIVATE": "here",
    "CRM_SMTP_URL": "mail.example.com",
    "CRM_BREACHED_PASSWORDS": "/nowhere/at/all",
}


@pytest.mark.parametrize("variable", MEANT_OTHERWISE)
@pytest.mark.parametrize("command", ["serve", "worker"])
def test_a_setting_that_cannot_be_meant(command: str, variable: str) -> None:
    """Two lines, which name it: no traceback, nothing that fails when somebody asks, and none that says it serves."""
    done = started(command, DATABASE_URL="postgresql://127.0.0.1:1/x", **{variable: MEANT_OTHERWISE[variable]})
    what, fix = done.stderr.splitlines()
    assert done.returncode == 2
    assert what.startswith("error: ")
    assert variable in what
    assert fix.startswith("  fix: ")


@pytest.mark.parametrize("host", ["no-such-host.invalid", "203.0.113.7"])
def test_an_address_of_another_machine(host: str) -> None:
    done = started("worker", DATABASE_URL="postgresql://127.0.0.1:1/x", CRM_METRICS_HOST=host, CRM_METRICS_PORT="9100")
    assert done.returncode == 2
    what, _ = done.stderr.splitlines()
    assert f"cannot listen on {host}:9100" in what
