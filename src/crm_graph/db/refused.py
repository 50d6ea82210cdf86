"""Which row an error of the database is about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import asyncpg


def is_about(error: asyncpg.PostgresError, row: Mapping[str, Any]) -> bool:
    """Return whether an error is about a row, by the key that its detail names: `Key (workspace_id,
    lower(email))=(018b.., ada@example.com) already exists.`"""
    detail = str(getattr(error, "detail", None) or "")
    columns, equal, values = detail.removeprefix("Key (").partition(")=(")
    named = zip(columns.split(", "), values.rpartition(")")[0].split(", "), strict=False)
    return bool(equal) and all(
        _plain(row.get(column.removeprefix("lower(").removesuffix(")"))) == _plain(value) for column, value in named
    )


def _plain(value: Any) -> str:
    return str(value).replace("-", "").casefold()
