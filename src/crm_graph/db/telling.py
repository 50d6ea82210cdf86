"""What a log says of an exception: where it was raised, and its text only where that holds no values of anybody.

`Failing row contains (...)`, `invalid input syntax for type uuid: "..."`, `KeyError: 'ada@example.com'`: texts quote
what they stumbled over. Names of kinds, tables and constraints say enough to find the place in the code.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator

import asyncpg

from crm_graph.kernel.errors import OperatorError, Unreadable

TOLD_CLASSES = frozenset({"08", "0A", "25", "28", "3D", "3F", "40", "42", "53", "54", "55", "57", "58", "F0", "XX"})
"""The first two digits of the `sqlstate` of errors whose message names our own statements, limits and the server's
state: syntax and undefined tables, connections, resources, time limits. Not 22 and 23, which quote values, nor P0,
which quote whatever a function says."""
_TOLD = (
    Unreadable,
    OSError,
    TypeError,
    AttributeError,
    NameError,
    AssertionError,
    ImportError,
    RuntimeError,
    IndexError,
    MemoryError,
    asyncpg.InterfaceError,
)
_QUOTING = (ValueError, UnicodeError)
"""Among them are some of asyncpg's own, which quote arguments."""
_NAMES = ("table_name", "column_name", "constraint_name")


def told(error: BaseException) -> str:
    """Return what may be said of an exception, beside its kind."""
    if isinstance(error, asyncpg.PostgresError):
        state = str(error.sqlstate or "")
        message = str(error.args[0]) if error.args and state[:2] in TOLD_CLASSES else ""
        return " ".join(part for part in (state, message, *(getattr(error, name, None) for name in _NAMES)) if part)
    if isinstance(error, OperatorError):
        return f"{error.what}; fix: {error.fix}"
    return str(error) if isinstance(error, _TOLD) and not isinstance(error, _QUOTING) else ""


def trace(error: BaseException) -> str:
    """Return an exception and what led to it as a traceback, the first cause first, without values."""
    parts: list[str] = []
    for at in reversed(list(_led(error))):
        parts += traceback.format_tb(at.__traceback__)
        said = told(at)
        parts.append(f"{type(at).__module__}.{type(at).__qualname__}{': ' if said else ''}{said}\n")
        if isinstance(at, BaseExceptionGroup):
            parts += [trace(one) for one in at.exceptions]
    return "".join(parts)


def _led(error: BaseException) -> Iterator[BaseException]:
    at: BaseException | None = error
    seen: set[int] = set()
    while at is not None and id(at) not in seen:  # one may be its own cause
        seen.add(id(at))
        yield at
        at = at.__cause__ or (None if at.__suppress_context__ else at.__context__)
