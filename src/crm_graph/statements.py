"""The statements of the unit of work: how a row is locked, inserted, changed and removed. Compiled once each."""

from __future__ import annotations

from functools import cache
from typing import Any

from sqlalchemy import FromClause, and_, bindparam, delete, false, insert, select, update

from crm_graph.db.base import Row, columns_of, table_of
from crm_graph.db.statements import Statement, compile_statement
from crm_graph.permissions.access import Access
from crm_graph.permissions.grants import READ
from crm_graph.permissions.policy import UUID, Policy, workspace
from crm_graph.referring import Copied, selected


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
    """Return the statement that removes the row `b_id`."""
    table = table_of(model)
    return compile_statement(
        delete(table).where(table.c.workspace_id == workspace(), table.c.id == bindparam("b_id", type_=UUID))
    )


_GET_STATEMENTS: dict[tuple[str, str, str, tuple[str, ...], bool], Statement] = {}
MAX_GET_STATEMENTS = 2_000


def get_statement(
    model: type[Row], policy: Policy, access: Access, verb: str, given: tuple[str, ...] = (), *, made: bool = False
) -> Statement:
    """Return the statement that locks a row and says whether `verb` is permitted on it, and whether writing each of the
    fields `given` by it is (`write_<field>`).

    The row must be visible, unless this unit of work has just `made` it: who may only create sees nothing, and yet
    creates.
    """
    may = access.of(policy.type)
    table = table_of(model)
    limited = {name: rows for name in given if (rows := may.writable(name, verb, table)) is not None}
    key = (policy.type, access.fingerprint, verb, tuple(limited), made)
    found = _GET_STATEMENTS.get(key)
    if found is None:
        readable, permitted = may.rows(table), may.rows(table, verb)
        conditions = [table.c.workspace_id == workspace(), table.c.id == bindparam("id", type_=UUID)]
        if readable is not None and not made:
            conditions.append(readable)
        permitted = and_(table.c.workspace_id == workspace()) if permitted is None else permitted
        columns = [rows.label(f"write_{name}") for name, rows in limited.items()]
        selected = select(*table.c, (permitted if may.allows(verb) else false()).label("permitted"), *columns)
        selected = selected.where(*conditions)
        locked: list[FromClause] = [table]
        if policy.in_version and policy.parent is not None and not made:
            # The whole is locked first, always, as whoever deletes it does: else two would wait for each other.
            whole = policy.parent[0].table.alias("whole")
            joined = whole.c.workspace_id == workspace(), whole.c.id == table.c[policy.parent[1]]
            selected, locked = selected.select_from(table.join(whole, and_(*joined))), [whole, table]
        found = compile_statement(selected if verb == READ else selected.with_for_update(of=locked))
        if len(_GET_STATEMENTS) >= MAX_GET_STATEMENTS:
            _GET_STATEMENTS.clear()
        _GET_STATEMENTS[key] = found
    return found


_FIND_STATEMENTS: dict[Any, Statement] = {}


def find_statement(policy: Policy, access: Access, column: str) -> Statement:
    """Return the statement that finds the visible row with a `value` in a unique column; its id, without locking it."""
    key = policy.type, access.fingerprint, column
    found = _FIND_STATEMENTS.get(key)
    if found is None:
        table = policy.table
        value = bindparam("value", type_=table.c[column].type)
        conditions = [table.c.workspace_id == workspace(), table.c[column] == value]
        readable = access.of(policy.type).rows(table)
        if readable is not None:
            conditions.append(readable)
        found = compile_statement(select(table.c.id).where(*conditions))
        if len(_FIND_STATEMENTS) >= MAX_GET_STATEMENTS:
            _FIND_STATEMENTS.clear()
        _FIND_STATEMENTS[key] = found
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
        conditions = [table.c.workspace_id == workspace(), table.c.id == bindparam("id", type_=UUID)]
        readable = may.rows(table)
        if readable is not None:
            conditions.append(readable)
        columns = selected(may, table, dict.fromkeys(("id", *needs)), dict(reads))
        found = compile_statement(select(*columns).where(*conditions))
        if len(_REFER_STATEMENTS) >= MAX_GET_STATEMENTS:
            _REFER_STATEMENTS.clear()
        _REFER_STATEMENTS[key] = found
    return found
