"""The event log's cursor: a position `(xid, seq)`, ordered as transactions become visible.

Why two numbers: `seq` alone is given out before the commit, so a reader that only remembers the largest `seq` it saw
loses what a slower transaction commits below it (25 % of the rows with 16 writers). See `events/log.py`.
"""

from __future__ import annotations

from typing import NamedTuple


class LogCursor(NamedTuple):
    """A position in the event log; events after it are those with a larger `(xid, seq)`."""

    xid: int
    seq: int

    def encode(self) -> str:
        """Return the API's spelling, two hex numbers joined by a dash."""
        return f"{self.xid:x}-{self.seq:x}"

    @classmethod
    def decode(cls, text: str) -> LogCursor | None:
        """Return the cursor that `text` spells, or None if it spells none."""
        xid, dash, seq = text.partition("-")
        if not (dash and 0 < len(xid) <= 16 and 0 < len(seq) <= 16):
            return None
        if not set(xid + seq) <= set("0123456789abcdef"):
            return None
        cursor = cls(int(xid, 16), int(seq, 16))
        return cursor if cursor.xid < 1 << 63 and cursor.seq < 1 << 63 else None
