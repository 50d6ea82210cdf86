"""Points in time as text: RFC 3339, at every door."""

from __future__ import annotations

import re
from datetime import UTC, datetime

_INSTANT = re.compile(r"(\d{4}-\d\d-\d\d)([Tt ])(\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)\Z", re.ASCII)
EXAMPLE = "2026-11-22T09:30:00Z"


class NoInstant(ValueError):
    """Raised for a text that is no point in time: it is not written as one, or there is no such day or hour."""

    def __init__(self, *, written: bool) -> None:
        super().__init__("does not exist" if written else f"is not RFC 3339 with an offset, like {EXAMPLE}")
        self.written = written


def parse_instant(text: str, *, spaced: bool = False) -> datetime:
    """Return the instant of a timestamp, in UTC. It has an offset, and up to nine digits of a second, as .NET, Go and
    Java print it; Postgres keeps six, the others are dropped. `spaced`: day and time may be parted by a space, as
    spreadsheets do. Raises NoInstant."""
    found = _INSTANT.match(text)
    if found is None or (found[2] == " " and not spaced):
        raise NoInstant(written=False)
    day, _, time, fraction, offset = found.groups()
    try:
        return datetime.fromisoformat(f"{day}T{time}.{(fraction or '')[:6]:0<6}{offset.upper()}").astimezone(UTC)
    except (ValueError, OverflowError):
        raise NoInstant(written=True) from None
