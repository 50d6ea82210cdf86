"""A visit: one role at all doors, what it should see there, and what it saw instead."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphql import get_named_type

from crm_graph.executor.results import OnError
from crm_graph.graph.records.record import (
    ColumnSpec,
    HistorySpec,
    IdSpec,
    MeasuresSpec,
    MoneySpec,
    Record,
    RightsSpec,
    ToManySpec,
    ToOneSpec,
    WithheldSpec,
)
from crm_graph.identity.tokens import Claims
from crm_graph.kernel.ids import encode_id
from crm_graph.kernel.settings import Settings
from tests.permissions.matrix import ELSEWHERE, LIKE, MATRIX, PLACES, Shown, TypeGrants
from tests.permissions.world import ANCHORS, World
from tests.support.bodies import assert_reveals_nothing

ROOMY = Settings(
    max_tokens=20_000,
    max_source_bytes=1_000_000,
    max_root_fields=200,
    max_aliases=500,
    max_cost=1_000_000,
    max_fields=100_000,
    max_statements=1_000,
    max_errors=500,
)
"""Limits that a document of hundreds of coordinates keeps: limits have tests of their own."""

MASKS = {
    "name": lambda text: f"{text[:1]}***",
    "email": lambda text: f"{text[:1]}***@{text.partition('@')[2]}",
    "phone": lambda text: f"***{text[-2:]}",
    "nationalId": lambda text: f"***{text[-4:]}",
}
"""What a mask should show, by field."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What one field of an operation was answered: a value, or the code and message of its error."""

    value: Any
    code: str | None = None
    message: str = ""


