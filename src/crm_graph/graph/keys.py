"""How inputs of mutations name records: by their id, or by a value that no two have: `externalId:ERP-4711`.

So an integrator, who knows the ids of another system, need not ask for ours first. Wherever an input takes the id of a
record to change, or of one to point to, it takes the name and the value of a unique field as well. What is hidden on
some rows names none: which values there are would be told.
"""

from __future__ import annotations

from typing import Any

from crm_graph.graph.records.record import Record, record_of
from crm_graph.kernel.errors import Refused
from crm_graph.kernel.ids import decode_id
from crm_graph.permissions.grants import READ
from crm_graph.statements import find_statement
from crm_graph.work import Work


async def key_named(work: Work, cls: type, id_: str | None, path: str = "id") -> str:
    """Return the inner id of the record that an input names. Raises Refused at `path`: NOT_FOUND for what names none,
    FORBIDDEN for a field that is hidden on some rows."""
    record = record_of(cls)
    decoded = decode_id(record.prefix, id_) if id_ is not None else None
    if decoded is not None:
        return decoded
    column, value = _unique(record, id_, path)
    key = await _find(work, record, column, value, path)
    if key is None:
        raise Refused("NOT_FOUND", f"There is no such {record.words}.", (path,))
    return key


async def key_or_new(work: Work, record: Record, id_: str) -> tuple[str | None, dict[str, Any]]:
    """Return the inner id of the record that an input names, or None with the values by which a new one has that name.
    Raises Refused as `key_named` does, and INVALID for a name that no new record can be given."""
    decoded = decode_id(record.prefix, id_)
    column, value = ("id", decoded) if decoded is not None else _unique(record, id_, "id")
    key = await _find(work, record, column, value, "id")
    if key is None and column != "id" and id_.partition(":")[0] not in record.new_keys:
        names = " or ".join(("an id made by the client", *(f"`{name}:...`" for name in sorted(record.new_keys))))
        message = f"There is no such {record.words}, and a new one cannot be made by this name: only by {names}."
        raise Refused("INVALID", message, ("id",))
    return key, {column: value}


def _unique(record: Record, id_: str | None, path: str) -> tuple[str, str]:
    """Return the column and the value in `externalId:ERP-4711`."""
    name, colon, value = (id_ or "").partition(":")
    column = record.keys.get(name) if colon and value.strip() else None
    if column is None:
        others = "".join(f", nor `{each}:...`" for each in record.keys)
        raise Refused("NOT_FOUND", f"`{path}` is not the id of {record.one}{others}.", (path,))
    return column, value


async def _find(work: Work, record: Record, column: str, value: str, path: str) -> str | None:
    access = work.access.of(record.name)
    if not access.allows(READ):
        return None
    field = next((name for name, each in record.keys.items() if each == column), "id")
    if field != "id" and access.partial(field):
        message = f"Your roles hide `{field}`, or a part of it, on some rows: records cannot be named by it."
        raise Refused("FORBIDDEN", message, (path,))
    found = await work.session.fetch(
        find_statement(record.policy, work.access, column), {**work.viewer.binds, "value": value}
    )
    return str(found[0]["id"]) if found else None
