"""The segments of a write-ahead log that was followed: how far they go, and whether a recovery came to their end.

A server that recovers takes the first record that it cannot read for the end of its log, since after a crash it is. In
a backup it can be a segment that is missing or damaged, and all that came after would be lost without a word.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from pathlib import Path

from crm_graph.db.connecting import close, connect
from crm_graph.kernel.errors import OperatorError

_NAME = re.compile(r"([0-9A-F]{8})([0-9A-F]{8})([0-9A-F]{8})(?:\.partial)?\Z")
_ID_BYTES = 1 << 32
_PAGE_BYTES = 8_192
_HEADER = struct.Struct("=HHIQI")
"""The magic number of a page, what it is, its timeline, its position, and the bytes that remain of a record that began
before it (XLogPageHeaderData)."""
_CONTINUES, _IS_LONG = 0x0001, 0x0002
_SHORT_BYTES, _LONG_BYTES = 24, 40
_REACHED = """
    SELECT (pg_last_wal_replay_lsn() - '0/0'::pg_lsn)::bigint AS at,
        to_char(pg_last_xact_replay_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS last
"""


class RecoveryEndedEarly(OperatorError):
    """Raised where a recovery ended before the log that was given to it."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment of the log: its timeline, and the position in bytes that it starts at."""

    path: Path
    timeline: int
    start: int

    @classmethod
    def of(cls, path: Path) -> Segment | None:
        """Return the segment of a file, None for one that is none."""
        if not (match := _NAME.match(path.name)):
            return None
        timeline, high, low = (int(part, 16) for part in match.groups())
        return cls(path, timeline, high * _ID_BYTES + low * path.stat().st_size)


async def require_to_the_end(url: str, wal: Path) -> None:
    """Raise RecoveryEndedEarly where a server that has just recovered stopped before the end of the log in a folder."""
    end = _end(_segments(wal))
    if end is None:
        return
    connection = await connect(url)
    try:
        row = await connection.fetchrow(_REACHED)
    finally:
        await close(connection)
    assert row is not None
    reached = row["at"] or 0
    if reached >= end:
        return
    raise RecoveryEndedEarly(
        f"the write-ahead log in {wal} goes on to {_lsn(end)}, and could be read up to {_lsn(reached)}: a segment is"
        " missing or damaged there",
        "put the right one back and restore again, or restore with --incomplete, where the last change is that of"
        f" {row['last'] or 'the base backup'}; nothing is left of this attempt",
    )


def _segments(wal: Path) -> list[Segment]:
    """Return the segments in a folder, in their order."""
    return sorted(filter(None, map(Segment.of, wal.iterdir())), key=lambda segment: (segment.timeline, segment.start))


def _end(segments: list[Segment]) -> int | None:
    """Return the position of the page on which the last record of a log begins, None for a log with nothing in it. That
    record may be cut: what was read up to here is read to the end."""
    for segment in reversed(segments):
        written = len(segment.path.read_bytes().rstrip(b"\0"))
        if written:
            break
    else:
        return None
    own = [one for one in segments if one.timeline == segment.timeline]
    at = segment.start + (written - 1) // _PAGE_BYTES * _PAGE_BYTES
    continues, _ = _page(own, at)
    while continues:
        at -= _PAGE_BYTES
        _, continues = _page(own, at)
    return at


def _page(segments: list[Segment], at: int) -> tuple[bool, bool]:
    """Return whether a page begins within a record, and whether it has nothing but this record."""
    for segment in segments:
        if segment.start <= at < segment.start + segment.path.stat().st_size:
            with segment.path.open("rb") as file:
                file.seek(at - segment.start)
                _, what, _, _, remaining = _HEADER.unpack(file.read(_HEADER.size))
            room = _PAGE_BYTES - (_LONG_BYTES if what & _IS_LONG else _SHORT_BYTES)
            return bool(what & _CONTINUES), bool(what & _CONTINUES) and remaining >= room
    return False, False


def _lsn(at: int) -> str:
    """Return a position as Postgres writes it."""
    return f"{at >> 32:X}/{at & (_ID_BYTES - 1):08X}"
