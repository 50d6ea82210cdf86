"""The compiler: the union of a member's roles to a predicate per type and verb, and an expression per column.

Everything that reads rows goes through `TypeAccess.rows` and `TypeAccess.column`. What they leave out is not in the
SQL: a hidden field cannot be recovered by filtering, ordering, grouping or counting, because those read the same
expression.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

from sqlalchemy import ColumnElement, FromClause, Table, and_, case, false, or_, true

from crm_graph.db.base import DELETED_AT
from crm_graph.permissions.grants import ALL, DELETE, EXPORT, NONE, READ, FieldGrant, Grant, Level, Role
from crm_graph.permissions.policy import Policy, workspace


@dataclass(frozen=True, slots=True)
class TypeAccess:
    """What a set of roles may do with one type."""

    policy: Policy
    grants: tuple[Grant, ...]
    inherent: frozenset[str] = frozenset()
    """The fields that come with the object, as the schema says by their being non-null: no default hides them."""
    _found: dict[tuple[str, str], Any] = field(default_factory=dict, compare=False, repr=False)
    """What writers of rows have asked for before: each mutation asks it of the same few fields."""

    def scopes(self, verb: str) -> frozenset[str]:
        """Return the row scopes in which a verb is granted, of which none lies in another; ALL lies in none."""
        scopes: frozenset[str] | None = self._found.get(("", verb))
        if scopes is None:
            granted = (scope for grant in self.grants for scope in grant.scopes(verb))
            scopes = self._found["", verb] = self.policy.widest(granted)
        return scopes

    def allows(self, verb: str) -> bool:
        """Return whether a verb is granted on any row."""
        return bool(self.scopes(verb))

    def rows(self, rows: FromClause, verb: str = READ) -> ColumnElement[bool] | None:
        """Return the predicate of the rows on which a verb is granted; None means every row of the workspace."""
        scopes = self.scopes(verb)
        return None if ALL in scopes else self.policy.any_of(scopes, rows)

    def conditions(self, rows: FromClause, *, deleted: bool = False) -> list[ColumnElement[bool]]:
        """Return what every read of rows asks for: the workspace, that they are not in the recycle bin, and that they
        may be read. Of those `deleted`, which are in it, nobody sees what they may not delete."""
        predicates = [self.rows(rows), self.rows(rows, DELETE) if deleted else None]
        conditions: list[ColumnElement[bool]] = [rows.c.workspace_id == workspace()]
        if DELETED_AT in rows.c:
            conditions.append(rows.c.deleted_at.is_not(None) if deleted else rows.c.deleted_at.is_(None))
        return [*conditions, *(predicate for predicate in predicates if predicate is not None)]

    def _levels(self, name: str) -> Sequence[tuple[Level, frozenset[str]]]:
        """Return `(level, scopes that must all hold)` for each role's grant of a field on rows that it may read."""
        return [
            (granted.level, scopes)
            for grant in self.grants
            for granted in self.granted(grant, name)
            for scopes in self._both(grant.scopes(READ), granted.scope)
        ]

    def _both(self, rows: frozenset[str], scope: str) -> list[frozenset[str]]:
        """Return the rows that lie in some scopes and in another one, as alternatives of scopes that must all hold;
        the empty alternative is of all rows."""
        if scope == NONE:
            return []
        return [self.policy.narrowest({row_scope, scope}) - {ALL} for row_scope in sorted(self.policy.widest(rows))]

    def granted(self, grant: Grant, name: str) -> tuple[FieldGrant, ...]:
        """Return what one role's grant says of a field; one that comes with the object is not hidden by a default."""
        if name not in self.inherent or name in grant.fields or grant.fields_default >= Level.READ:
            return grant.field_grants(name)
        masked = grant.fields_default is Level.MASKED and name in self.policy.masks
        return (FieldGrant(Level.MASKED if masked else Level.READ),)

    def column(
        self,
        name: str,
        rows: FromClause,
        column: ColumnElement[Any],
        *,
        masks: bool = True,
        beside: bool = False,
        measures: bool = False,
    ) -> ColumnElement[Any] | None:
        """Return what may be shown of a field as an expression over `rows`; None where it is hidden on every row.

        Without `masks` the expression is null where only a mask may be shown. A column `beside` the field's own, the
        currency of an amount, is shown as it is where that is masked. With `measures` it is also what may be measured.
        """
        levels = self._levels(name)
        readable = [scopes for level, scopes in levels if level >= Level.READ or (measures and level is Level.MEASURE)]
        if self._cover(readable):
            return column
        masked_scopes = [scopes for level, scopes in levels if masks and level == Level.MASKED]
        mask = self.policy.mask(name, column) if masked_scopes else None
        mask = column if beside and mask is not None else mask
        whens: list[tuple[ColumnElement[bool], ColumnElement[Any]]] = []
        if readable:
            whens.append((self._where(readable, rows), column))
        if mask is None:
            return case(*whens) if whens else None
        if self._cover(masked_scopes):
            return case(*whens, else_=mask) if whens else mask
        return case(*whens, (self._where(masked_scopes, rows), mask))

    def shown(self, name: str, rows: FromClause) -> ColumnElement[bool] | None:
        """Return the predicate of the rows on which a field is shown in clear; None where it is so on none."""
        readable = [scopes for level, scopes in self._levels(name) if level >= Level.READ]
        return self._where(readable, rows) if readable else None

    def measured_only(self, name: str, rows: FromClause) -> ColumnElement[bool] | None:
        """Return the predicate of the rows on which a field may be measured and not be read, never null; None where
        that is none of them."""
        if not self.measures_only(name):
            return None
        readable = [scopes for level, scopes in self._levels(name) if level >= Level.READ]
        return self._where(readable, rows).is_not(True) if readable else true()

    def measures_only(self, name: str) -> bool:
        """Return whether a field may be measured on rows on which it may not be read."""
        levels = self._levels(name)
        readable = [scopes for level, scopes in levels if level >= Level.READ]
        return any(
            level is Level.MEASURE and not any(self._within(scopes, those) for those in readable)
            for level, scopes in levels
        )

    def may_measure(self, name: str) -> bool:
        """Return whether a field may be measured on any row, read or not."""
        return any(level >= Level.READ or level is Level.MEASURE for level, _ in self._levels(name))

    def seen(self, name: str, rows: FromClause) -> ColumnElement[bool] | None:
        """Return the predicate of the rows on which a field is shown, in clear or masked; None where it is so on
        none."""
        least = Level.MASKED if name in self.policy.masks else Level.READ
        seen = [scopes for level, scopes in self._levels(name) if level >= least]
        if not seen:
            return None
        return true() if self._cover(seen) else self._where(seen, rows)

    def level(self, name: str) -> Level:
        """Return the best level that any role has on a field on any row."""
        return max((level for level, _ in self._levels(name)), default=Level.NONE)

    def may_write(self, name: str, verb: str) -> bool:
        """Return whether a verb may write a field on any row."""
        return bool(self._writers(name, verb))

    def writable(self, name: str, verb: str, rows: FromClause) -> ColumnElement[bool] | None:
        """Return the predicate of the rows on which a verb may write a field; None where `rows(verb)` says it all.

        The verb of one role and the field of another make no right: one role must grant both on the row.
        """
        alternatives = self._writers(name, verb)
        if self._covered(self.scopes(verb), alternatives):
            return None
        return self._where(alternatives, rows) if alternatives else false()

    def _writers(self, name: str, verb: str) -> list[frozenset[str]]:
        """Return, for each grant by which a verb may write a field, the scopes that must all hold."""
        scopes: list[frozenset[str]] | None = self._found.get((name, verb))
        if scopes is None:
            scopes = self._found[name, verb] = [
                scopes
                for grant in self.grants
                for granted in self.granted(grant, name)
                if granted.writes(verb)
                for scopes in self._both(grant.scopes(verb), granted.scope)
            ]
        return scopes

    def over_whole(self) -> TypeAccess:
        """Return what the roles may do with parts of a whole, as an access over rows of the whole: for one that is not
        written yet."""
        assert self.policy.parent is not None
        whole, _ = self.policy.parent
        scopes = {scope: partial(_predicate_of, whole, scope) for scope in whole.whole.scopes}
        policy = replace(self.policy, table=whole.table, parent=None, in_version=None, scopes=scopes)
        policy = replace(policy, around_own=whole.whole.around_own)
        return TypeAccess(policy, self.grants, self.inherent)

    def covers(self, other: TypeAccess, fields: Iterable[str], *, of_the_same: bool) -> bool:
        """Return whether all that another access shows of the fields, this one shows: the rows, and on each row each
        field at that level at least; and whether it may export what that one may. `of_the_same`: both are asked by one
        member with one circle, so that a scope is the same rows in both; otherwise only what this one shows on all rows
        counts."""

        def lies_in(scope: str, outer: str) -> bool:
            return of_the_same and self.policy.lies_in(scope, outer)

        def rows(verb: str) -> bool:
            mine = self.scopes(verb)
            return ALL in mine or all(any(lies_in(scope, outer) for outer in mine) for scope in other.scopes(verb))

        return all(map(rows, (READ, EXPORT))) and all(
            any(
                (mine >= Level.READ or mine is level)
                and all(any(lies_in(scope, outer) for scope in scopes) for outer in outers)
                for mine, outers in self._levels(name)
            )
            for name in fields
            for level, scopes in other._levels(name)
            if level is not Level.NONE
        )

    def audited(self, name: str) -> bool:
        """Return whether reading a field is to be written to the log: some role that shows it asks for that."""
        readable: bool | None = self._found.get((name, READ))
        if readable is None:
            readable = self._found[name, READ] = any(
                granted.audited and granted.level > Level.NONE and granted.scope != NONE
                for grant in self.grants
                if grant.scopes(READ)
                for granted in self.granted(grant, name)
            )
        return readable

    def partial(self, name: str) -> bool:
        """Return whether a field is withheld or masked on some of the rows that may be read."""
        return not self._cover([scopes for level, scopes in self._levels(name) if level >= Level.READ])

    def _cover(self, alternatives: Sequence[frozenset[str]]) -> bool:
        """Return whether the rows of these alternatives, each of rows in all of its scopes, are together all the rows
        that may be read: one role may show a field on the rows that it lets read, and another one on the others."""
        read = self.scopes(READ)
        return bool(read) and self._covered(read, alternatives)

    def _covered(self, scopes: Iterable[str], alternatives: Sequence[frozenset[str]]) -> bool:
        """Return whether each row of some scopes is a row of one of these alternatives."""
        return all(
            any(all(self.policy.lies_in(scope, other) for other in within) for within in alternatives)
            for scope in scopes
        )

    def _where(self, alternatives: Iterable[frozenset[str]], rows: FromClause) -> ColumnElement[bool]:
        """Return the condition of the rows of these alternatives, but for those that lie in the others."""
        conditions = []
        alternatives = list(dict.fromkeys(alternatives))
        for position, scopes in enumerate(alternatives):
            if self._in_others(position, alternatives):
                continue
            predicates = [self.policy.predicate(scope, rows) for scope in sorted(scopes)]
            conditions.append(and_(*(predicate for predicate in predicates if predicate is not None)))
        return or_(*conditions)

    def _in_others(self, position: int, alternatives: Sequence[frozenset[str]]) -> bool:
        """Return whether all rows of an alternative are rows of another one; of two that are the same rows, whether it
        is the later."""
        these = alternatives[position]
        return any(
            self._within(these, those) and (other < position or not self._within(those, these))
            for other, those in enumerate(alternatives)
            if other != position
        )

    def _within(self, these: frozenset[str], those: frozenset[str]) -> bool:
        """Return whether all rows of an alternative are rows of another one."""
        return all(any(self.policy.lies_in(scope, outer) for scope in these) for outer in those)


