"""`make fuzz`: many generated operations under both executors, over the same demo data as the tests.

    FUZZ_OPERATIONS=20000 FUZZ_SEED=1 FUZZ_PROCESSES=2 make fuzz

An operation is a generated document, which is run two or three times (see `generate.py`). Prints progress, every
difference with its seed and its operation made small, and which coordinates of the schema were never executed without
an error. Goes on after a difference and stops after 20; the exit code is 1 if there was one. `FUZZ_ONLY=17` runs the
one operation of that number.
"""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import os
import sys
import tempfile
import time
import warnings
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from queue import Empty
from typing import Any

from crm_graph.api.schema import make_schema
from crm_graph.db import embedded
from tests.executor.comparing import Twins
from tests.executor.coverage import coordinates
from tests.executor.generate import generate
from tests.executor.known import learn
from tests.executor.shrink import describe, shrink
from tests.support.database import clone, make_template, savepoint

OPERATIONS = int(os.environ.get("FUZZ_OPERATIONS", "20000"))
SEED = os.environ.get("FUZZ_SEED", "1")
PROCESSES = int(os.environ.get("FUZZ_PROCESSES", "2"))
ONLY = os.environ.get("FUZZ_ONLY")
MAX_DIFFERENCES = 20
BATCH = 250
"""Operations per transaction and per plan cache; progress is told after each."""


@dataclass(slots=True)
class Progress:
    """What a process tells after each batch."""

    counts: Counter[str]
    coverage: set[str]
    differences: list[str] = field(default_factory=list)


def work(url: str, process: int, numbers: list[int], told: Any) -> None:
    """Run the operations of these numbers in a process of its own; ends by telling None."""
    try:
        asyncio.run(_work(url, process, numbers, told))
    finally:
        told.put(None)


async def _work(url: str, process: int, numbers: list[int], told: Any) -> None:
    warnings.filterwarnings("ignore", "coroutine .* was never awaited")  # of fields that graphql-core gave up
    database_url = await clone(url, f"crm_fuzz_{process}")
    schema = make_schema()
    for start in range(0, len(numbers), BATCH):
        async with savepoint(database_url) as database:
            twins = Twins(schema, database)
            known = await learn(twins.graph)
            for number in numbers[start : start + BATCH]:
                differences, _ = await twins.compare(generate(schema, known, f"{SEED}:{number}"))
                if differences:
                    alone = Twins(schema, database)
                    text = f"operation {number}: {describe(await shrink(alone, differences[0]))}"
                    told.put(Progress(Counter(), set(), [text]))
        told.put(Progress(Counter(asdict(twins.counts)), twins.coverage))
        gc.collect()


def main() -> int:
    """Run everything and return the exit code."""
    numbers = [int(ONLY)] if ONLY else list(range(OPERATIONS))
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="crm-fuzz-", ignore_cleanup_errors=True) as directory:
        base = Path(directory)
        base.chmod(0o755)
        with embedded.running(base / "postgres") as server:
            asyncio.run(make_template(server.url))
            total = _run(server.url, numbers, started)
    _report(total, time.monotonic() - started)
    return 1 if total.differences or total.counts["documents"] < len(numbers) else 0


def _run(url: str, numbers: list[int], started: float) -> Progress:
    context = multiprocessing.get_context("spawn")
    told = context.Queue()
    total = Progress(Counter(), set())
    processes = [
        context.Process(target=work, args=(url, index, numbers[index::PROCESSES], told)) for index in range(PROCESSES)
    ]
    for each in processes:
        each.start()
    try:
        ended = 0
        while ended < PROCESSES and len(total.differences) < MAX_DIFFERENCES:
            try:
                progress = told.get(timeout=5)
            except Empty:
                if any(each.is_alive() for each in processes):
                    continue
                break
            if progress is None:
                ended += 1
            else:
                _add(total, progress, len(numbers), started)
    finally:
        for each in processes:
            if len(total.differences) >= MAX_DIFFERENCES:
                each.terminate()
            each.join()
    return total


def _add(total: Progress, progress: Progress, wanted: int, started: float) -> None:
    total.counts += progress.counts
    total.coverage |= progress.coverage
    for difference in progress.differences:
        total.differences.append(difference)
        print(f"\n--- difference {len(total.differences)}\n{difference}\n", flush=True)
    done, seconds = total.counts["documents"], time.monotonic() - started
    print(
        f"{done:6} of {wanted} operations, {total.counts['runs']} runs, {done / seconds:.0f} a second,"
        f" {len(total.differences)} differences, {len(total.coverage)} coordinates",
        flush=True,
    )


def _report(total: Progress, seconds: float) -> None:
    wanted = coordinates(make_schema().core)
    never = sorted(wanted - total.coverage)
    counts = total.counts
    print(
        f"\n{counts['documents']} operations in {counts['runs']} runs under both executors, {seconds:.0f} s:"
        f" {len(total.differences)} differences; {counts['refused']} operations were refused,"
        f" {counts['errors']} runs had errors, {counts['statements']} statements were counted.\n"
        f"{len(wanted) - len(never)} of {len(wanted)} coordinates were executed without an error. Never:"
    )
    print("\n".join(f"  {each}" for each in never) or "  none")


if __name__ == "__main__":
    sys.exit(main())
