"""Sources of records by id: to-one edges, `customer(id:)`, `node(id:)` and `nodes(ids:)`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import Select, any_, bindparam, select

from crm_graph.db.statements import Statement, compile_statement
from crm_graph.executor.fields import Fetch, Planning, Shape
from crm_graph.graph.context import GraphContext
from crm_graph.graph.reading.moments import reached
from crm_graph.graph.reading.sealed import Opening, opening
from crm_graph.graph.reading.views import View, given_keys
from crm_graph.graph.reads import SensitiveRows
from crm_graph.graph.records.record import AS_OF, Record
from crm_graph.graph.records.registry import Registry
from crm_graph.kernel.errors import LimitExceeded
from crm_graph.kernel.ids import split_id
from crm_graph.permissions.policy import UUID


@dataclass
class Lookup:
    """Reads records by the bind `keys`, or one by `key`; the id is the last column."""

    select: Callable[[bool], Select[Any]]
    """Returns what is read: as it is, or as it was."""
    sensitive: SensitiveRows | None
    opened: Opening | None
    """What decrypts the rows; None where nothing in them is encrypted."""
    _compiled: dict[bool, Statement] = field(default_factory=dict)

    def statement(self, as_of: bool) -> Statement:
        """Return the statement, compiled on its first use: of all the types that `node` may yield, one is read."""
        found = self._compiled.get(as_of)
        if found is None:
            found = self._compiled[as_of] = compile_statement(self.select(as_of))
        return found

    async def rows(self, context: GraphContext, moment: datetime | None, **values: Any) -> Sequence[Any]:
        """Return the rows that the viewer may see, as of a moment or as they are."""
        if moment is not None:
            values["as_of"] = await reached(context, moment)
        statement = self.statement(moment is not None)
        rows: Sequence[Any] = await context.reader.fetch(statement, {**context.binds, **values})
        if self.sensitive is not None:
            context.note_reads(records=self.sensitive.ids(rows))
        return rows if self.opened is None else await self.opened(context, rows)

    async def by_id(self, context: GraphContext, keys: Sequence[str], moment: datetime | None) -> dict[str, Any]:
        """Return the rows that the viewer may see, by id."""
        return {row[-1]: row for row in await self.rows(context, moment, keys=keys)}


def by_id(record: Record, shape: Shape, planning: Planning, *, one: bool = False) -> Lookup:
    """Return the look-up of records for rows of a shape."""
    view = View.of(record, planning.context)
    for key in shape.columns:
        view.note(key, planning)

    def found(as_of: bool) -> Select[Any]:
        view = View.of(record, planning.context, as_of=as_of)
        id_ = view.rows.c.id
        wanted = id_ == bindparam("key", type_=UUID) if one else id_ == any_(given_keys())
        columns = view.selection(shape, planning)
        return select(*columns, id_.label("key")).select_from(view.source()).where(*view.conditions(), wanted)

    sensitive = SensitiveRows.at(view.sensitive_ids(shape), {**shape.columns, "id": -1})
    return Lookup(found, sensitive, opening(record, shape))


@dataclass(frozen=True, slots=True)
class ToOne:
    """A to-one edge: the keys are ids of the target."""

    record: Record
    carries: ClassVar[bool] = True

    def plan(self, shapes: Mapping[str, Shape], planning: Planning) -> Fetch:
        """See `executor.fields.Source`."""
        lookup = by_id(self.record, shapes[self.record.name], planning)

        async def fetch(context: GraphContext, keys: Sequence[str], arguments: Mapping[str, Any]) -> Sequence[Any]:
            found = await lookup.by_id(context, keys, arguments.get(AS_OF))
            return [found.get(key) for key in keys]

        return fetch


@dataclass(frozen=True, slots=True)
class ById:
    """`customer(id:)`: null for whatever the viewer may not see, unknown ids and ids of other types alike."""

    record: Record
    carries: ClassVar[bool] = True

    def plan(self, shapes: Mapping[str, Shape], planning: Planning) -> Fetch:
        """See `executor.fields.Source`."""
        lookup = by_id(self.record, shapes[self.record.name], planning, one=True)
        prefix = self.record.prefix

        async def fetch(context: GraphContext, _: Sequence[Any], arguments: Mapping[str, Any]) -> Sequence[Any]:
            named = split_id(arguments["id"])
            if named is None or named[0] != prefix:
                return [None]
            rows = await lookup.rows(context, arguments.get(AS_OF), key=named[1])
            return [rows[0] if rows else None]

        return fetch


@dataclass(frozen=True, slots=True)
class Nodes:
    """`node(id:)` and `nodes(ids:)`: records of any type, one statement for each type among the ids."""

    registry: Registry
    argument: str
    max_ids: int = 100
    carries: ClassVar[bool] = True

    def plan(self, shapes: Mapping[str, Shape], planning: Planning) -> Fetch:
        """See `executor.fields.Source`. All types are looked at here, so that withheld coordinates are known."""
        lookups = {
            record.prefix: (record.name, by_id(record, shapes[record.name], planning))
            for record in self.registry.records.values()
        }

        async def fetch(context: GraphContext, _: Sequence[Any], arguments: Mapping[str, Any]) -> Sequence[Any]:
            given = arguments[self.argument]
            if not isinstance(given, str) and len(given) > self.max_ids:
                message = f"`{self.argument}` has {len(given)} items; the limit is {self.max_ids}."
                raise LimitExceeded(message, path=(self.argument,))
            ids = [split_id(text) for text in ([given] if isinstance(given, str) else given)]
            rows: dict[tuple[str, str], Any] = {}
            for prefix, (name, lookup) in lookups.items():
                keys = list(dict.fromkeys(each[1] for each in ids if each is not None and each[0] == prefix))
                if keys:
                    found = await lookup.by_id(context, keys, arguments.get(AS_OF))
                    rows.update({(prefix, key): (name, row) for key, row in found.items()})
            values = [None if each is None else rows.get(each) for each in ids]
            return values if isinstance(given, str) else [values]

        return fetch


@dataclass(frozen=True, slots=True)
class AnyOf:
    """An edge to a record of any type: the keys are pairs of a type's name and an id. One statement for each type among
    the keys."""

    registry: Registry
    carries: ClassVar[bool] = True

    def plan(self, shapes: Mapping[str, Shape], planning: Planning) -> Fetch:
        """See `executor.fields.Source`. All types are looked at here, so that withheld coordinates are known."""
        lookups = {name: by_id(record, shapes[name], planning) for name, record in self.registry.records.items()}

        async def fetch(
            context: GraphContext, keys: Sequence[tuple[str, str]], arguments: Mapping[str, Any]
        ) -> Sequence[Any]:
            wanted: dict[str, dict[str, None]] = {}
            for name, id_ in keys:
                wanted.setdefault(name, {})[id_] = None
            rows: dict[tuple[str, str], Any] = {}
            for name, ids in wanted.items():
                found = await lookups[name].by_id(context, list(ids), arguments.get(AS_OF))
                rows.update({(name, id_): (name, row) for id_, row in found.items()})
            return [rows.get(key) for key in keys]

        return fetch
