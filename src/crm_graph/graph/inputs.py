"""The inputs of mutations, derived from a record: from the fields that say that clients send them (`record.sent`).

What may be left out, what it is then, and how much it holds follow from the column behind the field, as the database
has it; what it means is the record's own description.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum
from functools import partial
from typing import Any

import strawberry
from strawberry.types.field import StrawberryField

from crm_graph.db.rules import defaults_of
from crm_graph.db.sizes import SIZE_KEY, Items
from crm_graph.graph.keys import key_named
from crm_graph.graph.payloads import MoneyInput
from crm_graph.graph.reading.sizes import column_size
from crm_graph.graph.records.record import (
    SENT,
    SENT_KEY,
    ColumnSpec,
    MoneySpec,
    Record,
    Spec,
    ToOneSpec,
    Writing,
    record_of,
)
from crm_graph.graph.records.registry import Registry, python_type
from crm_graph.kernel.errors import Refused
from crm_graph.kernel.ids import decode_id
from crm_graph.kernel.money import scaled
from crm_graph.kernel.naming import camel, sentence
from crm_graph.refusals import below, one_currency
from crm_graph.work import Sent, Work

_MAYBE: Any = strawberry.Maybe
_LIST: Any = list


@dataclass(frozen=True, slots=True)
class Parts:
    """Parts that come with a new record: of which type, what an input of one has, and how many there may be."""

    record: Record
    fields: tuple[InputField, ...]
    at_most: int


@dataclass(frozen=True, slots=True)
class InputField:
    """A field of a derived input: what it is called there, and the field of the record that it writes."""

    attribute: str
    annotation: Any
    description: str
    spec: Spec
    writes: str
    column: str
    target: type | None = None
    default: Any = None
    usual: Any = None
    """What the column holds where nothing is said of it: sending that writes nothing."""
    parts: Parts | None = None
    """The inputs of parts that come with a new record."""
    optional: bool = False
    """Whether it may be left out of the input, and is not null there unless it is sent so (`Maybe`)."""
    required: bool = False
    kept: bool = False
    """Whether there must be a value, so that null does not clear it."""
    bare: bool = False
    keeps_currency: bool = False
    """Whether the record has a currency of its own, or for other amounts too: it stays when this one is cleared."""
    size: Any = None
    places: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Where in the input a column's value is, by the column's name in camel case, where it is not called like that."""


def fields_of(
    how: str, needs: Sequence[str], takes: Sequence[str], record: Record, registry: Registry
) -> tuple[InputField, ...]:
    """Return what an input has beside the record's id and version."""
    return tuple(_fields(how, needs, takes, record, registry))


def _fields(
    how: str, needs: Sequence[str], takes: Sequence[str], record: Record, registry: Registry
) -> Iterator[InputField]:
    if how == "transition_with" or needs or takes:
        known = {each.python_name: (name, each, spec) for name, (each, spec) in record.specs().items()}
        for python_name in (*needs, *takes):
            name, each, spec = known[python_name]
            yield _input_field(
                *(name, each, spec, record, registry), optional=how != "create", required=python_name in needs
            )
        return
    for name, (each, spec) in record.specs().items():
        writing: Writing | None = each.metadata.get(SENT_KEY)
        if writing is None:
            continue
        if how == "create" and writing.create:
            required = writing.required
            if required is None:
                required = not record.table.c[_column(each, spec)].nullable and not writing.otherwise
            yield _input_field(name, each, spec, record, registry, optional=False, required=required)
        elif (how == "update" and writing.update) or (how == "upsert" and writing.create and writing.update):
            yield _input_field(name, each, spec, record, registry, optional=True, required=False)


