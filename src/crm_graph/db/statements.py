"""SQLAlchemy Core expressions compiled to text once, to be run on asyncpg as they are.

SQLAlchemy's own execution layer costs more than the query of a small page; compiling costs about 0.5 ms and is done
once per plan. What is text already needs no SQLAlchemy, which takes 0.2 s to import: a short command goes without.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlalchemy import ClauseElement
    from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg


REFUSED_TIME = "'-infinity'::timestamptz"
"""The time of deletion that a row is given which others need: its constraint refuses it (`Kept` in `base.py`)."""


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL text with `$n` placeholders, and the bind names in placeholder order.

    `defaults` holds the values of binds that the expression itself carried (literals written in Python).
    """

    text: str
    names: tuple[str, ...]
    defaults: Mapping[str, Any]
    types: tuple[str, ...] | None = None
    """The types of its arguments, as SQL; None where only Postgres knows them."""
    _guarded: dict[str, str] = field(default_factory=dict, compare=False, repr=False)

    def arguments(self, values: Mapping[str, Any]) -> list[Any]:
        """Return the positional arguments. Raises KeyError when a bind without default is missing in `values`."""
        defaults = self.defaults
        if not defaults:
            return [values[name] for name in self.names]
        return [values[name] if name in values else defaults[name] for name in self.names]

    @property
    def reads(self) -> bool:
        """Whether this is a SELECT, which may begin with its common tables."""
        return self.text.startswith(("SELECT", "WITH"))

    @property
    def removes(self) -> bool:
        """Whether this removes rows, or puts them into the recycle bin: whether one goes can depend on others."""
        return self.text.startswith("DELETE") or REFUSED_TIME in self.text

    @property
    def table(self) -> str:
        """The table that a writing statement writes."""
        return _WRITTEN.match(self.text)[1]  # type: ignore[index] # one that writes begins so

    def guarded(self, condition: str, arguments: int) -> str:
        """Return the text as a subquery that yields no rows where a condition over so many arguments fails.

        The placeholders of the condition (`{0}`, `{1}`, ...) follow those of the statement. Postgres evaluates it
        once, before it reads any row ("One-Time Filter"), and keeps the order of the rows.
        """
        text = self._guarded.get(condition)
        if text is None:
            first = len(self.names) + 1
            placeholders = (f"${first + index}" for index in range(arguments))
            text = f"SELECT * FROM ({self.text}) AS guarded WHERE {condition.format(*placeholders)}"  # noqa: S608 - all ours
            self._guarded[condition] = text
        return text


def compile_statement(expression: ClauseElement) -> Statement:
    """Compile an expression for asyncpg. Binds made with `bindparam(name)` are filled in at run time."""
    text, names, binds = _compiled(expression)
    defaults = {name: binds[name].value for name in names if not binds[name].required}
    of = [binds[name].type for name in names]
    known = not any(each._isnull for each in of)
    types = tuple(str(each.compile(dialect=_dialect())) for each in of) if known else None
    return Statement(text, tuple(names), defaults, types)


@cache
def hold_row(table: str) -> Statement:
    """Return the statement by which a transaction holds a row of a workspace: others that hold it wait until this one
    ends. Rows that only refer to it do not (FOR NO KEY UPDATE)."""
    text = f"SELECT id FROM {table} WHERE workspace_id = $1 AND id = $2 FOR NO KEY UPDATE"  # noqa: S608 - tables of ours
    return Statement(text, ("workspace_id", "id"), {})


HOLD_WORKSPACE = Statement(
    "SELECT 1 FROM workspace_directory WHERE workspace_id = $1 FOR NO KEY UPDATE", ("workspace_id",), {}
)
"""Holds a workspace so. Not by its row in `workspace`, which lies on every node of a cluster."""


@cache
def _dialect() -> PGDialect_asyncpg:
    """Return the dialect of asyncpg, imported when the first expression is compiled."""
    from sqlalchemy.dialects.postgresql.asyncpg import dialect

    return dialect()  # type: ignore[no-untyped-call]


def _compiled(expression: ClauseElement) -> tuple[str, Sequence[str], Mapping[str, Any]]:
    """Return the text of an expression, the names of its binds in placeholder order, and the binds by name."""
    compiled = expression.compile(dialect=_dialect(), compile_kwargs={"render_postcompile": True})
    names: Sequence[str] = compiled.positiontup or ()  # type: ignore[attr-defined]
    return str(compiled), names, compiled.binds  # type: ignore[attr-defined]


def compile_for_many(expression: ClauseElement, shared: frozenset[str], rows: str) -> Statement:
    """Compile an expression that is asked for many sets of values at once: its binds beyond those that are `shared`
    become columns of the JSON rows that the bind `rows` holds.

    The expression must select from `func.jsonb_to_recordset(bindparam(rows))`, derived under the name `rows` with the
    one column `number`, an integer.
    """
    text, names, binds = _compiled(expression)
    columns = {
        name: binds[name].type.compile(dialect=_dialect())
        for name in names
        if binds[name].required and name not in shared and name != rows
    }
    kept: dict[str, int] = {}

    def placed(found: re.Match[str]) -> str:
        name = names[int(found[1]) - 1]
        return f"{rows}.{name}" if name in columns else f"${kept.setdefault(name, len(kept) + 1)}"

    declared = "".join(f", {name} {of}" for name, of in columns.items())
    text = _PLACEHOLDER.sub(placed, text)
    head = f"AS {rows}(number INTEGER"
    assert text.count(head) == 1, "the expression selects from its rows once"
    defaults = {name: binds[name].value for name in kept if not binds[name].required}
    return Statement(text.replace(head, head + declared), tuple(kept), defaults)


_PLACEHOLDER = re.compile(r"\$(\d+)")
_WRITTEN = re.compile(r"(?:INSERT INTO|UPDATE|DELETE FROM) (\S+)")
