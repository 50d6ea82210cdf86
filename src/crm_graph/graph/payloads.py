"""Mutations: one input, one payload with the record and the errors; business failures are data."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from decimal import Decimal
from enum import Enum
from functools import cache
from typing import Any, TypeVar

import strawberry
from strawberry.types.base import StrawberryContainer, get_object_definition

from crm_graph.db.sizes import SIZE_KEY, Items, Letters
from crm_graph.graph.context import Info
from crm_graph.graph.idempotency.once import Again, answer_once, never
from crm_graph.graph.records.record import record_of
from crm_graph.graph.records.scalars import Currency
from crm_graph.kernel.errors import Refused
from crm_graph.kernel.ids import decode_id
from crm_graph.kernel.naming import camel
from crm_graph.work import Work

P = TypeVar("P", bound="Payload")


@strawberry.enum(description="Why a mutation was refused.")
class UserErrorCode(Enum):
    """A closed list: clients branch on it."""

    NOT_FOUND = strawberry.enum_value("NOT_FOUND", description="A record does not exist, or you may not see it.")
    FORBIDDEN = strawberry.enum_value("FORBIDDEN", description="You may see the record but not do this with it.")
    CONFLICT = strawberry.enum_value(
        "CONFLICT", description="`ifVersion` is not the record's version any more: it comes with the record as it is."
    )
    TAKEN = strawberry.enum_value("TAKEN", description="A value must be unique and another record has it.")
    REQUIRED = strawberry.enum_value("REQUIRED", description="A value is needed here, or for this transition.")
    INVALID = strawberry.enum_value("INVALID", description="A value cannot be meant: the message says why.")
    ILLEGAL_TRANSITION = strawberry.enum_value(
        "ILLEGAL_TRANSITION", description="The record's state does not allow this transition."
    )
    IN_USE = strawberry.enum_value("IN_USE", description="Other records need this one, so it cannot be deleted.")
    LOCKED = strawberry.enum_value(
        "LOCKED", description="The record's state keeps this as it is: a closed order, a deal that is won or lost."
    )
    INCOHERENT = strawberry.enum_value(
        "INCOHERENT",
        description="What a record points to does not go with it: a contact of another customer, a member who is "
        "suspended.",
    )
    REJECTED = strawberry.enum_value(
        "REJECTED", description="Other inputs of the same batch were refused, so nothing of it was written."
    )
    LIMIT = strawberry.enum_value(
        "LIMIT", description="A limit of the workspace is reached: the message says which, and how to go on."
    )


@strawberry.type(description="Why a mutation was refused, and which part of its input is the reason.")
class UserError:
    """Business failures as data."""

    code: UserErrorCode = strawberry.field(description="The reason, for programs.")
    message: str = strawberry.field(description="The reason, for people.")
    field: list[str] = strawberry.field(
        metadata={SIZE_KEY: Items(10, Letters(100))},
        description="The path into `input` of what is wrong; list indexes as strings.",
    )


@strawberry.type
class Payload:
    """The base of all payloads around a record: the id of the record, which its edge is fetched by, and the errors."""

    record_id: strawberry.Private[str | None]
    errors: list[UserError] = strawberry.field(description="Why it was refused; empty when it was done.")


@strawberry.type(description="What a deletion did.")
class DeletePayload:
    """The same for all types: nothing is left to select from a deleted record."""

    deleted_id: strawberry.ID | None = strawberry.field(
        description="The id of the record that is gone; null when the deletion was refused."
    )
    errors: list[UserError] = strawberry.field(description="Why it was refused; empty when it was done.")


@strawberry.input(description="An amount in a currency.")
class MoneyInput:
    """Becomes two columns."""

    amount: Decimal = strawberry.field(description="The amount, exact; a string.")
    currency: Currency = strawberry.field(description="The currency of the amount.")


def given(input_: Any, *leave_out: str) -> dict[str, Any]:
    """Return what a client sent of an input, by Python name: absent fields are absent, an explicit null is None."""
    definition = get_object_definition(type(input_), strict=True)
    found: dict[str, Any] = {}
    for each in definition.fields:
        name = each.python_name
        value = getattr(input_, name)
        if name in leave_out or value is None:
            continue
        value = value.value if isinstance(value, strawberry.Some) else value
        found[name] = value.value if isinstance(value, Enum) else value
    return found


def field_names(input_: Any, *leave_out: str) -> tuple[str, ...]:
    """Return the GraphQL field of the record behind each thing a client sent: `ownerId`, an ID, writes `owner`;
    `externalId` and `nationalId` are texts, and fields of their own."""
    of: Any = type(input_)
    ids = _ids(of)
    return tuple(camel(name.removesuffix("_id") if name in ids else name) for name in given(input_, *leave_out))


@cache
def _ids(input_type: Any) -> frozenset[str]:
    """Return the Python names of an input's fields that are IDs."""
    found = set()
    for each in get_object_definition(input_type, strict=True).fields:
        type_: Any = each.type
        while isinstance(type_, StrawberryContainer):
            type_ = type_.of_type
        if type_ is strawberry.ID:
            found.add(each.python_name)
    return frozenset(found)


