"""`orderBy`: which columns may order a record, and how a page is cut by them (keyset)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from enum import Enum
from typing import Any

import strawberry
from sqlalchemy import (
    ColumnElement,
    Integer,
    String,
    UnaryExpression,
    and_,
    bindparam,
    false,
    func,
    literal_column,
    or_,
    tuple_,
)

from crm_graph.db.lists import orders_of, ranking
from crm_graph.db.rules import Choices, rules_of
from crm_graph.graph.reading.views import View
from crm_graph.graph.records.record import Record
from crm_graph.graph.records.registry import Registry
from crm_graph.graph.records.scalars import EncryptedText
from crm_graph.kernel.errors import BadUserInput

MAX_KEYS = 3


@strawberry.enum(description="The direction of an order.")
class OrderDirection(Enum):
    """As in SQL."""

    ASC = strawberry.enum_value("ASC", description="Smallest first.")
    DESC = strawberry.enum_value("DESC", description="Largest first.")


@strawberry.enum(description="Where records without a value stand in an order.")
class NullsOrder(Enum):
    """As in SQL."""

    FIRST = strawberry.enum_value("FIRST", description="Before all others.")
    LAST = strawberry.enum_value("LAST", description="After all others.")


@dataclass(frozen=True, slots=True)
class OrderKey:
    """One key of an order: a column key of the record, its direction and where nulls stand."""

    key: str
    descending: bool
    nulls_first: bool

    def reversed(self) -> OrderKey:
        """Return the key for reading a page backward."""
        return OrderKey(self.key, not self.descending, not self.nulls_first)


def enum_name(key: str) -> str:
    """Return the enum value of a key: `expectedClose` is `EXPECTED_CLOSE`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", key.replace(".", "_")).upper()


def order_keys(record: Record, registry: Registry) -> Mapping[str, str]:
    """Return the keys that may order a record, by enum value: those that an index serves (`db/lists.py`). What is part
    of something else is listed below it, and where there are few any column will do."""
    unordered = {key for key, of in registry.leaves(record).items() if of in (list, EncryptedText)}
    keys = [key for key in record.columns if key not in {"id", *unordered, *record.edges}]
    if record.policy.parent is None and not record.model.__few__:
        served = orders_of(record.table)
        keys = [key for key in keys if record.columns[key].column in served and "." not in key]
    return {enum_name(key): key for key in ("id", *keys)}


def order_of(names: Mapping[str, str], given: Sequence[Mapping[str, Any]] | None) -> tuple[OrderKey, ...]:
    """Return the order of a page: what was asked for, then the id; `names` are `order_keys`. Raises BadUserInput for
    too many or repeated keys."""
    if given is not None and len(given) > MAX_KEYS:
        raise BadUserInput(f"`orderBy` may have at most {MAX_KEYS} keys.", path=("orderBy",))
    keys: list[OrderKey] = []
    for index, each in enumerate(given or ()):
        key = names[_value(each["field"])]
        if any(key == earlier.key for earlier in keys):
            raise BadUserInput(f"`orderBy` names {_value(each['field'])} twice.", path=("orderBy", index))
        descending = _value(each.get("direction") or "ASC") == "DESC"
        keys.append(OrderKey(key, descending, _value(each.get("nulls") or "LAST") == "FIRST"))
    if not any(each.key == "id" for each in keys):  # in the last one's direction, so that its index serves both ways
        keys.append(OrderKey("id", descending=bool(keys) and keys[-1].descending, nulls_first=False))
    return tuple(keys)


def _value(member: Any) -> str:
    return str(member.value if isinstance(member, Enum) else member)


def sort_expression(view: View, key: str) -> ColumnElement[Any]:
    """Return what a key sorts by: a choice by its rank, a text as its readers expect (`db/order_keys.py`)."""
    return ranked(view, key, view.comparable(key, "order by"))


