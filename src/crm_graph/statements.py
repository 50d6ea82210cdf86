"""The statements of the unit of work: how a row is locked, inserted, changed and removed. Compiled once each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, FromClause, and_, bindparam, delete, false, func, insert, select, update

from crm_graph.db.base import Row, columns_of, table_of
from crm_graph.db.rules import is_folded
from crm_graph.db.statements import Statement, compile_statement
from crm_graph.permissions.access import Access, TypeAccess
from crm_graph.permissions.grants import READ
from crm_graph.permissions.policy import UUID, Policy, workspace
from crm_graph.referring import Copied, selected

K = TypeVar("K")
T = TypeVar("T")


@cache
def insert_statement(model: type[Row]) -> Statement:
    """Return the statement that inserts a whole row, its values bound by column."""
    return compile_statement(insert(table_of(model)).values({name: bindparam(name) for name in columns_of(model)}))


@cache
def update_statement(model: type[Row], names: tuple[str, ...]) -> Statement:
    """Return the statement that sets columns, bound as `v_<column>`, of the row `b_id` at the version `b_version`."""
    table = table_of(model)
    return compile_statement(
        update(table)
        .where(
            table.c.workspace_id == workspace(),
            table.c.id == bindparam("b_id", type_=UUID),
            table.c.version == bindparam("b_version"),
        )
        .values({name: bindparam(f"v_{name}") for name in names})
    )


@cache
def delete_statement(model: type[Row]) -> Statement:
    """Return the statement that removes a row by its id."""
    table = table_of(model)
    return compile_statement(
        delete(table).where(table.c.workspace_id == workspace(), table.c.id == bindparam("id", type_=UUID))
    )


MAX_STATEMENTS = 2_000
"""Statements of each kind that a process keeps compiled."""
_GET_STATEMENTS: dict[tuple[str, str, str, tuple[str, ...]], Statement] = {}


def get_statement(
    model: type[Row], policy: Policy, access: Access, verb: str, given: tuple[str, ...] = ()
) -> Statement:
    """Return the statement that locks a visible row and says whether `verb` is permitted on it, and whether writing
    each of the fields `given` by it is (`write_<field>`)."""
    may = access.of(policy.type)
    table = table_of(model)
    limited = _limited(may, verb, given)
    key = (policy.type, access.fingerprint, verb, limited)
    found = _GET_STATEMENTS.get(key)
    if found is None:
        readable = may.rows(table)
        conditions = [table.c.workspace_id == workspace(), table.c.id == bindparam("id", type_=UUID)]
        if readable is not None:
            conditions.append(readable)
        selected = select(*table.c, *_rights(may, table, verb, limited)).where(*conditions)
        locked: list[FromClause] = [table]
        if policy.in_version and policy.parent is not None:
            # The whole is locked first, always, as whoever deletes it does: else two would wait for each other.
            whole = policy.parent[0].table.alias("whole")
            joined = whole.c.workspace_id == workspace(), whole.c.id == table.c[policy.parent[1]]
            selected, locked = selected.select_from(table.join(whole, and_(*joined))), [whole, table]
        found = compile_statement(selected if verb == READ else selected.with_for_update(of=locked))
        _keep(_GET_STATEMENTS, key, found)
    return found


def _limited(may: TypeAccess, verb: str, given: Iterable[str]) -> tuple[str, ...]:
    """Return those of the fields `given` that a verb may write on some rows only, of those it may be done on."""
    return tuple(name for name in given if may.writable(name, verb, may.policy.table) is not None)


def _rights(may: TypeAccess, rows: FromClause, verb: str, limited: Iterable[str]) -> list[ColumnElement[Any]]:
    permitted = may.rows(rows, verb)
    if permitted is None:
        permitted = rows.c.workspace_id == workspace()
    fields = {name: may.writable(name, verb, rows) for name in limited}
    return [
        (permitted if may.allows(verb) else false()).label("permitted"),
        *(field.label(f"write_{name}") for name, field in fields.items() if field is not None),
    ]


def _keep(kept: dict[K, T], key: K, value: T) -> None:
    """Keep what was compiled; what was compiled first makes room for it."""
    if len(kept) >= MAX_STATEMENTS:
        del kept[next(iter(kept))]
    kept[key] = value


@dataclass(frozen=True, slots=True)
class NewCheck:
    """What is asked of a row before it is written, in a world that it is not in: a row gives nobody the right to write
    it. `columns` are those of it that the answer depends on, bound as `new_<column>`; of parts that come with it the
    answers are called `write_<type>_<field>`."""

    statement: Statement
    columns: tuple[str, ...]


_NEW_CHECKS: dict[Any, NewCheck | None] = {}


def new_check(
    policy: Policy,
    access: Access,
    verb: str,
    given: tuple[str, ...] = (),
    parts: Sequence[tuple[Policy, tuple[str, ...]]] = (),
) -> NewCheck | None:
    """Return the statement that says whether a new row is `permitted`, and whether writing each of the fields `given`
    is, of it and of `parts` that come with it; None where that does not depend on the row."""
    may = access.of(policy.type)
    limited = _limited(may, verb, given)
    of_parts = [(part.type, access.of(part.type).over_whole(), fields) for part, fields in parts]
    limited_parts = tuple((type_, _limited(of, verb, fields)) for type_, of, fields in of_parts)
    key = policy.type, access.fingerprint, verb, limited, limited_parts
    if key not in _NEW_CHECKS:

        def rights(rows: FromClause) -> list[ColumnElement[Any]]:
            found = _rights(may, rows, verb, limited)
            for (type_, of, _), (_, fields) in zip(of_parts, limited_parts, strict=True):
                columns = ((name, of.writable(name, verb, rows)) for name in fields)
                found += [field.label(f"write_{type_}_{name}") for name, field in columns if field is not None]
            return found

        depends = limited or any(fields for _, fields in limited_parts) or may.rows(policy.table, verb) is not None
        _keep(_NEW_CHECKS, key, _new_check(policy, rights) if depends or not may.allows(verb) else None)
    return _NEW_CHECKS[key]


def _new_check(policy: Policy, rights: Callable[[FromClause], list[ColumnElement[Any]]]) -> NewCheck:
    """Return the statement that asks for rights over the values of a row: over those that they depend on."""
    named = policy.table.alias("named")
    read = set(_beneath(rights(named), named))
    columns = tuple(column.name for column in named.c if column in read and column.name != "workspace_id")
    values = (bindparam(f"new_{name}", type_=policy.table.c[name].type).label(name) for name in columns)
    row = select(*values, workspace().label("workspace_id")).subquery("row")
    return NewCheck(compile_statement(select(*rights(row)).select_from(row)), columns)


def _beneath(elements: Iterable[Any], outside: FromClause) -> Iterator[Any]:
    """Yield what expressions consist of, but for what an outer table does."""
    for element in elements:
        if element is not outside:
            yield element
            yield from _beneath(element.get_children(), outside)


_FIND_STATEMENTS: dict[Any, Statement] = {}


def find_statement(policy: Policy, access: Access, column: str) -> Statement:
    """Return the statement that finds the visible row with a `value` in a unique column; its id, without locking it."""
    key = policy.type, access.fingerprint, column
    found = _FIND_STATEMENTS.get(key)
    if found is None:
        table = policy.table
        value = bindparam("value", type_=table.c[column].type)
        folded = is_folded(table.c[column])
        same = func.lower(table.c[column]) == func.lower(value) if folded else table.c[column] == value
        conditions = [table.c.workspace_id == workspace(), same]
        readable = access.of(policy.type).rows(table)
        if readable is not None:
            conditions.append(readable)
        found = compile_statement(select(table.c.id).where(*conditions))
        _keep(_FIND_STATEMENTS, key, found)
    return found


_REFER_STATEMENTS: dict[Any, Statement] = {}


def refer_statement(
    policy: Policy, access: Access, needs: tuple[str, ...], reads: tuple[tuple[str, Copied], ...]
) -> Statement:
    """Return the statement that reads columns of a row that must be visible (`referring.py`), without locking it."""
    key = policy.type, access.fingerprint, needs, reads
    found = _REFER_STATEMENTS.get(key)
    if found is None:
        may, table = access.of(policy.type), policy.table
        columns = selected(may, table, dict.fromkeys(("id", *needs)), dict(reads))
        found = compile_statement(select(*columns).where(*_visible(may, table, "id")))
        _keep(_REFER_STATEMENTS, key, found)
    return found


_REFERENCES_STATEMENTS: dict[Any, Statement] = {}


def references_statement(access: Access, targets: tuple[tuple[str, str], ...]) -> Statement:
    """Return the statement that says whether each of some rows may be seen: `targets` are the columns that point to
    them, which their ids are bound by, with the types that these are of."""
    key = access.fingerprint, targets
    found = _REFERENCES_STATEMENTS.get(key)
    if found is None:
        columns = []
        for column, type_ in targets:
            may = access.of(type_)
            rows = may.policy.table.alias()
            columns.append(select(1).select_from(rows).where(*_visible(may, rows, column)).exists().label(column))
        found = compile_statement(select(*columns))
        _keep(_REFERENCES_STATEMENTS, key, found)
    return found


def _visible(may: TypeAccess, rows: FromClause, bound: str) -> list[ColumnElement[bool]]:
    """Return the conditions of the row of an id that may be seen."""
    readable = may.rows(rows)
    conditions = [rows.c.workspace_id == workspace(), rows.c.id == bindparam(bound, type_=UUID)]
    return conditions if readable is None else [*conditions, readable]
