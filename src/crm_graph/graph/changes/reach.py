"""What a predicate reads beside the record that it is about: rows of which tables, which columns of them, and by which
equations it comes from the record to them.

Read off the very expression that Postgres gets, so that filters, scopes and rules of fields are all in it, those that
somebody adds tomorrow too. Rows to which no equation leads are said to be adrift: whatever they change can concern any
record.

Decided in D-graph-14 (ARCHITECTURE.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import (
    Alias,
    BinaryExpression,
    BooleanClauseList,
    Case,
    ClauseElement,
    ColumnClause,
    ColumnElement,
    FromClause,
    Select,
    Table,
    UnaryExpression,
)
from sqlalchemy.sql.elements import False_
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.sql.operators import and_, eq

from crm_graph.db.aliases import table_behind

HOUSEHOLD = frozenset({"workspace_id", "id"})
"""Columns that never change."""


@dataclass(frozen=True, slots=True)
class Link:
    """An equation: these rows' `column` is the `other` column of rows nearer to the record, None for the record."""

    column: str
    nearer: Reached | None
    other: str


@dataclass(slots=True, eq=False)
class Reached:
    """One mention of a table in a predicate."""

    table: Table
    columns: set[str] = field(default_factory=set)
    links: list[Link] = field(default_factory=list)

    @property
    def adrift(self) -> bool:
        """Whether no equation leads from the record to these rows."""
        return not self.links or any(each.nearer is not None and each.nearer.adrift for each in self.links)

    @property
    def pointed_to(self) -> bool:
        """Whether foreign keys lead to these rows: then they come before what points to them."""
        return bool(self.links) and all(each.column == "id" for each in self.links)

    @property
    def changing(self) -> set[str]:
        """The columns that are read of it and may change."""
        return self.columns - HOUSEHOLD


def reached(predicate: ColumnElement[bool], record: FromClause) -> dict[FromClause, Reached]:
    """Return all mentions of tables in a predicate about a record's rows, by their alias, each after those that lead
    to it."""
    mentions: dict[FromClause, Reached] = {}
    for _ in _walk(predicate, record, mentions):
        pass
    return mentions


def columns_read(predicate: ColumnElement[bool], record: FromClause) -> set[str]:
    """Return the columns of the record itself that a predicate about it reads."""
    return set(_walk(predicate, record, {}))


def _walk(element: ClauseElement, record: FromClause, mentions: dict[FromClause, Reached]) -> Iterator[str]:
    """Note what is mentioned; yield the columns of the record."""
    if isinstance(element, ColumnClause):
        if element.table in mentions:
            mentions[element.table].columns.add(element.name)
        elif element.table is record:
            yield element.name
        return
    if isinstance(element, Select):
        _enter(element, record, mentions)
    for child in element.get_children():
        if not isinstance(child, FromClause) or isinstance(child, FunctionElement):
            yield from _walk(child, record, mentions)


def _enter(select: Select[Any], record: FromClause, mentions: dict[FromClause, Reached]) -> None:
    """Add what a subquery reads for itself, with what it is equated with outside, or with rows before it."""
    where = select.whereclause
    if isinstance(where, UnaryExpression) and isinstance(
        where.element, False_
    ):  # of a type that may not be read at all
        return
    for rows in select.get_final_froms():
        if rows is record or rows in mentions:
            continue
        table = table_behind(rows) if isinstance(rows, Alias) else None
        assert table is not None, f"a predicate reads from {rows!r}; read from an alias of a table"
        mention = Reached(table)
        for one, other in _equations(where):
            for own, outer in ((one, other), (other, one)):
                if own.table is rows and (outer.table is record or outer.table in mentions):
                    mention.links.append(Link(own.name, mentions.get(outer.table), outer.name))
        mentions[rows] = mention


def _equations(where: Any) -> Iterator[tuple[ColumnClause[Any], ColumnClause[Any]]]:
    """Yield the columns that must be equal wherever a condition holds."""
    if isinstance(where, BooleanClauseList) and where.operator is and_:
        for part in where.clauses:
            yield from _equations(part)
    elif isinstance(where, BinaryExpression) and where.operator is eq:
        one, other = _pointer(where.left), _pointer(where.right)
        if one is not None and other is not None:
            yield one, other


def _pointer(side: Any) -> ColumnClause[Any] | None:
    """Return the column that an expression is wherever it is not null: a key that is shown on some rows only is one."""
    if isinstance(side, ColumnClause):
        return side
    if isinstance(side, Case):
        results: Sequence[Any] = [result for _, result in side.whens]
        if side.else_ is None and len({id(each) for each in results}) == 1 and isinstance(results[0], ColumnClause):
            return results[0]
    return None
