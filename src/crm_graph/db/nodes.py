"""The workers of a Citus cluster, as the coordinator reaches them: of one that is down, its workspaces are away and no
others. On a plain Postgres there are none, which is found out once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import asyncpg

from crm_graph.db.connecting import LOST, close, connect
from crm_graph.kernel.beside import beside
from crm_graph.kernel.errors import OperatorError

log = logging.getLogger(__name__)

INTERVAL_S = 5
ANSWER_S = 3
"""A worker that does not answer the coordinator so long is down."""
_IS_CLUSTER = "SELECT to_regclass('pg_dist_node') IS NOT NULL"
_WORKERS = """
    SELECT nodename AS host, nodeport AS port FROM pg_dist_node
    WHERE noderole = 'primary' AND isactive AND groupid <> 0 ORDER BY 1, 2
"""
_ANSWERS = "SELECT citus_check_connection_to_node($1, $2)"


@dataclass(slots=True)
class Nodes:
    """What was found last: each worker, as `host:port`, and whether it answers."""

    answers: Mapping[str, bool] = field(default_factory=dict)

    @property
    def down(self) -> list[str]:
        """The workers that do not answer."""
        return [name for name, up in self.answers.items() if not up]

    def tell(self) -> dict[str, list[str]]:
        """Return what a probe says beside whether it is ready: nothing where all answer."""
        return {"workersDown": self.down} if self.down else {}

    @asynccontextmanager
    async def watched(self, url: str) -> AsyncIterator[None]:
        """Keep looking, as long as the block lasts."""
        async with beside(self._watch(url)):
            yield

    async def _watch(self, url: str) -> None:
        while True:
            with suppress(*LOST, asyncpg.PostgresError, OperatorError):  # the coordinator is away: others tell
                if not await self.look(url):
                    return
            await asyncio.sleep(INTERVAL_S)

    async def look(self, url: str) -> bool:
        """Look once, on a connection of its own; return whether there is anything to look at."""
        connection = await connect(url, timeout_s=ANSWER_S)
        try:
            if not await connection.fetchval(_IS_CLUSTER):
                return False
            workers = await connection.fetch(_WORKERS)
        finally:
            await close(connection)
        answering = await asyncio.gather(*(_answers(url, row["host"], row["port"]) for row in workers))
        answers = {f"{row['host']}:{row['port']}": up for row, up in zip(workers, answering, strict=True)}
        for name, up in answers.items():
            if up != self.answers.get(name, True):
                log.warning("the worker %s %s", name, "answers again" if up else "is down: its workspaces are away")
        self.answers = answers
        return True


async def _answers(url: str, host: str, port: int) -> bool:
    connection = await connect(url, timeout_s=ANSWER_S)
    try:
        return bool(await connection.fetchval(_ANSWERS, host, port))
    except TimeoutError:
        return False
    finally:
        await close(connection)
