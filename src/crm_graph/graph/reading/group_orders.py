"""`orderBy` and `first` of an aggregate: groups by a measure or a key, and how many of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import strawberry
from sqlalchemy import ColumnElement

from crm_graph.graph.reading.aggregate_fields import AggregateFields
from crm_graph.graph.reading.measures import COUNT, DISTINCT, EXTREMES, MATCHING, SHARE, SUMS, Measures
from crm_graph.graph.reading.orders import ranked
from crm_graph.kernel.errors import BadUserInput


@strawberry.enum(description="What groups can be ordered by, beside their keys.")
class GroupMeasure(Enum):
    """The functions of a group, as an order names them."""

    COUNT = strawberry.enum_value("count", description="How many records the group has.")
    SUM = strawberry.enum_value("sum", description="The sum of a number, `of` which.")
    AVG = strawberry.enum_value("avg", description="The average of a number, `of` which.")
    MIN = strawberry.enum_value("min", description="The least number or time, `of` which.")
    MAX = strawberry.enum_value("max", description="The greatest number or time, `of` which.")
    COUNT_DISTINCT = strawberry.enum_value("countDistinct", description="How many different ones there are, `of` what.")
    SHARE = strawberry.enum_value("share", description="The share of the records that match `matching` too.")


@dataclass(frozen=True, slots=True)
class GroupOrder:
    """One key of an order of groups: the name of a measure or of a key, in a shape."""

    name: str
    descending: bool
    nulls_first: bool


def group_order(
    given: Sequence[Mapping[str, Any]], fields: AggregateFields, keys: Sequence[str], most: int
) -> tuple[GroupOrder, ...]:
    """Return the order of groups by `keys`. Raises BadUserInput with the path of what does not go together."""
    if len(given) > most:
        raise BadUserInput(f"`orderBy` may have at most {most} keys.", path=("orderBy",))
    order: list[GroupOrder] = []
    for index, each in enumerate(given):
        name = _name(each, fields, keys, ("orderBy", index))
        if any(name == earlier.name for earlier in order):
            raise BadUserInput("`orderBy` names the same twice.", path=("orderBy", index))
        direction, nulls = each.get("direction"), each.get("nulls")
        order.append(
            GroupOrder(name, _value(direction or "ASC") == "DESC", nulls is not None and _value(nulls) == "FIRST")
        )
    return tuple(order)


def _name(each: Mapping[str, Any], fields: AggregateFields, keys: Sequence[str], path: tuple[str | int, ...]) -> str:
    measure, key, of = each.get("measure"), each.get("key"), each.get("of")
    if (measure is None) == (key is None):
        raise BadUserInput("Give `measure` or `key`: what the groups are ordered by.", path=path)
    if key is not None:
        if of is not None or each.get("matching"):
            raise BadUserInput("`of` and `matching` go with a `measure`.", path=path)
        found = fields.names[_value(key)]
        if found not in keys:
            raise BadUserInput(f"`{_value(key)}` is no key of `groupBy`.", path=(*path, "key"))
        return f"key.{found}"
    function = _value(measure)
    if function == SHARE and each.get("matching"):
        raise BadUserInput("A share is of what matches already.", path=(*path, "matching"))
    name = function
    if function in (COUNT, SHARE):
        if of is not None:
            raise BadUserInput("This measure is of the group as a whole and takes no `of`.", path=(*path, "of"))
    else:
        if of is None:
            raise BadUserInput("Say `of` what: the field that is measured.", path=(*path, "of"))
        measured = fields.measured[_value(of)]
        known: Mapping[str, Any] = {
            **dict.fromkeys(SUMS, fields.sums),
            **dict.fromkeys(EXTREMES, fields.extremes),
            DISTINCT: fields.distinct,
        }[function]
        if measured not in known:
            raise BadUserInput(f"`{_value(of)}` has no such measure.", path=(*path, "of"))
        name = f"{function}.{measured}"
    return f"{MATCHING}.{name}" if each.get("matching") else name


def _value(member: Any) -> str:
    return str(member.value if isinstance(member, Enum) else member)


def first_of(given: int | None, most: int) -> int | None:
    """Return how many groups are asked for. Raises BadUserInput for a number that is out of range."""
    if given is not None and not 1 <= given <= most:
        raise BadUserInput(f"`first` must be between 1 and {most}, not {given}.", path=("first",))
    return given


def ordered(order: Sequence[GroupOrder], measures: Measures) -> list[ColumnElement[Any]]:
    """Return the ORDER BY of groups: as asked for, then by all their keys, so that no two are equal."""
    found: list[ColumnElement[Any]] = []
    for each in order:
        expression = measures.of(each.name)
        if each.name.startswith("key."):
            name = each.name.removeprefix("key.")
            expression = ranked(measures.view, measures.fields.paths.get(name, name), expression)
        directed = expression.desc() if each.descending else expression.asc()
        found.append(directed.nulls_first() if each.nulls_first else directed.nulls_last())
    return [*found, *measures.groups.values()]
