"""The event log's cursor: a position `(xid, seq)`, ordered as transactions become visible.

Why two numbers: `seq` alone is given out before the commit, so a reader that only remembers the largest `seq` it saw
loses what a slower transaction commits below it (25 % of the rows with 16 writers). See `events/log.py`.

The high bits of `xid` are the epoch of the log, which begins anew with each restore (`events/epoch.py`): positions of a
later epoch lie behind all earlier ones, whatever transaction ids its cluster gives out. The first epoch is 0, so that
cursors from before there were epochs are of it.
"""

from __future__ import annotations

import re
from typing import NamedTuple

SCOPE_DIGITS = 16
XID_BITS = 44
"""Of a position's `xid`, those that are the transaction's: 17 trillion, a century of 5,000 a second."""
MAX_EPOCH = (1 << 63 - XID_BITS) - 1
_SCOPED = re.compile(rf"[0-9a-f]+-[0-9a-f]+-[0-9a-f]{{{SCOPE_DIGITS}}}", re.ASCII)


class LogCursor(NamedTuple):
    """A position in the event log; events after it are those with a larger `(xid, seq)`."""

    xid: int
    seq: int

    @property
    def epoch(self) -> int:
        """Return the number of the log's epoch that the position is of."""
        return self.xid >> XID_BITS

    def encode(self, scope: str = "") -> str:
        """Return the API's spelling, two hex numbers joined by a dash; and behind another one the `scope` of whoever
        is given it, `SCOPE_DIGITS` hex digits that say what they may see, where they are to be told that it changed."""
        return f"{self.xid:x}-{self.seq:x}" + (f"-{scope}" if scope else "")

    @classmethod
    def decode(cls, text: str) -> LogCursor | None:
        """Return the cursor that `text` spells, with a scope or without, or None if it spells none."""
        xid, dash, seq = text.removesuffix(f"-{scope_in(text)}").partition("-")
        if not (dash and 0 < len(xid) <= 16 and 0 < len(seq) <= 16):
            return None
        if not set(xid + seq) <= set("0123456789abcdef"):
            return None
        cursor = cls(int(xid, 16), int(seq, 16))
        return cursor if cursor.xid < 1 << 63 and cursor.seq < 1 << 63 else None


def scope_in(text: str) -> str:
    """Return the scope that the spelling of a cursor has, empty if it has none."""
    scope = text[-SCOPE_DIGITS:]
    return scope if _SCOPED.fullmatch(text) else ""
