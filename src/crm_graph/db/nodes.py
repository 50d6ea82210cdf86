"""The workers of a Citus cluster, as the coordinator reaches them: of one that is down, its workspaces are away and no
others. On a plain Postgres there are none, which is found out once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from crm_graph.db.connecting import LOST, close, connect
from crm_graph.db.two_phases import is_joined, recover, settle
from crm_graph.kernel.beside import beside
from crm_graph.kernel.errors import OperatorError

log = logging.getLogger(__name__)

INTERVAL_S = 5.0
SOON_S = 0.5
"""How long until it looks again while the coordinator is away, or what its crash left in doubt is not settled."""
ANSWER_S = 3
"""A worker that does not answer the coordinator so long is down."""
_IS_CLUSTER = "SELECT to_regclass('pg_dist_node') IS NOT NULL"
_WORKERS = """
    SELECT nodename AS host, nodeport AS port FROM pg_dist_node
    WHERE noderole = 'primary' AND isactive AND groupid <> 0 ORDER BY 1, 2
"""
_LIE = """
    SELECT nodename AS host, nodeport AS port, array_agg(given.id) AS workspaces FROM unnest($1::uuid[]) AS given (id)
    JOIN pg_dist_placement ON shardid = get_shard_id_for_distribution_column(
        (SELECT logicalrelid FROM pg_dist_partition WHERE partmethod = 'h' LIMIT 1), given.id)
    JOIN pg_dist_node USING (groupid) WHERE noderole = 'primary' GROUP BY 1, 2
"""
_ANSWERS = "SELECT citus_check_connection_to_node($1, $2)"


@dataclass(slots=True)
class Nodes:
    """What was found last: each worker, as `host:port`, and whether it answers."""

    answers: Mapping[str, bool] = field(default_factory=dict)
    in_doubt: int | None = None
    """Up to where a crash of the coordinator has left transactions in doubt; None for none (`two_phases.py`)."""

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
            pause_s = SOON_S
            with suppress(*LOST, asyncpg.PostgresError, OperatorError):  # the coordinator is away: others tell
                if not await self.look(url):
                    return
                pause_s = INTERVAL_S if self.in_doubt is None else SOON_S
            await asyncio.sleep(pause_s)

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
        is_back = any(up and not self.answers.get(name, True) for name, up in answers.items())
        self.answers = answers
        await self._settle(url, is_back=is_back)
        return True

    async def _settle(self, url: str, *, is_back: bool) -> None:
        connection = await connect(url, timeout_s=None)
        try:
            if await is_joined(connection):
                self.in_doubt = await settle(connection, self.down, self.in_doubt)
                if is_back:
                    await recover(connection)
        finally:
            await close(connection)


async def _answers(url: str, host: str, port: int) -> bool:
    connection = await connect(url, timeout_s=ANSWER_S)
    try:
        return bool(await connection.fetchval(_ANSWERS, host, port))
    except TimeoutError:
        return False
    finally:
        await close(connection)


async def on_workers_down(connection: asyncpg.Connection[Any], workspaces: Sequence[str]) -> set[str]:
    """Return which of these workspaces lie on a worker that does not answer the coordinator; none on a plain Postgres.
    A question for each worker that has one of them."""
    if not workspaces or not await connection.fetchval(_IS_CLUSTER):
        return set()
    down: set[str] = set()
    for row in await connection.fetch(_LIE, workspaces):
        try:
            answers = await connection.fetchval(_ANSWERS, row["host"], row["port"], timeout=ANSWER_S)
        except TimeoutError:
            answers = False
        if not answers:
            down.update(row["workspaces"])
    return down
