"""A policy: what a slice says about its type, so that the engine can compile grants without knowing the entity."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    FromClause,
    Numeric,
    String,
    Table,
    Uuid,
    any_,
    bindparam,
    case,
    cast,
    false,
    func,
    or_,
    select,
    type_coerce,
)
from sqlalchemy.sql.visitors import replacement_traverse

from crm_graph.db.aliases import rows_of
from crm_graph.db.session import ReadSession
from crm_graph.identity.viewer import Viewer
from crm_graph.permissions.grants import ALL, OWN, TEAM, Grant

UUID = Uuid(as_uuid=False)
EventClass = type[Any]
Predicate = Callable[[FromClause], ColumnElement[bool]]
Mask = Callable[[ColumnElement[Any]], ColumnElement[Any]]


class Writer(Protocol):
    """Who writes: of a unit of work, what rules about rights ask for."""

    @property
    def viewer(self) -> Viewer:
        """Who it is done as."""
        ...

    @property
    def session(self) -> ReadSession:
        """What rules read by."""
        ...

    @property
    def facts(self) -> dict[str, Any]:
        """What a rule has read and goes on from, for the duration of the unit of work."""
        ...


Rule = Callable[[Writer, Mapping[str, Any] | None, Mapping[str, Any] | None], Awaitable[None]]
"""Holds the writing of a column to the rights of who writes it. Called with the row as it is and as it is to be, None
for one that comes or goes, before it is written and never for an administrator. Raises Refused or Forbidden."""


def workspace() -> ColumnElement[str]:
    """Return the bind of the viewer's workspace, which every statement carries."""
    return bindparam("workspace_id", type_=UUID)


def viewer_id() -> ColumnElement[str]:
    """Return the bind of the viewer's member id."""
    return bindparam("viewer_id", type_=UUID)


def in_circle(column: ColumnElement[Any]) -> ColumnElement[bool]:
    """Return whether a member column is one of the viewer's circle."""
    return column == any_(bindparam("viewer_circle", type_=ARRAY(UUID)))


def in_teams(column: ColumnElement[Any]) -> ColumnElement[bool]:
    """Return whether a team column is one of the teams that the viewer manages or belongs to, or below these."""
    return column == any_(bindparam("viewer_teams", type_=ARRAY(UUID)))


_AS_SET = "as_set"


def linked(
    key: ColumnElement[Any], other: FromClause, named: str, *conditions: ColumnElement[bool]
) -> ColumnElement[bool]:
    """Return whether other rows that fulfil conditions, which speak of them alone, name a key of these rows.

    It is an EXISTS, a look into an index for each row that is asked about. `as_sets` makes it a set that is read once.
    """
    row = select(1).select_from(other).where(*conditions, other.c[named] == key).correlate(_rows_of(key))
    keys = select(other.c[named]).where(*conditions).scalar_subquery()
    return row.exists()._annotate({_AS_SET: key == any_(func.array(keys, type_=ARRAY(UUID)))})


def _rows_of(key: ColumnElement[Any]) -> FromClause:
    (rows,) = key._from_objects
    return rows


