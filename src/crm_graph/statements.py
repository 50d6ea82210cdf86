"""The statements of the unit of work: how a row is locked, inserted, changed and removed. Compiled once each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Select,
    Table,
    and_,
    bindparam,
    case,
    delete,
    false,
    func,
    insert,
    literal_column,
    null,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import array

from crm_graph.coherence import fault, own_bind
from crm_graph.db.aliases import rows_of
from crm_graph.db.base import DELETED_AT, Kept, Row, columns_of, table_of
from crm_graph.db.coherence import Rule
from crm_graph.db.rules import is_folded, parts_of, targets_of, users_of
from crm_graph.db.session import Record
from crm_graph.db.statements import REFUSED_TIME, Statement, compile_statement
from crm_graph.kernel.naming import one, plural
from crm_graph.permissions.access import Access, TypeAccess
from crm_graph.permissions.grants import DELETE, READ
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
_GET_STATEMENTS: dict[tuple[str, str, str, tuple[str, ...], bool], Statement] = {}


def get_statement(
    model: type[Row],
    policy: Policy,
    access: Access,
    verb: str,
    given: tuple[str, ...] = (),
    *,
    deleted: bool = False,
) -> Statement:
    """Return the statement that locks a visible row, one in the recycle bin where it is to be `deleted`, and says
    whether `verb` is permitted on it, and whether writing each of the fields `given` by it is (`write_<field>`). Of a
    row that is to go into the bin it says how many of those that the viewer sees point to it (`users_<number>`)."""
    may = access.of(policy.type)
    table = table_of(model)
    limited = _limited(may, verb, given)
    key = (policy.type, access.fingerprint, verb, limited, deleted)
    found = _GET_STATEMENTS.get(key)
    if found is None:
        conditions = [*may.conditions(table, deleted=deleted), table.c.id == bindparam("id", type_=UUID)]
        users = _users(table, access) if verb == DELETE and not deleted and issubclass(model, Kept) else ()
        selected = select(*table.c, *_rights(may, table, verb, limited), *users).where(*conditions)
        locked: list[FromClause] = [table]
        if policy.in_version and policy.parent is not None:
            # The whole is locked first, always, as whoever deletes it does: else two would wait for each other.
            whole = rows_of(policy.parent[0].table, "whole")
            joined = whole.c.workspace_id == workspace(), whole.c.id == table.c[policy.parent[1]]
            selected, locked = selected.select_from(table.join(whole, and_(*joined))), [whole, table]
        found = compile_statement(selected if verb == READ else selected.with_for_update(of=locked))
        _keep(_GET_STATEMENTS, key, found)
    return found


MAX_USERS = 100
"""How many of those that point to a row are counted, of each kind."""
USERS = "users_"


def _users(table: Table, access: Access) -> Iterator[ColumnElement[Any]]:
    """Yield how many rows point to a row of a table by each foreign key, of those that the viewer may see."""
    for number, (other, column) in enumerate(users_of(table)):
        rows = rows_of(other, f"user_{number}")
        conditions = access.of(access.over(other).type).conditions(rows)
        pointing: Select[Any] = select(literal_column("1")).where(*conditions, rows.c[column.name] == table.c.id)
        if other is table:
            pointing = pointing.where(rows.c.id != table.c.id)
        some = pointing.limit(literal_column(str(MAX_USERS + 1))).correlate(table).subquery(f"some_{number}")
        yield select(func.count()).select_from(some).scalar_subquery().label(f"{USERS}{number}")


def users_found(table: Table, access: Access, found: Record) -> str:
    """Return in words what `get_statement` found to point to a row; empty where the viewer sees none."""
    counts: dict[str, int] = {}
    for number, (other, _) in enumerate(users_of(table)):
        type_ = access.over(other).type
        counts[type_] = counts.get(type_, 0) + found[f"{USERS}{number}"]
    return ", ".join(
        f"more than {MAX_USERS} {plural(type_)}"
        if count > MAX_USERS
        else f"{count} {plural(type_)}"
        if count > 1
        else one(type_)
        for type_, count in counts.items()
        if count
    )


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
    named = rows_of(policy.table, "named")
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
        found = compile_statement(select(table.c.id).where(*access.of(policy.type).conditions(table), same))
        _keep(_FIND_STATEMENTS, key, found)
    return found


_REFER_STATEMENTS: dict[Any, Statement] = {}
FAULTS = "faults"
"""The column of the statement that refers which says what is wrong with the row as it is referred to."""


def refer_statement(
    policy: Policy,
    access: Access,
    needs: tuple[str, ...],
    reads: tuple[tuple[str, Copied], ...],
    asked: tuple[type[Row], tuple[Rule, ...]] | None = None,
) -> Statement:
    """Return the statement that reads columns of a row that must be visible (`referring.py`), and holds it
    (`_visible`). `asked` are rules of rows of a class that are to point to it."""
    key = policy.type, access.fingerprint, needs, reads, asked
    found = _REFER_STATEMENTS.get(key)
    if found is None:
        may, table = access.of(policy.type), policy.table
        columns = selected(may, table, dict.fromkeys(("id", *needs)), dict(reads))
        if asked is not None:
            columns.append(_faults(access, asked[0], asked[1], table).label(FAULTS))
        found = compile_statement(_visible(select(*columns), may, table, "id", read=asked is not None))
        _keep(_REFER_STATEMENTS, key, found)
    return found


_REFERENCES_STATEMENTS: dict[Any, Statement] = {}


def references_statement(
    access: Access,
    model: type[Row],
    seen: tuple[str, ...],
    rules: tuple[tuple[str, tuple[Rule, ...]], ...] = (),
) -> Statement:
    """Return the statement that says of what columns of a class point to, by whose names the ids are bound: of those in
    `seen` whether it may be seen, and of those that have `rules` whether each of these is broken, null where it may not
    be seen. What rules read is held as it is."""
    key = access.fingerprint, model, seen, rules
    found = _REFERENCES_STATEMENTS.get(key)
    if found is None:
        columns: list[ColumnElement[Any]] = []
        asked = dict(rules)
        for column in dict.fromkeys((*seen, *asked)):
            table = targets_of(model)[column]
            rows = rows_of(table)
            of_column = asked.get(column)
            faults = literal_column("1") if of_column is None else _faults(access, model, of_column, rows)
            query = select(faults).select_from(rows)
            if column in seen:
                query = _visible(query, access.of(access.over(table).type), rows, column, read=of_column is not None)
            else:
                named = rows.c.workspace_id == workspace(), rows.c.id == bindparam(column, type_=UUID)
                query = _held(query.where(*named), rows, read=True)
            columns.append((query.exists() if of_column is None else query.scalar_subquery()).label(column))
        found = compile_statement(select(*columns))
        _keep(_REFERENCES_STATEMENTS, key, found)
    return found


def _faults(access: Access, model: type[Row], rules: Sequence[Rule], rows: FromClause) -> ColumnElement[Any]:
    policy = access.over(table_of(model))

    def own(name: str) -> ColumnElement[Any]:
        return bindparam(own_bind(name), type_=table_of(model).c[name].type)

    return array([fault(rule, policy, rows, own) for rule in rules])


def _visible(query: Select[Any], may: TypeAccess, rows: FromClause, bound: str, *, read: bool = False) -> Select[Any]:
    """Return a query of the row of an id that may be seen. Where it could go into the recycle bin meanwhile it is held,
    as the foreign key of whatever points to it will hold it; and where what it says is `read`, it stays as it is."""
    found = query.where(*may.conditions(rows), rows.c.id == bindparam(bound, type_=UUID))
    return _held(found, rows, read=read) if read or DELETED_AT in rows.c else found


def _held(query: Select[Any], *rows: FromClause, read: bool = False) -> Select[Any]:
    return query.with_for_update(key_share=not read, read=True, of=list(rows))


@cache
def bin_statement(model: type[Kept]) -> Statement:
    """Return the statement that puts the row `b_id` at the version `b_version` into the recycle bin at a time `at`.

    Where rows that are not in the bin point to it, it is given the time that its constraint refuses: whoever wants to
    point to it holds it (`_visible`), so all of them are seen by this statement, which comes after the row was locked.
    """
    table = table_of(model)
    at = bindparam("at", type_=table.c.deleted_at.type)
    used = [
        select(literal_column("1"))
        .where(
            rows.c.workspace_id == workspace(),
            rows.c[column.name] == table.c.id,
            *([rows.c.deleted_at.is_(None)] if DELETED_AT in rows.c else []),
            *([rows.c.id != table.c.id] if other is table else []),
        )
        .correlate(table)
        .exists()
        for other, rows, column in ((other, rows_of(other), column) for other, column in users_of(table))
    ]
    when = case((or_(*used), literal_column(REFUSED_TIME)), else_=at) if used else at
    named = table.c.workspace_id == workspace(), table.c.id == bindparam("b_id", type_=UUID)
    return compile_statement(
        update(table)
        .where(*named, table.c.version == bindparam("b_version", type_=table.c.version.type))
        .values(
            deleted_at=when,
            version=bindparam("v_version", type_=table.c.version.type),
            updated_at=at,
            updated_by_id=bindparam("by", type_=UUID),
        )
    )


@cache
def parts_statement(parts: Table, column: str) -> Statement:
    """Return the statement that sets the `deleted_at` of the parts of a row, `id`."""
    at = bindparam(DELETED_AT, type_=parts.c.deleted_at.type)
    pointing = parts.c.workspace_id == workspace(), parts.c[column] == bindparam("id", type_=UUID)
    return compile_statement(update(parts).where(*pointing).values(deleted_at=at))


@cache
def freeing_statement(table: Table, column: str) -> Statement:
    """Return the statement by which rows in the recycle bin let go of a row, `id`, that is removed."""
    pointing = table.c.workspace_id == workspace(), table.c[column] == bindparam("id", type_=UUID)
    return compile_statement(update(table).where(*pointing, table.c.deleted_at.is_not(None)).values({column: null()}))


@cache
def missing_statement(model: type[Kept]) -> Statement | None:
    """Return the statement that says what a row `id` and its parts point to that is in the recycle bin, one label for
    each foreign key: `<table>.<column>`. What is not in the bin is held. None where they point to nothing that could
    be."""
    table = table_of(model)
    columns = []
    for rows, pointer in ((table, "id"), *((parts, column.name) for parts, column in parts_of(table))):
        for key in sorted(rows.foreign_key_constraints, key=lambda key: str(key.name)):
            target, column = key.referred_table, key.column_keys[-1]
            if DELETED_AT not in target.c or (rows is not table and target is table and column == pointer):
                continue
            source, other = rows_of(rows), rows_of(target)
            joined = other.c.workspace_id == workspace(), other.c.id == source.c[column], other.c.id != source.c.id
            named = source.c.workspace_id == workspace(), source.c[pointer] == bindparam("id", type_=UUID)
            held = _held(select(other.c.deleted_at).select_from(source.join(other, and_(*joined))).where(*named), other)
            gone = held.subquery()
            found = select(func.count(gone.c.deleted_at)).select_from(gone).scalar_subquery()
            columns.append(found.label(f"{rows.name}.{column}"))
    return compile_statement(select(*columns)) if columns else None