def _predicate_of(policy: Policy, scope: str, rows: FromClause) -> ColumnElement[bool]:
    predicate = policy.predicate(scope, rows)
    assert predicate is not None
    return predicate


@dataclass(frozen=True)
class Access:
    """What a set of roles may do, over all types; `fingerprint` names it in plan caches."""

    types: Mapping[str, TypeAccess]
    fingerprint: str

    def of(self, type_name: str) -> TypeAccess:
        """Return the access to a type. Raises KeyError for a type without a policy: forgetting one fails closed."""
        return self.types[type_name]

    def over(self, table: Table) -> Policy:
        """Return the policy of a table's rows. Raises KeyError for a table without one: forgetting one fails closed."""
        return self._policies[table.name]

    @cached_property
    def _policies(self) -> Mapping[str, Policy]:
        return {access.policy.table.name: access.policy for access in self.types.values()}

    @cached_property
    def asks_who(self) -> bool:
        """Whether some predicate depends on who the viewer is, and not only on what is granted to them."""
        return any(
            scope not in {ALL, NONE}
            for access in self.types.values()
            for grant in access.grants
            for scope in (
                *(scope for scopes in grant.verbs.values() for scope in scopes),
                *(field.scope for field_grants in grant.fields.values() for field in field_grants),
            )
        )

    @cached_property
    def audits(self) -> bool:
        """Whether reading some field is to be written down, by whom it was read."""
        return any(
            field.audited
            for access in self.types.values()
            for grant in access.grants
            for field_grants in grant.fields.values()
            for field in field_grants
        )

    def hides(self, type_name: str, field_name: str) -> bool:
        """Return whether a field is withheld or masked on some rows; a type without a policy hides nothing itself."""
        access = self.types.get(type_name)
        return access is not None and access.partial(field_name)


