"""Spans of traces: what is asked where something begins that a trace is to show. Nothing is traced, and nothing of
OpenTelemetry imported, until `cli/operating/traces.py` puts a tracer here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import AbstractContextManager, contextmanager
from enum import Enum
from typing import Any, Protocol


class SpanKind(Enum):
    """What a span is for."""

    SERVER = "server"
    CLIENT = "client"
    CONSUMER = "consumer"


class Span(Protocol):
    """A span that has begun."""

    def tell(self, attributes: Mapping[str, str | int | float]) -> None:
        """Add what is known by now."""

    def fails(self, code: str) -> None:
        """Say that it failed, by a code and no text."""


class Tracer(Protocol):
    """What makes spans. Those that begin within another in the same task are its children."""

    def span(
        self, name: str, kind: SpanKind, attributes: Mapping[str, str | int | float], parent: str | None
    ) -> AbstractContextManager[Span]:
        """Return a span; `parent` is a W3C `traceparent`, of which one that cannot be read is none."""

    def trace_id(self) -> str | None:
        """Return the id of the trace that this is in, 32 hex digits."""

    def inject(self, headers: MutableMapping[str, str]) -> None:
        """Add the `traceparent` of the span that runs, if any."""

    def watch(self, connection: Any) -> None:
        """Make a span of each statement on a connection of asyncpg, from now on."""


class _Nothing:
    """The span of what is not traced."""

    def tell(self, attributes: Mapping[str, str | int | float]) -> None: ...

    def fails(self, code: str) -> None: ...


_NOTHING = _Nothing()
tracer: Tracer | None = None
"""That of the process; None while nothing is traced, which the hot path asks before anything else."""


@contextmanager
def span(
    name: str,
    kind: SpanKind,
    attributes: Mapping[str, str | int | float],
    parent: str | None = None,
) -> Iterator[Span]:
    """Run what is within as a span, where spans are made. For what is not hot: it costs 1 us where none are."""
    if tracer is None:
        yield _NOTHING
        return
    with tracer.span(name, kind, attributes, parent) as made:
        yield made
