"""Which records a viewer may see differently because a record of another type changed, which the log does not tell.

Whether a role shows a contact may depend on who owns its customer: the customer's event is in the log, and none of the
contact's. Read off the predicates of the scopes that the viewer's grants use. Parts (`Policy.parent`) are left out:
their rule is that they come and go with their whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from sqlalchemy import Alias, Column, Table
from sqlalchemy.sql.visitors import iterate

from crm_graph.events.log import Event
from crm_graph.graph.registry import Registry
from crm_graph.permissions.access import Access, TypeAccess
from crm_graph.permissions.grants import ALL, NONE, READ


@dataclass(frozen=True, slots=True)
class Cause:
    """A type whose events may change who sees records of another one: by these columns, or by coming and going."""

    entity: str
    columns: frozenset[str]
    pointed_to: bool
    """Whether the dependent records point to it: then it comes before them and goes after them."""

    def shows(self, event: Event) -> bool:
        """Return whether an event may have changed who sees the dependent records."""
        if event.entity != self.entity:
            return False
        comes_or_goes = event.type in {f"{self.entity}{what}" for what in ("Created", "Added", "Deleted", "Removed")}
        return not self.pointed_to if comes_or_goes else bool(self.columns & event.changes.keys())


def causes(access: Access, registry: Registry, types: Iterable[str]) -> Mapping[str, tuple[Cause, ...]]:
    """Return, by type, on what else it depends who sees its records; types that stand for themselves are left out."""
    names = {record.table.name: record.name for record in registry.records.values()}
    found: dict[str, tuple[Cause, ...]] = {}
    for name in types:
        of = access.of(name)
        if of.policy.parent is not None:
            continue
        columns: dict[str, set[str]] = {}
        for table, column in _foreign(of):
            if table.name in names:
                columns.setdefault(table.name, set()).add(column)
        targets = {key.column.table.name for key in of.policy.table.foreign_keys}
        if columns:
            found[name] = tuple(
                Cause(names[table], frozenset(used), table in targets) for table, used in sorted(columns.items())
            )
    return found


def _foreign(of: TypeAccess) -> Iterator[tuple[Table, str]]:
    """Yield the columns of other tables that decide what the viewer sees of a type."""
    for scope in _scopes(of):
        predicate = of.policy.predicate(scope, of.policy.table)
        for element in () if predicate is None else iterate(predicate):
            if isinstance(element, Column):
                table = element.table.element if isinstance(element.table, Alias) else element.table
                if isinstance(table, Table) and table is not of.policy.table:
                    yield table, element.name


def _scopes(of: TypeAccess) -> set[str]:
    """Return the scopes that limit the rows, or a field of them."""
    found = {grant.scope(READ) for grant in of.grants}
    for grant in of.grants:
        if grant.scope(READ) != NONE:
            found |= {each.scope for given in grant.fields.values() for each in given}
    return found - {ALL, NONE}
