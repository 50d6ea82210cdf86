"""The comparators of filters: one input type per scalar, and what each operator means in SQL.

Text compares case-insensitively. `ne` and `notIn` are the complements of `eq` and `in`, so they match rows where the
column is null, unlike SQL's. An explicit null is an error, never dropped: `{name: {eq: $name}}` with an unset
variable must not match everything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any

import strawberry
from sqlalchemy import ARRAY, ColumnElement, Numeric, String, any_, bindparam, func, not_, select
from sqlalchemy.types import TypeEngine

from crm_graph.db.sizes import Letters
from crm_graph.graph.records.filter_limits import FilterLimits
from crm_graph.graph.records.relative import OPERATORS as RELATIVE
from crm_graph.graph.records.scalars import Currency, EncryptedText
from crm_graph.kernel.errors import BadUserInput
from crm_graph.kernel.naming import article, snake

NO_UUID = "0" * 32
"""Stands for an id that names nothing of the type: it matches no row, as an unknown id does."""

_ORDERED = ("gt", "gte", "lt", "lte")
_BASE = ("eq", "ne", "in", "notIn")
_TEXT = ("contains", "startsWith")
_DESCRIPTIONS = {
    "eq": "Equals.",
    "ne": "Differs, or is null.",
    "in": "Is one of these. An empty list matches nothing.",
    "notIn": "Is none of these, or is null. An empty list matches everything.",
    "gt": "Is greater than.",
    "gte": "Is greater than or equal to.",
    "lt": "Is less than.",
    "lte": "Is less than or equal to.",
    "contains": "Contains this text, in any case.",
    "startsWith": "Starts with this text, in any case.",
    "isNull": "Is null (true) or is not null (false).",
}

OPERATORS: Mapping[object, tuple[str, ...]] = {
    str: (*_BASE, *_TEXT, "isNull"),
    strawberry.ID: (*_BASE, "isNull"),
    Currency: (*_BASE, "isNull"),
    int: (*_BASE, *_ORDERED, "isNull"),
    Decimal: (*_BASE, *_ORDERED, "isNull"),
    datetime: (*_BASE, *_ORDERED, *RELATIVE, "isNull"),
    date: (*_BASE, *_ORDERED, *RELATIVE, "isNull"),
    bool: ("eq", "ne", "isNull"),
    EncryptedText: (*_BASE, "isNull"),
}
_NAMES: Mapping[object, str] = {
    str: "StringComparator",
    strawberry.ID: "IDComparator",
    Currency: "CurrencyComparator",
    int: "IntComparator",
    Decimal: "DecimalComparator",
    datetime: "DateTimeComparator",
    date: "DateComparator",
    bool: "BooleanComparator",
    EncryptedText: "EncryptedComparator",
}

_ENCRYPTED = (
    "Conditions on a text that is encrypted where it is stored; all that are given must hold. Spaces, hyphens, case and"
    " the width of letters and digits do not count."
)


def comparator(of: Any, made: dict[object, type], limits: FilterLimits) -> type | None:
    """Return the input type that compares values of a Python type; None for a type that has no order nor equality."""
    if of in made:
        return made[of]
    operators: tuple[str, ...]
    if isinstance(of, type) and issubclass(of, Enum):
        shown = of.__strawberry_definition__.name  # type: ignore[attr-defined]
        name, operators = f"{shown}Comparator", (*_BASE, "isNull")
    elif of in OPERATORS:
        name, operators, shown = _NAMES[of], OPERATORS[of], _NAMES[of].removesuffix("Comparator")
    else:
        return None
    operand = str if of is EncryptedText else of
    annotations: dict[str, Any] = {}
    namespace: dict[str, Any] = {"__annotations__": annotations, "__module__": __name__}
    for operator in operators:
        attribute = {"in": "in_"}.get(operator, snake(operator))
        annotations[attribute] = (
            RELATIVE[operator][0] | None
            if operator in RELATIVE
            else bool | None
            if operator == "isNull"
            else list[operand] | None  # type: ignore[valid-type] # a type that is a value
            if operator in {"in", "notIn"}
            else operand | None
        )
        text = RELATIVE[operator][1] if operator in RELATIVE else _DESCRIPTIONS[operator]
        if operator in _TEXT:
            text += f" {Letters(limits.pattern_letters)}"
        namespace[attribute] = strawberry.field(name=operator, description=text, default=strawberry.UNSET)
    description = f"Conditions on {article(shown)} {shown} value; all that are given must hold."
    if of is EncryptedText:
        description = _ENCRYPTED
    made[of] = strawberry.input(type(name, (), namespace), name=name, description=description)
    return made[of]


def argument(
    operator: str, value: Any, column_type: TypeEngine[Any], decode_id: Callable[[str], str | None] | None
) -> Any:
    """Return the bind value for an operand."""
    if operator in {"in", "notIn"}:
        return [argument("eq", item, column_type, decode_id) for item in value]
    if decode_id is not None:
        return decode_id(value) or NO_UUID
    if isinstance(value, Enum):
        return value.value
    if isinstance(column_type, String):
        text = str(value)
        if operator in {"contains", "startsWith"}:
            escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
            return f"%{escaped}%" if operator == "contains" else f"{escaped}%"
        return text
    return value


def condition(operator: str, column: ColumnElement[Any], name: str, folds_case: bool) -> ColumnElement[bool]:
    """Return the SQL of an operator between a column and the bind `name`."""
    # Bound as the NUMERIC(18, 4) that a column is, an operand would be rounded: 10.5 would not be `gt: "10.49999"`.
    of = Numeric() if isinstance(column.type, Numeric) else column.type
    if operator in {"in", "notIn"}:
        values: ColumnElement[Any] = bindparam(name, type_=ARRAY(of))
        if folds_case:
            lowered = func.lower(func.unnest(values)).label("value")
            member: ColumnElement[bool] = func.lower(column).in_(select(lowered))
        else:
            member = column == any_(values)
        return member if operator == "in" else member.is_not(True)
    operand: ColumnElement[Any] = bindparam(name, type_=of)
    if folds_case:
        column, operand = func.lower(column), func.lower(operand)
    match operator:
        case "eq":
            return column == operand
        case "ne":
            return column.is_distinct_from(operand)
        case "gt":
            return column > operand
        case "gte":
            return column >= operand
        case "lt":
            return column < operand
        case "lte":
            return column <= operand
        case "contains" | "startsWith":
            return column.like(operand)
        case _:
            raise AssertionError(f"unknown operator {operator}")


def null_condition(column: ColumnElement[Any], is_null: bool) -> ColumnElement[bool]:
    """Return the SQL of `isNull`."""
    return column.is_(None) if is_null else not_(column.is_(None))


def refuse_null(operator: str, value: Any, path: tuple[str | int, ...]) -> None:
    """Raise BadUserInput for an explicit null, also within a list."""
    if value is None or (isinstance(value, list) and None in value):
        where = ".".join(map(str, (*path, operator)))
        raise BadUserInput(f"`{where}` is null. Leave it out, or use `isNull: true`.", path=(*path, operator))
