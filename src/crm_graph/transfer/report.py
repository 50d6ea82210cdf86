"""What an import did, and what was wrong where."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

MAX_KEPT_ERRORS = 1_000
"""Errors kept with their text; beyond it they are only counted."""
MAX_SHOWN_VALUE = 60


@dataclass(frozen=True, slots=True)
class RowError:
    """Why a row cannot be taken. `row` counts as a spreadsheet does: the header is row 1."""

    row: int
    column: str
    value: str
    reason: str

    def __str__(self) -> str:
        where = f"row {self.row}" + (f", column {self.column}" if self.column else "")
        return f"{where}: {self.reason}" if not self.value else f"{where}: {self.value!r} {self.reason}"


@dataclass(slots=True)
class StepReport:
    """The outcome of one step of an import."""

    entity: str
    source: str
    rows: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    blank: int = 0
    repeated: int = 0
    """Rows left out because the step takes distinct ones only."""
    bad_rows: int = 0
    error_count: int = 0
    errors: list[RowError] = field(default_factory=list)
    events: Counter[str] = field(default_factory=Counter)
    written: Counter[str] = field(default_factory=Counter)
    """New rows by table."""
    notes: list[str] = field(default_factory=list)

    def add_error(self, row: int, column: str, value: str, reason: str) -> None:
        """Note an error of a row."""
        self.error_count += 1
        if len(self.errors) < MAX_KEPT_ERRORS:
            self.errors.append(RowError(row, column, shortened(value), reason))


def shortened(value: str) -> str:
    """Return a value for a message: messages are no place for 100 kB of somebody's input."""
    return value if len(value) <= MAX_SHOWN_VALUE else value[: MAX_SHOWN_VALUE - 3] + "..."
