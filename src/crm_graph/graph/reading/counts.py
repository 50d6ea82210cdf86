"""How many objects a field yields whose definition alone does not say it: what its arguments tell."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphql import BooleanValueNode, FieldNode, IntValueNode, ListValueNode, NullValueNode, ValueNode, VariableNode

CAP = 1 << 40
"""Sums are capped here: doubling fragments reach astronomical numbers, which need not be counted out."""

Variables = Mapping[str, Any]
Factor = Callable[[Variables], int]


@dataclass(frozen=True, slots=True)
class Size:
    """How long a list may be: said by one of these arguments, else `default`, at most `maximum`."""

    arguments: tuple[str, ...]
    default: int
    maximum: int

    def of(self, node: FieldNode) -> int | Factor:
        """Return the size that a field's literals say, or the way to it when they are variables.

        At least 1, so that nothing hides below an empty page.
        """
        values = [each.value for each in node.arguments or () if each.name.value in self.arguments]
        names = [each.name.value for each in values if isinstance(each, VariableNode)]
        known = [literal(each) for each in values if not isinstance(each, VariableNode)]
        if not names:
            return self._largest(known)
        return lambda variables: self._largest([variables.get(name) for name in names] + known)

    def _largest(self, given: Sequence[Any]) -> int:
        return max([self._size(each) for each in given if each is not None], default=self.default)

    def _size(self, value: Any) -> int:
        if isinstance(value, list):
            value = len(value)
        if not isinstance(value, int | float) or value < 1:
            return 1  # one id where a list may stand; or it is refused when variables are coerced
        return int(value) if value <= self.maximum else self.maximum


@dataclass(frozen=True, slots=True)
class Sized:
    """How many objects a resolver's field yields, where that is no list of its own: its arguments say how many rows the
    `per_row` fields of what it yields have."""

    size: Size | None = None
    per_row: bool = False


SIZED_KEY = "crm_graph.sized"
PER_ROW: dict[object, Any] = {SIZED_KEY: Sized(per_row=True)}
"""The metadata of a plain list that holds the rows of its parent."""


def paged(argument: str, default: int) -> dict[object, Any]:
    """Return the metadata of a resolver's field that yields a page of so many rows."""
    return {SIZED_KEY: Sized(Size((argument,), default, CAP))}


def each_of(argument: str, maximum: int) -> dict[object, Any]:
    """Return the metadata of a mutation that does something with each item of an argument."""
    return {SIZED_KEY: Sized(Size((argument,), 1, maximum))}


def literal(node: ValueNode) -> Any:
    """Return what a literal says of a size or a condition: a number, a boolean, a list as long, or None for null.

    Anything else becomes a string, which is no size; validation refuses it.
    """
    match node:
        case IntValueNode(value=text):
            return int(text) if len(text) < 12 else CAP  # Python refuses numbers of 5,000 digits
        case BooleanValueNode(value=value):
            return value
        case ListValueNode(values=values):
            return [None] * len(values)
        case NullValueNode():
            return None
        case _:
            return ""
