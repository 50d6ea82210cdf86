"""The doors through which values are compared: filters, at the top and across edges, and orders."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from graphql import GraphQLEnumType, GraphQLInputObjectType, get_named_type

from crm_graph.graph.records import MoneySpec, Record, ToOneSpec
from crm_graph.kernel.ids import encode_id
from tests.permissions.doors.visit import Visit, listed, literal
from tests.permissions.matrix import PLACES, Shown


@dataclass(frozen=True, slots=True)
class Condition:
    """A leaf of a filter: the field of the record that governs it, and its comparator."""

    name: str
    governed_by: str
    comparator: GraphQLInputObjectType

    @property
    def is_enum(self) -> bool:
        """Whether its operands are names of an enum."""
        return isinstance(get_named_type(self.comparator.fields["eq"].type), GraphQLEnumType)

    def eq(self, operand: Any) -> str:
        """Return the condition that the leaf equals an operand."""
        return f"{self.name}: {{eq: {literal(operand, enum=self.is_enum)}}}"

    def every(self, operand: Any) -> Iterator[tuple[str, str]]:
        """Yield every operator that the comparator has, as a condition with a sensible operand."""
        for operator in self.comparator.fields:
            given = True if operator == "isNull" else [operand] if operator in {"in", "notIn"} else operand
            yield operator, f"{self.name}: {{{operator}: {literal(given, enum=self.is_enum and given is not True)}}}"


def conditions(visit: Visit, record: Record) -> list[Condition]:
    """Return the leaves of a record's filter."""
    filter_ = visit.world.graph.schema.core.type_map[f"{record.name}Filter"]
    assert isinstance(filter_, GraphQLInputObjectType)
    found = []
    for name, each in filter_.fields.items():
        of = get_named_type(each.type)
        if name in {"and", "or", "not"} or name in record.edges:
            continue
        assert isinstance(of, GraphQLInputObjectType), f"{filter_.name}.{name} is neither an edge nor a comparator"
        found.append(Condition(name, governing(record, name), of))
    return found


def governing(record: Record, name: str) -> str:
    """Return the field of a record that a leaf of its filter, or a key of its groups, reads."""
    specs = record.specs()
    if name in specs:
        return name
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
    edge = record.edges.get(governed_by)
    return edge is None or visit.clear(record, governed_by, place) is not None


def is_refused(visit: Visit, record: Record, name: str) -> bool:
    """Return whether comparing a leaf is refused: where some row may be read, but this on none of them."""
    return visit.grants(record.name).allows("read") and visit.shown(record.name, governing(record, name)) < Shown.READ


def refusal(doing: str, record: Record, name: str) -> str:
    """Return the message of a refusal, which names the coordinate and nothing else."""
    return f"Your roles do not allow to {doing} {record.name}.{governing(record, name)}."


async def filter_(visit: Visit) -> None:
    """`where`: all that is clear on a row finds it, nothing that is hidden there does, and what is hidden on every
    row is refused with every operator."""
    for record in visit.world.records:
        if record.name == "Workspace":
            continue
        leaves = conditions(visit, record)
        allowed = [each for each in leaves if not is_refused(visit, record, each.name)]
        asked: list[tuple[str, int, str, list[str]]] = []
        for place in PLACES:
            id_ = visit.world.id(record.name, place)
            seen = [id_] if visit.sees(record.name, place) else []
            clear = [each for each in allowed if not seen or is_clear(visit, record, each.name, place)]
            found = ", ".join(each.eq(operand(visit, record, each.name, place)) for each in clear)
            asked.append((f"all that is clear of {record.name} {place}", len(clear), f"where: {{{found}}}", seen))
            hidden = [each for each in allowed if each not in clear]
            for what, wanted, condition in _hidden(visit, record, hidden, place, seen):
                asked.append((f"{record.name} {place} {what}", len(hidden), condition, wanted))
        texts = [
            visit.listing(record, place, arguments)
            for place, (_, _, arguments, _) in zip(_cycled(asked), asked, strict=True)
        ]
        for (what, tried, _, wanted), answer in zip(asked, await visit.ask_each(texts), strict=True):
            visit.expect("filter", what, (listed(answer.value), answer.message), (wanted, ""), tried)
        await _refused(visit, record, [each for each in leaves if each not in allowed])


def _cycled(asked: list[tuple[str, int, str, list[str]]]) -> list[str]:
    """Return the place that each question is about."""
    return [next(place for place in PLACES if f" {place}" in what) for what, _, _, _ in asked]


