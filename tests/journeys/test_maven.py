"""A real sales pipeline comes in by its recipe, over the command line, and is queried over GraphQL."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from crm_graph.graph.schema.build import BuiltSchema
from tests.conftest import SHARED_DATA
from tests.support.database import clone, savepoint
from tests.support.graph import Graph

MAVEN = SHARED_DATA / "maven-crm"
RECIPE = Path(__file__).with_name("maven-crm.toml")
CRM_GRAPH = Path(sys.executable).with_name("crm-graph")
QUERY = """
{
  won: opportunities(where: {stage: {name: {eq: "Won"}}}) { totalCount }
  lost: opportunities(where: {stage: {name: {eq: "Lost"}}}) { totalCount }
  engaging: opportunities(where: {stage: {name: {eq: "Engaging"}}}) { totalCount }
  prospecting: opportunities(where: {stage: {name: {eq: "Prospecting"}}}) { totalCount }
  nobody: opportunities(where: {customerId: {isNull: true}}) { totalCount }
  sum: opportunitiesAggregate(where: {status: {eq: WON}}) { groups { sum { amount } } }
  customers { totalCount }
  subsidiaries: customers(where: {parentId: {isNull: false}}) { totalCount }
  products { totalCount }
  members { totalCount }
  misspelt: opportunities(where: {lines: {some: {product: {name: {eq: "GTXPro"}}}}}) { totalCount }
  pro: opportunities(where: {lines: {some: {product: {name: {eq: "GTX Pro"}}}}}) { totalCount }
}
"""
EXPECTED = {
    "won": {"totalCount": 4238},
    "lost": {"totalCount": 2473},
    "engaging": {"totalCount": 1589},
    "prospecting": {"totalCount": 500},
    "nobody": {"totalCount": 1425},
    "sum": {"groups": [{"sum": {"amount": "10005534"}}]},
    "customers": {"totalCount": 85},
    "subsidiaries": {"totalCount": 15},
    "products": {"totalCount": 7},
    "members": {"totalCount": 1 + 6 + 35},
    "misspelt": {"totalCount": 0},
    "pro": {"totalCount": 1480},
}


def crm_graph(url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command against a database."""
    environment = {**os.environ, "DATABASE_URL": url}
    environment.pop("CRM_DATA_DIR", None)
    command = [str(CRM_GRAPH), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)


@pytest.mark.skipif(not MAVEN.is_dir(), reason="the shared data is not here")
async def test_the_maven_pipeline_comes_in_and_again_changes_nothing(
    postgres: str, database_url: str, schema: BuiltSchema
) -> None:
    url = await clone(postgres, f"crm_maven_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}")
    admin = ("--email", "admin@maven.example", "--role", "admin", "--new-workspace", "maven")
    assert crm_graph(url, "user", "create", *admin).returncode == 0
    command = ("import", "--recipe", str(RECIPE), str(MAVEN), "--workspace", "maven")
    dry = crm_graph(url, *command, "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert "dry run: nothing was written" in dry.stderr
    first = crm_graph(url, *command)
    assert first.returncode == 0, first.stderr
    assert "8,800 rows: 8,800 inserted, 0 updated, 0 unchanged" in first.stderr
    async with savepoint(url) as database:
        graph = Graph(schema, database)
        assert await graph.data(QUERY, workspace="maven") == EXPECTED
        events = await graph.value("SELECT count(*) FROM event")
    again = crm_graph(url, *command)
    assert again.returncode == 0, again.stderr
    assert "8,800 rows: 0 inserted, 0 updated, 8,800 unchanged" in again.stderr
    async with savepoint(url) as database:
        assert await Graph(schema, database).value("SELECT count(*) FROM event") == events


def test_a_command_that_is_wrong_is_explained_without_a_traceback(tmp_path: Path) -> None:
    for arguments, what in (
        (("import", "spaceship", "x.csv"), "there is no import of 'spaceship'"),
        (("import", "customer"), "give an entity and a file"),
        (("import", "customer", "x.csv", "--map", "name"), "is not COLUMN=FIELD"),
        (("import", "--recipe", str(tmp_path / "none.toml"), str(tmp_path)), "cannot read"),
    ):
        found = crm_graph("postgresql://nobody@127.0.0.1:1/none", *arguments)
        assert (found.returncode, "Traceback" in found.stderr) == (2, False), found.stderr
        assert what in found.stderr
