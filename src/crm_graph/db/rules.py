"""What a table takes, said once, where the model declares it: choices, bounds and defaults of a column, what it points
to, which columns stand in order, and which amounts are in which currency.

    __table_args__ = (one_of("kind", CustomerKind), between("employees", 0), refers("owner_id", "member"))
    kind: Mapped[str] = mapped_column(default=CustomerKind.COMPANY.value, server_default="COMPANY")

Everything reads it there: the database checks it, the unit of work refuses what does not fit, imports judge rows by it,
and inputs derive their types and defaults from it. How much a text may hold is said by its type (`sizes.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from functools import cache
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import available_timezones

from sqlalchemy import CheckConstraint, Column, ForeignKeyConstraint, Table, Text, UniqueConstraint
from sqlalchemy.sql.schema import ScalarElementColumnDefault

from crm_graph.db.base import DELETED_AT, OF_CURRENCY, Base, table_of
from crm_graph.db.currencies import is_currency
from crm_graph.db.sizes import Fault, Size, digits_of, size_of
from crm_graph.kernel.addresses import is_address

RULE, ORDER, MONEY = "rule", "order", "money"


@dataclass(frozen=True, slots=True)
class Choices:
    """One of some values; of a list, each of its items."""

    values: tuple[str, ...]

    def faults(self, value: Any) -> Iterator[Fault]:
        """Yield what is wrong with a value."""
        items = (
            [((str(place),), item) for place, item in enumerate(value)] if isinstance(value, list) else [((), value)]
        )
        for path, item in items:
            if item not in self.values:
                yield path, f"must be {self}"

    def __str__(self) -> str:
        return f"one of {', '.join(self.values)}"


@dataclass(frozen=True, slots=True)
class Bounds:
    """A number from `low` to `high`, or more than `above`."""

    low: int | None = None
    high: int | None = None
    above: int | None = None

    def faults(self, value: Any) -> Iterator[Fault]:
        """Yield what is wrong with a number."""
        if (
            (self.low is not None and value < self.low)
            or (self.high is not None and value > self.high)
            or (self.above is not None and value <= self.above)
        ):
            yield (), f"must be {self}"

    def __str__(self) -> str:
        if self.low is not None and self.high is not None:
            return f"from {self.low} to {self.high}"
        if self.above is not None:
            return f"more than {self.above}"
        return f"at least {self.low}" if self.low is not None else f"at most {self.high}"

    def condition(self, column: str) -> str:
        """Return it in SQL."""
        if self.low is not None and self.high is not None:
            return f"{column} BETWEEN {self.low} AND {self.high}"
        if self.above is not None:
            return f"{column} > {self.above}"
        return f"{column} >= {self.low}" if self.low is not None else f"{column} <= {self.high}"


@dataclass(frozen=True, slots=True)
class Address:
    """An e-mail address; said of the column itself, since the database does not check it: rows may be older than the
    rule. `email: Mapped[Email] = mapped_column(info=held_to(Address()))`."""

    def faults(self, value: Any) -> Iterator[Fault]:
        """Yield what is wrong with a text."""
        if not is_address(value):
            yield (), f"must be {self}"

    def __str__(self) -> str:
        return "an e-mail address like ada@example.com"


@dataclass(frozen=True, slots=True)
class WebAddress:
    """The address of a site: what a frontend may link to; said of the column itself, as an e-mail address is."""

    def faults(self, value: Any) -> Iterator[Fault]:
        """Yield what is wrong with a text."""
        try:
            found = urlsplit(value)
            named = bool(found.hostname) and found.port != 0
        except ValueError:
            named = False
        if not named or found.scheme not in {"http", "https"} or not value.isprintable() or " " in value:
            yield (), f"must be {self}"

    def __str__(self) -> str:
        return "a web address like https://example.com"


@dataclass(frozen=True, slots=True)
class TimeZone:
    """The name of an IANA time zone; said of the column itself, since the database knows other ones."""

    def faults(self, value: Any) -> Iterator[Fault]:
        """Yield what is wrong with a text."""
        if value not in available_timezones():
            yield (), f"must be {self}"

    def __str__(self) -> str:
        return "an IANA time zone like Asia/Shanghai"


@dataclass(frozen=True, slots=True)
class CurrencyOfIso:
    """The code of a currency; every `CurrencyCode` is held to it."""

    def faults(self, value: Any) -> Iterator[Fault]:
        """Yield what is wrong with a text."""
        if not is_currency(value):
            yield (), f"must be {self}"

    def __str__(self) -> str:
        return "the code of a currency of ISO 4217, like CNY"


Rule = Choices | Bounds | Address | WebAddress | TimeZone | CurrencyOfIso


def held_to(rule: Rule) -> dict[str, Rule]:
    """Return the `info` of a column whose values a rule judges, and the database does not."""
    return {RULE: rule}


def one_of(column: str, values: type[Enum]) -> CheckConstraint:
    """Return the constraint that a column holds values of an enum."""
    names = tuple(str(each.value) for each in values)
    text = f"{column} IN ({', '.join(map(repr, names))})"
    return CheckConstraint(text, name=column, info={RULE: (column, Choices(names))})


def some_of(column: str, values: Sequence[str]) -> CheckConstraint:
    """Return the constraint that the items of a list are some of these values."""
    text = f"{column} <@ ARRAY[{', '.join(map(repr, values))}]::text[]"
    return CheckConstraint(text, name=column, info={RULE: (column, Choices(tuple(values)))})


def between(
    column: str, low: int | None = None, high: int | None = None, *, above: int | None = None, name: str = ""
) -> CheckConstraint:
    """Return the constraint that a number is at least `low`, at most `high`, or more than `above`; it is named like the
    column, unless said otherwise."""
    bounds = Bounds(low, high, above)
    return CheckConstraint(bounds.condition(column), name=name or column, info={RULE: (column, bounds)})


def in_order(first: str, last: str, *, name: str) -> CheckConstraint:
    """Return the constraint that one column is not before another, where both have a value."""
    return CheckConstraint(f"{last} >= {first}", name=name, info={ORDER: (first, last)})


def in_currency(currency: str, *amounts: str, name: str) -> CheckConstraint:
    """Return the constraint that a column holds the currency of amounts: there is one where one of them has a value."""
    none = " AND ".join(f"{amount} IS NULL" for amount in amounts)
    return CheckConstraint(f"({none}) = ({currency} IS NULL)", name=name, info={MONEY: (currency, amounts)})


def _said(table: Table, key: str) -> Iterator[Any]:
    constraints = sorted((each for each in table.constraints if key in each.info), key=lambda each: str(each.name))
    return (each.info[key] for each in constraints)


@cache
def currencies_of(table: Table) -> Mapping[str, tuple[str, ...]]:
    """Return the amounts that a currency column is of, by that column, as `in_currency` says."""
    return dict(_said(table, MONEY))


@cache
def _orders_of(table: Table) -> Sequence[tuple[str, str]]:
    return tuple(_said(table, ORDER))


def disorder_of(table: Table, get: Callable[[str], Any]) -> Iterator[tuple[str, str]]:
    """Yield each column whose value is before that of another one, and that one; `get` returns values."""
    for first, last in _orders_of(table):
        if get(first) is not None and get(last) is not None and get(last) < get(first):
            yield last, first


@cache
def rules_of(table: Table) -> Mapping[str, Rule]:
    """Return what `one_of`, `between` and `held_to` say of a table's columns, by column."""
    currencies = {column.name: CurrencyOfIso() for column in table.c if OF_CURRENCY in column.info}
    others = {column.name: column.info[RULE] for column in table.c if RULE in column.info}
    return currencies | others | dict(_said(table, RULE))


