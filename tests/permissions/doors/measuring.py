"""The doors of aggregates: groups, measures, and conditions on measures."""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from itertools import product
from typing import Any
from zoneinfo import ZoneInfo

from graphql import GraphQLObjectType, get_named_type

from crm_graph.graph.records.record import Record
from tests.permissions.doors.comparing import capitals, governing, is_clear, is_refused, operand, refusal
from tests.permissions.doors.reading import roots
from tests.permissions.doors.visit import Answered, Visit
from tests.permissions.matrix import PLACES

FUNCTIONS = {"sum": "Sums", "avg": "Sums", "min": "Extremes", "max": "Extremes"}


def _members(visit: Visit, name: str) -> list[str]:
    found = visit.world.graph.schema.core.type_map.get(name)
    return list(found.fields) if isinstance(found, GraphQLObjectType) else []


def _measures(visit: Visit, record: Record) -> list[tuple[str, str]]:
    """Return the measures of columns, as function and field. Those that are computed of several are the oracle's."""
    own = record.specs()
    found = [(f, name) for f, suffix in FUNCTIONS.items() for name in _members(visit, f"{record.name}{suffix}")]
    return [(f, name) for f, name in found if name in own]


def keys_of(visit: Visit, record: Record) -> list[str]:
    """Return the keys of groups among a record's own fields. What lies beyond edges is the oracle's."""
    own = record.specs()
    return [key for key in _members(visit, f"{record.name}GroupKey") if key in own or key == "currency"]


def is_summed(visit: Visit, record: Record, function: str, key: str) -> bool:
    """Return whether a field may be measured so and not be read."""
    return function in {"sum", "avg"} and key in visit.grants(record.name).measured


def _one(visit: Visit, record: Record, place: str) -> str:
    return f"where: {{id: {{eq: {json.dumps(visit.world.id(record.name, place))}}}}}"


def _number(value: Any) -> Any:
    """Return a number in one spelling; what is none stays."""
    try:
        return f"{Decimal(str(value)).normalize():f}"
    except ArithmeticError:
        return value


async def measure(visit: Visit) -> None:
    """`sum`, `avg`, `min` and `max` of one row, which are its values: shown where they are clear there."""
    for record in visit.world.records:
        name = roots(visit, record).get("aggregate")
        if name is None:
            continue
        allowed, refused = _split(visit, record)
        selection = " ".join(f"{f}_{key}: {f} {{ value: {key} }}" for f, key in allowed)
        texts = [f"{name}({_one(visit, record, p)}) {{ groups {{ count {selection} }} }}" for p in PLACES]
        for place, answer in zip(PLACES, await visit.ask_each(texts), strict=True):
            wanted: dict[str, Any] = {"count": str(int(visit.sees(record.name, place)))}
            for f, key in allowed:
                clear = is_clear(visit, record, key, place)
                wanted[f"{f}_{key}"] = _number(operand(visit, record, key, place)) if clear else None
            (group,) = (answer.value or {"groups": [{}]})["groups"]
            found = {
                key: _number(v["value"] if isinstance(v, dict) else v) if v is not None else None
                for key, v in group.items()
            }
            found = {key: None if value == "None" else value for key, value in found.items()}
            visit.expect("measure", f"{record.name} {place}", (found, answer.message), (wanted, ""), len(wanted))
        texts = [f"{name} {{ groups {{ {f} {{ {key} }} }} }}" for f, key in refused]
        for (f, key), answer in zip(refused, await visit.ask_each(texts), strict=True):
            visit.expect_forbidden(
                "measure", f"{f} of {record.name}.{key}", answer, refusal(f"take the {f} of", record, key)
            )
        if refused:
            visit.expect_no_sql("measure", record.name)


def _split(visit: Visit, record: Record) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    measures = _measures(visit, record)
    refused = [each for each in measures if is_refused(visit, record, each[1]) and not is_summed(visit, record, *each)]
    return [each for each in measures if each not in refused], refused


