"""The horizon of the log: up to which position events were removed, and which positions were of a history that is lost.

A cursor before what was removed has a gap behind it; so has one that was given out after the backup from which the log
was restored (`events/epoch.py`): its client has seen what never happened here. Both are CURSOR_TOO_OLD.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, SmallInteger
from sqlalchemy.orm import Mapped, mapped_column

from crm_graph.db.base import Base
from crm_graph.db.placement import LOCAL
from crm_graph.db.session import ReadSession
from crm_graph.db.statements import Statement
from crm_graph.kernel.cursor import XID_BITS, LogCursor
from crm_graph.kernel.errors import CursorTooOld

BEGINNING = LogCursor(0, 0)
HORIZON_COLUMNS = (
    "(SELECT xid FROM event_horizon WHERE id = 1) AS removed_xid,"
    " (SELECT seq FROM event_horizon WHERE id = 1) AS removed_seq,"
    " (SELECT string_agg(number || ':' || known_xid, ' ' ORDER BY number) FROM log_epoch) AS epochs"
)
"""What a statement selects for `Horizon.of`. The epochs are one text, as a page repeats it in each of its rows."""
_READ = Statement(f"SELECT {HORIZON_COLUMNS}", (), {})


class EventHorizon(Base):
    """The largest position that was removed. The installation's own, as the log's order is: one row, written in the
    transaction that removes; none means that everything is still there."""

    __tablename__ = "event_horizon"
    __placement__ = LOCAL

    id: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    xid: Mapped[int] = mapped_column(BigInteger)
    seq: Mapped[int] = mapped_column(BigInteger)
    removed_at: Mapped[datetime]


@dataclass(frozen=True, slots=True)
class Horizon:
    """What a cursor must lie behind, and between. `epochs` are those of the log, in order: the number of each, and up
    to which `xid` it found what came before it."""

    removed: LogCursor = BEGINNING
    epochs: Sequence[tuple[int, int]] = ()

    @classmethod
    def of(cls, row: Sequence[Any]) -> Horizon:
        """Return the horizon of a row of `HORIZON_COLUMNS`."""
        xid, seq, epochs = row
        pairs = (each.split(":") for each in (epochs or "").split())
        return cls(LogCursor(xid or 0, seq or 0), [(int(number), int(known)) for number, known in pairs])

    def require_kept(self, after: LogCursor) -> None:
        """Raise CursorTooOld where events that follow a cursor can have been removed, and where it lies in a history
        that is not this log's."""
        if after < self.removed:
            raise CursorTooOld(
                "`after` is too old: events that followed it are no longer kept. Take a new cursor from `changes`"
                " without `after`, read your records anew, and go on from that cursor.",
                path=("after",),
            )
        if self._is_lost(after):
            raise CursorTooOld(
                "`after` lies behind the backup that this installation was restored from: what it followed is not here."
                " Take a new cursor from `changes` without `after`, read your records anew, and go on from that"
                " cursor.",
                path=("after",),
            )

    def _is_lost(self, after: LogCursor) -> bool:
        if self.epochs and after.epoch > self.epochs[-1][0]:
            return True
        return any(known < after.xid < number << XID_BITS for number, known in self.epochs)


async def horizon(session: ReadSession) -> Horizon:
    """Return the log's horizon."""
    row = await session.fetch_row(_READ, {})
    return Horizon() if row is None else Horizon.of(tuple(row))  # the guard failed: it is thrown away