@cache
def defaults_of(cls: type[Base]) -> Mapping[str, Any]:
    """Return what columns hold where nothing is said of them: `mapped_column(default=...)`."""
    columns = table_of(cls).columns
    return {each.name: each.default.arg for each in columns if isinstance(each.default, ScalarElementColumnDefault)}


@cache
def targets_of(cls: type[Base]) -> Mapping[str, Table]:
    """Return the tables that foreign key columns of a mapped class point to, by column, in the table's order; the
    workspace is no such column."""
    found: dict[str, Table] = {}
    for column in table_of(cls).columns:
        for key in column.foreign_keys:
            assert key.constraint is not None
            if column.name != "workspace_id" and key.constraint.column_keys[-1] == column.name:
                found[column.name] = key.constraint.referred_table
    return found


@cache
def users_of(table: Table) -> Sequence[tuple[Table, Column[Any]]]:
    """Return what points to rows of a table, beside their parts: a row that something points to cannot go."""
    return [(key.table, key.table.c[key.column_keys[-1]]) for key in _pointing(table) if key.ondelete is None]


@cache
def parts_of(table: Table) -> Sequence[tuple[Table, Column[Any]]]:
    """Return the tables of the parts that go into the recycle bin with rows of a table, each with what points there."""
    return [
        (key.table, key.table.c[key.column_keys[-1]])
        for key in _pointing(table)
        if key.ondelete and DELETED_AT in key.table.c
    ]


def _pointing(table: Table) -> Iterator[ForeignKeyConstraint]:
    for other in table.metadata.sorted_tables:
        keys = (key for key in other.foreign_key_constraints if key.referred_table is table)
        yield from sorted(keys, key=lambda key: str(key.name))


