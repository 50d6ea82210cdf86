"""The scalars of the schema, each strict: what it takes is what it prints.

The built-in ones let through NaN, numbers of a million digits, dates without an offset, ISO weeks, NUL and lone
surrogates, which then fail in Postgres or in a client. On the way out values are already in output form
(`db/codecs.py`).
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from enum import Enum
from typing import Any, NewType

import orjson
import strawberry
from graphql import GraphQLError, GraphQLID, GraphQLString
from strawberry.types.scalar import ScalarDefinition

from crm_graph.kernel.instants import EXAMPLE, NoInstant, parse_instant
from crm_graph.kernel.money import AMOUNT_DIGITS, AMOUNT_SCALE, CURRENCY, MAX_AMOUNT, RATE_SCALE

JSON = NewType("JSON", object)
Currency = NewType("Currency", str)
Cursor = NewType("Cursor", str)
EncryptedText = NewType("EncryptedText", str)
"""A String that is encrypted where it is stored, so that it can be compared for equality only."""
ExactText = NewType("ExactText", str)
"""A String that is a number or an id which people give, so that it is compared as it is."""

_DATE = re.compile(r"\d{4}-\d\d-\d\d\Z", re.ASCII)
_DECIMAL = re.compile(r"-?\d{1,18}(\.\d{1,10})?\Z", re.ASCII)
EARLIEST_YEAR, LATEST_YEAR = 1900, 2199
MAX_TEXT_LENGTH = 100_000
MAX_CURSOR_LENGTH = 200
MAX_ID_LENGTH = 600
"""Of an id, and of what names a record in its place: `externalId:` and the 500 letters that an external id may have."""
MAX_JSON_DEPTH = 16


def clean_text(value: Any) -> str:
    """Return a string that Postgres can store. Raises GraphQLError for NUL, lone surrogates and absurd length."""
    if not isinstance(value, str):
        raise GraphQLError(f"String cannot represent a non string value: {_shown(value)}.")
    if "\0" in value:
        raise GraphQLError("String cannot contain the character U+0000.")
    if len(value) > MAX_TEXT_LENGTH:
        raise GraphQLError(f"String cannot be longer than {MAX_TEXT_LENGTH} characters.")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise GraphQLError("String cannot contain an unpaired surrogate.") from None
    return value


def parse_id(value: Any) -> str:
    """Return an id as given; whether it names anything is the field's business."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value) if abs(value) < 1 << 63 else ""
    text = clean_text(value)
    if len(text) > MAX_ID_LENGTH:
        raise GraphQLError(f"ID cannot be longer than {MAX_ID_LENGTH} characters.")
    return text


def parse_cursor(value: Any) -> str:
    """Return a position of the event log as given; whether it is one is the field's business."""
    text = clean_text(value)
    if len(text) > MAX_CURSOR_LENGTH:
        raise GraphQLError(f"Cursor cannot be longer than {MAX_CURSOR_LENGTH} characters.")
    return text


def parse_date_time(value: Any) -> datetime:
    """Return the instant of an RFC 3339 timestamp, which must carry an offset."""
    try:
        parsed = parse_instant(value if isinstance(value, str) else "")
    except NoInstant as error:
        if error.written:
            raise GraphQLError(f"DateTime does not exist: {_shown(value)}.") from None
        raise GraphQLError(f"DateTime must be RFC 3339 with an offset, like {EXAMPLE}: {_shown(value)}.") from None
    _check_year(parsed.year, "DateTime")
    return parsed


def parse_date(value: Any) -> date:
    """Return a calendar date written as YYYY-MM-DD."""
    if not isinstance(value, str) or not _DATE.match(value):
        raise GraphQLError(f"Date must be written as YYYY-MM-DD: {_shown(value)}.")
    try:
        parsed = date.fromisoformat(value)
    except ValueError:
        raise GraphQLError(f"Date does not exist: {_shown(value)}.") from None
    _check_year(parsed.year, "Date")
    return parsed


