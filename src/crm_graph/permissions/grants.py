"""Roles and grants: what may be done, on which rows, with which fields.

Decided in D-permissions-10 (ARCHITECTURE.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from types import MappingProxyType


class Level(IntEnum):
    """What a role may do with a field. READ and WRITE include all levels below; MASKED and MEASURE include nothing of
    each other."""

    NONE = 0
    MEASURE = 1
    """Sums and averages over enough rows, and no value (`graph/reading/measures.py`)."""
    MASKED = 2
    READ = 3
    WRITE = 4


NONE, OWN, TEAM, ALL = "NONE", "OWN", "TEAM", "ALL"
"""The row scopes of every type; a policy may add its own. NONE and ALL need no predicate."""

Scopes = str | Iterable[str]
"""How grants are written: one scope, or several, any of which suffices."""

READ, CREATE, UPDATE, DELETE, EXPORT = "read", "create", "update", "delete", "export"
"""The verbs of every type; a policy may name transitions (`approve`), which follow `update` or are granted by name."""

BASIC_VERBS = (READ, CREATE, UPDATE, DELETE, EXPORT)
ERASE = "erase"
"""Erasing a person; of types whose records are persons, and by its name alone."""
SET_ROLES = "setRoles"
"""Giving members roles: who gives roles gives rights."""
NOWHERE: frozenset[str] = frozenset()
"""The scopes of a verb that is granted on no row."""


@dataclass(frozen=True, slots=True)
class FieldGrant:
    """The level a role has on a field, on the rows of `scope` (within those it may read).

    With `verbs`, WRITE holds for these verbs only, and is READ otherwise: `{"create"}` is set once and frozen later.
    """

    level: Level
    scope: str = ALL
    verbs: frozenset[str] | None = None
    audited: bool = False
    """Whether each reading of the field by this role is written to the log."""

    def writes(self, verb: str) -> bool:
        """Return whether it lets a verb write the field."""
        return self.level >= Level.WRITE and (self.verbs is None or verb in self.verbs)


@dataclass(frozen=True, slots=True)
class Grant:
    """What a role may do with one type: the row scopes of each verb, any of which suffices, and the fields that differ
    from `fields_default`."""

    verbs: Mapping[str, frozenset[str]]
    fields: Mapping[str, tuple[FieldGrant, ...]] = field(default_factory=lambda: MappingProxyType({}))
    fields_default: Level = Level.WRITE

    def scopes(self, verb: str) -> frozenset[str]:
        """Return the row scopes of a verb."""
        return self.verbs.get(verb, NOWHERE)

    def with_transitions(self, following: Iterable[str]) -> Grant:
        """Return the grant with those transitions of its type that follow `update` where they are not named."""
        update = self.scopes(UPDATE)
        return replace(self, verbs={**dict.fromkeys(following, update), **self.verbs})

    def field_grants(self, name: str) -> tuple[FieldGrant, ...]:
        """Return what the role may do with a field."""
        return self.fields.get(name) or (FieldGrant(self.fields_default),)


def grant(
    read: Scopes = NONE,
    create: Scopes = NONE,
    update: Scopes = NONE,
    delete: Scopes = NONE,
    export: Scopes = NONE,
    *,
    fields: Mapping[str, FieldGrant | tuple[FieldGrant, ...]] | None = None,
    default: Level = Level.WRITE,
    **transitions: Scopes,
) -> Grant:
    """Return a grant; keyword arguments beyond the verbs of all types are named transitions."""
    given = {READ: read, CREATE: create, UPDATE: update, DELETE: delete, EXPORT: export, **transitions}
    verbs = {verb: _several(scopes) for verb, scopes in given.items()}
    listed = {name: grants if isinstance(grants, tuple) else (grants,) for name, grants in (fields or {}).items()}
    return Grant(MappingProxyType(verbs), MappingProxyType(listed), default)


def _several(scopes: Scopes) -> frozenset[str]:
    return frozenset({scopes} if isinstance(scopes, str) else scopes) - {NONE}


def read_only(scope: Scopes = ALL, **fields: FieldGrant) -> Grant:
    """Return a grant that reads and exports rows of a scope and writes nothing."""
    return grant(read=scope, export=scope, default=Level.READ, fields=fields)


def reading(granted: Grant) -> Grant:
    """Return of a grant what reads, one by one or by the file: for credentials whose scope is to read."""
    fields = {
        name: tuple(FieldGrant(min(level.level, Level.READ), level.scope, None, level.audited) for level in levels)
        for name, levels in granted.fields.items()
    }
    return grant(
        read=granted.scopes(READ),
        export=granted.scopes(EXPORT),
        fields=fields,
        default=min(granted.fields_default, Level.READ),
    )


MASKED = FieldGrant(Level.MASKED)
HIDDEN = FieldGrant(Level.NONE)
MEASURED = FieldGrant(Level.MEASURE)


@dataclass(frozen=True, slots=True)
class Role:
    """A named set of grants, by type name. Types without a grant do not exist for the role."""

    name: str
    grants: Mapping[str, Grant]
