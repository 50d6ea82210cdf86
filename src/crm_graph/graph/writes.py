"""The fields of Mutation that every record has, declared by a slice in one line each.

    class Mutations:
        create_customer: Written[Customer] = writes.create("Adds a customer.", operations.create_customer)
        hold_ticket: Written[Ticket] = writes.transition("Lets it wait.", HOLD, operations.hold_ticket)
        assign_ticket: Written[Ticket] = writes.transition_with("Gives it.", ASSIGN, operations.assign, ["assignee"])

Their inputs and payloads derive from the record: from the fields that say that they are `sent` (`inputs.py`). An input
that is like no other is written out, as a Strawberry class: `asked`, or a mutation of its own that says by `does` what
it does to what.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from types import MappingProxyType
from typing import Any, Generic, TypeVar, get_args

import strawberry
from strawberry.annotation import StrawberryAnnotation
from strawberry.types.arguments import StrawberryArgument
from strawberry.types.field import StrawberryField
from strawberry.types.fields.resolver import StrawberryResolver

from crm_graph.db.personal import personal_columns
from crm_graph.graph.bulk import MAX_INPUTS, Run, arguments_of, payload_of_many, resolver_of_many
from crm_graph.graph.context import Info
from crm_graph.graph.erasing import erase
from crm_graph.graph.inputs import InputField, fields_of, input_type, parts_field, placed, sent_of
from crm_graph.graph.keeping import archive, restore, unarchive
from crm_graph.graph.keys import key_named
from crm_graph.graph.payloads import DeletePayload, Payload, key_of, new_key, perform, perform_delete_of
from crm_graph.graph.reading.counts import each_of
from crm_graph.graph.records.record import Record, by_key, record_of
from crm_graph.graph.records.registry import Registry
from crm_graph.graph.upserts import made_meanwhile, upserting
from crm_graph.kernel.errors import Refused
from crm_graph.kernel.ids import encode_id
from crm_graph.kernel.naming import camel, pascal, sentence, snake
from crm_graph.permissions.grants import CREATE, DELETE, ERASE, UPDATE
from crm_graph.permissions.policy import Policy
from crm_graph.work import Sent, Work

T = TypeVar("T")
WRITE_KEY, DOES_KEY = "crm_graph.write", "crm_graph.does"
ARCHIVE, UNARCHIVE, RESTORE = "archive", "unarchive", "restore"
"""What is done with every kept record. Of a person there is `ERASE` too."""
MANY_KEY, UPSERT_KEY = "crm_graph.many_of", "crm_graph.upserts"
Create = Callable[[Work, Sent], Awaitable[str]]
Update = Callable[[Work, str, Sent, int | None], Awaitable[str]]
Transition = Callable[[Work, str, int | None], Awaitable[str]]
Delete = Callable[[Work, str, int | None], Awaitable[None]]


@strawberry.type
class Written(Generic[T]):
    """Marks a field of Mutation as one that writes a record; `bind_writes` puts the derived payload in its place."""

    of: T


@strawberry.input
class OneOf:
    """The base of inputs that name a record, and the version that it must be at."""

    id: strawberry.ID = strawberry.field(description="The record.")
    if_version: int | None = strawberry.field(description="Refuse if the order is at another version.", default=None)


Asked = TypeVar("Asked", bound=OneOf)


@dataclass(frozen=True, slots=True)
class Does:
    """What a mutation does to a record of which type: the rights of which it asks for one. `policy` is None where it is
    no record's: signing in."""

    policy: Policy | None
    verbs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WriteSpec:
    """A field of Mutation that writes a record: how, by which operation, and what its input has."""

    how: str
    operation: Callable[..., Awaitable[Any]]
    verb: str = ""
    about: str = ""
    needs: Sequence[str] = ()
    takes: Sequence[str] = ()
    input: type | None = None
    parts: Mapping[str, tuple[type, int]] = field(default_factory=dict)


def create(
    description: str,
    operation: Create,
    *,
    needs: Sequence[str] = (),
    takes: Sequence[str] = (),
    parts: Mapping[str, tuple[type, int]] = MappingProxyType({}),
    about: str = "",
) -> Any:
    """Return `createCustomer(input:)`: a new record, or a part that is added to another one.

    `about` describes the input, where there is more to say than that it is new. It has the fields that clients send, or
    only those that are named: what it `needs` and what it `takes`. `parts` come with it: `{"lines": (OrderLine, 500)}`,
    their type and how many there may be.
    """
    return _field(description, WriteSpec("create", operation, CREATE, about, tuple(needs), tuple(takes), parts=parts))


def update(description: str, operation: Update, *, about: str = "") -> Any:
    """Return `updateCustomer(input:)`: what is left out stays, null clears."""
    return _field(description, WriteSpec("update", operation, UPDATE, about))


def transition(
    description: str, verb: str, operation: Transition, *, about: str = "", input_: type[OneOf] | None = None
) -> Any:
    """Return `holdTicket(input:)`: a step that needs nothing but the record, and the right to the verb. `input_` is its
    input where several steps share one."""
    return _field(description, WriteSpec("transition", operation, verb, about, input=input_))


