"""What a row may say together with what it points to, said once, beside the columns that point there.

    __coherent__ = (agrees("contact_id", "customer_id"), *held_by("assignee_id"))

Every door asks the same rules (`crm_graph/coherence.py`): the unit of work at each row that is made or changed, imports
over their batches. Asked are those that a change touches: what was stored when the rules were others stays.

Decided in D-work-07 (ARCHITECTURE.md).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from crm_graph.db.base import Base

Past = tuple[str, tuple[str, ...]]
"""A column and the values of it in which a row is over: a file tells of what was so then."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What is asked of the row that a column points to, where it points to one. `past`: of which rows of a file it is
    not asked."""

    column: str
    past: Past | None = None

    @property
    def columns(self) -> frozenset[str]:
        """The columns of the row that it depends on."""
        return frozenset({self.column})


@dataclass(frozen=True, slots=True)
class Agrees(Rule):
    """What it points to has the same value in `theirs` as the row in `ours`; where the row has none, it says nothing
    that could differ."""

    ours: str = ""
    theirs: str = ""

    @property
    def columns(self) -> frozenset[str]:
        """The columns of the row that it depends on."""
        return frozenset({self.column, self.ours})


@dataclass(frozen=True, slots=True)
class Stands(Rule):
    """What it points to has one of some values in a column; `otherwise` says what it is else: `is lost`."""

    theirs: str = ""
    values: tuple[Any, ...] = ()
    otherwise: str = ""


@dataclass(frozen=True, slots=True)
class Sees(Rule):
    """The member that it points to may see the row: some role of theirs shows those that are their own."""


def agrees(column: str, ours: str, *, theirs: str = "", past: Past | None = None) -> Agrees:
    """Say that what a column points to has the same value as the row: the customer of a ticket's contact."""
    return Agrees(column, past, ours, theirs or ours)


def stands(column: str, theirs: str, *values: Any, otherwise: str, past: Past | None = None) -> Stands:
    """Say that what a column points to has one of some values."""
    held = tuple(str(each.value) if isinstance(each, Enum) else each for each in values)
    return Stands(column, past, theirs, held, otherwise)


def held_by(column: str, past: Past | None = None) -> tuple[Rule, ...]:
    """Say that the member who is to look after a row can: they are not suspended, and see it."""
    return Stands(column, past, "status", ("ACTIVE",), "is suspended"), Sees(column, past)


def in_past(column: str, *states: Enum) -> Past:
    """Say in which states a row is over."""
    return column, tuple(str(each.value) for each in states)


@dataclass(frozen=True, slots=True)
class Fixed:
    """What a column holds while another one is in a state: a deal that is lost has the probability 0."""

    state: str
    column: str
    values: tuple[tuple[str, Any], ...]


def fixed_by(state: str, column: str, values: Mapping[Any, Any]) -> Fixed:
    """Say what a column holds in some states of another one."""
    return Fixed(state, column, tuple((str(at.value), value) for at, value in values.items()))


def misfits_of(
    cls: type[Base], get: Callable[[str], Any], written: Collection[str]
) -> Iterator[tuple[str, str, str, Any]]:
    """Yield each column that does not hold what a state of the row asks for, of those that a change touches: with the
    column of the state, the state, and what it must hold; `get` returns values."""
    for rule in cls.__fixed__:
        wanted = dict(rule.values).get(get(rule.state))
        if wanted is not None and {rule.state, rule.column} & set(written) and get(rule.column) != wanted:
            yield rule.column, rule.state, get(rule.state), wanted
