"""The commands of the vault, as an operator runs them: import, rotate, a new master key, and what `doctor` says."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import asyncpg
import pytest

from tests.support.database import clone
from tests.support.server import crm_graph

pytestmark = pytest.mark.xdist_group("commands")

NUMBER = "11010519491231002X"
OLD, NEW = "old master key of the tests 00000001", "new master key of the tests 00000002"


@pytest.fixture
async def url(postgres: str, database_url: str) -> str:
    assert database_url, "makes the template"
    return await clone(postgres, f"vault_commands_{abs(hash(database_url)) % 10**6}")


async def test_a_life_of_keys(url: str, tmp_path: Path) -> None:
    file = tmp_path / "contacts.csv"
    file.write_text(f"external_id,customer,name,national_id\nK1,Acme,Kim,{NUMBER}\n", encoding="utf-8")
    customers = tmp_path / "customers.csv"
    customers.write_text("name\nAcme\n", encoding="utf-8")
    settings = {"DATABASE_URL": url, "CRM_VAULT_CACHE_MS": "200"}

    def command(*arguments: str, code: int = 0, master_key: str = OLD) -> str:
        done = crm_graph(*arguments, **{**settings, "CRM_MASTER_KEY": master_key})
        assert done.returncode == code, done
        assert "Traceback" not in done.stderr
        assert NUMBER not in done.stderr
        return done.stdout + done.stderr

    assert "nothing is encrypted yet" in command("keys", "rotate")
    command("import", "customer", str(customers), "--workspace", "demo")
    command("import", "contact", str(file), "--workspace", "demo")

    def exported(master_key: str = OLD) -> list[dict[str, str]]:
        text = command(
            "export", "contact", "--workspace", "demo", "--columns", "external_id,national_id", master_key=master_key
        )
        return [row for row in csv.DictReader(io.StringIO(text)) if row["external_id"] == "K1"]

    assert exported() == [{"external_id": "K1", "national_id": NUMBER}]
    assert "demo: data key 2, 3 values encrypted anew" in command("keys", "rotate")
    assert "data 2" in command("keys", "status")
    refused = command("export", "contact", "--workspace", "demo", code=2, master_key=NEW)
    assert "CRM_MASTER_KEY" in refused
    assert "fix:" in refused
    both = f"{NEW},{OLD}"
    assert "crm-graph keys rewrap" in command("doctor", master_key=both)
    assert "3 keys are wrapped by environment:" in command("keys", "rewrap", master_key=both)
    assert "already" in command("keys", "rewrap", master_key=both)
    assert exported(master_key=NEW) == [{"external_id": "K1", "national_id": NUMBER}]
    assert "CRM_MASTER_KEY" in command("doctor", code=1)
    assert "the keys of workspaces are wrapped by environment:" in command("doctor", master_key=NEW)
    assert "CRM_MASTER_KEY is not set" in command("doctor", code=1, master_key="")
    connection = await asyncpg.connect(url)
    stored = await connection.fetchval("SELECT national_id FROM contact WHERE external_id = 'K1'")
    await connection.close()
    assert stored.startswith("e1.2.")


def test_a_key_service_that_cannot_be_loaded_is_named(tmp_path: Path) -> None:
    done = crm_graph("doctor", "--data", str(tmp_path / "data"), CRM_KEY_SERVICE="no.such:module")
    assert done.returncode == 1
    assert "CRM_KEY_SERVICE" in done.stderr
