"""Log lines: JSON for machines, text for people. Both name the request, and hold no data of members.

A line has its time, level, logger and message; the id of the request that it was written in; and fields (`fields` of
the record's extras). An exception is told by `trace`, which knows what may be said of it. Standard library alone: what
a library for JSON lines brings beyond `json.dumps` is what stands here.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, TypeAlias

from crm_graph.kernel import spans

REQUEST_ID: ContextVar[str | None] = ContextVar("request_id", default=None)
"""Of the request that this task answers."""
Trace: TypeAlias = "Callable[[BaseException], str]"
"""Tells an exception and what led to it, without values."""

_EXCEPTION_OF_TASK = re.compile(r" exception=.*(?=>)", re.DOTALL)
"""asyncio describes a task that failed with its exception's text."""
_UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""Controls, line separators, and what turns the direction of text."""


class Lines(logging.Formatter):
    """Makes one line of JSON of each record."""

    def __init__(self, trace: Trace) -> None:
        super().__init__()
        self._trace = trace

    def format(self, record: logging.LogRecord) -> str:
        """Return the line. What follows the first line of a message, and an exception, is its `trace`."""
        message, more = self._told(record)
        line: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": message,
            **_fields(record),
        }
        if more:
            line["trace"] = more
        return json.dumps(line, default=str)  # in ASCII: some readers end lines at U+2028 too

    def _told(self, record: logging.LogRecord) -> tuple[str, str]:
        message = record.getMessage()
        if record.name == "asyncio":
            message = _EXCEPTION_OF_TASK.sub("", message)
        message, _, more = message.partition("\n")
        if record.exc_info and record.exc_info[1] is not None:
            more += self._trace(record.exc_info[1])
        return message, more


class Text(Lines):
    """Makes text of each record. What follows its first line is indented, so that nothing poses as another line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the text."""
        message, more = self._told(record)
        fields = "".join(f" {name}={value}" for name, value in _fields(record).items())
        head = f"{_time(record)} {record.levelname:<8} {record.name}: {message}{fields}"
        return "\n    ".join(_visible(line) for line in (head, *more.splitlines()))


def _visible(line: str) -> str:
    """Return a line without what moves a terminal's cursor or begins another line."""
    return _UNSEEN.sub(lambda unseen: ascii(unseen[0])[1:-1], line)


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _fields(record: logging.LogRecord) -> Mapping[str, Any]:
    request_id = REQUEST_ID.get()
    fields: dict[str, Any] = {} if request_id is None else {"requestId": request_id}
    trace_id = None if spans.tracer is None else spans.tracer.trace_id()
    if trace_id is not None:
        fields["traceId"] = trace_id
    return {**fields, **getattr(record, "fields", {})}