def compile_access(
    roles: Sequence[Role], policies: Iterable[Policy], inherent: Mapping[str, frozenset[str]] | None = None
) -> Access:
    """Return the union of the roles over all types. `inherent` are, by type, the fields that come with the object."""
    types: dict[str, TypeAccess] = {}
    digest = hashlib.sha256()
    for policy in policies:
        grants = tuple(granted for role in roles if (granted := _grant(role, policy)) is not None)
        types[policy.type] = TypeAccess(policy, grants, (inherent or {}).get(policy.type, frozenset()))
        digest.update(f"{policy.type}:{[_canonical(grant) for grant in grants]};".encode())
    return Access(types, digest.hexdigest())


def _grant(role: Role, policy: Policy) -> Grant | None:
    """Return what a role grants on a type; a part without a grant of its own takes the verbs of its whole."""
    if policy.type in role.grants or policy.parent is None:
        granted = role.grants.get(policy.type)
        return None if granted is None else granted.with_transitions(policy.following)
    whole = _grant(role, policy.parent[0])
    return None if whole is None else Grant(whole.verbs, {}, whole.fields_default)


def _canonical(grant: Grant) -> str:
    fields = sorted(
        (name, [(int(g.level), g.scope, sorted(g.verbs) if g.verbs is not None else None, g.audited) for g in given])
        for name, given in grant.fields.items()
    )
    verbs = sorted((verb, sorted(scopes)) for verb, scopes in grant.verbs.items())
    return f"{verbs}{fields}{int(grant.fields_default)}"
