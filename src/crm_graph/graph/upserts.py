"""Upserts change a record where there is one, and make it where there is none: they keep two systems in step."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from crm_graph.graph.inputs import InputField, placed, sent_of
from crm_graph.graph.keys import key_or_new
from crm_graph.graph.records.record import Record
from crm_graph.kernel.errors import Refused
from crm_graph.kernel.naming import camel
from crm_graph.work import Sent, Work

Create = Callable[[Work, Sent], Awaitable[str]]
Update = Callable[[Work, str, Sent, int | None], Awaitable[str]]


def upserting(
    create: Create, update: Update, record: Record, fields: Sequence[InputField]
) -> Callable[[Work, Any], Awaitable[str]]:
    """Return what runs one of two operations with an input, which names a record by its id or by a unique field."""

    async def make(work: Work, sent: Sent, name: dict[str, Any], input_: Any) -> str:
        """Make the record, or change it where another transaction has made it since this one has looked for it. Of a
        batch that is seen here, and what was taken of a counter is lost; of one mutation its unit of work is done again
        (`made_meanwhile`)."""
        new = _named(sent, name, record)
        try:
            return await create(work, new)
        except Refused as refused:
            if work.session.together is None or not made_meanwhile(record, input_.id, refused):
                raise
            key, _ = await key_or_new(work, record, input_.id)
            if key is None:
                raise
            work.take_turn(record.policy, key)
            return await update(work, key, sent, None)

    async def run(work: Work, input_: Any) -> str:
        try:
            sent = await sent_of(work, input_, fields, record)
            key, name = await key_or_new(work, record, input_.id)
            work.take_turn(record.policy, key or input_.id)
            if key is not None:
                return await update(work, key, sent, input_.if_version)
            if input_.if_version is not None:
                raise Refused("NOT_FOUND", f"There is no such {record.words}.", ("id",))
            return await make(work, sent, name, input_)
        except Refused as refused:
            raise placed(refused, fields) from refused

    return run


def made_meanwhile(record: Record, id_: str, refused: Refused) -> bool:
    """Return whether a new record was refused because there is one of its name by now: one that was made since it was
    looked for, or one that the viewer does not see."""
    column = record.keys.get(id_.partition(":")[0], "id")
    return refused.code == "TAKEN" and refused.field == (camel(column),)


def _named(sent: Sent, name: dict[str, Any], record: Record) -> Sent:
    """Return what a new record is made of, its name included. Raises Refused INVALID where another one was sent."""
    written = []
    for field, column in record.keys.items():
        if column in name:
            if sent.values.get(column, name[column]) != name[column]:
                raise Refused("INVALID", f"`{field}` differs from the value in `id`: give it once.", (field,))
            written.append(field)
    return Sent({**name, **sent.values}, tuple(dict.fromkeys((*sent.fields, *written))))
