"""From the text of a cell to a value, as strictly as the API reads its scalars; what fails says why."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from crm_graph.kernel.ids import split_id
from crm_graph.kernel.instants import EXAMPLE, NoInstant, parse_instant
from crm_graph.kernel.money import AMOUNT_DIGITS, AMOUNT_SCALE
from crm_graph.transfer.spec import Column, Kind

EARLIEST_YEAR, LATEST_YEAR = 1900, 2199
MAX_TEXT_LENGTH = 100_000
SEPARATOR = ";"
"""Between the values of a cell that holds several."""

_INTEGER = re.compile(r"[+-]?\d{1,10}\Z", re.ASCII)
_DECIMAL = re.compile(r"[+-]?\d{1,30}(\.\d{1,30})?\Z", re.ASCII)
_DATE = re.compile(r"\d{4}-\d\d-\d\d\Z", re.ASCII)
_TRUE, _FALSE = frozenset({"true", "yes", "1", "是"}), frozenset({"false", "no", "0", "否"})


class BadValue(ValueError):
    """Raised with the reason for which a text is no value of its column."""


def parse(column: Column, text: str) -> Any:
    """Return the value of a cell, None for an empty one. Raises BadValue."""
    if not text.strip():
        return None
    return _PARSERS[column.kind](column, text)


def check_text(text: str) -> str:
    """Return a text that Postgres can store. Raises BadValue."""
    if "\0" in text:
        raise BadValue("contains the character U+0000")
    if len(text) > MAX_TEXT_LENGTH:
        raise BadValue(f"is longer than {MAX_TEXT_LENGTH} characters")
    if not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):
        raise BadValue("contains an unpaired surrogate")
    return text


def _text(_: Column, text: str) -> str:
    return check_text(text)


def _texts(column: Column, text: str) -> list[str]:
    values = [check_text(value.strip()) for value in text.split(SEPARATOR) if value.strip()]
    unknown = [value for value in values if column.choices and value not in column.choices]
    if unknown:
        raise BadValue(f"{unknown[0]!r} is not one of {', '.join(column.choices)}")
    return list(dict.fromkeys(values))


def _integer(_: Column, text: str) -> int:
    text = text.strip()
    if not _INTEGER.match(text):
        raise BadValue("is not a whole number like 1234")
    if not -(1 << 31) <= int(text) < 1 << 31:
        raise BadValue("is not between -2147483648 and 2147483647")
    return int(text)


def _decimal(_: Column, text: str) -> Decimal:
    text = text.strip()
    if not _DECIMAL.match(text):
        raise BadValue("is not a decimal number like 1234.50")
    value = Decimal(text)
    if value != round(value, AMOUNT_SCALE):
        raise BadValue(f"has more than {AMOUNT_SCALE} digits after the point")
    if abs(value) >= Decimal(10) ** (AMOUNT_DIGITS - AMOUNT_SCALE):
        raise BadValue(f"has more than {AMOUNT_DIGITS - AMOUNT_SCALE} digits before the point")
    return value


def _date(_: Column, text: str) -> date:
    text = text.strip()
    if not _DATE.match(text):
        raise BadValue("is not a date written as YYYY-MM-DD")
    try:
        value = date.fromisoformat(text)
    except ValueError:
        raise BadValue("is a date that does not exist") from None
    _check_year(value.year)
    return value


def _instant(_: Column, text: str) -> datetime:
    try:
        value = parse_instant(text.strip(), spaced=True)
    except NoInstant as error:
        reason = "is a time that does not exist" if error.written else f"is not a time with an offset, like {EXAMPLE}"
        raise BadValue(reason) from None
    _check_year(value.year)
    return value


def _check_year(year: int) -> None:
    if not EARLIEST_YEAR <= year <= LATEST_YEAR:
        raise BadValue(f"does not lie in the years {EARLIEST_YEAR} to {LATEST_YEAR}")


def _truth(_: Column, text: str) -> bool:
    folded = text.strip().lower()
    if folded not in _TRUE | _FALSE:
        raise BadValue("is neither true nor false")
    return folded in _TRUE


def _currency(_: Column, text: str) -> str:
    return text.strip()


def _choice(column: Column, text: str) -> str:
    value = text.strip().upper().replace(" ", "_")
    if value not in column.choices:
        raise BadValue(f"is not one of {', '.join(column.choices)}")
    return value


def _id(_: Column, text: str) -> str:
    named = split_id(text.strip())
    if named is None:
        raise BadValue("is not an id as an export writes it")
    return named[1]


_PARSERS: dict[Kind, Callable[[Column, str], Any]] = {
    Kind.TEXT: _text,
    Kind.TEXTS: _texts,
    Kind.INTEGER: _integer,
    Kind.DECIMAL: _decimal,
    Kind.DATE: _date,
    Kind.INSTANT: _instant,
    Kind.TRUTH: _truth,
    Kind.CURRENCY: _currency,
    Kind.CHOICE: _choice,
    Kind.REFERENCE: lambda _, text: check_text(text.strip()),
    Kind.ID: _id,
}
