"""Rows of other types that an operation refers to: what it copies or tells is read through the rights of a query.

An operation says which columns it reads of a row. `needs` are asked by a rule and never shown: whether a stage belongs
to the pipeline. `reads` end up where somebody sees them, in the record that is written or in a message: a list price.
These are read as a query reads them: what the viewer may not read in clear is withheld, and what is audited is noted.
Any other column raises, so that none is used in passing.

Decided in D-work-02 (ARCHITECTURE.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from sqlalchemy import ColumnElement, FromClause, func, literal_column, null

from crm_graph.db.base import Row
from crm_graph.db.rows import typed
from crm_graph.db.session import Record
from crm_graph.kernel.errors import Refused
from crm_graph.permissions.access import TypeAccess


@dataclass(frozen=True, slots=True)
class Copied:
    """A column that is copied or told: by which GraphQL field reading it is granted, and by which field of the input
    whoever may not read it can `give` the value instead; empty where there is none."""

    field: str
    give: str = ""


Reads = Mapping[str, Copied]
NOTHING: Reads = MappingProxyType({})
CLEAR = "clear_"
"""Begins the name of the column that tells whether another one is shown in clear, where not every row shows it."""


class Withheld(Refused):
    """Raised where an operation would copy or tell what the viewer may not read in clear: REQUIRED where the value can
    be given instead, FORBIDDEN where it cannot."""

    def __init__(self, coordinate: str, give: str, path: str) -> None:
        reason = f"Your roles do not allow to read {coordinate}, which would be copied"
        if give:
            super().__init__("REQUIRED", f"{reason}: give `{give}`.", (give,))
        else:
            super().__init__("FORBIDDEN", f"{reason}.", (path,))


def selected(access: TypeAccess, rows: FromClause, needs: Iterable[str], reads: Reads) -> list[ColumnElement[Any]]:
    """Return the columns of a statement that reads rows for an operation; what is withheld is null in it."""
    columns: list[ColumnElement[Any]] = [rows.c[name] for name in needs]
    for name, read in reads.items():
        shown = access.column(read.field, rows, rows.c[name], masks=False)
        columns.append((null() if shown is None else shown).label(name))
        if access.partial(read.field):
            clear = access.column(read.field, rows, literal_column("true"), masks=False)
            columns.append(
                func.coalesce(null() if clear is None else clear, literal_column("false")).label(CLEAR + name)
            )
    return columns


def audited(access: TypeAccess, record: Record, reads: Reads) -> list[str]:
    """Return the fields that were read of a row and whose reading is to be written down."""
    fields = (read.field for name, read in reads.items() if record[name] is not None and access.audited(read.field))
    return list(dict.fromkeys(fields))


class Referred:
    """A row as an operation may know it. Stands for an instance of the row's class."""

    __slots__ = ("_access", "_note", "_path", "_reads", "_record", "_values")

    def __init__(
        self,
        model: type[Row],
        record: Record,
        access: TypeAccess,
        reads: Reads,
        path: str,
        note: Callable[[str], None],
    ) -> None:
        self._values = typed(model, record, [name for name in record.keys() if not name.startswith(CLEAR)])  # noqa: SIM118
        self._record, self._access, self._reads, self._path, self._note = record, access, reads, path, note

    def __getattr__(self, name: str) -> Any:
        type_ = self._access.policy.type
        if name not in self._values:
            raise AttributeError(
                f"this operation has not said that it reads {type_}.{name}: in `reads` what it copies or tells, in"
                " `needs` what a rule asks"
            )
        read, value = self._reads.get(name), self._values[name]
        if read is None:
            return value
        if not self._record.get(CLEAR + name, True):
            raise Withheld(f"{type_}.{read.field}", read.give, self._path)
        if value is not None and self._access.audited(read.field):
            self._note(read.field)
        return value