def key_of(record: type, id_: str | None, path: str = "id") -> str:
    """Return the inner id of an input's id. Raises Refused NOT_FOUND for what is no id of this type."""
    decoded = decode_id(record_of(record).prefix, id_) if id_ is not None else None
    if decoded is None:
        raise Refused("NOT_FOUND", f"`{path}` is not the id of {record_of(record).one}.", (path,))
    return decoded


def refer(values: dict[str, Any], name: str, record: type) -> None:
    """Replace the API id under `name`, where one is given, by the inner id. Raises Refused NOT_FOUND."""
    if values.get(name) is not None:
        values[name] = key_of(record, values[name], camel(name))


def new_key(record: type, id_: str | None) -> str | None:
    """Return the inner id that a client supplied for a new record, or None. Raises Refused INVALID."""
    if id_ is None:
        return None
    decoded = decode_id(record_of(record).prefix, id_)
    if decoded is None:
        raise Refused("INVALID", f"`id` must be `{record_of(record).prefix}_` and 32 hex digits.", ("id",))
    return decoded


async def perform(info: Info, payload: type[P], operation: Callable[[Work], Awaitable[str]], again: Again = never) -> P:
    """Run an operation in its unit of work, once under its key, and return the payload around the id of its record.

    A refusal rolls everything back and becomes `errors`, unless the same may be done `again` (`answer_once`); the
    record is null then, but for a conflict, which comes with it as it is. Anything else is a top-level error.
    """

    async def done(work: Work) -> P:
        return payload(record_id=await operation(work), errors=[])

    return await answer_once(
        info, payload, done, lambda refused: payload(record_id=refused.current, errors=[user_error(refused)]), again
    )


async def perform_delete(info: Info, id_: strawberry.ID, operation: Callable[[Work], Awaitable[None]]) -> DeletePayload:
    """Run the deletion of what has an id in its unit of work; see `perform`."""

    async def deleted(work: Work) -> str:
        await operation(work)
        return id_

    return await perform_delete_of(info, deleted)


async def perform_delete_of(info: Info, operation: Callable[[Work], Awaitable[str]]) -> DeletePayload:
    """Run a deletion that returns the id of what it deleted; see `perform`."""

    async def done(work: Work) -> DeletePayload:
        return DeletePayload(deleted_id=strawberry.ID(await operation(work)), errors=[])

    return await answer_once(
        info, DeletePayload, done, lambda refused: DeletePayload(deleted_id=None, errors=[user_error(refused)])
    )


def user_error(refused: Refused) -> UserError:
    """Return a refusal as data."""
    return UserError(code=UserErrorCode(refused.code), message=refused.message, field=list(refused.field))