def _hidden(
    visit: Visit, record: Record, hidden: list[Condition], place: str, seen: list[str]
) -> Iterator[tuple[str, list[str], str]]:
    """Yield what a filter must find by leaves that are hidden on a row: they are null there, whatever they are."""
    if not hidden or not seen:
        return
    id_ = f"id: {{eq: {literal(visit.world.id(record.name, place))}}}"
    equal = ", ".join(f"{{{each.eq(operand(visit, record, each.name, place))}}}" for each in hidden)
    yield "by what is hidden", [], f"where: {{{id_}, or: [{equal}]}}"
    null = ", ".join(f"{each.name}: {{isNull: true}}" for each in hidden)
    yield "as null", seen, f"where: {{{id_}, {null}}}"
    differ = ", ".join(
        f"{each.name}: {{ne: {literal(operand(visit, record, each.name, place), enum=each.is_enum)}}}"
        for each in hidden
    )
    yield "as different", seen, f"where: {{{id_}, {differ}}}"


async def _refused(visit: Visit, record: Record, leaves: list[Condition]) -> None:
    """Expect that each operator on each of these leaves is refused, before any SQL where the list is a root field."""
    asked = [
        (each, operator, visit.listing(record, "own", f"where: {{{condition}}}"))
        for each in leaves
        for operator, condition in each.every(operand(visit, record, each.name, "own"))
    ]
    answers = await visit.ask_each([text for *_, text in asked])
    for (each, operator, text), answer in zip(asked, answers, strict=True):
        what = f"{record.name}.{each.name} {operator}"
        message = refusal("filter by", record, each.name)
        refused = answer if text.count("id:") == 0 else type(answer)(None, answer.code, answer.message)
        visit.expect_forbidden("filter", what, refused, message)
    if asked and "id:" not in asked[0][2]:
        visit.expect_no_sql("filter", record.name)


async def filter_across(visit: Visit) -> None:
    """`where` across every edge: as `filter_`, of what lies beyond it, with each quantifier of a list."""
    for record in visit.world.records:
        if record.name == "Workspace":
            continue
        for name, edge in record.edges.items():
            await _filter_across(visit, record, name, edge.target, many=edge.many)


async def _filter_across(visit: Visit, record: Record, name: str, target: Record, *, many: bool) -> None:
    leaves = conditions(visit, target)
    allowed = [each for each in leaves if not is_refused(visit, target, each.name)]
    quantifiers = ("some", "none", "every") if many else ("",)
    asked: list[tuple[str, int, str, list[str]]] = []
    for place, beyond in _pairs(visit, record, name, target):
        id_ = visit.world.id(record.name, place)
        seen = [id_] if visit.sees(record.name, place) else []
        reached = bool(seen) and visit.sees(target.name, beyond)
        if not many:
            reached = reached and visit.shown(record.name, name, place) >= Shown.READ
        clear = [each for each in allowed if not reached or is_clear(visit, target, each.name, beyond)]
        condition = ", ".join(each.eq(operand(visit, target, each.name, beyond)) for each in clear)
        what = f"{record.name}.{name} from {place} to {beyond}"
        for quantifier in quantifiers[:2]:
            matches = reached if quantifier != "none" else not reached
            where = f"id: {{eq: {literal(id_)}}}, {_beyond(name, quantifier, condition)}"
            asked.append(
                (what, len(clear), visit.listing(record, place, f"where: {{{where}}}"), seen if matches else [])
            )
        hidden = [each for each in allowed if each not in clear]
        if hidden:
            equal = ", ".join(f"{{{each.eq(operand(visit, target, each.name, beyond))}}}" for each in hidden)
            where = f"id: {{eq: {literal(id_)}}}, {_beyond(name, quantifiers[0], f'or: [{equal}]')}"
            text = visit.listing(record, place, f"where: {{{where}}}")
            asked.append((f"{what}, by what is hidden", len(hidden), text, []))
    for (what, tried, _, wanted), answer in zip(
        asked, await visit.ask_each([text for *_, text, _ in asked], 6), strict=True
    ):
        visit.expect("filter across", what, (listed(answer.value), answer.message), (wanted, ""), tried)
    refused = [each for each in leaves if each not in allowed]
    texts = [
        (each, visit.listing(record, "own", f"where: {{{_beyond(name, quantifier, condition)}}}"))
        for each in refused
        for quantifier in quantifiers
        for _, condition in each.every(operand(visit, target, each.name, "own"))
    ]
    for (each, _), answer in zip(texts, await visit.ask_each([text for _, text in texts]), strict=True):
        what, message = f"{record.name}.{name}.{each.name}", refusal("filter by", target, each.name)
        visit.expect("filter across", what, (listed(answer.value), answer.message), ([], message))


