"""Runs operations through the real engine and compares what comes back with what the oracle says."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from crm_graph.graph.running.execution import make_executor
from crm_graph.identity.tokens import Claims
from crm_graph.kernel.settings import Settings
from tests.permissions.oracle.answer import Answer, CursorOf, Oracle
from tests.permissions.oracle.documents import Document, Position
from tests.permissions.oracle.sight import Sight
from tests.support.graph import Graph

EXECUTORS = ("planned", "reference")
SETTINGS = Settings(max_cost=10**9, max_statements=10**6, max_aliases=10**4, max_fields=10**6)
"""Limits are not what is judged here."""


@dataclass(slots=True)
class Difference:
    """Something that was answered otherwise than it must be."""

    what: str
    sight: Sight
    source: str
    variables: Mapping[str, Any]
    details: list[str] = field(default_factory=list)


class Failed(Exception):
    """Raised when an operation was answered with an INTERNAL error, which none may be."""

    def __init__(self, difference: Difference) -> None:
        super().__init__(difference.what)
        self.difference = difference


class Judge:
    """Asks as the members of a world, and counts what was compared."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.counts: Counter[str] = Counter()
        self.executors = {name: make_executor(name, graph.schema) for name in EXECUTORS}
        self.cursors: dict[CursorOf, str] = {}
        """The cursors of the last answer."""

    async def run(
        self, sight: Sight, source: str, variables: Mapping[str, Any], executor: str = "planned"
    ) -> dict[str, Any]:
        """Execute an operation as a member and return the response, without its request's id."""
        self.graph.engine.execution.executor = self.executors[executor]
        claims = claims_of(sight)
        body = await self.graph.execute(source, variables, claims=claims)
        for error in body.get("errors", ()):
            error["extensions"].pop("requestId", None)
            if error["extensions"]["code"] == "INTERNAL":
                raise Failed(Difference("failed: the log says why", sight, source, variables))
        self.counts["operations"] += 1
        return body

    async def ask(
        self, sight: Sight, document: Document, executor: str = "planned"
    ) -> tuple[dict[str, Any], Difference | None]:
        """Run a query as a member and compare its answer with the oracle's."""
        expected = Oracle(sight).answer(document)
        source, variables = document.text()
        body = await self.run(sight, source, variables, executor)
        self.counts["forbidden" if expected.forbidden else "answered"] += 1
        found = list(self.compare(expected, body, executor))
        if not found:
            return body, None
        return body, Difference(f"{executor}: {found[0]}", sight, source, variables, found)

    def compare(self, expected: Answer, body: Mapping[str, Any], executor: str) -> Iterator[str]:
        """Yield what differs between an answer and what it must be."""
        self.cursors = {}
        yield from self.differences(expected.data, body.get("data"), "data")
        withheld, wanted = body.get("extensions", {}).get("withheld", []), sorted(expected.withheld)
        # The reference finds out while it runs, and does not run what there are no parents for.
        if withheld != wanted and (executor == "planned" or not expected.withheld.issuperset(withheld)):
            yield f"withheld: must be {wanted}, is {withheld}"
        errors = body.get("errors", [])
        codes = sorted({error["extensions"]["code"] for error in errors})
        if codes != (["FORBIDDEN"] if expected.forbidden else []):
            messages = [error["message"] for error in errors]
            yield f"errors: must be {expected.forbidden or 'none'}, are {codes} {messages}"

    def differences(self, expected: Any, actual: Any, path: str) -> Iterator[str]:
        """Yield where two values differ. A cursor must be one text for one row, and another for another."""
        self.counts["values"] += 1
        if isinstance(expected, CursorOf):
            if not isinstance(actual, str) or self.cursors.setdefault(expected, actual) != actual:
                yield f"{path}: must be the cursor of {expected}, is {actual!r}"
        elif isinstance(expected, dict) and isinstance(actual, dict):
            if expected.keys() != actual.keys():
                yield f"{path}: must have {sorted(expected)}, has {sorted(actual)}"
            for key in expected:
                if key in actual:
                    yield from self.differences(expected[key], actual[key], f"{path}.{key}")
        elif isinstance(expected, list) and isinstance(actual, list):
            if len(expected) != len(actual):
                yield f"{path}: must have {len(expected)} items, has {len(actual)}"
            for index, (one, other) in enumerate(zip(expected, actual, strict=False)):
                yield from self.differences(one, other, f"{path}[{index}]")
        elif expected != actual or type(expected) is not type(actual):
            yield f"{path}: must be {_short(expected)}, is {_short(actual)}"

    def positions(self) -> dict[str, list[Position]]:
        """Return the cursors of the last answer's movable pages, by place."""
        found: dict[str, list[Position]] = {}
        for marker, cursor in self.cursors.items():
            if marker.movable:
                found.setdefault(marker.place, []).append(Position(cursor, marker.values))
        return found


def claims_of(sight: Sight) -> Claims:
    """Return the claims of what a member shows."""
    shown = sight.credential
    expires = datetime.now(UTC) + timedelta(hours=1)
    return Claims(sight.world.workspace, sight.member, expires, client_id=shown.client, scope=shown.scope)


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) < 400 else f"{text[:400]}..."
