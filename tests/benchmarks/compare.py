"""Whether servers answered with the same rows: payloads of any of the three schemas, brought into one form."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

_ID = re.compile(r"(?:[a-z]{3}_)?([0-9a-f]{32})\Z")
_TIME = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(\.\d+)?(?:Z|\+00(?::?00)?)\Z")
_NUMBER = re.compile(r"-?\d+(\.\d+)?\Z")


def comparable(operation: str, data: Any) -> Any:
    """Return the one form of an answer's `data`.

    Ids are 32 hex digits, numbers and times have one spelling, a connection is the list of its nodes unless it has a
    count too, and amounts lie flat beside their currency.
    """
    (value,) = data.values()
    if operation == "aggregate":
        groups = value["groups"] if isinstance(value, dict) else value
        return [dict(sorted(_leaves(group))) for group in groups]
    if operation == "move" and "opportunity" in value:
        value = value["opportunity"]
    return _form(value)


def first_difference(one: Any, other: Any, path: str = "") -> str | None:
    """Return where two comparable answers differ, and how; None if they do not."""
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        pairs = [(f"{path}.{key}", one[key], other[key]) for key in one]
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        pairs = [(f"{path}[{index}]", *pair) for index, pair in enumerate(zip(one, other, strict=True))]
    else:
        return None if one == other else f"{path}: {_short(one)} against {_short(other)}"
    return next((found for at, a, b in pairs if (found := first_difference(a, b, at)) is not None), None)


def _short(value: Any) -> str:
    if isinstance(value, list):
        return f"{len(value)} rows"
    return f"an object of {', '.join(value)}" if isinstance(value, dict) else repr(value)


def _form(value: Any) -> Any:
    if isinstance(value, list):
        return [_form(each) for each in value]
    if not isinstance(value, dict):
        return _leaf(value)
    if value.keys() == {"nodes"}:
        return _form(value["nodes"])
    flat: dict[str, Any] = {}
    for key, each in value.items():
        if isinstance(each, dict) and each.keys() == {"amount", "currency"}:
            flat |= {key: _leaf(each["amount"]), "currency": each["currency"]}
        else:
            flat[key] = _form(each)
    if flat.get("amount", flat.get("total")) is None:
        flat.pop("currency", None)
    return dict(sorted(flat.items()))


def _leaves(group: dict[str, Any]) -> list[tuple[str, Any]]:
    """Return the leaves of a group of sums, however deep they lie."""
    found = []
    for key, value in group.items():
        found += _leaves(value) if isinstance(value, dict) else [(key, _leaf(value))]
    return found


def _leaf(value: Any) -> Any:
    if value is None or isinstance(value, bool):
        return value
    text = str(value)
    if _NUMBER.match(text):
        number = Decimal(text)
        return format(number.quantize(1) if number == number.to_integral() else number.normalize(), "f")
    if found := _ID.match(text.replace("-", "")):
        return found[1]
    if found := _TIME.match(text):
        return f"{found[1]}T{found[2]}{(found[3] or '').rstrip('0').rstrip('.')}Z"
    return text
