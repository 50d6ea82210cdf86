"""The table that people read, and `build/bench.json` for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from tests.benchmarks.rounds import Figures
from tests.benchmarks.servers import FLOORS, OURS, OURS_AS_REP, PEERS
from tests.benchmarks.settings import BUILD, Settings

_COLUMNS = ("rps", "p50_ms", "p99_ms", "server_cpu_ms", "postgres_cpu_ms", "rss_mb")


def show(operation: str, found: Mapping[str, Figures]) -> None:
    """Print the figures of one operation."""
    print(f"\n{operation:18}" + "".join(f"{name:>17}" for name in _COLUMNS))
    for server, figures in found.items():
        print(f"  {server:16}" + "".join(f"{figures[name]:17,}" for name in _COLUMNS), flush=True)


def ratios(found: Mapping[str, Figures]) -> dict[str, dict[str, float]]:
    """Return ours in multiples of each of the others, by requests per second."""
    return {
        own: {other: round(found[own]["rps"] / found[other]["rps"], 2) for other in (*PEERS, *FLOORS) if other in found}
        for own in (OURS, OURS_AS_REP)
        if own in found
    }


def show_ratios(operations: Mapping[str, Mapping[str, Figures]]) -> None:
    """Print what ours are multiples of."""
    others = [*PEERS, *FLOORS]
    print("\nrequests/s, x of" + " " * 20 + "".join(f"{other:>14}" for other in others))
    for operation, found in operations.items():
        for own, of in ratios(found).items():
            cells = (f"{of[other]:.2f}" if other in of else "-" for other in others)
            print(f"  {operation:14}{own:20}" + "".join(f"{cell:>14}" for cell in cells))


def write(operations: Mapping[str, Mapping[str, Figures]], settings: Settings, ceiling_rps: float) -> None:
    """Write `build/bench.json`."""
    chosen: dict[str, Any] = {
        name: sorted(value) if isinstance(value, frozenset) else value for name, value in asdict(settings).items()
    }
    content = {
        "settings": chosen,
        "load_generator_rps": round(ceiling_rps),
        "operations": operations,
        "ratios": {operation: ratios(found) for operation, found in operations.items()},
    }
    (BUILD / "bench.json").write_text(json.dumps(content, indent=2) + "\n")
