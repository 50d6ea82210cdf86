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


def ratios(found: Mapping[str, Figures], figure: str = "rps") -> dict[str, dict[str, float]]:
    """Return ours in multiples of each of the others; times as multiples of how much less they are."""

    def ratio(own: Figures, other: Figures) -> float:
        more, less = (own, other) if figure == "rps" else (other, own)
        return round(more[figure] / max(less[figure], 1e-9), 2)

    return {
        own: {other: ratio(found[own], found[other]) for other in (*PEERS, *FLOORS) if other in found}
        for own in (OURS, OURS_AS_REP)
        if own in found
    }


def show_ratios(operations: Mapping[str, Mapping[str, Figures]]) -> None:
    """Print what ours are multiples of; more than 1 is better in all tables."""
    others = [*PEERS, *FLOORS]
    titles = {
        "rps": "requests/s: ours are x of",
        "server_cpu_ms": "CPU of the server: x of ours is",
        "postgres_cpu_ms": "CPU of Postgres: x of ours is",
    }
    for figure, title in titles.items():
        print(f"\n{title:36}" + "".join(f"{other:>14}" for other in others))
        for operation, found in operations.items():
            for own, of in ratios(found, figure).items():
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