def parse_decimal(value: Any) -> Decimal:
    """Return an exact decimal from a string (or a JSON integer): floats have lost digits before they arrive."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise GraphQLError(f'Decimal must be a string like "1234.50": {_shown(value)}.')
    text = str(value) if not isinstance(value, int) or abs(value) < 10**AMOUNT_DIGITS else "too large"
    if not _DECIMAL.match(text):
        raise GraphQLError(
            f"Decimal must be at most {AMOUNT_DIGITS - AMOUNT_SCALE} digits, a point and {RATE_SCALE} digits: "
            f"{_shown(value)}."
        )
    try:
        parsed = Decimal(text)
    except InvalidOperation:  # pragma: no cover - the pattern admits only numbers
        raise GraphQLError(f"Decimal is not a number: {_shown(value)}.") from None
    if abs(parsed) >= MAX_AMOUNT:
        raise GraphQLError(f"Decimal is out of range: {_shown(value)}.")
    return parsed


def parse_currency(value: Any) -> str:
    """Return an ISO 4217 code: three capital letters."""
    if not isinstance(value, str) or not CURRENCY.match(value):
        raise GraphQLError(f"Currency must be an ISO 4217 code like CNY: {_shown(value)}.")
    return value


def parse_json(value: Any) -> object:
    """Return a JSON value of bounded depth without NaN, NUL, surrogates or numbers that no float or int64 is."""
    _check_json(value, 0)
    return value


def output(value: Any) -> Any:
    """Return a value as it is printed: strings of the database as they are, Python values by their standard form."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, Decimal):
        text = f"{value:f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Enum):
        return value.value
    return value


def _check_year(year: int, name: str) -> None:
    if not EARLIEST_YEAR <= year <= LATEST_YEAR:
        raise GraphQLError(f"{name} must lie in the years {EARLIEST_YEAR} to {LATEST_YEAR}, not in {year}.")


def _check_json(value: Any, depth: int) -> None:
    if depth > MAX_JSON_DEPTH:
        raise GraphQLError(f"JSON cannot be nested deeper than {MAX_JSON_DEPTH} levels.")
    if isinstance(value, str):
        clean_text(value)
    elif isinstance(value, dict):
        for key, item in value.items():
            clean_text(key)
            _check_json(item, depth + 1)
    elif isinstance(value, list):
        for item in value:
            _check_json(item, depth + 1)
    elif isinstance(value, float) and not float("-inf") < value < float("inf"):
        raise GraphQLError("JSON cannot represent NaN or infinity.")
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise GraphQLError("JSON cannot represent integers of more than 64 bits here: write them as strings.")


def _shown(value: Any) -> str:
    """Return the value for a message, shortened: messages are no place for 100 kB of somebody's input."""
    try:
        text = orjson.dumps(value).decode(errors="replace")
    except TypeError:
        text = type(value).__name__
    return text if len(text) <= 60 else text[:57] + "..."


def _scalar(name: str, description: str, parse: Any, specified_by: str | None = None) -> ScalarDefinition:
    return strawberry.scalar(
        name=name, description=description, serialize=output, parse_value=parse, specified_by_url=specified_by
    )


SCALARS: dict[object, ScalarDefinition] = {
    datetime: _scalar(
        "DateTime",
        "A point in time, RFC 3339 with an offset: `2026-11-22T09:30:00Z`. Printed in UTC.",
        parse_date_time,
        "https://datatracker.ietf.org/doc/html/rfc3339",
    ),
    date: _scalar(
        "Date",
        "A calendar date without a time zone: `2026-11-22`.",
        parse_date,
        "https://datatracker.ietf.org/doc/html/rfc3339#section-5.6",
    ),
    Decimal: _scalar(
        "Decimal",
        'An exact decimal number as a string: `"1234.5"`. At most 14 digits before the point; after it 4, or as'
        " many as the field says.",
        parse_decimal,
        "https://en.wikipedia.org/wiki/Decimal",
    ),
    Currency: _scalar(
        "Currency",
        "A currency as its ISO 4217 code: `CNY`.",
        parse_currency,
        "https://www.iso.org/iso-4217-currency-codes.html",
    ),
    Cursor: _scalar(
        "Cursor",
        "A position in the event log. Opaque; pass it back as `after` to receive everything that came later.",
        parse_cursor,
    ),
    JSON: _scalar(
        "JSON", "Any JSON value, at most 16 levels deep.", parse_json, "https://datatracker.ietf.org/doc/html/rfc8259"
    ),
}


def tighten_builtin_scalars() -> None:
    """Make graphql-core's own String and ID as strict as ours.

    They are singletons that a schema cannot replace ("redefinition of reserved type"), so this is done in place, for
    the process. Both the values of variables and the literals of documents pass through here.
    """
    for scalar, check in ((GraphQLString, clean_text), (GraphQLID, parse_id)):
        if scalar.parse_value is not check:
            scalar.coerce_input_value = scalar.parse_value = check  # type: ignore[method-assign]
            literal = _checked(scalar.coerce_input_literal, check)
            scalar.coerce_input_literal = scalar.parse_literal = literal  # type: ignore[method-assign]


def _checked(parse_literal: Any, check: Any) -> Any:
    def parse(node: Any, _variables: Any = None) -> Any:
        return check(parse_literal(node))

    return parse
