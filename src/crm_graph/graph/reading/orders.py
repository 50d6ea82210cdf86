"""`orderBy`: which columns may order a record, and how a page is cut by them (keyset)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from enum import Enum
from typing import Any

import strawberry
from sqlalchemy import ColumnElement, String, UnaryExpression, and_, bindparam, false, func, or_, tuple_

from crm_graph.executor.fields import BEYOND
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
    """Return the keys that may order a record, by enum value: its own, and those beyond its to-one edges
    (`OWNER_NAME` is `owner>name`)."""
    found: dict[str, str] = {}
    for edge in record.edges.values():
        if not edge.many:
            keys = _own_keys(edge.target, registry)
            found.update({f"{enum_name(edge.name)}_{enum_name(key)}": f"{edge.name}{BEYOND}{key}" for key in keys})
    return {**found, **{enum_name(key): key for key in ("id", *_own_keys(record, registry))}}


def _own_keys(record: Record, registry: Registry) -> list[str]:
    unordered = {key for key, of in registry.leaves(record).items() if of in (list, EncryptedText)}
    return [key for key in record.columns if key not in {"id", *unordered, *record.edges}]


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
    if not any(each.key == "id" for each in keys):
        keys.append(OrderKey("id", descending=False, nulls_first=False))
    return tuple(keys)


def _value(member: Any) -> str:
    return str(member.value if isinstance(member, Enum) else member)


def sort_expression(view: View, key: str) -> ColumnElement[Any]:
    """Return what a key sorts by. Text sorts as Chinese readers expect: case folded, Han characters by pinyin."""
    return collated(view.comparable(key, "order by"))


def collated(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return the sort key of a text column (the function is made by the first migration), others as they are."""
    return func.crm_sort_key(column) if isinstance(column.type, String) else column


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


def beyond(view: View, order: Sequence[OrderKey], null_at: Sequence[bool], present: Set[str]) -> ColumnElement[bool]:
    """Return the keyset condition: strictly after the row whose sort values are the binds `k0`, `k1`, ...

    `null_at` says which of these are null, which changes the SQL, so it is part of a statement's form. Where all keys
    run one way and none can be null this is one row comparison, which an index on the keys answers directly.
    """
    operands = [_operand(view, each.key, index) for index, each in enumerate(order)]
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
    return collated(bindparam(f"k{index}", type_=view.type_of(key)))


def _after(
    expression: ColumnElement[Any], operand: ColumnElement[Any], each: OrderKey, is_null: bool
) -> ColumnElement[bool]:
    if is_null:
        return expression.is_not(None) if each.nulls_first else false()
    beyond = expression < operand if each.descending else expression > operand
    return beyond if each.nulls_first else or_(beyond, expression.is_(None))
