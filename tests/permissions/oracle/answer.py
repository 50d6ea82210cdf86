"""What a query must answer, by brute force: the data, where errors must be, and what is said to be withheld."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from typing import Any

from tests.permissions.oracle.documents import Aggregate, Document, GroupKey, Item, Measure, Page, Root, Select
from tests.permissions.oracle.filters import Withheld, check_filter, matches
from tests.permissions.oracle.kinds import Field, Kind, kinds
from tests.permissions.oracle.measures import SUMS, check_aggregate, grouped, matching, measure, share
from tests.permissions.oracle.orders import check_order, cut
from tests.permissions.oracle.sight import Sight
from tests.permissions.oracle.world import Row, number, output


@dataclass(frozen=True, slots=True)
class CursorOf:
    """Stands for the cursor of a row in the page of a place: which text it is, the oracle cannot know."""

    place: str
    movable: bool
    values: tuple[Any, ...]


@dataclass(slots=True)
class Answer:
    """What must come back. `forbidden` are the coordinates that made a field be refused."""

    data: Any = None
    forbidden: list[str] = field(default_factory=list)
    withheld: set[str] = field(default_factory=set)


class Oracle:
    """Answers queries as one member must have them answered."""

    def __init__(self, sight: Sight) -> None:
        self.sight = sight
        self.world = sight.world
        self.forbidden: list[str] = []
        self.withheld: set[str] = set()
        self.document = Document([])

    def answer(self, document: Document) -> Answer:
        """Return what a document must be answered with."""
        self.document, self.forbidden, self.withheld = document, [], set()
        data: Any = {}
        for root in document.roots:
            self._note_root(root)
            try:
                value = self._root(root)
            except Withheld as refused:
                self.forbidden.append(str(refused))
                value, data = None, data if root.how in {"one", "node"} else None
            if data is not None:
                data[root.key] = value
        return Answer(data, self.forbidden, self.withheld)

    def record(self, select: Select, key: str) -> Answer:
        """Return what a selection on the record of an id must be answered with, as a payload has it."""
        self.forbidden, self.withheld = [], set()
        self._note(select)
        return Answer(self._nullable(lambda: self._by_id(select, key)), self.forbidden, self.withheld)

    def _root(self, root: Root) -> Any:
        match root.how:
            case "list":
                assert root.page is not None
                return self._page(root.page, self._listed(root.page))
            case "aggregate":
                assert root.aggregate is not None
                return self._aggregate(root.aggregate)
            case "viewer":
                member, workspace = root.selects
                return {
                    "roles": list(self.sight.held),
                    "member": self._nullable(lambda: self._by_id(member, self.sight.member)),
                    "workspace": self._nullable(lambda: self._by_id(workspace, self.world.workspace)),
                }
            case "one":
                (select,) = root.selects
                prefix, _, key = root.ids[0].partition("_")
                return self._nullable(lambda: self._by_id(select, key) if prefix == select.kind.prefix else None)
            case "node":
                return self._nullable(lambda: self._node(root, root.ids[0]))
        return [self._nullable(partial(self._node, root, text)) for text in root.ids]

    def _listed(self, page: Page) -> list[Row]:
        """Return the rows of a list of all records of a type."""
        if page.deleted:
            return self.sight.in_bin(page.kind)
        left_out = page.kind.kept and not page.archived
        return [row for row in self.sight.seen(page.kind) if not left_out or row["archived_at"] is None]

    def _node(self, root: Root, text: str) -> Any:
        prefix, _, key = text.partition("_")
        kind = next((each for each in kinds().values() if each.prefix == prefix), None)
        row = None if kind is None else self.world.of(kind.name).get(key)
        if kind is None or row is None or not self.sight.sees(kind, row):
            return None
        data = {"__typename": kind.name, "id": text}
        for select in root.selects:
            if select.kind is kind:
                data |= self._object(select, row)
        return data

    def _nullable(self, value: Any) -> Any:
        """Return the value of a field that may be null: where something in it is refused, it is."""
        try:
            return value()
        except Withheld as refused:
            self.forbidden.append(str(refused))
            return None

    def _by_id(self, select: Select, key: str) -> Any:
        row = self.world.of(select.kind.name).get(key)
        return None if row is None or not self.sight.sees(select.kind, row) else self._object(select, row)

    def _object(self, select: Select, row: Row) -> dict[str, Any]:
        data: dict[str, Any] = {"__typename": select.kind.name} if select.typename else {}
        for item in select.items:
            data[item.key] = self._item(select.kind, row, item)
        return data

    def _item(self, kind: Kind, row: Row, item: Item) -> Any:
        each = item.each
        if item.inner is not None:
            inner, target = item.inner, self.sight.edge(kind, row, each)
            return None if target is None else self._nullable(lambda: self._object(inner, target))
        if item.page is not None:
            return self._page(item.page, self.sight.linked(row, each))
        if item.measured is not None:
            rows = self._matching(item.measured, self.sight.linked(row, each))
            return self._measures(item.measured, item.measured.measures, rows)
        if each.of == "money":
            amount = self.sight.shown(kind, row, each)
            if amount is None:
                return None
            values = {"amount": number(amount), "currency": row[each.columns[1]]}
            return {part: values[part] for part in item.parts}
        if each.of == "id":
            return f"{kind.prefix}_{row['id']}"
        return output(each, self.sight.shown(kind, row, each))

    def _page(self, page: Page, rows: Sequence[Row]) -> dict[str, Any]:
        """Return a connection. Raises Withheld where its filter or order reads what is hidden."""
        if page.where is not None:
            check_filter(self.sight, page.kind, page.where)
        check_order(self.sight, page.kind, page.order)
        matching = [row for row in rows if page.where is None or matches(self.sight, page.kind, row, page.where)]
        position = self.document.positions.get(page.place) if page.movable else None
        found, following, preceding = cut(self.sight, page, matching, position)
        cursors = [CursorOf(page.place, page.movable, values) for _, values in found]
        data: dict[str, Any] = {}
        if page.nodes is not None:
            data["nodes"] = [self._object(page.nodes, row) for row, _ in found]
        if page.edges is not None:
            data["edges"] = [
                {"cursor": cursor, "node": self._object(page.edges, row)}
                for cursor, (row, _) in zip(cursors, found, strict=True)
            ]
        if page.info:
            ends = (cursors[0], cursors[-1]) if cursors else (None, None)
            info = dict(
                zip(
                    ("hasNextPage", "hasPreviousPage", "startCursor", "endCursor"),
                    (following, preceding, *ends),
                    strict=True,
                )
            )
            data["pageInfo"] = {name: info[name] for name in page.info}
        if page.total:
            data["totalCount"] = len(matching)
        return data

    def _aggregate(self, of: Aggregate) -> dict[str, Any]:
        rows = self._matching(of, self.sight.seen(of.kind))
        groups = grouped(self.sight, of, rows)
        data: dict[str, Any] = {}
        if of.first is not None:
            data = {"hasMoreGroups": len(groups) > of.first, "totalGroups": len(groups)}
        return data | {"groups": [self._group(of, key, members) for key, members in groups[: of.first]]}

    def _matching(self, of: Aggregate, rows: Iterable[Row]) -> list[Row]:
        """Return the rows that an aggregate is about. Raises Withheld where it reads what is hidden."""
        where = of.where
        if where is not None:
            check_filter(self.sight, of.kind, where)
        if of.matching is not None:
            check_filter(self.sight, of.kind, of.matching)
        check_aggregate(self.sight, of)
        return [row for row in rows if where is None or matches(self.sight, of.kind, row, where)]

    def _group(self, of: Aggregate, key: tuple[Any, ...], rows: Sequence[Row]) -> dict[str, Any]:
        data: dict[str, Any] = {}
        values = {each: value for (each, _), value in zip(of.groups, key, strict=True)}
        if of.keys:
            data["key"] = {each.name: self._key(each, values.get(each), inner) for each, inner in of.keys}
        data |= self._measures(of, of.measures, rows)
        if of.apart:
            data["matching"] = self._measures(of, of.apart, matching(self.sight, of, rows))
        return data

    def _measures(self, of: Aggregate, measures: Sequence[Measure], rows: Sequence[Row]) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for chosen in measures:
            if chosen.function == "share":
                found = share(self.sight, of, rows)
                data["share"] = None if found is None else number(found)
                continue
            if not chosen.fields:
                data[chosen.function] = measure(self.sight, of.kind, rows, chosen.function, None)
                continue
            data[chosen.function] = {
                each.name: _measured(chosen.function, each, measure(self.sight, of.kind, rows, chosen.function, each))
                for each in chosen.fields
            }
        return data

    def _key(self, key: GroupKey, value: Any, inner: Select | None) -> Any:
        if inner is None or value is None:
            return value if key.each is None or value is None else output(key.each, value)
        return self._nullable(lambda: self._by_id(inner, value))

    def _note_root(self, root: Root) -> None:
        """Note what is withheld of all that a root selects, whatever rows it finds."""
        for select in root.selects:
            self._note(select)
        if root.page is not None:
            self._note_page(root.page)
        if root.aggregate is not None:
            self._note_sums(root.aggregate)
            for _, inner in root.aggregate.keys:
                if inner is not None:
                    self._note(inner)
        if root.how in {"node", "nodes"}:
            for kind in kinds().values():
                self._note_field(kind, kind.fields["id"])

    def _note(self, select: Select) -> None:
        for item in select.items:
            if item.measured is not None:
                self._note_field(select.kind, select.kind.fields["id"])
                self._note_field(item.measured.kind, item.measured.kind.fields[item.each.back])
                self._note_sums(item.measured)
                continue
            if item.page is not None:
                self._note_field(select.kind, select.kind.fields["id"])
                self._note_field(item.page.kind, item.page.kind.fields[item.each.back])
                self._note_page(item.page)
                continue
            self._note_field(select.kind, item.each)
            if item.inner is not None:
                self._note(item.inner)

    def _note_sums(self, of: Aggregate) -> None:
        """Note what sums leave out of small groups."""
        for chosen in (*of.measures, *of.apart):
            for part in (part for each in chosen.fields for part in of.kind.made_of(each)):
                if chosen.function in SUMS and self.sight.sums_unread(of.kind, part):
                    self.withheld.add(f"{of.kind.name}.{part.like or part.name}")

    def _note_page(self, page: Page) -> None:
        for select in (page.nodes, page.edges):
            if select is not None:
                self._note(select)

    def _note_field(self, kind: Kind, each: Field) -> None:
        if self.sight.withheld(kind, each):
            self.withheld.add(f"{kind.name}.{each.like or each.name}")


def _measured(function: str, each: Field, value: Any) -> Any:
    if value is None or function == "countDistinct":
        return value
    return output(each, value) if each.of in {"date", "moment"} else number(Decimal(value))
