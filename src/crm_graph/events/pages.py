"""Pages of the log for one workspace: what `changes` reads, with the log's end and its horizon, in one statement."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from crm_graph.db.session import ReadSession
from crm_graph.db.statements import Statement
from crm_graph.events.horizon import HORIZON_COLUMNS, Horizon
from crm_graph.events.log import COLUMNS, Event
from crm_graph.kernel.cursor import LogCursor

SCANNED = 2_000
"""Events that one page looks at, of whatever type: a type that is rare in a busy workspace costs no more."""
_BEFORE = 5
_NUMBER = -1

_PAGE = Statement(
    f"""SELECT now.end_xid, {HORIZON_COLUMNS}, page.*
    FROM (SELECT crm_log_horizon()::text::bigint - 1 AS end_xid) AS now
    LEFT JOIN LATERAL (
        SELECT * FROM (
            SELECT entity = ANY($4) AS wanted, {COLUMNS}, row_number() OVER (ORDER BY event.xid, seq) AS number
            FROM event
            WHERE workspace_id = $1 AND (xid, seq) > ($2::text::xid8, $3)
                AND xid < crm_log_horizon()
            ORDER BY event.xid, seq LIMIT {SCANNED}
        ) AS scanned
        WHERE wanted OR number = {SCANNED} ORDER BY number LIMIT $5
    ) AS page ON true
    ORDER BY page.number""",  # noqa: S608 - constants
    ("workspace_id", "xid", "seq", "entities", "limit"),
    {},
)


@dataclass(frozen=True, slots=True)
class LogPage:
    """Events of some types after a position, and where the next page starts."""

    events: tuple[Event, ...]
    end: LogCursor
    """The log's end as of this page: everything before it is visible, and nothing more can appear there."""
    next: LogCursor
    """Behind everything that was looked at, of whatever type."""
    has_more: bool
    """Whether the page was full: then there are probably more already."""
    horizon: Horizon
    """What cursors must lie behind."""


async def read_page(
    session: ReadSession, workspace_id: str, after: LogCursor, entities: Iterable[str], limit: int
) -> LogPage:
    """Return the next events of these types. An empty page moves on too, to the log's end."""
    values = {
        "workspace_id": workspace_id,
        "xid": str(after.xid),
        "seq": after.seq,
        "entities": list(entities),
        "limit": limit,
    }
    rows = await session.fetch(_PAGE, values)
    if not rows:  # the viewer was not confirmed, and what is answered is thrown away
        return LogPage((), after, after, False, Horizon())
    end = LogCursor(rows[0]["end_xid"], (1 << 63) - 1)
    kept = Horizon.of(rows[0][1 : _BEFORE - 1])
    found = [row for row in rows if row["number"] is not None]
    events = tuple(Event.of(row[_BEFORE:_NUMBER]) for row in found if row["wanted"])
    has_more = len(found) >= limit or bool(found and found[-1]["number"] == SCANNED)
    last = LogCursor(found[-1][_BEFORE], found[-1][_BEFORE + 1]) if has_more and found else max(after, end)
    return LogPage(events, end, last, has_more, kept)
