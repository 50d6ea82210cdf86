"""What a client must have received, computed from the log alone in plain Python."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import orjson

from crm_graph.kernel.cursor import LogCursor
from tests.faults.clients import Received
from tests.faults.installation import Installation

PREFIXES = {"Opportunity": "opp", "Customer": "cus"}
_LOG = """
    SELECT xid::text::bigint AS xid, seq, type, entity_id, changes::text AS changes FROM event
    WHERE workspace_id = $1 AND entity = $2 ORDER BY seq
"""


@dataclass(frozen=True, slots=True)
class Logged:
    """One event of the log, with the record's owner before and after it; None where it had none."""

    cursor: LogCursor
    type: str
    entity_id: str
    before: str | None
    after: str | None


def _owner(value: Any) -> str | None:
    return None if value is None else str(value).replace("-", "")


async def read_log(installation: Installation, entity: str, owners: dict[str, str | None]) -> list[Logged]:
    """Return the events of a record type in the order of their cursors. `owners` is who owned the records that were
    there before the log begins.

    A record's own events are told one after the other by `seq`: each was written under the lock of its row.
    """
    found, now = [], dict(owners)
    for row in await installation.rows(_LOG, installation.workspace_id, entity):
        id_ = row["entity_id"].hex
        changes = orjson.loads(row["changes"])
        before = now.get(id_)
        after = _owner(changes["owner_id"][1]) if "owner_id" in changes else before
        if "owner_id" in changes:
            assert _owner(changes["owner_id"][0]) == before, f"{id_}: the log contradicts itself at {row['seq']}"
        now[id_] = after
        found.append(Logged(LogCursor(row["xid"], row["seq"]), row["type"], id_, before, after))
    return sorted(found, key=lambda each: each.cursor)


def expected(log: Iterable[Logged], entity: str, start: LogCursor, owners: frozenset[str] | None) -> list[Received]:
    """Return what somebody receives who sees the records of some owners; None stands for everybody's."""

    def sees(owner: str | None) -> bool:
        return owners is None or owner in owners

    found = []
    for each in log:
        if each.cursor <= start:
            continue
        created, deleted = each.type == f"{entity}Created", each.type == f"{entity}Deleted"
        before, after = not created and sees(each.before), not deleted and sees(each.after)
        if deleted:
            kind = "DELETED" if before else None
        elif created:
            kind = "CREATED" if after else None
        else:
            kind = {(True, True): "UPDATED", (False, True): "ENTERED", (True, False): "LEFT"}.get((before, after))
        if kind is not None:
            id_ = f"{PREFIXES[entity]}_{each.entity_id}"
            found.append(Received(each.cursor.encode(), kind, each.type, id_))
    return found


def out_of_order(log: Iterable[Logged]) -> list[str]:
    """Return the records of which an event comes before one that was written earlier."""
    last: dict[str, int] = defaultdict(int)
    found = []
    for each in log:
        if each.cursor.seq < last[each.entity_id]:
            found.append(each.entity_id)
        last[each.entity_id] = each.cursor.seq
    return found
