"""Personal columns: said beside a model, by what they are of who a person is.

    __personal__ = ("name", "email", "phone")

The log keeps their values under a key of the person (`vault/persons.py`), and `eraseContact` empties them. A record is
a person where its model has such columns and `is_person` of the row holds.

Decided in D-vault-02 (ARCHITECTURE.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from sqlalchemy import Column, Table

from crm_graph.db.base import PERSONAL

ERASED = "[erased]"
"""What a personal text says that was erased and cannot be null."""


@cache
def personal_columns(table: Table) -> frozenset[str]:
    """Return the personal columns of a table."""
    return frozenset(column.name for column in table.columns if PERSONAL in column.info)


@cache
def erased_values(table: Table) -> Mapping[str, str | None]:
    """Return what stands in the personal columns of a row that was erased."""
    return {column.name: _erased(column) for column in table.columns if PERSONAL in column.info}


def _erased(column: Column[Any]) -> str | None:
    return None if column.nullable else ERASED
