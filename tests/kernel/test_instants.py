"""Timestamps as other languages print them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from crm_graph.kernel.instants import NoInstant, parse_instant


@pytest.mark.parametrize(
    ("text", "microseconds"),
    [
        ("2026-11-30T10:00:00Z", 0),
        ("2026-11-30t10:00:00z", 0),
        ("2026-11-30 10:00:00.5Z", 500_000),
        ("2026-11-30T18:00:00.123456+08:00", 123_456),
        ("2026-11-30T10:00:00.1234567Z", 123_456),
        ("2026-11-30T10:00:00.123456789Z", 123_456),
        ("2026-11-30T04:30:00.999999999-05:30", 999_999),
    ],
)
def test_up_to_nine_digits_of_a_second_are_taken(text: str, microseconds: int) -> None:
    assert parse_instant(text, spaced=True) == datetime(2026, 11, 30, 10, 0, 0, microseconds, UTC)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("2026-11-30T10:00:00", False),
        ("2026-11-30", False),
        ("2026-11-30T10:00:00.1234567890Z", False),
        ("2026-11-30T10:00:00.Z", False),
        ("２０２６-11-30T10:00:00Z", False),
        ("2026-02-30T10:00:00Z", True),
        ("2026-11-30T24:00:01Z", True),
        ("0001-01-01T00:00:00+10:00", True),
        ("2026-11-30 10:00:00Z", False),
        ("", False),
    ],
)
def test_what_is_no_timestamp(text: str, written: bool) -> None:
    with pytest.raises(NoInstant) as raised:
        parse_instant(text)
    assert raised.value.written is written