def transition_with(
    description: str,
    verb: str,
    operation: Update,
    needs: Sequence[str] = (),
    takes: Sequence[str] = (),
    *,
    about: str = "",
) -> Any:
    """Return `moveOpportunity(input:)`: a step that `needs` fields of the record and `takes` others, by their Python
    names."""
    return _field(description, WriteSpec("transition_with", operation, verb, about, tuple(needs), tuple(takes)))


def asked(
    description: str, verb: str, input_: type[Asked], operation: Callable[[Work, str, Asked], Awaitable[str]]
) -> Any:
    """Return a step whose input is written out: a subclass of `OneOf`."""
    return _field(description, WriteSpec("asked", operation, verb, input=input_))


def delete(description: str, operation: Delete, *, about: str = "") -> Any:
    """Return `deleteCustomer(input:)`, or `removeOrderLine(input:)` of a part."""
    return _field(description, WriteSpec("delete", operation, DELETE, about))


def does(policy: Policy | None, *verbs: str) -> Mapping[str, Any]:
    """Return the metadata of a mutation that is written out: which verb of which type it is."""
    return {DOES_KEY: Does(policy, verbs)}


def _field(description: str, spec: WriteSpec) -> StrawberryField:
    return StrawberryField(description=description, metadata={WRITE_KEY: spec}, base_resolver=StrawberryResolver(_none))


def _none() -> None: ...


def bind_writes(mutation: type, registry: Registry) -> None:
    """Give the fields of Mutation that write records their inputs, payloads and resolvers. Raises ValueError for a
    mutation that does not say what it does to what."""
    payloads: dict[str, type[Payload]] = {}
    of_many: dict[str, type] = {}
    definition: Any = mutation.__strawberry_definition__  # type: ignore[attr-defined]
    added: list[StrawberryField] = []
    made: dict[tuple[str, str], tuple[StrawberryField, WriteSpec]] = {}
    for record in registry.records.values():
        definition.fields.extend(_keeping(record, registry))
    for each in definition.fields:
        spec: WriteSpec | None = each.metadata.get(WRITE_KEY)
        if spec is None:
            if DOES_KEY not in each.metadata:
                raise ValueError(f"Mutation.{each.python_name} does not say what it does: metadata=writes.does(...)")
            continue
        assert each.type_annotation is not None
        (cls,) = get_args(each.type_annotation.annotation)
        record = record_of(cls)
        fields = fields_of(spec.how, spec.needs, spec.takes, record, registry)
        for attribute, (cls, at_most) in spec.parts.items():
            fields = (*fields, parts_field(attribute, record_of(cls), at_most, record, registry))
        name = f"{pascal(each.python_name)}Input"
        input_ = spec.input or input_type(name, spec.how, spec.verb, spec.about, record, fields)
        if spec.how != "delete" and record.name not in payloads:
            payloads[record.name] = _payload(record)
        payload = DeletePayload if spec.how == "delete" else payloads[record.name]
        part = record.policy.parent is not None and spec.verb in {CREATE, DELETE}
        each.metadata = {**each.metadata, **does(record.policy, UPDATE if part else spec.verb)}
        each.base_resolver = StrawberryResolver(_resolver(spec, record, fields, payload))
        each.type_annotation = StrawberryAnnotation(payload)
        each.arguments = [StrawberryArgument("input", "input", StrawberryAnnotation(input_))]
        many = f"{'Delete' if spec.how == 'delete' else record.name}Payloads"
        if many not in of_many:
            of_many[many] = payload_of_many(many, "records" if spec.how == "delete" else record.plural, payload)
        run = _runner(spec, record, fields)
        added.append(_of_many(each, run, record, input_, payload, of_many[many], deletes=spec.how == "delete"))
        made.setdefault((record.name, spec.how), (each, spec))
    for record in registry.records.values():
        create, update = made.get((record.name, "create")), made.get((record.name, "update"))
        if create is not None and update is not None and record.policy.parent is None:
            payload = payloads[record.name]
            fields = fields_of("upsert", (), (), record, registry)
            input_ = input_type(f"Upsert{record.name}Input", "upsert", "", "", record, fields)
            run = upserting(create[1].operation, update[1].operation, record, fields)
            one = _upsert(create[0], update[0], record, run, input_, payload)
            added += [one, _of_many(one, run, record, input_, payload, of_many[f"{record.name}Payloads"])]
    definition.fields.extend(added)


_ERASING = (
    "Erases {one} who is a person, for good: empties what says who it is (`null`, or `[erased]` where there must be"
    " something) in the record and its history, also in the recycle bin, deletes the key under which the log keeps it,"
    " the files of exports and what webhooks were sent. The record stays, and what points to it. Only roles that name"
    " the verb `erase` may."
)


