"""Errors as clients see them: a closed list of codes, one constant message for what is ours, and no inside view."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from typing import Any

import asyncpg
from graphql import GraphQLError

from crm_graph.db.outages import OUTAGES, is_away
from crm_graph.db.telling import trace
from crm_graph.kernel.errors import RequestError

log = logging.getLogger("crm_graph.errors")

INTERNAL_MESSAGE = "Something went wrong here. The request id names it in our logs."
TIMEOUT_MESSAGE = "This took too long and was stopped. Ask for less at once."
CONFLICT_MESSAGE = "Somebody else changed the same records at the same time. Send it again."
UNAVAILABLE = "UNAVAILABLE"
UNAVAILABLE_RETRY_S = 1
UNAVAILABLE_MESSAGE = "The database is away right now, or lacks what it needs. Send it again in a moment."

MAX_MESSAGE_LENGTH = 500
"""A message quotes what was sent, which can be a name of 60,000 letters; here it is cut."""

_IN_VARIABLE = re.compile(r"Variable '\$(?P<name>\w+)' has invalid value(?: at (?P<path>(?:\.\w+|\[\d+\])+))?: ")
_STEP = re.compile(r"\.(\w+)|\[(\d+)\]")
"""graphql-core tells where a value stands in a variable in its message only."""


def format_error(error: GraphQLError, request_id: str, default_code: str = "INTERNAL") -> dict[str, Any]:
    """Return the response form of an error. `default_code` is for errors of graphql-core itself.

    What is not a RequestError or an error of graphql-core is logged whole, under the request id, and shown as INTERNAL.
    """
    message, code = _describe(error, request_id, default_code)
    if len(message) > MAX_MESSAGE_LENGTH:
        message = f"{message[:MAX_MESSAGE_LENGTH]}…"
    formatted: dict[str, Any] = {"message": message}
    if error.locations:
        formatted["locations"] = [{"line": place.line, "column": place.column} for place in error.locations]
    if error.path is not None:
        formatted["path"] = error.path
    formatted["extensions"] = {"code": code, "requestId": request_id}
    in_variable = _IN_VARIABLE.match(error.message) if error.path is None else None
    if in_variable is not None:
        steps = _STEP.findall(in_variable["path"] or "")
        formatted["extensions"]["variable"] = [in_variable["name"], *(name or int(index) for name, index in steps)]
    original = error.original_error
    if isinstance(original, RequestError) and original.path:
        formatted["extensions"]["argument"] = list(original.path)
    if isinstance(original, RequestError) and original.retry_after_s is not None:
        formatted["extensions"]["retryAfterSeconds"] = original.retry_after_s
    elif code == UNAVAILABLE:
        formatted["extensions"]["retryAfterSeconds"] = UNAVAILABLE_RETRY_S
    return formatted


def _describe(error: GraphQLError, request_id: str, default_code: str) -> tuple[str, str]:
    original = error.original_error
    while isinstance(original, GraphQLError) and original.original_error is not None:
        original = original.original_error
    if original is None or isinstance(original, GraphQLError):
        return error.message, "BAD_USER_INPUT" if default_code == "INTERNAL" and error.path else default_code
    if isinstance(original, RequestError):
        return original.message, original.code
    late = isinstance(original, TimeoutError) and not OUTAGES.is_silent
    if late or isinstance(original, asyncpg.QueryCanceledError):
        return TIMEOUT_MESSAGE, "TIMEOUT"
    if isinstance(original, asyncpg.SerializationError | asyncpg.DeadlockDetectedError):
        return CONFLICT_MESSAGE, "CONFLICT"
    if is_away(original):
        OUTAGES.tell(original)
        return UNAVAILABLE_MESSAGE, UNAVAILABLE
    where = ".".join(map(str, error.path or ()))
    log.error("request %s failed at %s\n%s", request_id, where, trace(original))
    return INTERNAL_MESSAGE, "INTERNAL"


def format_errors(
    errors: Sequence[GraphQLError], request_id: str, limit: int, default_code: str = "INTERNAL"
) -> list[dict[str, Any]]:
    """Return the response form of the first `limit` errors."""
    return [format_error(error, request_id, default_code) for error in errors[:limit]]
