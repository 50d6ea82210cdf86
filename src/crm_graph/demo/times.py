"""Time in the demo data: whole seconds since 1970, around a fixed day.

Plain integers, because a row has about three times: they are compared and added up, and packed as they are.
"""

from __future__ import annotations

from datetime import UTC, date, datetime

HOUR = 3_600
DAY = 24 * HOUR

TODAY = date(2026, 11, 2)
"""The day on which the data was "recorded". Fixed: data that followed the clock would not be the same twice."""
END = int(datetime(TODAY.year, TODAY.month, TODAY.day, tzinfo=UTC).timestamp())
"""Nothing happened after this moment: it is in the past in every time zone but the easternmost."""
START = END - 3 * 365 * DAY
"""The company was founded here; members and products are this old."""
LAST_CUSTOMER = END - 45 * DAY
"""The newest customer came here: late enough to be new, early enough to have a history."""

TIME_ZONE = "Asia/Shanghai"
_AHEAD = 8 * HOUR  # of UTC; China has no summer time


def day_of(seconds: int) -> int:
    """Return the date of a moment in the workspace's time zone, as days since 1970."""
    return (seconds + _AHEAD) // DAY


def year_of(seconds: int) -> int:
    """Return the year of a moment in the workspace's time zone."""
    return datetime.fromtimestamp(seconds + _AHEAD, UTC).year


def moment(seconds: int) -> datetime:
    """Return a moment as the operations know it."""
    return datetime.fromtimestamp(seconds, UTC)