def as_sets(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    """Return a predicate in the form in which indexes find all rows that fulfil it, where these are few."""

    def replace(each: Any, **_: Any) -> Any:
        return each._annotations.get(_AS_SET)

    as_set: ColumnElement[bool] = replacement_traverse(condition, {}, replace)  # type: ignore[call-overload]
    return as_set


def owned_by(column: str) -> Mapping[str, Predicate]:
    """Return OWN and TEAM for a type whose rows have an owner."""
    return {OWN: lambda rows: rows.c[column] == viewer_id(), TEAM: lambda rows: in_circle(rows.c[column])}


def of_viewer_or_teams(rows: FromClause, member: str, team: str) -> ColumnElement[bool]:
    """Return whether a member column is the viewer, or a team column one of the viewer's teams."""
    return or_(rows.c[member] == viewer_id(), in_teams(rows.c[team]))


def mask_text(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Show the first character: `张***`, `A***`."""
    return func.left(column, 1) + "***"


def mask_email(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Show the first character and the domain: `a***@example.com`."""
    return func.left(column, 1) + "***@" + func.split_part(column, "@", 2)


def mask_phone(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Show the last two digits: `***45`."""
    return type_coerce("***" + func.right(column, 2), String)


def mask_amount(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Show the order of magnitude, as the power of ten at or below it: 12,345 is 10,000, 0.5 is 0."""
    size = func.floor(func.log(func.greatest(func.abs(column), 1)))
    return case((func.abs(column) < 1, 0), else_=func.sign(column) * func.power(cast(10, Numeric), size))


READABLE, MASKED_ONLY = "r", "m"
"""How an expression of an encrypted column starts, which says how much of the text may be shown."""


@dataclass(frozen=True, slots=True)
class MaskDecrypted:
    """The mask of an encrypted column. SQL can only say that it applies; `show` makes it of the text in clear."""

    show: Callable[[str], str]

    def __call__(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """Return the expression of a column that starts with READABLE as one of which only the mask may be shown."""
        return type_coerce(MASKED_ONLY + func.substr(column, 2), String)


def last_letters(count: int) -> Callable[[str], str]:
    """Return what shows the last letters, and never more than half of them: `***002X`."""
    return lambda text: "***" + text[len(text) - min(count, len(text) // 2) :]


@dataclass(frozen=True, slots=True)
class Policy:
    """What the engine needs to know of a type.

    `scopes` maps each row scope but NONE and ALL to a predicate. A type that is part of another one (`parent`: the
    policy and the column that points to it) has the parent's rows: its line is visible exactly when the order is, and
    changing it asks for the verb on the parent. `scopes` of a part come beside its whole's: some of its rows.
    """

    type: str
    table: Table
    scopes: Mapping[str, Predicate] = field(default_factory=dict)
    masks: Mapping[str, Mask] = field(default_factory=dict)
    following: tuple[str, ...] = ()
    """The transitions that follow `update` where a role does not name them: steps of the daily work."""
    by_name: tuple[str, ...] = ()
    """The transitions that no role has by `update`, but by their name alone: what decides, binds or gives rights."""
    parent: tuple[Policy, str] | None = None
    in_version: EventClass | Literal[False] | None = None
    """Of a part, which must say it: the event of its whole that a change of the part is, by which the version of the
    whole moves; or False where nobody edits the whole and its parts as one: a history, a list that others add to."""
    unsaid: bool = False
    """Whether rows of a part may come with an event of their whole and none of their own: then both have one time."""
    directory: bool = False
    """Whether a change of this type may change what somebody else may do: members and teams."""
    timers: Callable[[Any], Mapping[str, tuple[str, datetime]]] | None = None
    """The timers that a record of it has, by key: kind and time. They are cleared when the record is deleted, and set
    when it comes back."""
    decides: Mapping[str, Rule] = field(default_factory=dict)
    """The columns, and `roles` that stand in a table beside, that decide what somebody may do, each with the rule by
    which it is written (`rights.py`): these are rights, not data."""
    around_own: frozenset[str] = frozenset({TEAM})
    """The scopes that hold every row of OWN: a member is in their own circle."""
    defaults: Mapping[str, Grant] = field(default_factory=dict)
    """The grants of the built-in roles, by role name. Empty for a part: it takes its parent's."""

    def __post_init__(self) -> None:
        if (self.parent is None) != (self.in_version is None):
            problem = "must say by `in_version`" if self.parent is not None else "is no part and cannot say"
            raise ValueError(f"{self.type} {problem} whether the version of its whole covers it")
        if self.in_version and self.parent is not None and self.parent[0].in_version:
            raise ValueError(f"{self.type} is a part of a part: only the version of {self.parent[0].type} would move")

    @property
    def transitions(self) -> tuple[str, ...]:
        """The verbs of this type beyond those that all types have."""
        return (*self.following, *self.by_name)

    def predicate(self, scope: str, rows: FromClause) -> ColumnElement[bool] | None:
        """Return the predicate of one scope on these rows; None for ALL. Raises KeyError for an unknown scope."""
        return None if scope == ALL else self.any_of((scope,), rows)

    def any_of(self, scopes: Iterable[str], rows: FromClause) -> ColumnElement[bool]:
        """Return the predicate of the rows in any of some scopes but ALL; false for none. Raises KeyError for an
        unknown scope."""
        wanted = sorted(scopes)
        own = [scope for scope in wanted if self.parent is None or scope in self.scopes]
        predicates = [self.scopes[scope](rows) for scope in own]
        of_whole = [scope for scope in wanted if scope not in own]
        if of_whole:
            predicates.append(self._of_whole(of_whole, rows))
        return or_(*predicates) if predicates else false()

    def _of_whole(self, scopes: Sequence[str], rows: FromClause) -> ColumnElement[bool]:
        """Return the predicate of the parts whose wholes lie in any of some scopes."""
        assert self.parent is not None
        policy, column = self.parent
        whole = rows_of(policy.table)
        return (
            select(1)
            .select_from(whole)
            .where(whole.c.workspace_id == workspace(), whole.c.id == rows.c[column], policy.any_of(scopes, whole))
            .correlate(rows)
            .exists()
        )

    def predicates(self, rows: FromClause) -> list[ColumnElement[bool]]:
        """Return the predicates of all scopes: what the expressions of this type's columns may ask of its rows."""
        return [predicate for scope in self.all_scopes if (predicate := self.predicate(scope, rows)) is not None]

    @property
    def all_scopes(self) -> tuple[str, ...]:
        """The row scopes of this type beside NONE and ALL: those of its whole, and its own."""
        return tuple(dict.fromkeys((*self.whole.scopes, *self.scopes)))

    def lies_in(self, scope: str, other: str) -> bool:
        """Return whether all rows of a scope are rows of another one, whatever they are."""
        return scope == other or other == ALL or (scope == OWN and other in self.whole.around_own)

    def widest(self, scopes: Iterable[str]) -> frozenset[str]:
        """Return those of some scopes that lie in no other one of them: the same rows, where any suffices."""
        given = frozenset(scopes)
        return frozenset(
            scope for scope in given if not any(other != scope and self.lies_in(scope, other) for other in given)
        )

    def narrowest(self, scopes: Iterable[str]) -> frozenset[str]:
        """Return those of some scopes in which no other one of them lies: the same rows, where all must hold."""
        given = frozenset(scopes)
        return frozenset(
            scope for scope in given if not any(other != scope and self.lies_in(other, scope) for other in given)
        )

    @property
    def whole(self) -> Policy:
        """The policy of what this type is part of, or the policy itself: whose scopes count."""
        return self if self.parent is None else self.parent[0].whole

    def mask(self, name: str, column: ColumnElement[Any]) -> ColumnElement[Any] | None:
        """Return the masked form of a field's column; None where the policy names no mask (then nothing is shown)."""
        mask = self.masks.get(name)
        return None if mask is None else case((column.is_not(None), mask(column)))
