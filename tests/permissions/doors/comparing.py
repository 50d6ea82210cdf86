"""The doors through which values are compared: filters, at the top and across edges, and orders."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphql import GraphQLEnumType, GraphQLInputObjectType, get_named_type

from crm_graph.db.rules import Choices, rules_of
from crm_graph.graph.reading.filters import IN_VIEWER_TEAMS, IS_VIEWER
from crm_graph.graph.records.record import MoneySpec, Record, ToOneSpec
from crm_graph.graph.records.relative import OPERATORS as RELATIVE
from crm_graph.kernel.ids import encode_id
from tests.permissions.doors.visit import Answered, Visit
from tests.permissions.matrix import LIKE, PLACES, Shown

Where = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Condition:
    """A leaf of a filter, and the operators of its comparator."""

    name: str
    operators: Sequence[str]

    def eq(self, operand: Any) -> Where:
        """Return the condition that the leaf equals an operand."""
        return {self.name: {"eq": operand}}

    def every(self, operand: Any) -> Iterator[tuple[str, Where]]:
        """Yield every operator that the comparator has, as a condition with a sensible operand."""
        for operator in self.operators if operand is not None else ("isNull",):
            given = True if operator == "isNull" else [operand] if operator in {"in", "notIn"} else operand
            yield operator, {self.name: {operator: given}}


def conditions(visit: Visit, record: Record) -> list[Condition]:
    """Return the leaves of a record's filter."""
    filter_ = visit.world.graph.schema.core.type_map[f"{record.name}Filter"]
    assert isinstance(filter_, GraphQLInputObjectType)
    found = []
    for name, each in filter_.fields.items():
        of = get_named_type(each.type)
        if name in {"and", "or", "not", IS_VIEWER, IN_VIEWER_TEAMS} or name in record.edges:
            continue
        assert isinstance(of, GraphQLInputObjectType), f"{filter_.name}.{name} is neither an edge nor a comparator"
        found.append(Condition(name, tuple(operator for operator in of.fields if operator not in RELATIVE)))
    return found


def governing(record: Record, name: str) -> str:
    """Return the field of a record that a leaf of its filter, or a key of its groups, reads."""
    specs = record.specs()
    if name in specs:
        return name
    if name in record.measures:
        return record.measures[name].needs[0]
    if name == "currency":
        return next(key for key, (_, spec) in specs.items() if isinstance(spec, MoneySpec))
    assert name.endswith("Id"), f"no field of {record.name} is behind {name}"
    return name.removesuffix("Id")


def operand(visit: Visit, record: Record, name: str, place: str) -> Any:
    """Return the value of a row that a leaf compares, whoever may see it."""
    row, governed_by = visit.world.row(record.name, place), governing(record, name)
    match record.specs()[governed_by][1]:
        case MoneySpec(amount, currency):
            return row[currency if name == "currency" else amount]
        case ToOneSpec(column):
            return None if row[column] is None else encode_id(record.edges[governed_by].target.prefix, row[column])
    if governed_by == "id":
        return visit.world.id(record.name, place)
    return row[record.columns[governed_by].column]


def is_clear(visit: Visit, record: Record, name: str, place: str) -> bool:
    """Return whether a leaf may be compared on a row: read in clear, and leading to a row that may be seen."""
    governed_by = governing(record, name)
    if visit.shown(record.name, governed_by, place) < Shown.READ:
        return False
    return governed_by not in record.edges or visit.clear(record, governed_by, place) is not None


def is_refused(visit: Visit, record: Record, name: str) -> bool:
    """Return whether comparing a leaf is refused: where some row may be read, but this on none of them."""
    readable = visit.grants(record.name).allows("read")
    return readable and visit.shown(record.name, governing(record, name)) < Shown.READ


def refusal(doing: str, record: Record, name: str) -> str:
    """Return the message of a refusal, which names the coordinate and nothing else."""
    governed_by = governing(record, name)
    return (
        f"Your roles do not allow to {doing} {record.name}.{LIKE.get(record.name, {}).get(governed_by, governed_by)}."
    )


def comparable(visit: Visit) -> list[Record]:
    """Return the records that are listed: a viewer has one workspace."""
    return [record for record in visit.world.records if record.name != "Workspace"]


