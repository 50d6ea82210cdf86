"""`python -m tests.permissions.doors`: visit every door as every built-in role, and say how much was tried."""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from crm_graph.api.schema import make_schema
from crm_graph.db import embedded
from tests.permissions.doors.all_doors import DOORS
from tests.permissions.doors.visit import ROOMY, visit
from tests.permissions.matrix import MATRIX
from tests.permissions.world import make_world
from tests.support.database import clone, make_template, savepoint
from tests.support.graph import Graph


def main() -> int:
    """Visit everything and return the exit code: 1 when something was answered that should not be."""
    with tempfile.TemporaryDirectory(prefix="crm-doors-", ignore_cleanup_errors=True) as directory:
        base = Path(directory)
        base.chmod(0o755)
        with embedded.running(base / "postgres") as server:
            return asyncio.run(_visit_all(server.url))


async def _visit_all(url: str) -> int:
    await make_template(url)
    schema, tried, wrong, started = make_schema(), Counter[str](), list[str](), time.process_time()
    async with savepoint(await clone(url, "crm_doors")) as database:
        world = await make_world(Graph(schema, database, ROOMY))
        for role in MATRIX.roles:
            for door in DOORS.values():
                async with world.undone():
                    made = await visit(world, role)
                    await door(made)
                tried += made.tried
                wrong += made.wrong
    for name, count in sorted(tried.items()):
        print(f"{count:8,}  {name}")
    for each in wrong:
        print(f"\n{each}")
    seconds = time.process_time() - started
    print(
        f"\n{sum(tried.values()):,} combinations of {len(MATRIX.roles)} roles, coordinates and doors,"
        f" {len(wrong)} answered otherwise than the matrix says; {seconds:.0f} s of this process"
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