@cache
def is_unique(column: Column[Any]) -> bool:
    """Return whether no two rows of a workspace have the same value in a column, in whichever case (`is_folded`)."""
    expected = ["workspace_id", column.name]
    constraints = (each for each in column.table.constraints if isinstance(each, UniqueConstraint))
    return (
        is_folded(column)
        or any([of.name for of in each.columns] == expected for each in constraints)
        or any(
            each.unique and [getattr(part, "name", None) for part in each.expressions] == expected
            for each in column.table.indexes
        )
    )


@cache
def is_folded(column: Column[Any]) -> bool:
    """Return whether texts that differ in case alone are the same value of a unique column: an address."""
    expected = ["workspace_id", f"lower({column.name})"]
    return any(
        index.unique and [getattr(part, "name", str(part)) for part in index.expressions] == expected
        for index in column.table.indexes
    )


@cache
def chains_of(cls: type[Base]) -> tuple[str, ...]:
    """Return the columns of a mapped class that point to rows of its own table: a parent, a manager. No row is above
    itself, however many steps up: whoever writes one refuses what leads back to the row."""
    return tuple(name for name, target in targets_of(cls).items() if target is table_of(cls))


CIRCLE = "leads back to this {}, in a circle"
"""What is said of such a column."""


@dataclass(frozen=True, slots=True)
class Closing:
    """That some of a row's columns stay as they are while it is in a state.

    Decided in D-domains-21 (ARCHITECTURE.md).
    """

    column: str
    states: frozenset[str]
    but: frozenset[str] | None = None
    """The columns that change all the same; None where only `fixed` ones stay."""
    fixed: frozenset[str] = frozenset()

    def closes(self, name: str) -> bool:
        """Return whether a column stays as it is."""
        return name in self.fixed if self.but is None else name not in self.but


def closed_in(column: str, *states: Enum, but: Sequence[str]) -> Closing:
    """Say that a row in one of some states is closed: nothing of it is changed `but` these columns. What moves it on,
    a transition, changes what it changes."""
    return Closing(column, frozenset(str(each.value) for each in states), but=frozenset(but))


def fixed_in(column: str, *states: Enum, fixed: Sequence[str]) -> Closing:
    """Say that some columns of a row stay as they are while it is in one of some states."""
    return Closing(column, frozenset(str(each.value) for each in states), fixed=frozenset(fixed))


def closed_of(cls: type[Base], state: Callable[[str], Any], changed: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield those of some changed columns that stay as they are in the state that a row is in before the change, each
    with that state; `state` returns what it held."""
    for closing in cls.__closed__:
        at = state(closing.column)
        if at in closing.states:
            yield from ((name, at) for name in changed if closing.closes(name))


@dataclass(frozen=True, slots=True)
class Judge:
    """What is judged of a column's values."""

    column: Column[Any]
    needs_text: bool
    """Whether a blank text is refused: it is never null, and has no default."""
    size: Size | None
    rule: Rule | None
    scale: int | None = None
    """How many digits a number may have after the point."""
    below: Decimal | None = None
    """What a number must be less than: its column has no more digits."""

    def faults(self, value: Any) -> Iterator[Fault]:
        """Yield what is wrong with a value: blank, too long, too exact, out of bounds, no choice. A null is none."""
        if value is None:
            return
        if self.needs_text and isinstance(value, str) and not value.strip():
            yield (), "cannot be blank"
            return
        if self.scale is not None and value != round(value, self.scale):
            yield (), f"has more than {self.scale} digits after the point"
        if self.below is not None and abs(value) >= self.below:
            yield (), f"must be less than {self.below:f}"
        if self.size is not None:
            yield from self.size.faults(value)
        if self.rule is not None:
            if not isinstance(value, Decimal | int | str | float | list):
                raise TypeError(f"{self.column} has a rule, and holds {value!r}")
            yield from self.rule.faults(value)


@cache
def judges_of(table: Table) -> Mapping[str, Judge]:
    """Return what is judged of the values of a table's columns, of those that may be at fault, by column."""
    rules, needed = rules_of(table), needed_of(table)
    found = {}
    for column in table.columns:
        needs_text = column.name in needed and isinstance(column.type, Text)
        scale, below = digits_of(column)
        judge = Judge(column, needs_text, size_of(column), rules.get(column.name), scale, below)
        if judge.size is not None or judge.rule is not None or needs_text or scale is not None:
            found[column.name] = judge
    return found


@cache
def needed_of(table: Table) -> frozenset[str]:
    """Return the columns that must have a value, which the database does not give them."""
    return frozenset(each.name for each in table.columns if not each.nullable and each.server_default is None)


@cache
def blankable_of(table: Table) -> frozenset[str]:
    """Return the columns whose blank texts say nothing: they are null."""
    return frozenset(each.name for each in table.columns if each.nullable and isinstance(each.type, Text))


def faults_of(column: Column[Any], value: Any) -> Iterator[Fault]:
    """Yield what is wrong with a value that a column is to hold; see `Judge`."""
    judge = judges_of(column.table).get(column.name)
    if judge is not None:
        yield from judge.faults(value)
