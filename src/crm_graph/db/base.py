"""The declarative base: every table of a workspace has `workspace_id` first in all of its keys.

Mapped classes are used as typed tables and typed rows; the ORM's session is not. Its unit of work compiles and runs
statements through layers that a stage move with its payload, 0.55 ms of CPU in the fastest peer, has no room for. Nor
is its instrumentation, which notes for a session what changes: a row keeps its values as plain attributes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from typing import Annotated, Any, ClassVar, Self

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    Numeric,
    Table,
    UniqueConstraint,
    Uuid,
)
from sqlalchemy import text as sql_text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from crm_graph.db.sizes import SizedList, SizedText
from crm_graph.db.statements import REFUSED_TIME
from crm_graph.kernel.ids import new_id
from crm_graph.kernel.money import AMOUNT_DIGITS, AMOUNT_SCALE, BASE_DIGITS, RATE_DIGITS, RATE_SCALE

Id = Annotated[str, mapped_column(Uuid(as_uuid=False))]
"""A record id: 32 hex digits in Python, `uuid` in Postgres."""
IN_MINOR_UNITS = "in minor units"
Amount = Annotated[Decimal, mapped_column(Numeric(AMOUNT_DIGITS, AMOUNT_SCALE), info={IN_MINOR_UNITS: True})]
"""An amount of money, with no more digits after the point than its currency has."""
Rate = Annotated[Decimal, mapped_column(Numeric(RATE_DIGITS, RATE_SCALE))]
"""What one unit of a currency is worth in another one."""
BaseAmount = Annotated[Decimal, mapped_column(Numeric(BASE_DIGITS, AMOUNT_SCALE))]
"""An amount in the workspace's base currency."""
UnitPrice = Annotated[Decimal, mapped_column(Numeric(AMOUNT_DIGITS, AMOUNT_SCALE))]
"""The price of one unit, which may be finer than its currency."""
Paragraph = Annotated[str, mapped_column(SizedText(2_000))]
"""A text of some sentences: a reason, a next step. A text is a line of 500 letters unless its column says otherwise."""
LongText = Annotated[str, mapped_column(SizedText(20_000))]
"""A text of some pages: what a customer wrote, a note."""
EXACT, PERSONAL = "exact", "personal"
Key = Annotated[str, mapped_column(SizedText(), info={EXACT: True})]
"""A number or an id that people give: two that differ in case, or in the width of a letter, are two."""
Email = Annotated[str, mapped_column(SizedText(254))]
"""RFC 5321 lets no path, and so no address, be longer."""
Phone = Annotated[str, mapped_column(SizedText(50))]
Url = Annotated[str, mapped_column(SizedText(2_000))]
OF_CURRENCY = "currency"
CurrencyCode = Annotated[str, mapped_column(SizedText(3), info={OF_CURRENCY: True})]
RoleName = Annotated[str, mapped_column(SizedText(63))]
RoleNames = Annotated[list[str], mapped_column(SizedList(50, 63))]

NAMING = {
    "pk": "%(table_name)s_pkey",
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_1_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
}


class _Plain:
    """What a mapped class has in the place of an instrumented attribute: at the class the column, and None at a row
    that holds no value. It sets nothing, so a value that a row holds is found in the row first: 0.03 us, where
    instrumentation takes 0.3 to read a value and 1.5 to set one."""

    __slots__ = ("column",)

    def __init__(self, column: Any) -> None:
        self.column = column

    def __get__(self, row: object | None, owner: type) -> Any:
        return self.column if row is None else None