async def filter_(visit: Visit) -> None:
    """`where`: all that is clear on a row finds it, nothing that is hidden there does, and what is hidden on every
    row is refused with every operator."""
    for record in comparable(visit):
        leaves = conditions(visit, record)
        allowed = [each for each in leaves if not is_refused(visit, record, each.name)]
        for place in PLACES:
            id_ = visit.world.id(record.name, place)
            seen = [id_] if visit.sees(record.name, place) else []
            clear = [each for each in allowed if not seen or is_clear(visit, record, each.name, place)]
            asked = [("by all that is clear", all_equal(visit, record, clear, place), seen, len(clear))]
            hidden = [each for each in allowed if each not in clear]
            asked += [
                (what, {"id": {"eq": id_}, **where}, seen if matches else [], len(hidden))
                for what, where, matches in blind(visit, record, hidden, place)
            ]
            for what, where, wanted, tried in asked:
                answer = await visit.list(record, place, where=where)
                found = answer.value, answer.message
                visit.expect("filter", f"{record.name} {place} {what}", found, (wanted, ""), tried)
        for each in leaves:
            for operator, where in each.every(operand(visit, record, each.name, "own")) if each not in allowed else ():
                answer = await visit.list(record, "own", where=where)
                expect_refused(visit, "filter", f"{record.name}.{each.name} {operator}", answer, record, each.name)
                visit.expect_no_sql("filter", f"{record.name}.{each.name}", statements=_on_the_way(visit, record))


def _on_the_way(visit: Visit, record: Record) -> int:
    return 0 if visit._listing(record)[1] is None else 1


def all_equal(visit: Visit, record: Record, leaves: Sequence[Condition], place: str) -> Where:
    """Return the condition that all of these leaves are as on a row."""
    operands = {each.name: operand(visit, record, each.name, place) for each in leaves}
    return {name: {"isNull": True} if value is None else {"eq": value} for name, value in operands.items()}


def blind(visit: Visit, record: Record, hidden: Sequence[Condition], place: str) -> Iterator[tuple[str, Where, bool]]:
    """Yield conditions on leaves that are hidden on a row, and whether it matches: as if they were null."""
    hidden = [each for each in hidden if operand(visit, record, each.name, place) is not None]
    if hidden:
        equal = all_equal(visit, record, hidden, place)
        yield "by what is hidden", {"or": [{name: given} for name, given in equal.items()]}, False
        yield "as null", {each.name: {"isNull": True} for each in hidden}, True
        yield "as different", {name: {"ne": given["eq"]} for name, given in equal.items()}, True


def expect_refused(visit: Visit, door: str, what: str, answer: Answered, record: Record, name: str) -> None:
    """Expect that a filter was refused for a field, and found nothing."""
    found = answer.value, answer.code, answer.message
    visit.expect(door, what, found, ([], "FORBIDDEN", refusal("filter by", record, name)))


async def filter_across(visit: Visit) -> None:
    """`where` across every edge: as `filter_`, of what lies beyond it, with each quantifier of a list."""
    for record in comparable(visit):
        for name, edge in record.edges.items():
            await _filter_across(visit, record, name, edge.target, ("some", "none", "every") if edge.many else ("",))


async def _filter_across(visit: Visit, record: Record, name: str, target: Record, quantifiers: Sequence[str]) -> None:
    leaves = conditions(visit, target)
    allowed = [each for each in leaves if not is_refused(visit, target, each.name)]
    for place, beyond in _pairs(visit, record, name, target):
        id_ = visit.world.id(record.name, place)
        seen = [id_] if visit.sees(record.name, place) else []
        reached = bool(seen) and visit.sees(target.name, beyond)
        reached = reached and (bool(quantifiers[0]) or visit.shown(record.name, name, place) >= Shown.READ)
        clear = [each for each in allowed if not reached or is_clear(visit, target, each.name, beyond)]
        equal = all_equal(visit, target, clear, beyond)
        asked = [
            (quantifier, equal, seen if reached == (quantifier != "none") else []) for quantifier in quantifiers[:2]
        ]
        hidden = [each for each in allowed if each not in clear]
        asked += [
            (quantifiers[0], where, []) for _, where, matches in blind(visit, target, hidden, beyond) if not matches
        ]
        for quantifier, where, wanted in asked:
            where = {"id": {"eq": id_}, name: {quantifier: where} if quantifier else where}
            answer = await visit.list(record, place, where=where)
            what = f"{record.name}.{name} {quantifier} from {place} to {beyond}"
            visit.expect("filter across", what, (answer.value, answer.message), (wanted, ""), len(clear))
    for each in leaves:
        if each in allowed:
            continue
        for index, (operator, where) in enumerate(each.every(operand(visit, target, each.name, "own"))):
            quantifier = quantifiers[index % len(quantifiers)]
            answer = await visit.list(record, "own", where={name: {quantifier: where} if quantifier else where})
            what = f"{record.name}.{name} {quantifier} {each.name} {operator}"
            expect_refused(visit, "filter across", what, answer, target, each.name)


