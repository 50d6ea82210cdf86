"""What the product sends to Postgres while tests run, each text once; what tests send themselves is left alone."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from asyncpg import Connection
from asyncpg.pool import PoolConnectionProxy

import crm_graph.api.schema  # noqa: F401 - so that every table of a slice is in the metadata
from crm_graph.db.base import Base
from crm_graph.db.placement import placements
from tests.support.crossing import reason
from tests.support.placing import violations

METHODS = ("fetch", "fetchrow", "fetchval", "execute", "executemany", "cursor", "prepare")
THROUGH = (
    "/crm_graph/db/session.py",
    "/crm_graph/db/lending.py",
    "/crm_graph/db/pool.py",
    "/tests/support/database.py",
)
"""What sends for whoever calls it, the stand-in of the pools among it."""
OTHERS = ("/tests/", "/site-packages/")


@dataclass(slots=True)
class Sent:
    """The texts that were sent."""

    seen: set[str] = field(default_factory=set)
    fresh: list[str] = field(default_factory=list)
    """Those that were not judged yet."""

    def note(self, text: str) -> None:
        """Take note of a text."""
        if text not in self.seen:
            self.seen.add(text)
            self.fresh.append(text)

    def misplaced(self) -> Mapping[str, Sequence[str]]:
        """Return what is wrong with each text that was sent since this was asked last, but for those with a reason."""
        fresh, self.fresh = self.fresh, []
        placed = placements(Base)
        found = {text: violations(text, placed) for text in fresh if reason(text) is None}
        return {text: wrong for text, wrong in found.items() if wrong}


@contextmanager
def recording() -> Iterator[Sent]:
    """Note what is sent until this ends, before it is sent."""
    sent = Sent()
    kept = {(owner, name): owner.__dict__[name] for owner in (Connection, PoolConnectionProxy) for name in METHODS}
    for (owner, name), original in kept.items():
        setattr(owner, name, _noting(original, sent))
    try:
        yield sent
    finally:
        for (owner, name), original in kept.items():
            setattr(owner, name, original)


def _noting(original: Any, sent: Sent) -> Any:
    def method(self: Any, query: Any, *arguments: Any, **options: Any) -> Any:
        frame = sys._getframe(1)
        while frame.f_code.co_filename.endswith(THROUGH) and frame.f_back is not None:
            frame = frame.f_back
        if isinstance(query, str) and not any(each in frame.f_code.co_filename for each in OTHERS):
            sent.note(query)
        return original(self, query, *arguments, **options)

    return method