def _keeping(record: Record, registry: Registry) -> Iterator[StrawberryField]:
    """Yield the mutations that a kept record has beside what its slice says."""
    if not record.is_kept:
        return
    named = [
        (
            ARCHIVE,
            UPDATE,
            archive,
            f"Archives {record.one}: `{camel(snake(record.plural.replace(' ', '_')))}` leaves it"
            " out unless asked for it. It is counted, found and changed as before.",
        ),
        (UNARCHIVE, UPDATE, unarchive, f"Puts an archived {record.words} into lists again."),
        (RESTORE, DELETE, restore, f"Brings {record.one} back from the recycle bin, with its parts."),
    ]
    if personal_columns(record.table):
        named.append((ERASE, ERASE, partial(erase, registry), _ERASING.format(one=record.one)))
    for name, verb, operation, description in named:
        field = _field(description, WriteSpec(name, partial(operation, record), verb))
        field.python_name = f"{name}_{snake(record.name)}"
        field.type_annotation = StrawberryAnnotation(Written[record.cls])  # type: ignore[name-defined]
        yield field


def _upsert(
    create: StrawberryField, update: StrawberryField, record: Record, run: Run, input_: type, payload: Any
) -> StrawberryField:
    """Return the field that changes a record, or makes it where there is none: `upsertCustomer`."""

    async def resolve(info: Info, input: Any) -> Any:
        again = partial(made_meanwhile, record, input.id)
        return await perform(info, payload, lambda work: run(work, input), again)

    resolve.__annotations__ = {"info": Info, "input": str, "return": str}
    first, second = camel(update.python_name), camel(create.python_name)
    made = StrawberryField(
        python_name=f"upsert_{snake(record.name)}",
        description=f"`{first}` where the {record.words} is there, `{second}` where it is not.",
        metadata={**does(record.policy, CREATE, UPDATE), UPSERT_KEY: first},
        type_annotation=StrawberryAnnotation(payload),
        base_resolver=StrawberryResolver(resolve),
    )
    made.arguments = [StrawberryArgument("input", "input", StrawberryAnnotation(input_))]
    return made


def _of_many(
    one: StrawberryField, run: Run, record: Record, input_: type, payload: Any, many: type, *, deletes: bool = False
) -> StrawberryField:
    """Return the field that does with many inputs what another does with one: `createCustomers`."""
    singular, plural = snake(record.name), record.plural.lower().replace(" ", "_")
    name = one.python_name.replace(singular, plural, 1)
    assert name != one.python_name, f"{one.python_name} does not name its {singular}"
    made = StrawberryField(
        python_name=name,
        description=f"`{camel(one.python_name)}` of up to {MAX_INPUTS:,} inputs, in one transaction.",
        metadata={**one.metadata, MANY_KEY: camel(one.python_name), **each_of("inputs", MAX_INPUTS)},
        type_annotation=StrawberryAnnotation(many),
        base_resolver=StrawberryResolver(
            resolver_of_many(
                run,
                (lambda _, id_: payload(deleted_id=id_, errors=[]))
                if deletes
                else (lambda _, id_: payload(record_id=id_, errors=[])),
                (lambda errors, _: payload(deleted_id=None, errors=errors))
                if deletes
                else (lambda errors, current: payload(record_id=current, errors=errors)),
                many,
            )
        ),
    )
    made.arguments = arguments_of(input_)
    return made


def _payload(record: Record) -> type[Payload]:
    attribute = snake(record.called)
    namespace = {
        "__module__": __name__,
        "__annotations__": {attribute: record.cls | None},
        attribute: by_key(
            "record_id", f"The {record.words}; null when refused, but as it is where the refusal is a CONFLICT."
        ),
    }
    made = type(f"{record.name}Payload", (Payload,), namespace)
    return strawberry.type(made, description=f"{sentence(record.one)}, or why not.")


def _resolver(
    spec: WriteSpec, record: Record, fields: Sequence[InputField], payload: Any
) -> Callable[..., Awaitable[Any]]:
    run = _runner(spec, record, fields)

    async def resolve(info: Info, input: Any) -> Any:
        if spec.how == "delete":
            return await perform_delete_of(info, lambda work: run(work, input))
        return await perform(info, payload, lambda work: run(work, input))

    resolve.__annotations__ = {"info": Info, "input": str, "return": str}  # the true ones are derived: `bind_writes`
    return resolve


def _runner(spec: WriteSpec, record: Record, fields: Sequence[InputField]) -> Run:
    """Return what runs the operation of a mutation with an input of it, in a unit of work."""
    cls, operation, how = record.cls, spec.operation, spec.how

    async def run(work: Work, input_: Any) -> Any:
        try:
            if how == "create":
                sent = await sent_of(work, input_, fields, record)
                id_ = new_key(cls, input_.id)
                return await operation(work, sent if id_ is None else replace(sent, values={"id": id_, **sent.values}))
            key = key_of(cls, input_.id) if how in {RESTORE, ERASE} else await key_named(work, cls, input_.id)
            work.take_turn(record.policy, key)
            if how == "asked":
                return await operation(work, key, input_)
            if how == "delete":
                await operation(work, key, input_.if_version)
                return encode_id(record.prefix, key)
            if how in {"transition", ARCHIVE, UNARCHIVE, RESTORE, ERASE}:
                return await operation(work, key, input_.if_version)
            return await operation(work, key, await sent_of(work, input_, fields, record), input_.if_version)
        except Refused as refused:
            raise placed(refused, fields) from refused

    return run