def _input_field(
    name: str, each: StrawberryField, spec: Spec, record: Record, registry: Registry, *, optional: bool, required: bool
) -> InputField:
    column = _column(each, spec)
    of = record.table.c[column]
    target = registry.edges(record)[name].target.cls if isinstance(spec, ToOneSpec) else None
    writing: Writing = each.metadata.get(SENT_KEY) or SENT
    base: Any = python_type(each)
    places: dict[str, tuple[str, ...]] = {}
    if isinstance(spec, MoneySpec):
        base = Decimal if writing.bare else MoneyInput
        if not writing.bare:
            places = {camel(spec.amount): (name, "amount"), camel(spec.currency): (name, "currency")}
    elif target is not None:
        base = strawberry.ID
    elif base is list:
        base = list[str]
    usual = None if optional else defaults_of(record.model).get(column)
    if usual is not None and isinstance(base, type) and issubclass(base, Enum):
        usual = base(usual)
    default = None if writing.otherwise else usual
    required = required and default is None
    default = None if isinstance(default, list) else default
    description = each.description or ""
    if not optional and writing.otherwise:
        description = f"{description.removesuffix('.')}; {writing.otherwise} unless given."
    annotation = base
    if not required and default is None:
        annotation = _MAYBE[base | None] if optional else base | None
    kept = writing.required if writing.required is not None else not of.nullable
    if optional and not required and kept:
        description = f"{description} Null is refused."
    return InputField(
        column if target is not None else each.python_name,
        annotation,
        description,
        spec,
        name,
        column,
        target,
        default,
        usual,
        optional=optional and not required,
        required=required,
        kept=kept,
        bare=writing.bare,
        keeps_currency=isinstance(spec, MoneySpec) and record.keeps_currency(spec.currency),
        size=None if target is not None or isinstance(spec, MoneySpec) else column_size(of),
        places=places,
    )


def parts_field(name: str, record: Record, at_most: int, whole: Record, registry: Registry) -> InputField:
    """Return the field of a new record's input that has the inputs of its parts: of an order, its lines."""
    assert record.policy.parent is not None
    assert record.policy.parent[0] is whole.policy
    fields = tuple(
        each for each in fields_of("create", (), (), record, registry) if each.column != record.policy.parent[1]
    )
    input_ = input_type(f"{record.name}Input", "part", "", "", record, fields)
    _, spec = whole.specs()[camel(name)]
    return InputField(
        name,
        _LIST[input_] | None,
        f"The {record.plural} that it comes with.",
        spec,
        camel(name),
        "",
        parts=Parts(record, fields, at_most),
        size=Items(at_most),
    )


def _column(each: StrawberryField, spec: Spec) -> str:
    match spec:
        case ToOneSpec(column) | MoneySpec(column):
            return column
        case ColumnSpec(column):
            return column or each.python_name
        case _:
            raise AssertionError(f"{each.python_name} is no column that could be sent")


_ABOUT = {
    "create": "A new {what}.",
    "part": "{One} that comes with what it is part of.",
    "update": "Changes to {one}; what is left out stays, null clears.",
    "upsert": "{One} to change, or to make where there is none; what is left out stays.",
    "delete": "{One} to delete.",
    "restore": "{One} to bring back from the recycle bin.",
    "archive": "{One} to archive.",
    "unarchive": "{One} to put into lists again.",
    "erase": "{One} to erase: a person.",
    "remove": "{One} to take off what it is part of.",
    "transition": "{One} to {verb}.",
    "transition_with": "{One} to {verb}, and what that needs.",
}


def input_type(name: str, how: str, verb: str, about: str, record: Record, fields: Sequence[InputField]) -> type:
    """Return the Strawberry class of an input with these fields; `about` describes it, where that is not to be
    derived."""
    what, one = record.words, record.one
    annotations: dict[str, Any] = {}
    namespace: dict[str, Any] = {"__module__": __name__, "__annotations__": annotations}

    def add(attribute: str, annotation: Any, description: str, **options: Any) -> None:
        annotations[attribute] = annotation
        namespace[attribute] = strawberry.field(description=description, **options)

    if how == "upsert":
        name_it = "".join(f", or `{key}:...`" for key in record.keys if key in record.new_keys)
        stored = "".join(f", or `{key}:...` of one that is there" for key in record.keys if key not in record.new_keys)
        add("id", strawberry.ID, f"Which {what}: an id of it, made by the client if need be{name_it}{stored}.")
        add("if_version", int | None, f"Refuse if the {what} is at another version.", default=None)
    elif how == "create":
        add("id", strawberry.ID | None, f"An id made by the client, `{record.prefix}_` and a UUIDv7.", default=None)
    elif how != "part":
        add("id", strawberry.ID, f"The {what}{'' if how == 'restore' else _or_key(record)}.")
        add("if_version", int | None, f"Refuse if the {what} is at another version.", default=None)
    for each in fields:
        options: dict[str, Any] = {} if each.required or each.optional else {"default": each.default}
        if each.size is not None:
            options["metadata"] = {SIZE_KEY: each.size}
        add(each.attribute, each.annotation, each.description, **options)
    how = "remove" if how == "delete" and record.policy.parent is not None else how
    description = about or _ABOUT[how].format(what=what, one=one, One=sentence(one), verb=verb)
    return strawberry.input(type(name, (), namespace), name=name, description=description)


