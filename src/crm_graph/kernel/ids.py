"""Record ids: UUIDv7 (RFC 9562), as 32 hex digits inside and `prefix_hex` in the API.

Ordered by time, so that an index on them grows at its right edge, and made anywhere, so that a client may supply one.
Inside, an id is plain `str`: the database codec yields the hex digits directly (`bytes.hex`), so no UUID object is
built per value.
"""

from __future__ import annotations

import os
import re
import time

_HEX32 = re.compile(r"[0-9a-f]{32}\Z")
_last_ms = 0
_sequence = 0


def new_id() -> str:
    """Return a fresh UUIDv7 as 32 hex digits; ids made by one process within a millisecond keep their order."""
    global _last_ms, _sequence
    now_ms = time.time_ns() // 1_000_000
    if now_ms > _last_ms:
        _last_ms = now_ms
        _sequence = int.from_bytes(os.urandom(2)) & 0x7FF
    else:
        _sequence += 1
        if _sequence > 0xFFF:
            _last_ms += 1
            _sequence = 0
    random = int.from_bytes(os.urandom(8)) >> 2 | 1 << 63  # the variant 10, and 62 random bits
    return f"{_last_ms:012x}7{_sequence:03x}{random:016x}"


def encode_id(prefix: str, value: str) -> str:
    """Return the API's spelling of an id, `cus_018f...`."""
    return f"{prefix}_{value}"


def decode_id(prefix: str, text: str) -> str | None:
    """Return the 32 hex digits of `prefix_hex`, or None for anything else (another type's id included)."""
    found, _, value = text.partition("_")
    return value if found == prefix and _HEX32.match(value) else None


def split_id(text: str) -> tuple[str, str] | None:
    """Return `(prefix, hex)` of any well-formed id, or None."""
    prefix, _, value = text.partition("_")
    return (prefix, value) if prefix and _HEX32.match(value) else None
