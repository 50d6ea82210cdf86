"""The clock as a value, so that an operation's time can be set by a test."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]


def system_clock() -> datetime:
    """Return the current time, UTC, aware."""
    return datetime.now(UTC)
