"""Exports: all rows of a record that a viewer may see, column by column, in the form in which an import reads them.

Reads through views only, as every query does: hidden rows are not in it, hidden columns are left out, masked values
stay masked. Edges are written as what people know the other record by (its external id, e-mail, number or name), where
that names one record only; else as its id.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from asyncpg import Connection
from sqlalchemy import UniqueConstraint, func, null, select

from crm_graph.db.base import HOUSEKEEPING, KEEPING
from crm_graph.db.session import ReadSession
from crm_graph.db.statements import Statement, compile_statement
from crm_graph.executor.fields import coordinate
from crm_graph.executor.rows import value_or_raise
from crm_graph.graph.reading.sealed import Opening, SealedColumn, sealed_column
from crm_graph.graph.reading.views import View
from crm_graph.graph.records.record import Record
from crm_graph.graph.records.registry import Registry
from crm_graph.identity.viewer import Viewer
from crm_graph.kernel.errors import BadUserInput, Forbidden
from crm_graph.kernel.ids import encode_id
from crm_graph.permissions.access import Access
from crm_graph.permissions.grants import EXPORT, READ
from crm_graph.vault.vault import Vault

KNOWN_BY = ("externalId", "email", "sku", "number", "name")
"""The keys by which a record is named in the rows that point to it, the best first."""
ON_REQUEST = frozenset(name.removesuffix("_id") for name in (HOUSEKEEPING | KEEPING) - {"id"})
"""The headers of columns that are exported only when asked for: an import does not take them."""
ROWS_PER_FETCH = 2_000


@dataclass(frozen=True, slots=True)
class ExportColumn:
    """A column of an export: its header, the record's key behind it, and for an edge the record it leads to."""

    header: str
    key: str
    target: Record | None
    prefix: str = ""


@dataclass(frozen=True, slots=True)
class Export:
    """A planned export. `withheld` are the fields that the viewer may not see, on some rows or at all."""

    record: Record
    columns: tuple[ExportColumn, ...]
    withheld: tuple[str, ...]
    statement: Statement
    names: tuple[tuple[str, ...], ...]
    """For each column that is an edge, the keys of its record in the statement; else nothing."""
    opened: Opening | None
    """What decrypts the rows of the statement; None where nothing in them is encrypted."""
    shared: tuple[Statement | None, ...]
    """For each edge that may be written by a name that several records share: what reads those names."""
    audited: tuple[str, ...]
    """The coordinates that it reads and whose reading is to be written down."""

    @property
    def reads(self) -> Mapping[str, frozenset[str]]:
        """The fields that it reads, by type: of the record, and of those that its edges are written by."""
        found: dict[str, set[str]] = {self.record.name: {self.record.columns[each.key].field for each in self.columns}}
        for each, keys in zip(self.columns, self.names, strict=True):
            if each.target is not None:
                fields = found.setdefault(each.target.name, set())
                fields |= {each.target.columns[key].field for key in keys}
        return {type_: frozenset(fields) for type_, fields in found.items()}

    @property
    def fields(self) -> tuple[str, ...]:
        """The coordinates of its columns."""
        return tuple(coordinate(self.record.name, self.record.columns[each.key].field) for each in self.columns)


def plan_export(record: Record, registry: Registry, access: Access, chosen: Sequence[str] | None) -> Export:
    """Return the export of a record: of the rows that may be read, those that may be exported. Raises BadUserInput for
    an unknown column, Forbidden for a hidden one, and where not both verbs are granted."""
    view = View.of(record, access)
    for verb in (READ, EXPORT):
        if not view.access.allows(verb):
            raise Forbidden(f"Your roles do not allow to {verb} {record.name} records.")
    exportable = view.access.rows(view.rows, EXPORT)
    columns, hidden = _columns(record, registry, view, chosen)
    partial = [each.key for each in columns if view.access.partial(record.columns[each.key].field)]
    withheld = dict.fromkeys(coordinate(record.name, record.columns[key].field) for key in (*hidden, *partial))
    selected: list[Any] = [view.rows.c.id.label("key")]
    sealed: list[SealedColumn | None] = []
    names: list[tuple[str, ...]] = []
    shared: list[Statement | None] = []
    for each in columns:
        shown = view.column(each.key)
        assert shown is not None
        if each.target is None:
            sealed.append(sealed_column(record, each.key, len(selected)))
            selected.append(shown)
            names.append(())
            shared.append(None)
            continue
        other = view.edge(each.key)
        assert other is not None
        selected.append(other.rows.c.id)
        keys = tuple(key for key in KNOWN_BY if key in each.target.columns and not each.target.columns[key].encrypted)
        selected += [_clear(other, key) for key in keys]
        names.append(keys)
        shared.append(_shared_names(each.target, access, record) if "name" in keys else None)
    query = select(*(column.label(f"c{index}") for index, column in enumerate(selected)))
    query = (
        query.select_from(view.source())
        .where(*view.conditions(), *(() if exportable is None else (exportable,)))
        .order_by(view.rows.c.id)
    )
    found = tuple(each for each in sealed if each is not None)
    opened = Opening(found) if found else None
    audited = _audited(access, columns, record, names)
    return Export(
        record,
        tuple(columns),
        tuple(withheld),
        compile_statement(query),
        tuple(names),
        opened,
        tuple(shared),
        audited,
    )


