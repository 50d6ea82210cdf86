"""What a slice says about its entity, so that rows of it can be imported without the engine knowing it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as defaulting
from enum import Enum
from types import MappingProxyType
from typing import Any

from sqlalchemy import ARRAY, Boolean, Date, DateTime, Integer, Numeric, Text, Uuid
from sqlalchemy import Column as SqlColumn

from crm_graph.db.base import HOUSEKEEPING, KEEPING, Base, Row, table_of
from crm_graph.db.rules import Choices, currencies_of, defaults_of, rules_of, targets_of
from crm_graph.kernel.naming import camel
from crm_graph.permissions.policy import Policy
from crm_graph.work import DomainEvent, Work


class Kind(Enum):
    """How the text of a cell is read."""

    TEXT = "text"
    TEXTS = "texts separated by ;"
    INTEGER = "whole number"
    DECIMAL = "decimal"
    DATE = "date"
    INSTANT = "date and time"
    TRUTH = "true or false"
    CURRENCY = "currency"
    CHOICE = "choice"
    REFERENCE = "reference"
    ID = "id"


@dataclass(frozen=True, slots=True)
class Target:
    """An entity that others refer to: by its id, or by the value of one of `keys`.

    `within` is a column that both tables have and that narrows the choice: a stage's name is unique in its pipeline.
    """

    model: type[Row]
    policy: Policy
    prefix: str
    keys: tuple[str, ...]
    within: str | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """A column that a file may have. `stored` is the table's column, None for what is stored elsewhere (`roles`).

    `field` is the GraphQL field whose write permission governs it, of `policy` where it is another type's. Changing it
    to a value in `verbs` needs that verb (`*`: any value) on the row.
    """

    name: str
    kind: Kind
    field: str
    stored: str | None
    required: bool = False
    default: Any = None
    choices: tuple[str, ...] = ()
    target: Target | None = None
    verbs: Mapping[str, str] = defaulting(default_factory=dict)
    policy: Policy | None = None

    def verb(self, value: Any) -> str | None:
        """Return the named transition that setting this value is; None where it is part of `create` and `update`."""
        return self.verbs.get(str(value), self.verbs.get("*"))


def texts(name: str, *, choices: tuple[str, ...]) -> Column:
    """Return a column of several texts in one cell, separated by `;`, which the table does not have."""
    return Column(name, Kind.TEXTS, camel(name), None, choices=choices)


def refer(name: str, target: Target, policy: Policy) -> Column:
    """Return a column that names a row of another entity, and that the table does not have; `policy` is that of the
    type whose field it is."""
    return Column(name, Kind.REFERENCE, camel(name), None, target=target, policy=policy)


def columns_of(
    model: type[Row],
    *targets: Target,
    required: Collection[str] = (),
    money: Mapping[str, str] = MappingProxyType({}),
    verbs: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
    but: Collection[str] = (),
) -> tuple[Column, ...]:
    """Return the columns of a file as the model says them: their kinds, choices and defaults.

    `targets` are what it refers to, `required` what a row must have, `money` the amount's field that governs a currency
    column, by that column, `verbs` the transitions that setting a column is, `but` the columns that a file does not
    have.
    """
    pointed, rules, defaults = targets_of(model), rules_of(table_of(model)), defaults_of(model)
    by_table = {table_of(target.model).name: target for target in targets}
    columns = []
    for column in table_of(model).columns:
        if column.name in HOUSEKEEPING | KEEPING or column.name in but:
            continue
        name = column.name.removesuffix("_id") if column.name in pointed else column.name
        rule = rules.get(column.name)
        choices = rule.values if isinstance(rule, Choices) else ()
        kind = Kind.CURRENCY if name in money else _kind_of(column)
        kind = Kind.CHOICE if choices and kind is Kind.TEXT else kind
        columns.append(
            Column(
                name,
                kind,
                money.get(name) or camel(name),
                column.name,
                required=name in required,
                default=defaults.get(column.name),
                choices=choices,
                target=by_table[pointed[column.name].name] if column.name in pointed else None,
                verbs=verbs.get(name, {}),
            )
        )
    unknown = {*required, *money, *verbs} - {column.name for column in columns}
    assert not unknown, f"{model.__name__} has no column {', '.join(sorted(unknown))}"
    return tuple(columns)


def _kind_of(column: SqlColumn[Any]) -> Kind:
    return next(kind for type_, kind in _KINDS if isinstance(column.type, type_))


_KINDS: tuple[tuple[type, Kind], ...] = (
    (Uuid, Kind.REFERENCE),
    (Boolean, Kind.TRUTH),
    (Integer, Kind.INTEGER),
    (Numeric, Kind.DECIMAL),
    (DateTime, Kind.INSTANT),
    (Date, Kind.DATE),
    (ARRAY, Kind.TEXTS),
    (Text, Kind.TEXT),
)

IDENTITY = Column("id", Kind.ID, "id", "id")
"""The column that every entity has besides its own: the id, as an export writes it."""


@dataclass(slots=True)
class Draft:
    """A row on its way in. `values` are the table's columns that the file gives; `extra` what is stored elsewhere.

    `before` is the stored row where there is one; `values` holds all columns when a new row has been completed.
    """

    number: int
    values: dict[str, Any] = defaulting(default_factory=dict)
    extra: dict[str, Any] = defaulting(default_factory=dict)
    texts: dict[str, str] = defaulting(default_factory=dict)
    before: Mapping[str, Any] | None = None
    id: str = ""
    pending: dict[str, str] = defaulting(default_factory=dict)
    failed: bool = False

    def get(self, name: str) -> Any:
        """Return the value of a table's column as it will be."""
        if name in self.values:
            return self.values[name]
        return None if self.before is None else self.before[name]

    def is_new(self) -> bool:
        """Return whether the row is to be inserted."""
        return self.before is None

    def changes_to(self, name: str) -> bool:
        """Return whether a column of a stored row gets another value."""
        return self.before is not None and name in self.values and self.values[name] != self.before[name]


