"""A long run of the oracle:

    ORACLE_CASES=2000 ORACLE_SEED=1 ORACLE_PROCESSES=2 python -m tests.permissions.oracle

A case is a random workspace with random roles, in which members query, page, change and watch (`cases.py`). Prints
progress, every difference with its case made small, and what was compared. Stops after 10 differences; the exit code is
1 if there was one. `ORACLE_ONLY=17` runs the one case of that number.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from crm_graph.db import embedded
from tests.permissions.oracle.batches import run_batch
from tests.support.database import make_template

CASES = int(os.environ.get("ORACLE_CASES", "500"))
SEED = os.environ.get("ORACLE_SEED", "1")
PROCESSES = int(os.environ.get("ORACLE_PROCESSES", "2"))
ONLY = os.environ.get("ORACLE_ONLY")
MAX_DIFFERENCES = 10
BATCH = 20
"""Cases that share a database transaction, the plans and the documents of an engine."""


def main() -> int:
    """Run everything and return the exit code."""
    numbers = [int(ONLY)] if ONLY else list(range(CASES))
    batches = [numbers[start : start + BATCH] for start in range(0, len(numbers), BATCH)]
    started, counts, differences = time.monotonic(), Counter[str](), 0
    with tempfile.TemporaryDirectory(prefix="crm-oracle-", ignore_cleanup_errors=True) as directory:
        base = Path(directory)
        base.chmod(0o755)
        with embedded.running(base / "postgres") as server:
            asyncio.run(make_template(server.url))
            with ProcessPoolExecutor(PROCESSES, multiprocessing.get_context("spawn")) as pool:
                running = [pool.submit(run_batch, server.url, SEED, batch) for batch in batches]
                for done in as_completed(running):
                    more, found = done.result()
                    counts += more
                    differences += len(found)
                    for text in found:
                        print(f"\n--- {text}\n", flush=True)
                    _progress(counts, len(numbers), differences, time.monotonic() - started)
                    if differences >= MAX_DIFFERENCES:
                        pool.shutdown(cancel_futures=True)
                        break
    print("\n".join(f"{count:9,} {name}" for name, count in sorted(counts.items())))
    return 1 if differences or counts["worlds"] < len(numbers) else 0


def _progress(counts: Counter[str], wanted: int, differences: int, seconds: float) -> None:
    print(
        f"{counts['worlds']:6} of {wanted} cases, {counts['operations']:,} operations, {counts['values']:,} values"
        f" compared, {differences} differences, {seconds:.0f} s",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