def _audited(
    access: Access, columns: Sequence[ExportColumn], record: Record, names: Sequence[tuple[str, ...]]
) -> tuple[str, ...]:
    """Return the coordinates, of the record and of those that its edges are written by, whose reading is audited."""
    found: dict[str, None] = {}
    for each, keys in zip(columns, names, strict=True):
        read = [(record, each.key), *((each.target, key) for key in keys if each.target is not None)]
        for of, key in read:
            field = of.columns[key].field
            if access.of(of.name).audited(field):
                found[coordinate(of.name, field)] = None
    return tuple(found)


def _columns(
    record: Record, registry: Registry, view: View, chosen: Sequence[str] | None
) -> tuple[list[ExportColumn], list[str]]:
    """Return the columns of an export, and the keys that the viewer sees on no row."""
    by_header: dict[str, ExportColumn] = {}
    hidden: dict[str, str] = {}
    for key, found in record.columns.items():
        edge = registry.edge(record, key)
        header = found.column.removesuffix("_id") if edge is not None else found.column
        if header in by_header:
            continue
        if view.column(key) is None:
            hidden.setdefault(header, key)
            continue
        prefix = record.prefix if key == "id" else ""
        by_header[header] = ExportColumn(header, key, None if edge is None else edge.target, prefix)
    for header in by_header:
        hidden.pop(header, None)
    if chosen is None:
        return [each for header, each in by_header.items() if header not in ON_REQUEST], list(hidden.values())
    for header in chosen:
        if header in hidden:
            field = record.columns[hidden[header]].field
            raise Forbidden(f"Your roles do not allow to read {coordinate(record.name, field)}.")
        if header not in by_header:
            raise BadUserInput(f"{record.name} has no column {header!r}; it has: {', '.join(by_header)}.")
    return [by_header[header] for header in chosen], []


def _clear(view: View, key: str) -> Any:
    """Return a key of another record in clear; null where it is hidden or only a mask may be shown."""
    found = view.record.columns[key]
    shown = view.access.column(found.field, view.rows, view.rows.c[found.column], masks=False)
    return null() if shown is None else shown


def _shared_names(target: Record, access: Access, record: Record) -> Statement | None:
    """Return the statement of the names that several visible records have; None where a constraint excludes it, or
    where no name may be read.

    A stage's name is unique in its pipeline, and an opportunity says its pipeline too.
    """
    own = {column.name for column in record.table.columns}
    for constraint in target.table.constraints:
        if isinstance(constraint, UniqueConstraint):
            names = {column.name for column in constraint.columns}
            if "name" in names and names - {"workspace_id", "name"} <= own:
                return None
    view = View.of(target, access)
    name = view.access.column("name", view.rows, view.rows.c.name, masks=False)
    if name is None:
        return None
    return compile_statement(select(name).where(*view.conditions()).group_by(name).having(func.count() > 1))


async def export_rows(
    connection: Connection[Any], export: Export, viewer: Viewer, vault: Vault
) -> AsyncIterator[list[Any]]:
    """Yield the rows of an export in the order of the ids, as values in output form. Raises Unreadable for what cannot
    be decrypted: an export lacks nothing silently.

    Through a cursor, so the connection must be in a transaction; in one of `repeatable_read` all is from one moment.
    """
    reader = ReadSession(connection)
    shared = [
        frozenset() if each is None else frozenset(row[0] for row in await reader.fetch(each, viewer.binds))
        for each in export.shared
    ]
    arguments = export.statement.arguments(viewer.binds)
    async for row in connection.cursor(export.statement.text, *arguments, prefetch=ROWS_PER_FETCH):
        if export.opened is None:
            yield _values(export, shared, row)
            continue
        (opened,) = await export.opened.rows(vault, reader, viewer.workspace_id, [row])
        yield _values(export, shared, [value_or_raise(value) for value in opened])


def _values(export: Export, shared: Sequence[frozenset[str]], row: Any) -> list[Any]:
    values: list[Any] = []
    position = 1
    for each, keys, several in zip(export.columns, export.names, shared, strict=True):
        value = row[position]
        position += 1
        if each.target is not None:
            known = dict(zip(keys, row[position : position + len(keys)], strict=True))
            position += len(keys)
            value = _name(each.target, value, known, several)
        elif each.prefix:
            value = encode_id(each.prefix, value)
        values.append(value)
    return values


def _name(target: Record, id_: str | None, known: dict[str, Any], several: frozenset[str]) -> str | None:
    """Return what a record is written as: the first of its keys that names it alone."""
    if id_ is None:
        return None
    for key, value in known.items():
        if value is not None and not (key == "name" and value in several) and not _is_shared(target, key):
            return str(value)
    return encode_id(target.prefix, id_)


def _is_shared(target: Record, key: str) -> bool:
    """Return whether several records may have a key's value, names aside: a contact's e-mail is not unique."""
    if key == "name":
        return False
    column = target.columns[key].column
    unique = {
        each.name
        for constraint in target.table.constraints
        if isinstance(constraint, UniqueConstraint)
        for each in constraint.columns
    }
    folded = any(index.unique and column in str(index.name or "") for index in target.table.indexes)
    return column not in unique and not folded
