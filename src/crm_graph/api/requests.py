"""What becomes of each request: counted by kind and outcome, timed, and told in one line of the log where a setting
says so. The hot path adds to plain numbers; who scrapes reads them (`metrics.py`)."""

from __future__ import annotations

import logging
import time
from bisect import bisect_left
from dataclasses import dataclass, field
from typing import Any

from graphql import OperationType

from crm_graph.graph.running.execution import Operation
from crm_graph.identity.tokens import Claims, client_key
from crm_graph.identity.viewer import NOBODY
from crm_graph.kernel.durations import BOUNDS_S, Durations
from crm_graph.kernel.ids import encode_id
from crm_graph.kernel.settings import Settings

log = logging.getLogger("crm_graph.requests")

OK, CANCELLED = "OK", "CANCELLED"
"""Outcomes beside the codes of errors: answered without an error; given up, since the client has left."""
UNKNOWN = "unknown"
"""The kind of what is refused before its operation is known."""
MAX_LINES_PER_SECOND = 50
"""Of requests that are told because they failed or were refused: who is refused must not fill a disk."""
MAX_NAME_LENGTH = 100
FAILED = frozenset({"INTERNAL", "TIMEOUT", "UNAVAILABLE"})
"""Outcomes that are no client's doing."""
_OWN = frozenset({"INTERNAL"})
_LATE = frozenset({"TIMEOUT"})
_TOLD_ONCE = frozenset({OK, "UNAVAILABLE"})
"""An outage is told by who notices it, once, and not by each request that it stops."""
_KINDS = {kind: kind.value for kind in OperationType}


@dataclass(slots=True)
class Requests:
    """How many requests had which outcome, how long they took, and how many subscriptions are open."""

    settings: Settings = field(default_factory=Settings)
    counts: dict[tuple[str, str], int] = field(default_factory=dict)
    durations: dict[str, Durations] = field(default_factory=lambda: {kind.value: Durations() for kind in OperationType})
    """By kind, from when the request had been read until its answer was there; of subscriptions, until they began."""
    open_subscriptions: int = 0
    untold: int = 0
    """Lines that were left out, since there were too many of them in a second."""
    _second: int = 0
    _lines: int = 0
    _all: bool = False
    _none: bool = False
    _slow_s: float = 0.0

    def __post_init__(self) -> None:
        self._all = self.settings.log_requests == "all"
        self._none = self.settings.log_requests == "none"
        self._slow_s = self.settings.log_slow_ms / 1000

    def ended(
        self, operation: Operation, code: str, began: float, claims: Claims | None = None, request_id: str | None = None
    ) -> None:
        """Count and time a request that was executed since `began`, of `time.perf_counter`; tell it where it is to be
        told."""
        seconds = time.perf_counter() - began
        type_ = operation.definition.operation
        kind = "query" if type_ is OperationType.QUERY else _KINDS[type_]  # an enum's hash takes 0.2 us
        key = kind, code
        self.counts[key] = self.counts.get(key, 0) + 1
        durations = self.durations[kind]
        durations.counts[bisect_left(BOUNDS_S, seconds)] += 1
        durations.seconds += seconds
        if code != OK or seconds >= self._slow_s or self._all:
            self._tell(kind, operation, code, seconds, claims, request_id)

    def refused(self, code: str, claims: Claims | None, request_id: str) -> None:
        """Count a request that was refused before it was executed, and tell it."""
        key = UNKNOWN, code
        self.counts[key] = self.counts.get(key, 0) + 1
        self._tell(UNKNOWN, None, code, None, claims, request_id)

    def _tell(
        self,
        kind: str,
        operation: Operation | None,
        code: str,
        seconds: float | None,
        claims: Claims | None,
        request_id: str | None,
    ) -> None:
        slow = seconds is not None and seconds >= self._slow_s and code != "UNAVAILABLE"
        if self._none or not (self._all or slow or code not in _TOLD_ONCE):
            return
        level = logging.INFO
        if code in _OWN:
            level = logging.ERROR
        elif slow or code in _LATE:
            level = logging.WARNING
        if not log.isEnabledFor(level) or not (self._all or self._is_room()):
            return
        fields: dict[str, Any] = {"requestId": request_id, "kind": kind}
        if operation is not None:
            name = operation.definition.name
            fields["operation"] = "" if name is None else name.value[:MAX_NAME_LENGTH]
            fields["document"] = operation.document_sha256[:16]
        if claims is not None and claims.member_id != NOBODY:
            fields["member"] = encode_id("mem", claims.member_id)
            fields["workspace"] = encode_id("wsp", claims.workspace_id)
        if claims is not None and claims.client_id is not None:
            fields["client"] = client_key(claims.client_id)
        if seconds is not None:
            fields["durationMs"] = round(seconds * 1000, 1)
        fields["outcome"] = code
        log.log(level, "slow request" if slow else "request", extra={"fields": fields})

    def _is_room(self) -> bool:
        now = int(time.monotonic())
        if now != self._second:
            self._second, self._lines = now, 0
        self._lines += 1
        if self._lines <= MAX_LINES_PER_SECOND:
            return True
        self.untold += 1
        return False


def outcome(body: dict[str, Any]) -> str:
    """Return the outcome that an answer is: the code of its first error."""
    errors = body.get("errors")
    return str(errors[0]["extensions"]["code"]) if errors else OK
