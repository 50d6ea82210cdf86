"""Sensitive reads: which fields of which records an operation read under grants that ask for a log entry.

Coordinates are noted while planning (what is selected) and with each statement's form (what is compared), so that a
cached plan knows them at no cost; ids are noted where rows that carry such fields come by.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from crm_graph.kernel.ids import encode_id


@dataclass(slots=True)
class Reads:
    """What one operation read, in the order in which it was noted; both are sets that keep their order."""

    fields: dict[str, None] = field(default_factory=dict)
    records: dict[str, None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SensitiveRows:
    """Where the rows of a statement carry the ids of records whose audited fields they carry, with the ids' prefixes.

    Rows that carry none have no instance: `if self.sensitive is not None` is all that they pay.
    """

    positions: tuple[tuple[int, str], ...]

    @classmethod
    def at(cls, prefixes: Mapping[str, str], columns: Mapping[str, int]) -> SensitiveRows | None:
        """Return the places of id columns, given as key to prefix; None where there are none."""
        return cls(tuple((columns[key], prefix) for key, prefix in prefixes.items())) if prefixes else None

    def ids(self, rows: Iterable[Any]) -> Iterable[str]:
        """Yield the ids of the records, as the API spells them."""
        for row in rows:
            for position, prefix in self.positions:
                if row[position] is not None:
                    yield encode_id(prefix, row[position])
