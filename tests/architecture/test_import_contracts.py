"""The import contracts hold, and each of them is broken by an import that it forbids."""

from __future__ import annotations

import configparser
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINT = Path(sys.executable).with_name("lint-imports")

VIOLATIONS = [
    ("layers", "db/pool.py", "import crm_graph.work"),
    ("layers", "newfolder/__init__.py", ""),
    ("domains", "domains/catalog/products/operations.py", "import crm_graph.domains.sales.pipelines.model"),
    ("slices", "domains/catalog/products/model.py", "import crm_graph.domains.catalog.products.operations"),
    ("domain halves know no GraphQL and no HTTP", "domains/orders/orders/lines.py", "import strawberry"),
    (
        "domain halves know no GraphQL and no HTTP",
        "domains/service/tickets/model.py",
        "import crm_graph.graph.records.types",
    ),
    ("domain halves know no GraphQL and no HTTP", "domains/identity/clients/documents.py", "import graphql"),
    ("the executor knows graphql-core only", "executor/fields.py", "import sqlalchemy"),
    ("the kernel knows the standard library only", "kernel/ids.py", "import orjson"),
    ("permissions know no entity", "permissions/roles.py", "import crm_graph.domains"),
    ("no cycles between siblings", "graph/records/scalars.py", "import crm_graph.graph.schema.build"),
]


DOMAINS = ROOT / "src" / "crm_graph" / "domains"
GRAPHQL = {"graph", "exports"}
"""Files and folders of a slice that may know GraphQL."""


def _listed(contract: str, option: str) -> set[str]:
    """Return what a contract lists under an option."""
    parser = configparser.ConfigParser()
    parser.read(ROOT / ".importlinter")
    return set(parser[f"importlinter:contract:{contract}"][option].split())


def test_every_slice_has_a_contract_of_its_layers() -> None:
    slices = {f"crm_graph.domains.{each.parent.parent.name}.{each.parent.name}" for each in DOMAINS.glob("*/*/*.py")}
    contracts = ("slices", "accounts", "authorizations", "jobs")
    assert slices == set().union(*(_listed(each, "containers") for each in contracts))


def test_every_half_that_knows_no_graphql_is_held_to_it() -> None:
    patterns = _listed("domain-halves", "source_modules")
    for path in DOMAINS.glob("*/*/*.py"):
        if path.stem in GRAPHQL or path.stem == "__init__":
            continue
        name = f"crm_graph.domains.{path.parent.parent.name}.{path.parent.name}.{path.stem}"
        assert any(fnmatch(name, each) for each in patterns), f"{name} is in no pattern of `domain-halves`"


def _lint(root: Path) -> subprocess.CompletedProcess[str]:
    environment = {"PYTHONPATH": str(root / "src"), "PATH": "/usr/bin:/bin"}
    command = [str(LINT), "--no-cache", "--config", str(root / ".importlinter")]
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=120)


def test_every_contract_is_kept() -> None:
    found = _lint(ROOT)
    assert found.returncode == 0, found.stdout
    assert "0 broken" in found.stdout


@pytest.mark.parametrize(("contract", "file", "line"), VIOLATIONS, ids=lambda value: str(value)[:40])
def test_a_violation_breaks_its_contract(tmp_path: Path, contract: str, file: str, line: str) -> None:
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / ".importlinter", tmp_path)
    path = tmp_path / "src" / "crm_graph" / file
    path.parent.mkdir(exist_ok=True)
    with path.open("a") as module:
        module.write(f"\n{line}\n")
    found = _lint(tmp_path)
    assert found.returncode == 1, found.stdout
    assert f"{contract} BROKEN" in found.stdout
