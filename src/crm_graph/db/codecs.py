"""How Postgres values arrive in Python: as the strings that GraphQL prints.

Building UUID, Decimal and datetime objects only to print them again costs more than fetching their rows (27 % of a
page of 1,000 rows, D-db-02). So every connection yields `uuid` as 32 hex digits, `numeric` and `date` as their
text and `timestamptz` as RFC 3339 in UTC; operations that calculate convert at the row (`db/rows.py`). Arguments may be
given either as those strings or as the Python object.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import asyncpg
import orjson


def numeric_text(text: str) -> str:
    """Return a numeric without trailing zeros: a column of scale 4 prints `1054`, not `1054.0000`."""
    return text.rstrip("0").rstrip(".") if "." in text else text


def timestamp_text(text: str) -> str:
    """Return RFC 3339 for Postgres' ISO output of a connection whose time zone is UTC."""
    return f"{text[:10]}T{text[11:-3]}Z"


def _timestamp_argument(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _uuid_argument(value: str) -> bytes:
    return bytes.fromhex(value)


def json_argument(value: Any) -> str:
    """Return a value as JSON; what JSON has no form for as the text that `str` gives it."""
    return orjson.dumps(value, default=str).decode()


async def set_codecs(connection: asyncpg.Connection[Any]) -> None:
    """Install the codecs; called once per physical connection."""
    for name, encoder, decoder in (
        ("numeric", str, numeric_text),
        ("date", str, str),
        ("timestamptz", _timestamp_argument, timestamp_text),
        ("jsonb", json_argument, orjson.loads),
    ):
        await connection.set_type_codec(name, schema="pg_catalog", encoder=encoder, decoder=decoder, format="text")
    await connection.set_type_codec(
        "uuid", schema="pg_catalog", encoder=_uuid_argument, decoder=bytes.hex, format="binary"
    )