async def having(visit: Visit) -> None:
    """`having`: a condition on the measures of one row holds where they are clear there, and on none that are not."""
    for record in visit.world.records:
        name = roots(visit, record).get("aggregate")
        if name is None:
            continue
        allowed, refused = _split(visit, record)
        asked: list[tuple[str, int, str, list[Any]]] = []
        for place in PLACES:
            seen = visit.sees(record.name, place)
            valued = [each for each in allowed if operand(visit, record, each[1], place) is not None]
            clear = [each for each in valued if seen and is_clear(visit, record, each[1], place)]
            for hold, measures in ((True, clear), (False, [each for each in valued if each not in clear])):
                if not measures:
                    continue
                parts = [
                    f"{{{f}: {{{k}: {{eq: {json.dumps(_operand(visit, record, f, k, place))}}}}}}}" for f, k in measures
                ]
                condition = f"{'and' if hold else 'or'}: [{', '.join(parts)}]"
                text = f"{name}({_one(visit, record, place)}, having: {{{condition}}}) {{ groups {{ count }} }}"
                groups = [{"count": 1}] if hold else []
                asked.append((f"{record.name} {place}, {hold}", len(measures), text, groups))
        answers = await visit.ask_each([text for *_, text, _ in asked], 4)
        for (what, tried, _, wanted), answer in zip(asked, answers, strict=True):
            visit.expect("having", what, (answer.value, answer.message), ({"groups": wanted}, ""), tried)
        texts = [
            f"{name}(having: {{{f}: {{{key}: {{isNull: false}}}}}}) {{ groups {{ count }} }}" for f, key in refused
        ]
        for (f, key), answer in zip(refused, await visit.ask_each(texts), strict=True):
            visit.expect_forbidden(
                "having", f"{f} of {record.name}.{key}", answer, refusal(f"take the {f} of", record, key)
            )


def _operand(visit: Visit, record: Record, function: str, key: str, place: str) -> Any:
    """Return what a measure of one row is, as an operand: numbers are Decimals, that is, text."""
    value = operand(visit, record, key, place)
    return str(value) if isinstance(value, int) else value


async def group(visit: Visit) -> None:
    """`groupBy`: the keys of one row's group are its values where they are clear, and no two groups of all rows show
    the same key, for then they would differ in what is hidden."""
    for record in visit.world.records:
        name = roots(visit, record).get("aggregate")
        if name is None:
            continue
        keys = keys_of(visit, record)
        refused = [key for key in keys if is_refused(visit, record, key)]
        allowed = [key for key in keys if key not in refused]
        selection = " ".join(f"{key} {{ id }}" if key in record.edges else key for key in allowed)
        types = f"$where: {record.name}Filter, $by: [{record.name}GroupBy!]"
        source = (
            f"query ({types}) {{ found: {name}(where: $where, groupBy: $by) {{ groups {{ key {{ {selection} }} }} }} }}"
        )
        nothing = dict.fromkeys(allowed)
        for place, start in product(PLACES, range(0, len(allowed), 5)):
            chunk = allowed[start : start + 5]
            where = {"id": {"eq": visit.world.id(record.name, place)}}
            body = await visit.ask(source, {"where": where, "by": [_by(visit, record, key) for key in chunk]})
            shown = {**nothing, **{key: _key(visit, record, key, place) for key in chunk}}
            wanted = {"groups": [{"key": shown}] if visit.sees(record.name, place) else []}
            visit.expect("group", f"{record.name} {place} by {chunk}", body["data"]["found"], wanted, len(chunk))
        for key in allowed:
            body = await visit.ask(source, {"where": {}, "by": [_by(visit, record, key)]})
            found = [str(each["key"]) for each in body["data"]["found"]["groups"]]
            visit.expect("group", f"all {record.name} by {key}", sorted(found), sorted(set(found)))
        for key in refused:
            body = await visit.ask(source, {"where": {}, "by": [_by(visit, record, key)]})
            (error,) = body["errors"]
            told = Answered(body["data"] and body["data"]["found"], error["extensions"]["code"], error["message"])
            visit.expect_forbidden("group", f"{record.name} by {key}", told, refusal("group by", record, key))
            visit.expect_no_sql("group", f"{record.name} by {key}")


def _is_temporal(visit: Visit, record: Record, key: str) -> bool:
    fields = visit.world.graph.schema.core.type_map[record.name]
    assert isinstance(fields, GraphQLObjectType)
    return key in fields.fields and get_named_type(fields.fields[key].type).name in {"Date", "DateTime"}


def _by(visit: Visit, record: Record, key: str) -> dict[str, str]:
    return {"field": capitals(key), **({"bucket": "DAY"} if _is_temporal(visit, record, key) else {})}


def _key(visit: Visit, record: Record, key: str, place: str) -> Any:
    """Return what a key of one row's group should be answered."""
    if not is_clear(visit, record, key, place):
        return None
    if key in record.edges:
        return visit.clear(record, governing(record, key), place)
    value = operand(visit, record, key, place)
    if _is_temporal(visit, record, key) and value is not None and "T" in value:
        zone = ZoneInfo(visit.world.row("Workspace")["time_zone"])
        return datetime.fromisoformat(value).astimezone(zone).date().isoformat()
    return value
