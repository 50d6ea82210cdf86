"""Measuring: the answers are compared, every server is warmed up, then rounds go from server to server."""

from __future__ import annotations

import asyncio
import json
import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from crm_graph.kernel.errors import OperatorError
from tests.benchmarks.compare import comparable, first_difference
from tests.benchmarks.dataset import postgres_cpu_seconds
from tests.benchmarks.load import Measured, once, run
from tests.benchmarks.servers import OURS, OURS_AS_REP
from tests.benchmarks.settings import WARM_UP_SECONDS, Settings
from tests.benchmarks.targets import Target

Figures = dict[str, float]
_SEALING_S = 300
_MOVES = "SELECT count(*) FROM stage_move WHERE workspace_id = $1"
_EVENTS = "SELECT count(*) FROM event WHERE workspace_id = $1"
_SEALED = """
    WITH last AS (
        SELECT event_xid::text::xid8 AS xid, event_seq AS seq FROM audit_head
        ORDER BY event_xid DESC, event_seq DESC LIMIT 1)
    SELECT EXISTS (SELECT FROM last) AND NOT EXISTS (
        SELECT FROM event WHERE (event.xid, event.seq) > ((SELECT xid FROM last), (SELECT seq FROM last)))
"""


@dataclass(slots=True)
class _Rounds:
    """What the rounds of one server measured."""

    load: list[Measured] = field(default_factory=list)
    server_cpu_ms: list[float] = field(default_factory=list)
    postgres_cpu_ms: list[float] = field(default_factory=list)

    def figures(self, resident_mb: float) -> Figures:
        """Return the medians."""

        def median(of: Callable[[Measured], float]) -> float:
            return statistics.median(of(each) for each in self.load)

        return {
            "rps": round(median(lambda each: each.rps), 1),
            "p50_ms": round(median(lambda each: each.percentile(0.5)), 2),
            "p99_ms": round(median(lambda each: each.percentile(0.99)), 2),
            "server_cpu_ms": round(statistics.median(self.server_cpu_ms), 3),
            "postgres_cpu_ms": round(statistics.median(self.postgres_cpu_ms), 3),
            "rss_mb": round(resident_mb, 1),
        }


async def compare(operation: str, targets: list[Target]) -> None:
    """Raise OperatorError unless all servers answer with the same rows; the representative may see fewer."""
    first: tuple[str, Any] | None = None
    for target in targets:
        answers = []
        with target.server.awake():
            for sample in target.samples:
                try:
                    answer = json.loads(await once(target.server.port, sample))
                except RuntimeError as error:
                    raise OperatorError(
                        f"{operation}: {target.name} answers {error}", "see its log in build/"
                    ) from None
                if answer.get("errors"):
                    raise OperatorError(f"{operation}: {target.name} answers {answer['errors']}", "correct its request")
                answers.append(comparable(operation, answer["data"]))
        if not all(answers):
            raise OperatorError(f"{operation}: {target.name} answers without a row", "look at its documents")
        if target.name == OURS_AS_REP:
            continue
        first = first or (target.name, answers)
        difference = first_difference(first[1], answers)
        if difference is not None:
            raise OperatorError(
                f"{operation}: {first[0]} and {target.name} answer different rows: {difference}",
                "a ratio between them would mean nothing: correct the one that is wrong",
            )


async def measure(
    operation: str, targets: list[Target], settings: Settings, connection: asyncpg.Connection[Any], workspace: str
) -> dict[str, Figures]:
    """Return the medians of each server."""
    for target in targets:
        with target.server.awake():
            await run(target.server.port, target.scripts, WARM_UP_SECONDS)
    rounds = {target.name: _Rounds() for target in targets}
    for _ in range(settings.rounds):
        for target in targets:
            before = await _written(connection, workspace) if operation == "move" else 0
            if target.name in (OURS, OURS_AS_REP):
                await _sealed(target, connection)
            await _round(target, settings.seconds, rounds[target.name])
            if operation == "move":
                written = await _written(connection, workspace) - before
                _check_written(target.name, written, 2 * len(rounds[target.name].load[-1].latencies))
    return {target.name: rounds[target.name].figures(target.server.resident_mb()) for target in targets}


async def _sealed(target: Target, connection: asyncpg.Connection[Any]) -> None:
    """Wait until ours has sealed the events of the seed and of the other servers, which do not: what it does in a round
    is the work of that round."""
    with target.server.awake():
        async with asyncio.timeout(_SEALING_S):
            while not await connection.fetchval(_SEALED):  # noqa: ASYNC110 - another process does it
                await asyncio.sleep(0.05)


async def _round(target: Target, seconds: float, into: _Rounds) -> None:
    with target.server.awake():
        await asyncio.sleep(0.1)  # what woke up settles
        server, postgres = target.server.cpu_seconds(), postgres_cpu_seconds()
        measured = await run(target.server.port, target.scripts, seconds)
        count = len(measured.latencies)
        into.server_cpu_ms.append((target.server.cpu_seconds() - server) * 1000 / count)
        into.postgres_cpu_ms.append((postgres_cpu_seconds() - postgres) * 1000 / count)
        into.load.append(measured)


def _check_written(name: str, written: int, expected: int) -> None:
    if written != expected:
        raise OperatorError(
            f"move: {name} wrote {written} rows of history and log instead of {expected}",
            "a server that does less cannot be compared: correct it",
        )


async def _written(connection: asyncpg.Connection[Any], workspace: str) -> int:
    """Return how many entries of histories and of the log there are: a move writes one of each."""
    moves, events = [await connection.fetchval(query, workspace) for query in (_MOVES, _EVENTS)]
    return int(moves) + int(events)