@dataclass(slots=True)
class Visit:
    """One role in the world, as the member whose rows are `own`."""

    world: World
    role: str
    claims: Claims
    tried: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    # What should be.

    def grants(self, type_name: str) -> TypeGrants:
        """Return what the reviewed matrix grants on a type."""
        return MATRIX.of(self.role, type_name)

    def sees(self, type_name: str, place: str) -> bool:
        """Return whether a row may be seen; the one workspace of the viewer is theirs at every place."""
        return place in {*PLACES, ELSEWHERE} and self.grants(type_name).allows("read", place)

    def shown(self, type_name: str, name: str, place: str | None = None) -> Shown:
        """Return how much of a field may be seen on the row of a place; the most on any row, without one."""
        if place is not None and not self.sees(type_name, place):
            return Shown.NONE
        return self.grants(type_name).shown(name, place)

    def value(self, record: Record, name: str, place: str) -> Any:
        """Return what a field of a row should be answered: its value, its mask, or null."""
        shown = self.shown(record.name, name, place)
        if shown is Shown.NONE:
            return None
        clear = self.clear(record, name, place)
        if shown is not Shown.MASKED or clear is None:
            return clear
        mask = MASKS.get(name)
        return None if mask is None else mask(clear)

    def clear(self, record: Record, name: str, place: str) -> Any:
        """Return a field of a row in output form; of an edge, what may be seen beyond it."""
        row = self.world.row(record.name, place)
        match record.specs()[name][1]:
            case IdSpec():
                return encode_id(record.prefix, row["id"])
            case ColumnSpec(column, _):
                return row[column or record.columns[name].column]
            case MoneySpec(amount, currency):
                return {"amount": row[amount], "currency": row[currency]}
            case ToOneSpec(column):
                target = record.edges[name].target
                return None if row[column] is None else self._beyond(target, row[column])
        raise AssertionError(f"{record.name}.{name} loads in a way that the doors do not know: teach them")

    def _beyond(self, target: Record, id_: str) -> Any:
        place = self.place_of(target.name, id_)
        return {"id": encode_id(target.prefix, id_)} if self.sees(target.name, place) else None

    def place_of(self, type_name: str, id_: str) -> str:
        """Return the place of a row by its inner id."""
        return self.world.places[type_name, id_]

    def fields(self, record: Record) -> list[str]:
        """Return the fields of a type that have a value of their own: all but connections, measures over them, and what
        is of the viewer."""
        others = ToManySpec | MeasuresSpec | RightsSpec | WithheldSpec | HistorySpec
        return [name for name, (_, spec) in record.specs().items() if not isinstance(spec, others)]

    def selection(self, record: Record, prefix: str = "") -> str:
        """Return a selection of all of them; under a prefix, they can stand beside those of other types."""
        inner = {MoneySpec: " { amount currency }", ToOneSpec: " { id }"}
        specs = record.specs()
        head = f"{prefix}{{0}}: {{0}}" if prefix else "{0}"
        return " ".join(f"{head.format(name)}{inner.get(type(specs[name][1]), '')}" for name in self.fields(record))

    def row(self, record: Record, place: str, prefix: str = "") -> Any:
        """Return the answer to `selection`; null for a row that may not be seen."""
        if not self.sees(record.name, place):
            return None
        return {f"{prefix}{name}": self.value(record, name, place) for name in self.fields(record)}

    def withheld(self, record: Record) -> set[str]:
        """Return what `selection` has withheld: fields that are kept back on some of the rows that may be seen, and
        what lies beyond an edge to a type of which no row may be."""
        beyond = {name: each.target.name for name, each in record.edges.items() if not each.many}
        return {
            f"{record.name}.{LIKE.get(record.name, {}).get(name, name)}"
            for name in self.fields(record)
            for place in PLACES
            if self.sees(record.name, place) and self.shown(record.name, name, place) < Shown.READ
        } | {f"{target}.id" for target in beyond.values() if not self.grants(target).allows("read")}

    def by_id(self, record: Record, id_: str = "$id") -> str:
        """Return the field of Query that finds a row: by its type where there is one, which plans one type only."""
        query = self.world.graph.schema.core.query_type
        assert query is not None
        for name, each in query.fields.items():
            if getattr(each.type, "name", "") == record.name and "id" in each.args:
                return f"{name}(id: {id_})"
        return f"node(id: {id_})"

    # What is.

    async def ask(self, source: str, variables: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Execute an operation and return the response, which shows nothing of the inside, errors or not."""
        body = await self.world.graph.execute(source, variables, claims=self.claims, on_error=OnError.NULL)
        assert_reveals_nothing(body)
        return body

    async def ask_each(self, fields: Sequence[str], size: int = 10) -> list[Answered]:
        """Execute root fields, some to an operation, and return what each was answered."""
        found: list[Answered] = []
        for start in range(0, len(fields), size):
            part = fields[start : start + size]
            body = await self.ask("{ " + " ".join(f"a{index}: {text}" for index, text in enumerate(part)) + " }")
            assert "data" in body, body["errors"][:2]
            errors = {error["path"][0]: error for error in body.get("errors", [])}
            for index in range(len(part)):
                error = errors.get(f"a{index}")
                value = (body["data"] or {}).get(f"a{index}")
                if error is None:
                    found.append(Answered(value))
                else:
                    found.append(Answered(value, error["extensions"]["code"], error["message"]))
        return found

    async def list(self, record: Record, place: str, **arguments: Any) -> Answered:
        """List a type's rows, those of a place among them: all of them, or those of the row that they are parts of.

        `where` and `orderBy` are variables, so one document a type is planned once. The value is the ids, in order.
        """
        source, parent = self._listing(record)
        variables = {"first": 200, **arguments}
        if parent is not None:
            variables["id"] = self.world.id(parent.name, place)
        body = await self.ask(source, variables)
        errors = body.get("errors")
        if errors:
            return Answered(_listed(body.get("data")), errors[0]["extensions"]["code"], errors[0]["message"])
        return Answered(_listed(body["data"]))

    def _listing(self, record: Record) -> tuple[str, Record | None]:
        """Return the operation that lists a type, and the type of the row that `$id` is, where it is of one."""
        query = self.world.graph.schema.core.query_type
        assert query is not None
        types = f"$where: {record.name}Filter, $orderBy: [{record.name}Order!], $first: Int"
        page = "(where: $where, orderBy: $orderBy, first: $first) { nodes { id } }"
        for name, each in query.fields.items():
            # All parts of the demo data are more than a page: those of one whole are listed.
            whole = record.policy.parent is None or record.name not in ANCHORS
            if whole and get_named_type(each.type).name == f"{record.name}Connection":
                return f"query ({types}) {{ found: {name}{page} }}", None
        for parent in self.world.records:
            for name, edge in parent.edges.items():
                if edge.many and edge.target is record and edge.column == ANCHORS[record.name]:
                    inner = f"... on {parent.name} {{ found: {name}{page} }}"
                    return f"query ({types}, $id: ID!) {{ of: {self.by_id(parent)} {{ {inner} }} }}", parent
        raise AssertionError(f"nothing lists {record.name}")

    def expect(self, door: str, what: str, found: Any, wanted: Any, combinations: int = 1) -> None:
        """Count combinations that were tried, and note an answer that is not what it should be."""
        self.tried[door] += combinations
        if found != wanted:
            self.wrong.append(f"{self.role} at {door}: {what}\n  answered {_cut(found)}\n  should be {_cut(wanted)}")

    def expect_forbidden(self, door: str, what: str, found: Answered, message: str) -> None:
        """Expect a refusal that names just the coordinate, and no value."""
        self.expect(door, what, (found.value, found.code, found.message), (None, "FORBIDDEN", message))

    def expect_no_sql(self, door: str, what: str, statements: int = 0) -> None:
        """Expect that the last operation, all of it refused, read no row but those on the way to the field."""
        if self.world.graph.statements > statements:
            self.wrong.append(
                f"{self.role} at {door}: {what} was refused after {self.world.graph.statements} statements"
            )


async def visit(world: World, role: str) -> Visit:
    """Return one role's visit of the world."""
    return Visit(world, role, await world.become(role))


def _listed(value: Any) -> list[str]:
    """Return the ids in the answer to a listing, in their order."""
    if isinstance(value, dict) and "nodes" in value:
        return [each["id"] for each in value["nodes"]]
    return [id_ for inner in value.values() for id_ in _listed(inner)] if isinstance(value, dict) else []


def with_ids(world: World, type_name: str, places: Iterable[str]) -> list[str]:
    """Return the ids of a type's rows at places."""
    return [world.id(type_name, place) for place in places]


def _cut(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 800 else f"{text[:800]}…"
