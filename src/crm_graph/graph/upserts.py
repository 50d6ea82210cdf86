"""Upserts change a record where there is one, and make it where there is none: they keep two systems in step."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from crm_graph.graph.inputs import InputField, placed, sent_of
from crm_graph.graph.keys import key_or_new
from crm_graph.graph.records.record import Record
from crm_graph.kernel.errors import Refused
from crm_graph.work import Sent, Work

Create = Callable[[Work, Sent], Awaitable[str]]
Update = Callable[[Work, str, Sent, int | None], Awaitable[str]]


def upserting(
    create: Create, update: Update, record: Record, fields: Sequence[InputField]
) -> Callable[[Work, Any], Awaitable[str]]:
    """Return what runs one of two operations with an input, which names a record by its id or by a unique field."""

    async def run(work: Work, input_: Any) -> str:
        try:
            sent = await sent_of(work, input_, fields, record)
            key, name = await key_or_new(work, record, input_.id)
            work.take_turn(record.policy, key or input_.id)
            if key is not None:
                return await update(work, key, sent, input_.if_version)
            if input_.if_version is not None:
                raise Refused("NOT_FOUND", f"There is no such {record.words}.", ("id",))
            return await create(work, _named(sent, name, record))
        except Refused as refused:
            raise placed(refused, fields) from refused

    return run


def _named(sent: Sent, name: dict[str, Any], record: Record) -> Sent:
    """Return what a new record is made of, its name included. Raises Refused INVALID where another one was sent."""
    written = []
    for field, column in record.keys.items():
        if column in name:
            if sent.values.get(column, name[column]) != name[column]:
                raise Refused("INVALID", f"`{field}` differs from the value in `id`: give it once.", (field,))
            written.append(field)
    return Sent({**name, **sent.values}, tuple(dict.fromkeys((*sent.fields, *written))))