def settle_currencies(model: type[Row], draft: Draft, base: str) -> None:
    """Let currencies follow from their amounts: an amount without one is in `base`; a currency without any amount says
    nothing, and is left out."""
    for currency, amounts in currencies_of(table_of(model)).items():
        if draft.values.keys() & {currency, *amounts}:
            if all(draft.get(amount) is None for amount in amounts):
                draft.values[currency] = None
            elif draft.get(currency) is None:
                draft.values[currency] = base


@dataclass(frozen=True, slots=True)
class Part:
    """Rows of another table that come with a draft, and the event that tells about them where the draft's does not.

    `instead_of` names the rows that they replace, by columns.
    """

    model: type[Base]
    rows: Sequence[Mapping[str, Any]]
    instead_of: Mapping[str, Any] | None = None
    policy: Policy | None = None
    entity_id: str = ""
    event: DomainEvent | None = None
    changes: Mapping[str, tuple[Any, Any]] = defaulting(default_factory=dict)


Changes = Mapping[str, tuple[Any, Any]]


async def nothing(work: Work, drafts: Sequence[Draft]) -> None:
    """Gather nothing."""


def as_given(work: Work, draft: Draft, facts: Any) -> None:
    """Complete nothing: the defaults of the columns are enough."""


async def nothing_afterwards(work: Work, drafts: Sequence[Draft]) -> None:
    """Do nothing more."""


def nothing_beside(draft: Draft, facts: Any) -> tuple[Mapping[str, Any], Mapping[str, Any]]:  # noqa: ARG001 - a shape
    """Say of nothing that stands beside a row that it decides rights."""
    return {}, {}


def no_parts(work: Work, draft: Draft, facts: Any) -> Sequence[Part]:  # noqa: ARG001 - the shape of `parts`
    """Return no parts."""
    return ()


@dataclass(frozen=True, slots=True)
class ImportSpec:
    """How rows of an entity are imported.

    `matches` are the keys by which rows are recognised, the preferred one first; `unique` the values that no two rows
    may share. For each batch `gather` reads what the rest needs, `complete` fills in what follows from the given values
    and raises Refused (its field: the column) for a row that cannot be, `parts` says what else is written, and `beside`
    what of that decides rights (`Policy.decides`), as it is and as it is to be; `afterwards` does what follows from
    rows that are new or were changed. `created` and `updated` return the event of a row.
    """

    entity: str
    model: type[Row]
    policy: Policy
    prefix: str
    columns: tuple[Column, ...]
    matches: tuple[tuple[str, ...], ...]
    unique: tuple[tuple[str, ...], ...]
    created: Callable[[Draft], DomainEvent]
    updated: Callable[[Draft, Changes], DomainEvent]
    gather: Callable[[Work, Sequence[Draft]], Awaitable[Any]] = nothing
    complete: Callable[[Work, Draft, Any], None] = as_given
    parts: Callable[[Work, Draft, Any], Sequence[Part]] = no_parts
    afterwards: Callable[[Work, Sequence[Draft]], Awaitable[None]] = nothing_afterwards
    beside: Callable[[Draft, Any], tuple[Mapping[str, Any], Mapping[str, Any]]] = nothing_beside

    def column(self, name: str) -> Column | None:
        """Return a column by name; the id is one."""
        return next((column for column in (IDENTITY, *self.columns) if column.name == name), None)
