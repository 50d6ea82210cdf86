"""A case: one document and several runs of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from crm_graph.executor.results import OnError


@dataclass(frozen=True, slots=True)
class Run:
    """One execution of a case's document."""

    role: str
    workspace: str
    variables: dict[str, Any]
    on_error: OnError = OnError.PROPAGATE


@dataclass(slots=True)
class Paged:
    """A connection whose page is given by variables: its response key, and the variables."""

    key: str
    first: str
    last: str
    after: str
    before: str


@dataclass(slots=True)
class Case:
    """A document and its runs; `paged` lets `follow` page on from an answer."""

    seed: str
    source: str
    runs: list[Run]
    operation: str | None = None
    mutation: bool = False
    one_by_one: bool = False
    """Whether the reference loads keys one by one."""
    paged: list[Paged] = field(default_factory=list)

    def follow(self, run: Run, answer: dict[str, Any]) -> Iterator[Run]:
        """Return runs that go on from the cursors of an answer: after its first one, and before its last one."""
        for paged in self.paged:
            cursors = list(dict.fromkeys(_cursors(answer.get("data"), paged.key, within=False)))
            if not cursors:
                continue
            page = {paged.first, paged.last, paged.after, paged.before}
            kept = {name: value for name, value in run.variables.items() if name not in page}
            yield replace(run, variables={**kept, paged.first: 2, paged.after: cursors[0]})
            yield replace(run, variables={**kept, paged.last: 2, paged.before: cursors[-1]})


def _cursors(value: Any, key: str, *, within: bool) -> Iterator[str]:
    if isinstance(value, list):
        for item in value:
            yield from _cursors(item, key, within=within)
    elif isinstance(value, dict):
        for name, item in value.items():
            if within and name in {"startCursor", "endCursor"} and isinstance(item, str):
                yield item
            yield from _cursors(item, key, within=name == key or (within and name == "pageInfo"))
