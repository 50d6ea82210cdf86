"""What amounts come to in the base currency: found when a row is written, and again when rates change.

Within the base currency the rate is one, and nothing is asked. A currency that has no rates at all is not valued: its
rows keep no base amount. One that has some is valued on every day: closing a row on a day before the first of them is
refused, since what is fixed then would never be found.

Decided in D-work-08 (ARCHITECTURE.md).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from typing import Any, Protocol, TypeVar
from zoneinfo import ZoneInfo

from crm_graph.db.base import Base, Row, table_of
from crm_graph.db.rows import changes
from crm_graph.db.session import Session
from crm_graph.db.statements import Statement
from crm_graph.db.valued import CURRENCY, RATE_ON, Valued
from crm_graph.identity.viewer import NOBODY, Viewer
from crm_graph.jobs.timers import Due, Timers
from crm_graph.kernel.errors import Refused

ONE = Decimal(1)
BATCH = 500
"""Rows that are valued again in one transaction."""
_RATE = Statement(
    "SELECT (SELECT rate FROM exchange_rate WHERE workspace_id = $1 AND currency = $2 AND valid_from <= $3"
    " ORDER BY valid_from DESC LIMIT 1) AS rate,"
    " (SELECT min(valid_from) FROM exchange_rate WHERE workspace_id = $1 AND currency = $2)"
    " AS first",
    ("workspace_id", "currency", "day"),
    {},
    ("UUID", "TEXT", "DATE"),
)


R = TypeVar("R", bound=Row)


class Valuer(Protocol):
    """What the rule needs of a unit of work."""

    @property
    def session(self) -> Session:
        """Where rates are read."""

    @property
    def viewer(self) -> Viewer:
        """Whose workspace it is."""

    @property
    def today(self) -> date:
        """The date in the workspace's time zone."""


class Restater(Protocol):
    """What valuing again needs of a unit of work."""

    @property
    def session(self) -> Session:
        """Where rows are found."""

    @property
    def viewer(self) -> Viewer:
        """Whose workspace it is."""

    @property
    def now(self) -> datetime:
        """The time of the unit of work."""

    @property
    def timers(self) -> Timers:
        """What lets the worker do the next batch."""


@dataclass(frozen=True, slots=True)
class Rate:
    """What a currency is worth on a day; None where it has no rates by then, and since when it has some."""

    rate: Decimal | None
    first: date | None


Known = dict[tuple[str, date], Rate]
"""Rates by currency and day."""


async def rate_on(work: Valuer, currency: str, day: date) -> Rate:
    """Return the rate of a currency that is valid on a day."""
    if currency == work.viewer.base_currency:
        return Rate(ONE, None)
    row = await work.session.fetch_row(_RATE, {**work.viewer.binds, "currency": currency, "day": day})
    assert row is not None
    return Rate(
        None if row["rate"] is None else Decimal(row["rate"]),
        None if row["first"] is None else date.fromisoformat(row["first"]),
    )


async def base_amount_of(
    work: Valuer, valued: Valued, get: Callable[[str], Any], path: tuple[str, ...], known: Known | None = None
) -> Mapping[str, Any]:
    """Return the values of the columns that follow from a row's amount; `known` are the rates that have been read.

    Raises Refused REQUIRED at `path` for a day that fixes it and has no rate, where the currency has some.
    """
    amount, currency = get(valued.amount), get(CURRENCY)
    fixed = valued.fixed_on(get, ZoneInfo(work.viewer.time_zone))
    day = fixed or work.today
    if amount is None:
        return valued.at(None, None, day, work.viewer.base_currency)
    rate = None if known is None else known.get((currency, day))
    if rate is None:
        rate = await rate_on(work, currency, day)
        if known is not None:
            known[currency, day] = rate
    if rate.rate is None and rate.first is not None and fixed is not None:
        raise Refused("REQUIRED", no_rate(currency, day, rate.first), path)
    return valued.at(amount, rate.rate, day, work.viewer.base_currency)


def no_rate(currency: str, day: date, first: date) -> str:
    """Return what is said of a day without a rate."""
    return (
        f"There is no exchange rate of {currency} on {day.isoformat()}: the first one is valid from"
        f" {first.isoformat()}. Set an earlier one with setExchangeRate."
    )


