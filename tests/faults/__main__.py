"""`make soak`: the soak for as long as one likes. SOAK_SECONDS and SOAK_SEED set its time and its seed."""

from __future__ import annotations

import asyncio
import os
import random
import sys
import tempfile
from pathlib import Path

from tests.faults.soak import soak


def main() -> int:
    """Run it, print what was counted, and return whether it failed."""
    seconds = float(os.environ.get("SOAK_SECONDS") or 120)
    seed = int(os.environ.get("SOAK_SEED") or random.SystemRandom().randrange(10**6))
    sys.stdout.write(f"soaking for {seconds:.0f} s with seed {seed}\n")
    sys.stdout.flush()
    with tempfile.TemporaryDirectory(prefix="crm-soak-", ignore_cleanup_errors=True) as directory:
        report = asyncio.run(soak(Path(directory), seconds, seed))
    sys.stdout.write(f"{report}\n")
    return 0 if report.is_clean else 1


if __name__ == "__main__":
    sys.exit(main())