def _pairs(visit: Visit, record: Record, name: str, target: Record) -> Iterator[tuple[str, str]]:
    """Yield the places of rows that an edge links, from its own side."""
    edge = record.edges[name]
    for place in PLACES:
        for beyond in PLACES:
            holder, key = (target, beyond) if edge.many else (record, place)
            other, id_ = (record, place) if edge.many else (target, beyond)
            if visit.world.row(holder.name, key)[edge.column] == visit.world.row(other.name, id_)["id"]:
                yield place, beyond


async def order(visit: Visit) -> None:
    """`orderBy`: refused where the field is hidden on every row, blind where it is on some."""
    for record in comparable(visit):
        keys = order_keys(visit, record)
        refused = {value for value, name in keys.items() if _refuses(visit, record, name)}
        allowed = [value for value in keys if value not in refused]
        everything = (await visit.list(record, "own")).value
        for start in range(0, len(allowed), 3):
            names = allowed[start : start + 3]
            answer = await visit.list(record, "own", orderBy=[{"field": each, "direction": "DESC"} for each in names])
            kept = sorted(answer.value) == sorted(everything)
            visit.expect("order", f"{record.name} by {names}", (kept, answer.message), (True, ""), len(names))
        for value in refused:
            answer = await visit.list(record, "own", orderBy=[{"field": value}])
            told, expected = (answer.value, answer.code, answer.message), refusal("order by", record, keys[value])
            visit.expect("order", f"{record.name} by {value}", told, ([], "FORBIDDEN", expected))
        for value in allowed:
            await _expect_blind(visit, record, value, keys[value], everything)


def order_keys(visit: Visit, record: Record) -> Mapping[str, str]:
    """Return the fields that an order reads, by the value of its enum."""
    own = {capitals(name): name for name in visit.fields(record) if name not in record.edges}
    enum = visit.world.graph.schema.core.type_map[f"{record.name}OrderField"]
    assert isinstance(enum, GraphQLEnumType)
    return {value: own.get(value) or own[value.removesuffix("_CURRENCY")] for value in enum.values}


def capitals(name: str) -> str:
    """Return the spelling of a field in an enum."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).upper()


def _refuses(visit: Visit, record: Record, name: str) -> bool:
    """Return whether an order by a field is refused: not one of a type of which no row may be seen."""
    return visit.grants(record.name).allows("read") and is_refused(visit, record, name)


async def _expect_blind(visit: Visit, record: Record, value: str, name: str, everything: list[str]) -> None:
    """Expect that rows on which a field is hidden stand at the end in the order of their ids, up and down."""
    if not visit.grants(record.name).allows("read"):
        return
    leaf = "currency" if value.endswith("_CURRENCY") else name
    ends: dict[str, Any] = {}
    for place in PLACES:
        if visit.sees(record.name, place) and visit.world.id(record.name, place) in everything:
            clear = is_clear(visit, record, name, place)
            ends[visit.world.id(record.name, place)] = (
                _rank(record, name, operand(visit, record, leaf, place)) if clear else None
            )
    if None not in ends.values():
        return
    shown = {id_: end for id_, end in ends.items() if end is not None}
    for direction in ("ASC", "DESC"):
        down = direction == "DESC"
        answer = await visit.list(record, "own", orderBy=[{"field": value, "direction": direction}])
        first = sorted(shown, key=shown.__getitem__, reverse=down)
        last_ones = sorted((id_ for id_ in everything if id_ not in shown), reverse=down)
        visit.expect("order", f"{record.name} by {value} {direction}", answer.value, [*first, *last_ones])


def _rank(record: Record, name: str, value: Any) -> str:
    """Return where a value stands among others: a choice by its rank."""
    choices = rules_of(record.table).get(record.columns[name].column)
    return str(choices.values.index(value)) if isinstance(choices, Choices) else str(value)
