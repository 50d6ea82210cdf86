"""Roles and grants: what may be done, on which rows, with which fields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
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

READ, CREATE, UPDATE, DELETE = "read", "create", "update", "delete"
"""The verbs of every type; named transitions (`approve`) are verbs of their own and fall back to `update`."""

SET_ROLES = "setRoles"
"""Giving members roles. It never follows `update`: who gives roles gives rights."""
_BY_NAME_ONLY = frozenset({READ, CREATE, DELETE, SET_ROLES})


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
    """What a role may do with one type: a row scope per verb, and the fields that differ from `fields_default`."""

    verbs: Mapping[str, str]
    fields: Mapping[str, tuple[FieldGrant, ...]] = field(default_factory=lambda: MappingProxyType({}))
    fields_default: Level = Level.WRITE

    def scope(self, verb: str) -> str:
        """Return the row scope of a verb; a named transition that is not granted by name follows `update`."""
        if verb in self.verbs:
            return self.verbs[verb]
        return NONE if verb in _BY_NAME_ONLY else self.verbs.get(UPDATE, NONE)

    def field_grants(self, name: str) -> tuple[FieldGrant, ...]:
        """Return what the role may do with a field."""
        return self.fields.get(name) or (FieldGrant(self.fields_default),)


def grant(
    read: str = NONE,
    create: str = NONE,
    update: str = NONE,
    delete: str = NONE,
    *,
    fields: Mapping[str, FieldGrant | tuple[FieldGrant, ...]] | None = None,
    default: Level = Level.WRITE,
    **transitions: str,
) -> Grant:
    """Return a grant; keyword arguments beyond the four verbs are named transitions."""
    verbs = {READ: read, CREATE: create, UPDATE: update, DELETE: delete, **transitions}
    listed = {name: given if isinstance(given, tuple) else (given,) for name, given in (fields or {}).items()}
    return Grant(MappingProxyType(verbs), MappingProxyType(listed), default)


def read_only(scope: str = ALL, **fields: FieldGrant) -> Grant:
    """Return a grant that reads rows of a scope and writes nothing."""
    return grant(read=scope, default=Level.READ, fields=fields)


def reading(granted: Grant) -> Grant:
    """Return of a grant what reads: for credentials whose scope is to read."""
    fields = {
        name: tuple(FieldGrant(min(level.level, Level.READ), level.scope, None, level.audited) for level in levels)
        for name, levels in granted.fields.items()
    }
    return grant(read=granted.scope(READ), fields=fields, default=min(granted.fields_default, Level.READ))


MASKED = FieldGrant(Level.MASKED)
HIDDEN = FieldGrant(Level.NONE)
MEASURED = FieldGrant(Level.MEASURE)


@dataclass(frozen=True, slots=True)
class Role:
    """A named set of grants, by type name. Types without a grant do not exist for the role."""

    name: str
    grants: Mapping[str, Grant]
