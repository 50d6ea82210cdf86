"""Which rows of a batch exist already, which unique values are taken, and what the importer may do with them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from typing import Any

from sqlalchemy import Date, DateTime, Integer, Numeric, and_, column, false, func, not_, select, true
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.sql import bindparam

from crm_graph.db.base import DELETED_AT, Row, table_of
from crm_graph.permissions.grants import CREATE, UPDATE
from crm_graph.permissions.policy import workspace
from crm_graph.transfer.resolve import fold
from crm_graph.transfer.spec import Draft, ImportSpec
from crm_graph.work import Work


@dataclass(frozen=True, slots=True)
class Existing:
    """A stored row, which of the verbs asked for are permitted on it, and which columns may not be changed in it."""

    values: Mapping[str, Any]
    permitted: Mapping[str, bool]
    frozen: frozenset[str] = frozenset()


@cache
def _converters(model: type[Row]) -> tuple[tuple[str, Callable[[str], Any] | None], ...]:
    types: tuple[tuple[type, Callable[[str], Any]], ...] = (
        (Numeric, Decimal),
        (DateTime, datetime.fromisoformat),
        (Date, date.fromisoformat),
    )
    return tuple(
        (column.name, next((convert for type_, convert in types if isinstance(column.type, type_)), None))
        for column in table_of(model).columns
    )


def _typed(model: type[Row], record: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: record[name] if convert is None or record[name] is None else convert(record[name])
        for name, convert in _converters(model)
    }


def _given(model: type[Row], names: Sequence[str]) -> Any:
    """Return the bind `given`, a list of objects, as rows of the table's types, with their place in the list."""
    table = table_of(model)
    columns = [column("place", Integer), *(column(name, table.c[name].type) for name in names)]
    rows = func.jsonb_to_recordset(bindparam("given", type_=JSONB))
    return rows.table_valued(*columns, name="given").render_derived(with_types=True)


def _same(names: Iterable[str], stored: Any, given: Any) -> Any:
    def same(name: str) -> Any:
        if name == "email":
            return func.lower(stored[name]) == func.lower(given[name])
        return stored[name] == given[name]

    return and_(*(same(name) for name in names))


def _as_given(drafts: Sequence[Draft], names: Sequence[str]) -> list[dict[str, Any]]:
    return [{"place": place, **{name: draft.values[name] for name in names}} for place, draft in enumerate(drafts)]


async def find_existing(
    work: Work,
    spec: ImportSpec,
    key: Sequence[str],
    drafts: Sequence[Draft],
    verbs: Iterable[str],
    fields: Mapping[str, str],
) -> list[list[Existing]]:
    """Return, for each draft, the rows with its key that the importer may see. `fields` are the GraphQL fields behind
    the columns that may be changed."""
    table = table_of(spec.model)
    given = _given(spec.model, key)
    access = work.access.of(spec.policy.type)
    verbs = tuple(dict.fromkeys((UPDATE, *verbs)))
    permitted = []
    for number, verb in enumerate(verbs):
        predicate = access.rows(table, verb)
        may = true() if predicate is None else predicate
        permitted.append((may if access.allows(verb) else false()).label(f"may_{number}"))
    frozen = [
        not_(func.coalesce(predicate, false())).label(f"frozen_{column}")
        for column, name in fields.items()
        if (predicate := access.writable(name, UPDATE, table)) is not None
    ]
    query = (
        select(*table.c, *permitted, *frozen, given.c.place)
        .join(given, _same(key, table.c, given.c))
        .where(*access.conditions(table))
    )
    existing: list[list[Existing]] = [[] for _ in drafts]
    bound = {**work.viewer.binds, "given": _as_given(drafts, key)}
    for row in await work.session.query(query, **bound):
        may_do = {verb: bool(row[f"may_{number}"]) for number, verb in enumerate(verbs)}
        kept = frozenset(column for column in fields if row.get(f"frozen_{column}"))
        existing[row["place"]].append(Existing(_typed(spec.model, dict(row)), may_do, kept))
    return existing


async def find_taken(work: Work, spec: ImportSpec, key: Sequence[str], drafts: Sequence[Draft]) -> dict[int, str]:
    """Return, by place of the draft, the id of the row that has its unique value.

    Over all rows of the workspace, seen or not: the database refuses the value in any case, and saying which row of the
    file is refused tells no more than the refusal.
    """
    table = table_of(spec.model)
    given = _given(spec.model, key)
    query = select(given.c.place, table.c.id).join(given, _same(key, table.c, given.c))
    query = query.where(
        table.c.workspace_id == workspace(), *([table.c.deleted_at.is_(None)] if DELETED_AT in table.c else [])
    )
    bound = {**work.viewer.binds, "given": _as_given(drafts, key)}
    return {row["place"]: row["id"] for row in await work.session.query(query, **bound)}


async def find_beyond_scope(
    work: Work, spec: ImportSpec, drafts: Sequence[Draft], fields: Mapping[str, str]
) -> dict[str, str | None]:
    """Return, by the id of a new row, what the importer's scope would not reach: the row (None), whose owner is outside
    the team, say; or the first of the columns, of those with the GraphQL `fields`, that has a value.

    Asked before anything is written, over the rows as given: the predicates of policies take any rows with the columns.
    """
    verb = CREATE if spec.policy.parent is None else UPDATE
    names = [stored.name for stored in table_of(spec.model).columns]
    given = _given(spec.model, names)
    access = work.access.of(spec.policy.type)
    limits: dict[str | None, Any] = {
        None: access.rows(given, verb),
        **{column: access.writable(name, verb, given) for column, name in fields.items()},
    }
    limits = {column: predicate for column, predicate in limits.items() if predicate is not None}
    if not limits or not drafts:
        return {}
    outside = [not_(func.coalesce(limit, false())).label(f"c{index}") for index, limit in enumerate(limits.values())]
    bound = {**work.viewer.binds, "given": _as_given(drafts, names)}
    by_id = {draft.id: draft for draft in drafts}
    refused: dict[str, str | None] = {}
    for row in await work.session.query(select(given.c.id, *outside), **bound):
        for index, name in enumerate(limits):
            if row[f"c{index}"] and (name is None or by_id[row["id"]].values.get(name) is not None):
                refused.setdefault(row["id"], name)
    return refused


async def links(work: Work, spec: ImportSpec, name: str) -> dict[str, str | None]:
    """Return what each row points to in a column that refers to the same table, to find circles."""
    table = table_of(spec.model)
    query = select(table.c.id, table.c[name]).where(table.c.workspace_id == workspace(), table.c[name].is_not(None))
    return {row[0]: row[1] for row in await work.session.query(query, **work.viewer.binds)}


def key_of(draft: Draft, key: Sequence[str]) -> tuple[Any, ...]:
    """Return a draft's key as two rows of a file are compared by it."""
    return tuple(fold(name, draft.values[name]) if name == "email" else draft.values[name] for name in key)
