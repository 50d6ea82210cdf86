"""Values that no place of a type may take, and values that it takes although nobody means them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NAN, INFINITY = float("nan"), float("inf")
HUGE = 10**4_000
"""A number that JSON can spell and no column can hold; 1e400 arrives as INFINITY where it arrives at all."""
SURROGATE = "a\ud800b"
_NO_TEXT: tuple[Any, ...] = (5, 1.5, True, NAN, {}, {"a": 1}, "a\0b", SURROGATE, "x" * 100_001)
_NO_NUMBER: tuple[Any, ...] = (True, NAN, INFINITY, -INFINITY, HUGE, -HUGE, {}, "", "NaN", "a\0b", SURROGATE)
_NO_TIME: tuple[Any, ...] = (
    *("", 0, 1.5, True, NAN, HUGE, {}, "a\0b", SURROGATE, "now", "infinity", "-infinity", "epoch"),
    *("0000-01-01", "10000-01-01", "2026-W47-7", "20261122", "2026-02-30", "١٩٩٩-٠١-٠١", "-001-01-01"),
    *("2026-11-22T09:30:00", "2026-11-22 09:30:00Z", "0000-01-01T00:00:00Z", "10000-01-01T00:00:00Z"),
    *("2026-12-31T23:59:60Z", "2026-11-22T24:00:00Z", "2026-11-22T09:30:00+99:99", "2026-W47-7T00:00:00Z"),
    *("1899-12-31T23:59:59Z", "2200-01-01T00:00:01Z", "0001-01-01T00:00:00+23:59", "1800-01-01"),
)

_DEEP: Any = []
for _ in range(17):
    _DEEP = [_DEEP]

BAD: Mapping[str, tuple[Any, ...]] = {
    "String": _NO_TEXT,
    "Cursor": _NO_TEXT,
    "ID": (1.5, True, NAN, {}, "a\0b", SURROGATE, "x" * 601, "x" * 100_001),
    "Int": (2**31, -(2**31) - 1, 1.5, "1", *_NO_NUMBER),
    "Boolean": (0, 1, "true", "", NAN, {}, HUGE),
    "Decimal": (1.5, "Infinity", "-inf", "1E+999999999", "1e5", "٣", " 1", "1_000", "0x1", "9" * 5_000, *_NO_NUMBER),
    "DateTime": (*_NO_TIME, "2026-11-22"),
    "Date": (*_NO_TIME, "2026-11-22T00:00:00Z"),
    "Currency": (5, True, {}, "", "cny", "CNYX", "CN\0", SURROGATE, "ＣＮＹ"),
    "JSON": (NAN, -INFINITY, HUGE, -HUGE, "a\0b", SURROGATE, {"a": {"b": "\0"}}, [[{"a": [NAN]}]], _DEEP),
}
"""By scalar."""
BAD_MEMBER: tuple[Any, ...] = ("NOPE", "", 1, True, NAN, {}, HUGE, "a\0b", SURROGATE)
"""Of any enum."""
BAD_OBJECT: tuple[Any, ...] = (5, "x", True, NAN, SURROGATE, {"noSuchField": 1}, {"__proto__": {}})
"""Of any input object."""

_TEXTS: tuple[Any, ...] = (
    "",
    " \t\n\u3000",
    "".join(chr(0x4E00 + index * 7919 % 20_000) for index in range(90_000)),
    "\uffff\u202e\u0301" * 50 + "𝕏",
    "%_\\'\"; DROP TABLE customer; --",
)
ABSURD: Mapping[str, tuple[Any, ...]] = {
    "String": _TEXTS,
    "Cursor": _TEXTS,
    "ID": ("", "x", "cus_", f"cus_{'0' * 32}", f"mem_{'F' * 32}", HUGE, -(2**63), "%_\\"),
    "Int": (-(2**31), 2**31 - 1, 0, -1, 1),
    "Boolean": (True, False),
    "Decimal": ("99999999999999.9999", "-99999999999999.9999", "0.00000001", "0", "-0", 0, -1, "00000000000001"),
    "DateTime": ("1900-01-01T00:00:00Z", "2199-12-31T23:59:59.999999Z", "2000-02-29T23:59:59-23:59"),
    "Date": ("1900-01-01", "2199-12-31", "2000-02-29"),
    "Currency": ("XXX", "ZZZ"),
    "JSON": (
        *(
            5,
            -(2**63),
            True,
            "",
            "x",
            [],
            {},
            {"": {}},
            {"__proto__": {}},
            {"Customer": []},
            {"Customer": {"and": [{}] * 90}},
        ),
        *({"Customer": {"employees": {"eq": 2**62}}}, {"Customer": {"annualRevenue": {"gt": "1e99999"}}}),
        *({"Customer": {"not": {"not": {"not": {"not": {"not": {"not": {}}}}}}}}, {"Workspace": {}}, {"Query": {}}),
    ),
}
"""Values that a scalar takes, and nobody means: a rule may refuse them, nothing may break."""
