"""Cases in a process of their own: what the long run hands out."""

from __future__ import annotations

import asyncio
import os
from collections import Counter

from crm_graph.api.schema import make_schema
from tests.permissions.oracle.cases import Case
from tests.permissions.oracle.judge import SETTINGS, Judge
from tests.permissions.oracle.shrink import describe
from tests.support.database import clone, savepoint
from tests.support.graph import Graph


def run_batch(url: str, seed: str, numbers: list[int]) -> tuple[Counter[str], list[str]]:
    """Run the cases of these numbers; returns what was compared, and the differences."""
    return asyncio.run(_run_batch(url, seed, numbers))


async def _run_batch(url: str, seed: str, numbers: list[int]) -> tuple[Counter[str], list[str]]:
    differences = []
    async with savepoint(await clone(url, f"crm_oracle_{os.getpid()}")) as database:
        judge = Judge(Graph(make_schema(), database, SETTINGS))
        for number in numbers:
            found = await Case(judge, f"{seed}:{number}").run()
            if found is not None:
                differences.append(f"case {number}: {describe(found)}")
    return judge.counts, differences