def _or_key(record: Record) -> str:
    return f": its id, or {' or '.join(f'`{key}:...`' for key in record.keys)}" if record.keys else ""


async def sent_of(work: Work, input_: Any, fields: Sequence[InputField], record: Record) -> Sent:
    """Return what a client sent, an explicit null of an update included. A value that is the field's default anyway
    writes nothing, nor does naming the whole that a part is added to. Raises Refused: REQUIRED for a null where there
    must be a value, NOT_FOUND for what is no id of its type, INVALID for amounts in two currencies that share one."""
    values: dict[str, Any] = {}
    names: list[str] = []
    parts: dict[str, Sequence[Sent]] = {}
    _refuse_too_many_parts(input_, fields)
    for each in fields:
        value = getattr(input_, each.attribute)
        if value is None:
            continue
        if each.parts is not None:
            parts[each.attribute] = await _parts(work, each, value)
            continue
        value = value.value if isinstance(value, strawberry.Some) else value
        if value is None and each.kept:
            name = camel(each.attribute)
            raise Refused("REQUIRED", f"`{name}` must have a value.", (name,))
        whole = record.policy.parent is not None and each.column == record.policy.parent[1]
        if not whole and (each.usual is None or value != each.usual):
            names.append(each.writes)
        if isinstance(each.spec, MoneySpec):
            money = _money(each, each.spec, value)
            known, currency = values.get(each.spec.currency), money.get(each.spec.currency)
            if None not in {known, currency} and known != currency:
                raise Refused("INVALID", one_currency(record.words), (each.attribute, "currency"))
            values |= money
        elif each.target is not None and value is not None:
            values[each.column] = await key_named(work, each.target, value, camel(each.attribute))
        else:
            values[each.column] = value.value if isinstance(value, Enum) else value
    return Sent(values, tuple(names), parts)


def _refuse_too_many_parts(input_: Any, fields: Sequence[InputField]) -> None:
    """Raise Refused INVALID for more parts than may come with a new record, as it is said of an input that comes alone:
    that is judged before, and those of a batch each by itself."""
    for each in fields:
        if each.parts is not None:
            name = camel(each.attribute)
            for _, reason in Items(each.parts.at_most).faults(getattr(input_, each.attribute) or ()):
                raise Refused("INVALID", f"`{name}` {reason}.", (name,))


async def _parts(work: Work, each: InputField, inputs: Sequence[Any]) -> list[Sent]:
    """Return what was sent of the parts that come with a new record."""
    assert each.parts is not None
    parts = each.parts

    async def one(place: int, input_: Any) -> Sent:
        with below(camel(each.attribute), place):
            return await sent_of(work, input_, parts.fields, parts.record)

    asked = [partial(one, place, input_) for place, input_ in enumerate(inputs)]
    if any(_asks(input_, parts.fields) for input_ in inputs):
        return await work.all_together(asked)
    return [await each() for each in asked]


def _asks(input_: Any, fields: Sequence[InputField]) -> bool:
    """Return whether an input names a record by another value than its id: for that one asks the database."""
    ids = [(each.target, getattr(input_, each.attribute)) for each in fields if each.target is not None]
    return any(isinstance(id_, str) and decode_id(record_of(target).prefix, id_) is None for target, id_ in ids)


def _money(each: InputField, spec: MoneySpec, value: Any) -> Mapping[str, Any]:
    """Return the values of both columns; null clears the currency too, unless the record keeps one of its own."""
    if each.bare:
        return {spec.amount: None if value is None else scaled(value)}
    if value is not None:
        return {spec.amount: scaled(value.amount), spec.currency: value.currency}
    return {spec.amount: None} if each.keeps_currency else {spec.amount: None, spec.currency: None}


def placed(refused: Refused, fields: Sequence[InputField]) -> Refused:
    """Return a refusal with the path of the input that it is about: a column's is that of the field that has it."""
    if len(refused.field) == 1 and refused.code in {"INVALID", "REQUIRED"}:
        place = next((each.places[refused.field[0]] for each in fields if refused.field[0] in each.places), None)
        if place is not None:
            return Refused(refused.code, refused.message, place)
    return refused
