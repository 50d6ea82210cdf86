"""The import contracts hold, and each of them is broken by an import that it forbids."""

from __future__ import annotations

import shutil
import subprocess
import sys
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
