"""Runs a case under both executors and says where they differ, in bytes, errors and paths included."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from itertools import count
from typing import Any
from unittest.mock import patch

import orjson
from aiodataloader import DataLoader

from crm_graph.graph.running.execution import Executor
from crm_graph.graph.schema.build import BuiltSchema
from crm_graph.identity.tokens import Claims
from crm_graph.kernel.settings import Settings
from tests.executor.answers import Body, comparable, risen, withheld
from tests.executor.cases import Case, Run
from tests.executor.coverage import executed
from tests.executor.promised import promised_statements
from tests.executor.surgery import without_fields
from tests.executor.values import MAX_ITEMS
from tests.support.database import SavepointDatabase
from tests.support.graph import Graph

NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
REFERENCE, PLANNED = "reference", "planned"
SETTINGS = Settings(max_errors=100_000, query_timeout_ms=120_000, mutation_timeout_ms=120_000, history_wait_ms=0)
"""All errors are compared; and that the machine stands still for a quarter of a minute is no difference."""
NOT_EXECUTED = frozenset({"VALIDATION_FAILED", "PARSE_FAILED", "COST_LIMIT_EXCEEDED"})


@dataclass(frozen=True, slots=True)
class Difference:
    """What is wrong about a run: the executors differ, more was sent than planned, or an answer is INTERNAL."""

    what: str
    case: Case
    run: Run
    answers: dict[str, str]


@dataclass(slots=True)
class Counts:
    """What was done so far."""

    documents: int = 0
    runs: int = 0
    refused: int = 0
    """Documents that were not valid, or over a limit."""
    errors: int = 0
    """Runs with an error."""
    statements: int = 0


class Twins:
    """Both executors over one database in a savepoint; each keeps its caches from case to case."""

    def __init__(self, schema: BuiltSchema, database: SavepointDatabase) -> None:
        self.graph = _CachedClaims(schema, database, SETTINGS, clock=lambda: NOW)
        self.executors: dict[str, Executor] = {}
        self.counts = Counts()
        self.coverage: set[str] = set()
        """The coordinates that were executed in answers without errors."""
        self._repeated_keys = False
        self._watch_keys()
        self.renew()

    def _watch_keys(self) -> None:
        """Note when a statement is sent with the same key twice, which no answer shows."""
        one = self.graph.database.one
        fetch = one.fetch

        async def watched(query: str, *arguments: Any) -> Any:
            for argument in arguments:
                if isinstance(argument, list) and len(argument) > MAX_ITEMS:
                    self._repeated_keys |= len(set(argument)) < len(argument)
            return await fetch(query, *arguments)

        one.fetch = watched  # type: ignore[method-assign]

    def renew(self) -> None:
        """Forget all plans."""
        for kind in (REFERENCE, PLANNED):
            self.graph.use(kind)
            self.executors[kind] = self.graph.engine.execution.executor

    async def compare(self, case: Case) -> tuple[list[Difference], list[tuple[Run, Body]]]:
        """Run a case and return the differences, and each run with its answer."""
        self.counts.documents += 1
        differences: list[Difference] = []
        answered: list[tuple[Run, Body]] = []
        waiting = list(case.runs)
        for index, run in enumerate(waiting):
            found, answer = await self._compare_run(case, run)
            differences += found
            answered.append((run, answer))
            if "data" not in answer and answer["errors"][0]["extensions"]["code"] in NOT_EXECUTED:
                self.counts.refused += 1
                break
            if index == 0:
                waiting.extend(case.follow(run, answer))  # the loop goes on over these
        return differences, answered

    async def _compare_run(self, case: Case, run: Run) -> tuple[list[Difference], Body]:
        self.counts.runs += 1
        bodies = {kind: await self.answer(kind, case, run) for kind in (REFERENCE, PLANNED)}
        sent = self.graph.statements
        body = bodies[PLANNED]
        reached = self._reached(case, run, body)
        certain = self._reached(case, run, body, certain=True) if withheld(body) else reached
        answers = dict(zip(bodies, comparable(list(bodies.values()), certain), strict=True))
        found: list[Difference] = []

        def differs(what: str) -> None:
            found.append(Difference(what, case, run, answers))

        if answers[PLANNED] != answers[REFERENCE] and not await self._rose_from_elsewhere(case, run, bodies):
            differs("the answers differ")
        if "errors" in body:
            self.counts.errors += 1
            if any(
                error["extensions"]["code"] == "INTERNAL"
                for each in bodies.values()
                for error in each.get("errors", ())
            ):
                differs("an answer is INTERNAL")
        elif not case.mutation:
            self.counts.statements += sent
            self.coverage |= reached
            promised = promised_statements(self.executors[PLANNED])
            if promised is not None and sent > promised:
                differs(f"{sent} statements were sent and {promised} planned")
            if promised is not None and self._repeated_keys:
                differs("a key was sent twice")
        elif case.mutation:
            self.coverage |= reached
        return found, body

    async def _rose_from_elsewhere(self, case: Case, run: Run, bodies: dict[str, Body]) -> bool:
        """Return whether the executors only name different ones of several errors that made the same null rise.

        Then they agree on the document without the field that the one names, and without the field that the other
        names: an error that is not there, or one that was missed, would show.
        """
        data = {orjson.dumps(body.get("data")) for body in bodies.values()}
        if len(data) > 1:
            return False
        rest, counts = replace(case, runs=[run], paged=[]), replace(self.counts)
        for body in bodies.values():
            places = {(place["line"], place["column"]) for error in risen([body]) for place in error["locations"]}
            if not places:
                return False
            differences, _ = await self.compare(without_fields(rest, places))
            self.counts = counts
            if differences:
                return False
        return True

    def _reached(self, case: Case, run: Run, body: Body, *, certain: bool = False) -> set[str]:
        if not body.get("data"):
            return set()
        operation = self.graph.engine.documents.get(case.source).operation(case.operation)
        return executed(self.graph.schema.core, operation, run.variables, body["data"], certain=certain)

    async def answer(self, kind: str, case: Case, run: Run) -> Body:
        """Return the response of one executor; what it wrote is rolled back."""
        self.graph.engine.execution.executor = self.executors[kind]
        self._repeated_keys = False
        savepoint = self.graph.database.one.connection.transaction()
        before = asyncio.all_tasks()
        await savepoint.start()
        try:
            with numbered_ids(), _loading(1 if case.one_by_one and kind == REFERENCE else None):
                return await self.graph.execute(
                    case.source,
                    run.variables,
                    role=run.role,
                    workspace=run.workspace,
                    operation=case.operation,
                    on_error=run.on_error,
                )
        except (Exception, asyncio.CancelledError) as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            trace = traceback.format_exc(limit=-3)
            return {"errors": [{"message": f"escaped: {error!r}\n{trace}", "extensions": {"code": "INTERNAL"}}]}
        finally:
            await _settled(before)
            await savepoint.rollback()


class _CachedClaims(Graph):
    """A graph that looks each member up once."""

    _claims: dict[tuple[str, str], Claims]

    async def claims(self, role: str, workspace: str = "demo") -> Claims:
        """See `Graph`."""
        known = self.__dict__.setdefault("_claims", {})
        if (role, workspace) not in known:
            known[role, workspace] = await super().claims(role, workspace)
        claims: Claims = known[role, workspace]
        return claims


@contextmanager
def numbered_ids() -> Iterator[None]:
    """Give new rows ids that follow from their order, so that both executors make the same ones."""
    numbers = count(1)
    with patch("crm_graph.db.base.new_id", lambda: f"01f0{next(numbers):08x}70008000000000000000"):
        yield


@contextmanager
def _loading(keys_at_once: int | None) -> Iterator[None]:
    """Limit the reference's loaders: one key at a time, a source cannot mix up what belongs to which key.

    The sources are what both executors share, so this is how an error in their batching is seen.
    """
    with patch("crm_graph.graph.running.reference.DataLoader", partial(DataLoader, max_batch_size=keys_at_once)):
        yield


async def _settled(before: set[asyncio.Task[Any]]) -> None:
    """Wait for tasks that an execution left behind: loaders of the reference go on when their field was given up."""
    quiet = 0
    while quiet < 3:
        left = asyncio.all_tasks() - before
        quiet = 0 if left else quiet + 1
        if left:
            await asyncio.wait(left)
        else:
            await asyncio.sleep(0)