class Base(DeclarativeBase):
    """The root of all mapped classes."""

    __closed__: ClassVar[Sequence[Any]] = ()
    """In which states what of its rows stays as it is: `closed_in` and `fixed_in` of `db/rules.py`."""
    __valued__: ClassVar[Any] = None
    """Which of its amounts it keeps in the base currency too: `Valued` of `db/valued.py`."""
    __coherent__: ClassVar[Sequence[Any]] = ()
    """What its rows may say together with what they point to (`db/coherence.py`)."""
    __fixed__: ClassVar[Sequence[Any]] = ()
    """What columns of its rows hold in some states: `fixed_by` of `db/coherence.py`."""
    __few__: ClassVar[bool] = False
    """Whether a workspace has so few rows of it that any column may order them without an index."""
    __personal__: ClassVar[Sequence[str]] = ()
    """The columns that say who a person is (`db/personal.py`)."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        str: SizedText(),
        bool: Boolean,
        int: Integer,
        date: Date,
        datetime: DateTime(timezone=True),
        Decimal: Numeric,
        list[str]: SizedList(),
    }

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "__table__" in cls.__dict__:
            for column in table_of(cls).columns:
                type.__setattr__(cls, column.name, _Plain(column))
            for name in cls.__personal__:
                table_of(cls).columns[name].info[PERSONAL] = True

    @classmethod
    def holding(cls, values: Mapping[str, Any]) -> Self:
        """Return a row that holds these values, by column."""
        row = cls.__new__(cls)
        row.__dict__.update(values)
        return row


class Row(Base):
    """A table of a workspace: composite key, optimistic version, when and by whom it was written."""

    __abstract__ = True

    workspace_id: Mapped[Id] = mapped_column(primary_key=True, sort_order=-20)
    id: Mapped[Id] = mapped_column(primary_key=True, sort_order=-19)
    version: Mapped[int] = mapped_column(BigInteger, sort_order=90)
    created_at: Mapped[datetime] = mapped_column(sort_order=91)
    updated_at: Mapped[datetime] = mapped_column(sort_order=92)
    created_by_id: Mapped[Id | None] = mapped_column(sort_order=93)
    """The member who made it; None where nobody did, or that was not kept. No foreign key: members are never removed,
    and a check at every write would cost what it can never find."""
    updated_by_id: Mapped[Id | None] = mapped_column(sort_order=94)

    @classmethod
    def make(cls, **values: Any) -> Any:
        """Return a new row with an id unless one is given; `Work.create` fills what every row has."""
        unknown = values.keys() - table_of(cls).columns.keys()
        if unknown:
            raise TypeError(f"{cls.__name__} has no {', '.join(sorted(unknown))}")
        values["id"] = values.get("id") or new_id()
        return cls.holding(values)

    def is_person(self) -> bool:
        """Return whether the row is a person, of whom its personal columns tell."""
        return bool(self.__personal__)


HOUSEKEEPING = frozenset(Row.__annotations__)
"""The columns that the unit of work fills, of every row."""
ARCHIVED_AT, DELETED_AT = "archived_at", "deleted_at"
KEEPING = frozenset({ARCHIVED_AT, DELETED_AT})
"""The columns that say that a row is archived, or in the recycle bin."""
IN_USE = "in_use"
"""The name of the constraint that a row fails which others need."""


class Kept(Row):
    """A row that deleting puts into the recycle bin: from there it comes back, or is purged. Archiving takes it out of
    lists and leaves it where it is. What derives from that, for all of them, is in `keeping.py`.

    A row that is still needed is given a time that the constraint refuses, in the statement that would put it there:
    so that nobody can come between the question and the answer.
    """

    __abstract__ = True

    archived_at: Mapped[datetime | None] = mapped_column(sort_order=95)
    deleted_at: Mapped[datetime | None] = mapped_column(sort_order=96)

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        table = table_of(cls)
        table.append_constraint(CheckConstraint(f"deleted_at > {REFUSED_TIME}", name=IN_USE))
        Index(
            f"ix_{table.name}_deleted_at",
            *(table.c[name] for name in ("workspace_id", DELETED_AT, "id")),
            postgresql_where=sql_text(f"{DELETED_AT} IS NOT NULL"),
        )


class KeptPart(Row):
    """A row of a part of a `Kept` one: it goes into the bin with its whole, and comes back with it. Taken off its whole
    it is gone."""

    __abstract__ = True

    deleted_at: Mapped[datetime | None] = mapped_column(sort_order=96)


def table_of(cls: type[Base]) -> Table:
    """Return the table of a mapped class, with its precise type."""
    table = cls.__table__
    assert isinstance(table, Table)
    return table


def refers(column: str, table: str, *, on_delete: str | None = None) -> ForeignKeyConstraint:
    """Return the composite foreign key `(workspace_id, column) -> table`: no row can point into another workspace.

    Never `ON DELETE SET NULL`: over a composite key it would null the workspace too, and Citus refuses it.
    """
    return ForeignKeyConstraint(["workspace_id", column], [f"{table}.workspace_id", f"{table}.id"], ondelete=on_delete)


def unique(*columns: str, swapped: bool = False) -> UniqueConstraint:
    """Return a unique constraint within the workspace. Where rows may be `swapped`, it is asked at the end of a
    statement instead of at each of its rows."""
    return UniqueConstraint(
        "workspace_id", *columns, deferrable=swapped or None, initially="IMMEDIATE" if swapped else None
    )


def unique_kept(table: str, *columns: str) -> Index:
    """Return the unique index of a `Kept` table: what is in the recycle bin leaves its value free."""
    where = sql_text(f"{DELETED_AT} IS NULL")
    return Index(f"uq_{table}_{'_'.join(columns)}", "workspace_id", *columns, unique=True, postgresql_where=where)


def indexed(table: str, *columns: str) -> Index:
    """Return an index with the workspace first and the id last, so that it serves an edge in keyset order."""
    return Index(f"ix_{table}_{'_'.join(columns)}", "workspace_id", *columns, "id")


def is_exact(column: Column[Any]) -> bool:
    """Return whether a column holds a `Key`."""
    return EXACT in column.info


@cache
def columns_of(cls: type[Base]) -> Sequence[str]:
    """Return the column names of a mapped class in table order."""
    return tuple(column.name for column in table_of(cls).columns)
