"""Which records a viewer may see differently because a record of another type changed, which the log does not tell.

Whether a role shows a contact may depend on who owns its customer: the customer's event is in the log, and none of the
contact's. Read off the predicates of the scopes that the viewer's grants use. Parts (`Policy.parent`) are left out:
their rule is that they come and go with their whole.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import BinaryExpression, BindParameter, ColumnClause
from sqlalchemy.sql.operators import eq
from sqlalchemy.sql.visitors import iterate

from crm_graph.db.aliases import table_behind
from crm_graph.events.effects import Effect, Effects
from crm_graph.events.log import Event
from crm_graph.graph.records.registry import Registry
from crm_graph.identity.viewer import Viewer
from crm_graph.permissions.access import Access, TypeAccess
from crm_graph.permissions.grants import ALL, NONE, READ

ABOUT_VIEWER = frozenset({"viewer_id", "viewer_circle", "viewer_teams"})


@dataclass(slots=True)
class Cause:
    """A type whose events may change who sees records of another one, and the columns of it that decide."""

    entity: str
    pointed_to: bool
    """Whether the dependent records point to it: then it comes before them and goes after them."""
    effects: Effects
    columns: set[str] = field(default_factory=set)
    of_viewer: set[str] = field(default_factory=set)
    """Of these columns those that are compared with who the viewer is, and with nothing else."""

    def shows(self, event: Event, viewer: Viewer) -> bool:
        """Return whether an event can have changed what this viewer sees of the dependent records."""
        if event.entity != self.entity:
            return False
        before = {name: _of_viewer(change[0], viewer) for name, change in event.changes.items()}
        after = {name: _of_viewer(change[1], viewer) for name, change in event.changes.items()}
        effect = self.effects.of(event.type)
        if effect in {Effect.CREATES, Effect.REMOVES}:
            told = after if effect is Effect.CREATES else before
            return not self.pointed_to and (not self.of_viewer or any(any(told.get(n, ())) for n in self.of_viewer))
        return any(name not in self.of_viewer or before[name] != after[name] for name in self.columns & before.keys())


def causes(access: Access, registry: Registry, types: Iterable[str]) -> Mapping[str, tuple[Cause, ...]]:
    """Return, by type, on what else it depends who sees its records; types that stand for themselves are left out."""
    names = {record.table.name: record.name for record in registry.records.values()}
    found: dict[str, tuple[Cause, ...]] = {}
    for name in types:
        of = access.of(name)
        if of.policy.parent is not None:
            continue
        targets = {key.column.table.name for key in of.policy.table.foreign_keys}
        by_table: dict[str, Cause] = {}
        others: set[tuple[str, str]] = set()
        for table, column, about_viewer in _foreign(of):
            if table not in names:
                continue
            cause = by_table.setdefault(table, Cause(names[table], table in targets, registry.effects))
            cause.columns.add(column)
            if about_viewer:
                cause.of_viewer.add(column)
            else:
                others.add((table, column))
        for table, cause in by_table.items():
            cause.of_viewer -= {column for of_table, column in others if of_table == table}
        if by_table:
            found[name] = tuple(by_table.values())
    return found


def _of_viewer(value: Any, viewer: Viewer) -> tuple[bool, bool, bool]:
    """Return all that a predicate can learn of a value by comparing it with who the viewer is."""
    key = value.replace("-", "") if isinstance(value, str) else value
    return key == viewer.member_id, key in viewer.circle, key in viewer.teams


def _foreign(of: TypeAccess) -> Iterator[tuple[str, str, bool]]:
    """Yield the columns of other tables that decide what the viewer sees of a type: table, column, and whether it is
    compared with who the viewer is, and only for being equal."""
    for scope in _scopes(of):
        predicate = of.policy.predicate(scope, of.policy.table)
        elements = [] if predicate is None else list(iterate(predicate))
        compared = Counter(
            id(each)
            for comparison in elements
            if isinstance(comparison, BinaryExpression) and comparison.operator is eq
            for binds in [{each.key for each in iterate(comparison) if isinstance(each, BindParameter)}]
            if binds and binds <= ABOUT_VIEWER
            for each in (comparison.left, comparison.right)
        )
        mentioned = Counter(id(each) for each in elements)
        for element in elements:
            if isinstance(element, ColumnClause):
                table = table_behind(element.table)
                if table is not None and table is not of.policy.table:
                    yield table.name, element.name, compared[id(element)] == mentioned[id(element)]


def _scopes(of: TypeAccess) -> set[str]:
    """Return the scopes that limit the rows, or a field of them."""
    found = set(of.scopes(READ))
    for grant in of.grants:
        if grant.scopes(READ):
            found |= {each.scope for given in grant.fields.values() for each in given}
    return found - {ALL, NONE}
