"""`crm-graph roles`: what is exported is applied to nothing new; what is wrong changes nothing."""

from __future__ import annotations

from pathlib import Path

import asyncpg
import pytest

from tests.support.database import clone
from tests.support.server import crm_graph

FILE = """
[junior]
description = "Learns to sell."
[junior.grants.Opportunity]
read = "TEAM"
default = "READ"
[junior.grants.Opportunity.fields]
amount = ["READ OWN", "MASKED ALL"]
"""


@pytest.fixture
async def url(postgres: str, database_url: str) -> str:
    """The address of a database of its own: the commands commit."""
    return await clone(postgres, "crm_roles")


async def _events(url: str) -> list[str]:
    connection = await asyncpg.connect(url)
    rows = await connection.fetch("SELECT type FROM event WHERE entity = 'Role' ORDER BY seq")
    await connection.close()
    return [row["type"] for row in rows]


async def test_roles_as_a_file(url: str, tmp_path: Path) -> None:
    file = tmp_path / "roles.toml"
    file.write_text(FILE)

    def run(*arguments: str) -> tuple[int, str]:
        done = crm_graph("roles", *arguments, "--workspace", "demo", DATABASE_URL=url)
        return done.returncode, done.stdout + done.stderr

    code, said = run("apply", str(file), "--dry-run")
    assert (code, await _events(url)) == (0, [])
    assert "junior: + Opportunity.amount: READ OWN, MASKED ALL" in said
    assert run("apply", str(file))[0] == 0
    assert await _events(url) == ["RoleCreated"]
    code, exported = run("export")
    assert code == 0
    again = tmp_path / "again.toml"
    again.write_text(exported)
    assert run("apply", str(again)) == (0, "0 roles changed\n")
    file.write_text(FILE.replace('read = "TEAM"', 'read = "ALL"'))
    code, said = run("apply", str(file))
    assert "junior: + Opportunity: read ALL" in said
    assert "junior: - Opportunity: read TEAM" in said
    file.write_text(FILE.replace('read = "TEAM"', 'read = ["OWN", "TEAM"]'))
    code, said = run("apply", str(file))
    assert "junior: + Opportunity: read OWN, TEAM" in said
    again.write_text(run("export")[1])
    assert run("apply", str(again)) == (0, "0 roles changed\n")
    file.write_text(FILE.replace('read = "TEAM"', 'read = ["NONE", "TEAM"]'))
    code, said = run("apply", str(file))
    assert (code, "junior.grants.Opportunity.read: name at least one row scope, or NONE alone" in said) == (2, True)
    file.write_text(FILE.replace("amount", "secret"))
    code, said = run("apply", str(file))
    assert code == 2
    assert "roles.toml: junior.grants.Opportunity.fields.secret: there is no such field" in said
    file.write_text("")
    assert run("apply", str(file), "--prune")[0] == 0
    assert await _events(url) == ["RoleCreated", "RoleUpdated", "RoleUpdated", "RoleDeleted"]