def _beyond(name: str, quantifier: str, condition: str) -> str:
    return f"{name}: {{{quantifier}: {{{condition}}}}}" if quantifier else f"{name}: {{{condition}}}"


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
    """`orderBy`, across edges too: refused where the field is hidden on every row, blind where it is on some."""
    for record in visit.world.records:
        if record.name == "Workspace":
            continue
        keys = order_keys(visit, record)
        refused = {value: chain for value, chain in keys.items() if _refusing(visit, chain) is not None}
        allowed = [value for value in keys if value not in refused]
        texts = []
        for start in range(0, len(allowed), 3):
            fields = ", ".join(f"{{field: {value}, direction: DESC}}" for value in allowed[start : start + 3])
            texts.append(visit.listing(record, "own", f"first: 200, orderBy: [{fields}]"))
        (plain,) = await visit.ask_each([visit.listing(record, "own", "first: 200")])
        for index, answer in enumerate(await visit.ask_each(texts)):
            names = allowed[3 * index : 3 * index + 3]
            same = sorted(listed(answer.value)) == sorted(listed(plain.value))
            visit.expect("order", f"{record.name} by {names}", (same, answer.message), (True, ""), len(names))
        texts = [visit.listing(record, "own", f"orderBy: [{{field: {value}}}]") for value in refused]
        for chain, answer in zip(refused.values(), await visit.ask_each(texts), strict=True):
            found = _refusing(visit, chain)
            assert found is not None
            what, message = f"{record.name} by {chain}", refusal("order by", *found)
            visit.expect("order", what, (listed(answer.value), answer.message), ([], message))
        for value in allowed:
            await _expect_blind(visit, record, value, keys[value], listed(plain.value))


Chain = tuple[tuple[Record, str], ...]


def order_keys(visit: Visit, record: Record) -> Mapping[str, Chain]:
    """Return the fields that an order reads, on the way and at its end, by the value of its enum."""
    own: dict[str, Chain] = {
        _capitals(name): ((record, name),) for name in visit.fields(record) if name not in record.edges
    }
    for name, edge in record.edges.items():
        if not edge.many:
            beyond = [each for each in visit.fields(edge.target) if each not in edge.target.edges]
            own |= {_capitals(f"{name}_{each}"): ((record, name), (edge.target, each)) for each in beyond}
    enum = visit.world.graph.schema.core.type_map[f"{record.name}OrderField"]
    assert isinstance(enum, GraphQLEnumType)
    return {value: own.get(value) or own[value.removesuffix("_CURRENCY")] for value in enum.values}


def _capitals(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).upper()


def _refusing(visit: Visit, chain: Chain) -> tuple[Record, str] | None:
    """Return the field that an order is refused for: not one of a type of which no row may be seen."""
    for record, name in chain:
        if not visit.grants(record.name).allows("read"):
            return None
        if is_refused(visit, record, name):
            return record, name
    return None


async def _expect_blind(visit: Visit, record: Record, value: str, chain: Chain, everything: list[str]) -> None:
    """Expect that rows on which a field is hidden stand at the end in the order of their ids, up and down."""
    last, name = chain[-1]
    if all(is_clear(visit, last, name, place) for place in PLACES) or not visit.grants(last.name).allows("read"):
        return
    clear: dict[str, str] = {}
    for place in PLACES:
        beyond = place
        if len(chain) == 2:
            column = record.edges[chain[0][1]].column
            beyond = visit.place_of(last.name, visit.world.row(record.name, place)[column])
        if visit.sees(record.name, place) and is_clear(visit, last, name, beyond):
            leaf = "currency" if value.endswith("_CURRENCY") else name
            clear[visit.world.id(record.name, place)] = str(operand(visit, last, leaf, beyond))
    for direction in ("ASC", "DESC"):
        text = visit.listing(record, "own", f"first: 200, orderBy: [{{field: {value}, direction: {direction}}}]")
        (answer,) = await visit.ask_each([text])
        shown = sorted((id_ for id_ in clear if id_ in everything), key=clear.__getitem__, reverse=direction == "DESC")
        blind = [id_ for id_ in everything if id_ not in clear]
        visit.expect("order", f"{record.name} by {value} {direction}", listed(answer.value), [*shown, *blind])