async def keep_base_amount(work: Valuer, row: Row, *, new: bool) -> bool:
    """Put into a row what its amount comes to in the base currency, if that may have changed; return whether that
    changed it. Raises as `base_amount_of` does."""
    valued: Valued | None = type(row).__valued__
    if valued is None:
        return False
    changed = {} if new else changes(row)

    def before(name: str) -> Any:
        return changed[name][0] if name in changed else getattr(row, name)

    def get(name: str) -> Any:
        return getattr(row, name)

    if not valued.asks(None if new else before, get, ZoneInfo(work.viewer.time_zone)):
        return False
    return _put(row, await base_amount_of(work, valued, get, ("id",)))


async def value_again(work: Valuer, row: Row) -> bool:
    """Put into a row what its amount comes to at the rates of now; return whether that changed it. What is fixed stays,
    unless it was so while its currency had no rates: then it is valued on the day that fixed it."""
    valued: Valued | None = type(row).__valued__
    assert valued is not None

    def get(name: str) -> Any:
        return getattr(row, name)

    if get(valued.base) is not None and valued.fixed_on(get, ZoneInfo(work.viewer.time_zone)) is not None:
        return False
    try:
        values = await base_amount_of(work, valued, get, ())
    except Refused:
        return False
    if all(getattr(row, name) == value for name, value in values.items() if name != RATE_ON):
        return False  # a later day of the same rate is no news
    return _put(row, values)


async def restate_later(work: Restater, currency: str, because: tuple[str, str]) -> None:
    """Let the worker value again what is open in a currency, because of a record (type and id)."""
    for model in valued_models():
        table = table_of(model).name
        await work.timers.set(f"restate {table} {currency}", kind_of(model), work.now, because, {"currency": currency})


def kind_of(model: type[Row]) -> str:
    """Return the kind of the timers by which rows of a mapped class are valued again."""
    return f"restate {table_of(model).name}"


async def restate(work: Restater, model: type[R], due: Due, again: Callable[[str], Awaitable[None]]) -> None:
    """Let `again` value rows of a mapped class whose currency has other rates now, a batch a time: those that are open,
    and those that were fixed while it had none. Rows are named by their ids, in order; the next batch is another timer.
    """
    valued: Valued = model.__valued__
    after, currency = due.payload.get("after", NOBODY), due.payload["currency"]
    bound = {**work.viewer.binds, "currency": currency, "after": after, "most": BATCH}
    ids = [str(row["id"]) for row in await work.session.fetch(_in_currency(table_of(model).name, valued.amount), bound)]
    for id_ in ids:
        await again(id_)
    if len(ids) == BATCH:
        await work.timers.set(
            due.key, due.kind, work.now, (due.record_type, due.record_id), {"currency": currency, "after": ids[-1]}
        )


async def has_base_amounts(work: Valuer) -> bool:
    """Return whether anything of the workspace is valued in its base currency, or would be."""
    for table, column in (("exchange_rate", "rate"), *_base_columns()):
        text = f"SELECT 1 FROM {table} WHERE workspace_id = $1 AND {column} IS NOT NULL LIMIT 1"  # noqa: S608 - names
        if await work.session.fetch(Statement(text, ("workspace_id",), {}), work.viewer.binds):
            return True
    return False


def _base_columns() -> Iterator[tuple[str, str]]:
    for model in valued_models():
        valued: Valued = model.__valued__
        yield table_of(model).name, valued.base


@cache
def _in_currency(table: str, amount: str) -> Statement:
    return Statement(
        f"SELECT id FROM {table} WHERE workspace_id = $1 AND currency = $2 AND id > $3 AND {amount} IS NOT NULL"  # noqa: S608 - names
        " AND deleted_at IS NULL ORDER BY id LIMIT $4",
        ("workspace_id", "currency", "after", "most"),
        {},
        ("UUID", "TEXT", "UUID", "BIGINT"),
    )


def _put(row: Row, values: Mapping[str, Any]) -> bool:
    changed = any(getattr(row, name) != value for name, value in values.items())
    for name, value in values.items():
        setattr(row, name, value)
    return changed


def valued_models() -> list[type[Row]]:
    """Return the mapped classes that keep base amounts, by the names of their tables."""
    models = (mapper.class_ for mapper in Base.registry.mappers)
    kept = [model for model in models if issubclass(model, Row) and model.__valued__ is not None]
    return sorted(kept, key=lambda model: table_of(model).name)