def ranked(view: View, key: str, value: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return what a value of a key sorts by."""
    if not isinstance(value.type, String):
        return value
    record, found = view.record.find(key)
    choices = rules_of(record.table).get(found.column)
    if isinstance(choices, Choices):
        return func.array_position(literal_column(ranking(choices.values)), value, type_=Integer)
    return func.crm_order_key(value)


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a page, in the order of the parts: what its rows fulfil, and how they are ordered."""

    conditions: list[ColumnElement[bool]]
    order: list[UnaryExpression[Any]]


def parts(view: View, order: Sequence[OrderKey], null_at: Sequence[bool] | None, present: Set[str]) -> list[Part]:
    """Return the parts of a page that starts behind the row of a cursor, `null_at` (`beyond`), or of the first page.

    Rows without a value of the first key are a part of their own, before or behind the others: an index serves either
    in both directions, and neither where they are asked for together.
    """
    first = order[0]
    if not view.nullable(first.key) or first.key in present:
        after = [] if null_at is None else [beyond(view, order, null_at, present)]
        return [Part(after, ordering(view, order, present))]
    value, known = sort_expression(view, first.key), present | {first.key}  # null where its column is
    found = []
    for without in (True, False) if first.nulls_first else (False, True):
        conditions: list[ColumnElement[bool]] = [value.is_(None) if without else value.is_not(None)]
        rest = order[1:] if without else order
        if null_at is not None and null_at[0] == without:
            conditions.append(beyond(view, order, null_at, known, start=int(without)))
        elif null_at is not None and without == first.nulls_first:  # all of it lies before the cursor
            continue
        found.append(Part(conditions, ordering(view, rest, known)))
    return found


def ordering(view: View, order: Sequence[OrderKey], present: Set[str]) -> list[UnaryExpression[Any]]:
    """Return the ORDER BY of an order. Keys that cannot be null, or are `present` in every row that a filter leaves,
    are not given a NULLS, so that indexes serve them: `amount >= 1000` by amount reads 50 rows of 120,000."""
    found = []
    for each in order:
        expression = sort_expression(view, each.key)
        directed = expression.desc() if each.descending else expression.asc()
        if view.nullable(each.key) and each.key not in present:
            directed = directed.nulls_first() if each.nulls_first else directed.nulls_last()
        found.append(directed)
    return found


def beyond(
    view: View, keys: Sequence[OrderKey], nulls: Sequence[bool], present: Set[str], start: int = 0
) -> ColumnElement[bool]:
    """Return the keyset condition: strictly after the row whose sort values are the binds `k0`, `k1`, ... by the keys
    from `start` on.

    `nulls` says which of these are null, which changes the SQL, so it is part of a statement's form. Where all keys
    run one way and none can be null this is one row comparison, which an index on the keys answers directly.
    """
    order, null_at = keys[start:], nulls[start:]
    operands = [_operand(view, each.key, index) for index, each in enumerate(order, start)]
    expressions = [sort_expression(view, each.key) for each in order]
    if len({each.descending for each in order}) == 1 and not any(
        view.nullable(each.key) and each.key not in present for each in order
    ):
        left, right = tuple_(*expressions), tuple_(*operands)
        return left < right if order[0].descending else left > right
    alternatives = []
    for index, each in enumerate(order):
        equal = [
            expressions[earlier].is_(None) if null_at[earlier] else expressions[earlier] == operands[earlier]
            for earlier in range(index)
        ]
        alternatives.append(and_(*equal, _after(expressions[index], operands[index], each, null_at[index])))
    return or_(*alternatives)


def _operand(view: View, key: str, index: int) -> ColumnElement[Any]:
    return ranked(view, key, bindparam(f"k{index}", type_=view.type_of(key)))


def _after(
    expression: ColumnElement[Any], operand: ColumnElement[Any], each: OrderKey, is_null: bool
) -> ColumnElement[bool]:
    if is_null:
        return expression.is_not(None) if each.nulls_first else false()
    beyond = expression < operand if each.descending else expression > operand
    return beyond if each.nulls_first else or_(beyond, expression.is_(None))
