"""The meter of storage: measures what each workspace stores. Runs where the relay runs, in one process of all."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg

from crm_graph.db.base import Base
from crm_graph.db.usage import measure, write_usage
from crm_graph.events.election import run_elected
from crm_graph.kernel.clock import Clock, system_clock

ADVISORY_LOCK = 7_226_101_005


class StorageMeter:
    """One of all processes holds the lock and measures, the others wait for it."""

    def __init__(
        self, url: str, *, every_s: float = 300, election_ms: int = 5_000, clock: Clock = system_clock
    ) -> None:
        self._url = url
        self._every_s = every_s
        self._election_ms = election_ms
        self._clock = clock

    async def run(self) -> None:
        """Measure until cancelled."""
        await run_elected("storage meter", self._url, ADVISORY_LOCK, self._election_ms, self._work)

    async def _work(self, connection: asyncpg.Connection[Any]) -> None:
        while True:
            await self.measure(connection)
            await asyncio.sleep(self._every_s)

    async def measure(self, connection: asyncpg.Connection[Any]) -> None:
        """Measure all tables once, and keep it."""
        started = self._clock()
        await write_usage(connection, await measure(connection, Base.metadata.sorted_tables), started)
