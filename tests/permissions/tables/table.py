"""What a table says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

NOBODY = ""
"""The role of a member who has none."""


@dataclass(frozen=True, slots=True)
class Id:
    """The id of a row of the world, in an input."""

    type: str
    place: str = "own"


@dataclass(frozen=True, slots=True)
class Row:
    """The id of the table's own row, at the place that the case is about."""


ROW = Row()


@dataclass(frozen=True, slots=True)
class Refusal:
    """How an operation is refused: in `errors` of the payload at a field, or for the whole operation (`top`)."""

    code: str
    message: str
    field: tuple[str, ...] = ()
    top: bool = False


SAID = {"setRoles": "set the roles of", "changeLifecycle": "change the lifecycle of"}
"""Verbs of more than one word, as a message says them."""


def no_verb(verb: str, plural: str) -> Refusal:
    """Return the refusal of what a role is granted on no row."""
    return Refusal("FORBIDDEN", f"Your roles do not allow to {SAID.get(verb, verb)} {plural}.", top=True)


def no_field(coordinate: str) -> Refusal:
    """Return the refusal of a field that a role may not write."""
    return Refusal("FORBIDDEN", f"Your roles do not allow to write {coordinate}.", top=True)


def not_this(verb: str, type_: str, field: str = "id") -> Refusal:
    """Return the refusal of what a role is granted, but not on this row."""
    return Refusal("FORBIDDEN", f"Your roles do not allow to {SAID.get(verb, verb)} this {type_}.", (field,))


def no_such(type_: str, field: str = "id") -> Refusal:
    """Return the refusal of a row that does not exist, as far as the viewer may know."""
    return Refusal("NOT_FOUND", f"There is no such {type_}.", (field,))


@dataclass(frozen=True, slots=True)
class Without:
    """A member without the right: their role, the place of the row, and the refusal."""

    role: str
    refusal: Refusal
    place: str | None = None
    """Where the table says, unless said here."""


OWN_WORKSPACE = None
"""A stranger's operation that names nothing of ours is done, in the workspace that is theirs."""


@dataclass(frozen=True, slots=True)
class Write:
    """One mutation: what is sent, who may, what it changes then, and how all others are refused."""

    name: str
    verb: str
    input: Mapping[str, Any]
    right: str
    without: Sequence[Without]
    stranger: Refusal | None
    events: Sequence[str]
    tables: Sequence[str]
    """The tables that change; the event log always does."""
    given: Mapping[str, Any] = field(default_factory=dict)
    """Columns of the row that are set before."""
    also: Mapping[Id, Mapping[str, Any]] = field(default_factory=dict)
    """Columns of other rows that are set before; a value may be an `Id`."""
    before: str = ""
    """A statement to be run before: `$1` is the workspace, `$2` the row."""
    samples: Mapping[str, Any] = field(default_factory=dict)
    """What an optional field is tried with, where a rule of the entity does not take just any value."""
    needs: Sequence[tuple[str, str]] = ()
    """The types and verbs of what the input names, without which it is refused as a whole."""
    fresh: bool = False
    """Whether it takes a row that nothing points to."""


@dataclass(frozen=True, slots=True)
class Table:
    """One entity. `seen_by` reads the row; to those in `unseen_by` (role and place) it does not exist."""

    type: str
    reads: Sequence[str]
    seen_by: str
    unseen_by: Sequence[tuple[str, str]]
    writes: Sequence[Write] = ()
    watches: Sequence[str] = ()
    record: bool = True
    """Whether its rows are records with an id; else a test of its own reads them."""
    place: str = "own"
    """The place of the row that those with the right read and write."""
