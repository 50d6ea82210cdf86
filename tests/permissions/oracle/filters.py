"""Filters by brute force: whether a row matches, told from what may be read of it in clear."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from tests.permissions.oracle.documents import Where
from tests.permissions.oracle.kinds import Field, Kind, kinds
from tests.permissions.oracle.sight import Sight
from tests.permissions.oracle.world import Row


class Withheld(Exception):
    """Raised where an operation must be refused with FORBIDDEN: it compares what is readable on no row."""


OF_VIEWER = ("isViewer", "inViewerTeams")
"""Conditions on members that tell of nobody but the viewer, and need no right to a field."""


def check_filter(sight: Sight, kind: Kind, where: Where) -> None:
    """Raise Withheld for a filter that reads a hidden field, wherever in it."""
    for name, value in where.items():
        if name in {"and", "or"}:
            for part in value:
                check_filter(sight, kind, part)
        elif name == "not":
            check_filter(sight, kind, value)
        elif name not in OF_VIEWER:
            each = field_of(kind, name)
            if each.of == "many":
                other = kinds()[each.target]
                if value:
                    check_comparable(sight, other, other.fields[each.back])
                for part in value.values():
                    check_filter(sight, other, part)
                continue
            if each.of == "one" and name == each.name:
                check_filter(sight, kinds()[each.target], value)
                check_comparable(sight, kind, each)
            elif value:
                check_comparable(sight, kind, each)


def check_comparable(sight: Sight, kind: Kind, each: Field) -> None:
    """Raise Withheld for a field that is readable on no row, unless no row is: then there is nothing to hide."""
    if sight.reads(kind) and not sight.comparable(kind, each):
        raise Withheld(f"{kind.name}.{each.name}")


def matches(sight: Sight, kind: Kind, row: Row, where: Where) -> bool:
    """Return whether a row matches a filter: all that it says must hold."""
    return all(_holds(sight, kind, row, name, value) for name, value in where.items())


def _holds(sight: Sight, kind: Kind, row: Row, name: str, value: Any) -> bool:
    match name:
        case "and":
            return all(matches(sight, kind, row, part) for part in value)
        case "or":
            return any(matches(sight, kind, row, part) for part in value)
        case "not":
            return not matches(sight, kind, row, value)
        case "isViewer":
            return bool((row["id"] == sight.member) == value)
        case "inViewerTeams":
            return bool((row["id"] in sight.circle) == value)
    each = field_of(kind, name)
    if each.of == "many":
        other = kinds()[each.target]
        linked = sight.linked(row, each) if value else []
        return all(_QUANTIFIERS[how](matches(sight, other, one, part) for one in linked) for how, part in value.items())
    if each.of == "one" and name == each.name:
        target = sight.edge(kind, row, each)
        return target is not None and matches(sight, kinds()[each.target], target, value)
    if name == "currency" and each.of == "money":
        return compares(_CODE, sight.clear(kind, row, each, column=1), value)
    return compares(each, sight.clear(kind, row, each), value)


_CODE = Field("currency", "code")
_QUANTIFIERS: Mapping[str, Callable[[Any], bool]] = {
    "some": any,
    "none": lambda found: not any(found),
    "every": all,
}


def field_of(kind: Kind, name: str) -> Field:
    """Return the field behind a name of a filter: `ownerId` compares `owner`, `currency` the first amount's."""
    if name in kind.fields:
        return kind.fields[name]
    if name == "currency":
        assert kind.currency is not None
        return kind.currency
    return kind.fields[name.removesuffix("Id")]


def compares(each: Field, value: Any, conditions: Mapping[str, Any]) -> bool:
    """Return whether a value passes all conditions of a comparator."""
    return all(_passes(each, value, operator, operand) for operator, operand in conditions.items())


def _passes(each: Field, value: Any, operator: str, operand: Any) -> bool:
    if operator == "isNull":
        return bool((value is None) == operand)
    found = _folded(each, value)
    if operator in {"in", "notIn"}:
        member = found is not None and found in [_operand(each, item) for item in operand]
        return bool(member == (operator == "in"))
    wanted = _operand(each, operand)
    if operator == "ne":
        return bool(found != wanted)
    if found is None or wanted is None:
        return False
    return bool(_OPERATORS[operator](found, wanted))


_OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "eq": lambda value, operand: value == operand,
    "gt": lambda value, operand: value > operand,
    "gte": lambda value, operand: value >= operand,
    "lt": lambda value, operand: value < operand,
    "lte": lambda value, operand: value <= operand,
    "contains": lambda value, operand: operand in value,
    "startsWith": lambda value, operand: value.startswith(operand),
}
_UNKNOWN = object()
"""Stands for an id that names nothing: it equals no value."""


def _folded(each: Field, value: Any) -> Any:
    if value is None:
        return None
    return value.lower() if each.of == "text" else _plain(value) if each.of == "sealed" else value


def _plain(text: str) -> str:
    """Return an encrypted text as it is compared: in any case, without spaces and hyphens."""
    return text.casefold().replace(" ", "").replace("-", "")


def _operand(each: Field, operand: Any) -> Any:
    match each.of:
        case "text":
            return operand.lower()
        case "sealed":
            return _plain(operand)
        case "money" | "decimal":
            return Decimal(operand)
        case "date":
            return date.fromisoformat(operand)
        case "moment":
            return datetime.fromisoformat(operand)
        case "id" | "one":
            prefix, _, key = operand.partition("_")
            return key if kinds()[each.target].prefix == prefix else _UNKNOWN
    return operand
