"""What `make bench` takes from the environment."""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

BUILD = Path("build")
CONNECTIONS = 16
"""Keep-alive connections of the load generator."""
WARM_UP_SECONDS = 2.5
"""Until V8 has compiled what is hot: PostGraphile needs ten times the CPU in its first second."""


def _names(variable: str) -> frozenset[str]:
    return frozenset(name.strip() for name in os.environ.get(variable, "").split(",") if name.strip())


@dataclass(frozen=True, slots=True)
class Settings:
    """`operations` and `servers` empty means all."""

    customers: int
    rounds: int
    seconds: float
    operations: frozenset[str]
    servers: frozenset[str]

    @classmethod
    def from_environment(cls) -> Settings:
        """Read BENCH_CUSTOMERS, BENCH_ROUNDS, BENCH_SECONDS, BENCH_OPERATIONS and BENCH_SERVERS (names, commas)."""
        return cls(
            customers=int(os.environ.get("BENCH_CUSTOMERS", "100000")),
            rounds=int(os.environ.get("BENCH_ROUNDS", "3")),
            seconds=float(os.environ.get("BENCH_SECONDS", "2")),
            operations=_names("BENCH_OPERATIONS"),
            servers=_names("BENCH_SERVERS"),
        )

    def measures(self, server: str) -> bool:
        """Return whether a server is wanted."""
        return not self.servers or server in self.servers


def end_on_sigterm() -> None:
    """Let SIGTERM end this process as an exception does, so that the servers that it started are ended too."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
