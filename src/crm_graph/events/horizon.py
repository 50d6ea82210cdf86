"""The horizon of the log: up to which position events were removed. A cursor before it has a gap behind it.

One row for the installation, written in the transaction that removes; no row means that everything is still there.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, SmallInteger
from sqlalchemy.orm import Mapped, mapped_column

from crm_graph.db.base import Base
from crm_graph.db.placement import LOCAL
from crm_graph.db.session import ReadSession
from crm_graph.db.statements import Statement
from crm_graph.kernel.cursor import LogCursor
from crm_graph.kernel.errors import CursorTooOld

BEGINNING = LogCursor(0, 0)
_READ = Statement("SELECT xid, seq FROM event_horizon WHERE id = 1", (), {})


class EventHorizon(Base):
    """The largest position that was removed. The installation's own, as the log's order is."""

    __tablename__ = "event_horizon"
    __placement__ = LOCAL

    id: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    xid: Mapped[int] = mapped_column(BigInteger)
    seq: Mapped[int] = mapped_column(BigInteger)
    removed_at: Mapped[datetime]


async def horizon(session: ReadSession) -> LogCursor:
    """Return the largest removed position; (0, 0) where nothing was removed."""
    row = await session.fetch_row(_READ, {})
    return BEGINNING if row is None else LogCursor(row[0], row[1])


def require_kept(after: LogCursor, removed: LogCursor) -> None:
    """Raise CursorTooOld where events that follow a cursor can have been removed."""
    if after < removed:
        raise CursorTooOld(
            "`after` is too old: events that followed it are no longer kept. Take a new cursor from `changes` without"
            " `after`, read your records anew, and go on from that cursor.",
            path=("after",),
        )
