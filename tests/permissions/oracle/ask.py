"""Random queries: selections, pages, orders, aggregates. `conditions.py` makes their filters."""

from __future__ import annotations

import random
from collections.abc import Sequence

from tests.permissions.oracle.conditions import Conditions
from tests.permissions.oracle.documents import (
    Aggregate,
    Document,
    GroupKey,
    GroupOrder,
    Item,
    Measure,
    OrderKey,
    Page,
    Root,
    Select,
    enum_name,
)
from tests.permissions.oracle.kinds import UNORDERED, Field, Kind, kinds
from tests.permissions.oracle.measures import SUMS
from tests.permissions.oracle.sight import Sight

INFO = ("hasNextPage", "hasPreviousPage", "startCursor", "endCursor")
VIEWER = (("Member", 1), ("Workspace", 0))
PARTS = (("amount",), ("currency",), ("amount", "currency"))
BUCKETS = ("DAY", "WEEK", "MONTH", "QUARTER", "YEAR")
KEYS = {"bool", "text", "key", "code", "date", "moment", "enum", "one"}
GROUPING = frozenset({"city", "country", "industry", "series", "source"})
"""Texts that make groups also where they are beyond an edge."""
STAMPS = frozenset({"createdAt", "updatedAt", "createdBy", "updatedBy"})
"""What every row has: no keys beyond an edge."""
PROBES = 8
MAX_PAGES = 2
"""Edges to many in one document: more of them are larger answers, not other ones."""


class Asker:
    """Makes queries for a member. A `careful` one compares only what they may read on some row; the others run into
    FORBIDDEN more often than not."""

    def __init__(self, dice: random.Random, sight: Sight, *, careful: bool) -> None:
        self.dice = dice
        self.sight = sight
        self.careful = careful
        self.conditions = Conditions(dice, sight, careful=careful)
        self.pages = 0

    def document(self) -> Document:
        """Return a query: one or two fields with much below them, or many that only probe."""
        self.pages = 0
        if self.dice.random() < 0.45:
            return Document([self.probe(f"r{index}") for index in range(PROBES)])
        count = self.dice.choice((1, 1, 1, 1, 2))
        return Document([self.root(index) for index in range(count)])

    def probe(self, key: str) -> Root:
        """Return a field of Query that asks with a filter, an order, groups or `having`, and for little: who may not
        see something asks so, again and again."""
        dice = self.dice
        if dice.random() < 0.4:
            kind = self.kind("aggregate")
            aggregate = self.aggregate(kind)
            aggregate.keys = [(each, None) for each, _ in aggregate.groups if not each.is_edge]
            aggregate.measures = aggregate.measures or [Measure("count")]
            if aggregate.having is None and dice.random() < 0.5:
                aggregate.having = self.conditions.having(kind, 1)
            return Root(key, kind.roots["aggregate"], "aggregate", aggregate=aggregate)
        kind = self.kind("list")
        page = Page(key, kind, where=self.conditions.where(kind, 2), total=True)
        if dice.random() < 0.7:
            page.order, page.size = self.order(kind), dice.choice((1, 2, 3, 50))
            page.backward = dice.random() < 0.3
            page.nodes = Select(kind, self.leaves(kind, 1))
        self.keeping(page)
        return Root(key, kind.roots["list"], "list", page=page)

    def keeping(self, page: Page) -> None:
        """Let a list of all records have those that it leaves out, or be one of the recycle bin, now and then."""
        if page.kind.kept:
            page.archived, page.deleted = self.dice.random() < 0.3, self.dice.random() < 0.25

    def root(self, index: int) -> Root:
        """Return a field of Query."""
        dice = self.dice
        how = dice.choice(("list",) * 9 + ("aggregate",) * 5 + ("one", "one", "node", "nodes", "viewer"))
        key = f"r{index}"
        if how == "viewer":
            return Root(key, how, how, selects=[self.select(kinds()[name], depth, key) for name, depth in VIEWER])
        if how in {"node", "nodes"}:
            chosen = dice.sample(list(kinds().values()), dice.randint(1, 3))
            ids = [
                self.conditions.any_id(dice.choice(chosen)) for _ in range(1 if how == "node" else dice.randint(1, 5))
            ]
            selects = [self.select(kind, 1, key, f"{kind.prefix}_") for kind in chosen]
            return Root(key, how, how, ids=ids, selects=selects)
        kind = self.kind(how)
        if how == "one":
            ids = [self.conditions.any_id(kind if dice.random() < 0.9 else self.kind("one"))]
            return Root(key, kind.roots["one"], how, ids=ids, selects=[self.select(kind, 2, key)])
        if how == "aggregate":
            return Root(key, kind.roots["aggregate"], how, aggregate=self.aggregate(kind))
        page = self.page(kind, key, 2)
        self.keeping(page)
        return Root(key, kind.roots["list"], how, page=page)

    def kind(self, how: str) -> Kind:
        """Return a type that has such a field of Query; mostly one whose rows have owners."""
        found = [kind for kind in kinds().values() if how in kind.roots]
        owned = [kind for kind in found if "OWN" in kind.scopes and kind.name != "Member"]
        readable = [kind for kind in owned if self.sight.reads(kind)]
        if self.dice.random() < 0.85:
            return self.dice.choice(readable or owned)
        return self.dice.choice(found)

    def select(self, kind: Kind, depth: int, place: str = "", prefix: str = "") -> Select:
        """Return a selection; the keys of fields begin with `prefix` where several types are selected side by side."""
        dice = self.dice
        items = self.leaves(kind, dice.choice((1, 1, 2, 2, 3)), prefix)
        ones, many = kind.all("one"), kind.all("many")
        if depth and ones:
            for each in dice.sample(ones, min(len(ones), dice.choice((0, 0, 1, 1, 2)))):
                inner = self.select(kinds()[each.target], depth - 1, f"{place}.{each.name}")
                items.append(Item(f"{prefix}{each.name}", each, inner=inner))
        if depth and many and self.pages < MAX_PAGES and dice.random() < 0.45:
            self.pages += 1
            each = dice.choice(many)
            page = self.page(kinds()[each.target], f"{place}.{prefix}{each.name}", depth - 1)
            items.append(Item(f"{prefix}{each.name}", each, page=page))
        edges = kind.all("measures")
        if depth and edges and dice.random() < 0.3:
            each = dice.choice(edges)
            of = kinds()[each.target]
            where = self.conditions.where(of, 1) if dice.random() < 0.4 else None
            measured = Aggregate(of, where, (), None, (), self.measures(of, False))
            items.append(Item(f"{prefix}{each.name}", each, measured=measured))
        return Select(kind, items, typename=not prefix and dice.random() < 0.1)

    def leaves(self, kind: Kind, count: int, prefix: str = "") -> list[Item]:
        """Return selected leaves, first of all one of those that are masked or hidden on some rows."""
        dice = self.dice
        leaves = [*kind.leaves, *kind.all("money")]
        hidden = [each for each in leaves if self.sight.withheld(kind, each)]
        masked = [each for each in hidden if each.mask]
        chosen = dice.sample(masked or hidden, 1) if hidden and dice.random() < 0.6 else []
        chosen += [each for each in dice.sample(leaves, min(len(leaves), count)) if each not in chosen]
        parts = {each.name: dice.choice(PARTS) if each.of == "money" else () for each in chosen}
        return [Item(f"{prefix}{each.name}", each, parts[each.name]) for each in chosen]

    def page(self, kind: Kind, place: str, depth: int) -> Page:
        """Return a connection of a type."""
        dice = self.dice
        page = Page(place, kind)
        if dice.random() < 0.55:
            page.where = self.conditions.where(kind, 2)
            page.by_variable = dice.random() < 0.3
        if dice.random() < 0.65:
            page.order = self.order(kind)
        if dice.random() < 0.75:
            page.size = dice.choice((0, 1, 1, 2, 2, 3, 3, 4, 5, 8, 30))
            page.backward = dice.random() < 0.3
            page.movable = dice.random() < 0.8
        if dice.random() < 0.5:
            page.nodes = self.select(kind, depth, place)
        if page.nodes is None or page.movable:
            page.edges = self.select(kind, depth if page.nodes is None else 0, place)
        page.total = dice.random() < 0.6
        if dice.random() < 0.5:
            page.info = dice.sample(INFO, dice.randint(1, 4))
        return page

    def order(self, kind: Kind) -> Sequence[OrderKey]:
        """Return an order of one to three keys."""
        dice = self.dice
        keys: dict[str, OrderKey] = {}
        for _ in range(dice.choice((1, 1, 1, 2, 3))):
            key = self.order_key(kind)
            if key is not None:
                keys[key.name] = key
        return list(keys.values())

    def order_key(self, kind: Kind) -> OrderKey | None:
        """Return a key of an order, of those that are offered."""
        dice = self.dice
        own = [each for each in (*kind.leaves, *kind.all("money")) if each.of not in UNORDERED]
        fields = [each for each in own if enum_name(each.name) in kind.orders and self.may_compare(kind, each)]
        if not fields:
            return None
        nullable = [each for each in fields if not each.required]
        each = dice.choice(nullable if nullable and dice.random() < 0.7 else fields)
        in_currency = f"{enum_name(each.name)}_CURRENCY" in kind.orders
        column = int(each.of == "money" and in_currency and dice.random() < 0.2)
        return OrderKey(each, column, dice.random() < 0.5, dice.random() < 0.4)

    def may_compare(self, kind: Kind, each: Field) -> bool:
        """Return whether to compare a field."""
        return not self.careful or self.sight.comparable(kind, each)

    def may_measure(self, kind: Kind, function: str, each: Field) -> bool:
        """Return whether to measure something."""
        may = self.sight.summable if function in SUMS else self.sight.comparable
        return not self.careful or all(may(kind, part) for part in kind.made_of(each))

    def aggregate(self, kind: Kind) -> Aggregate:
        """Return an aggregate of a type."""
        dice = self.dice
        keyed = self.group_keys(kind)
        chosen = dice.sample(keyed, min(len(keyed), dice.choice((0, 1, 1, 2))))
        groups = [(each, dice.choice(BUCKETS) if each.is_time else None) for each in chosen]
        selected = dice.sample(keyed, min(len(keyed), 1)) if dice.random() < 0.2 else []
        keys = []
        for each in dict.fromkeys([*chosen, *selected]):
            target = kinds()[each.each.target] if each.each is not None and each.is_edge else None
            keys.append((each, None if target is None else self.select(target, 1, "key")))
        where = self.conditions.where(kind, 2) if dice.random() < 0.4 else None
        having = self.conditions.having(kind, 1) if dice.random() < 0.35 else None
        made = Aggregate(kind, where, groups, having, keys, self.measures(kind, bool(keys)))
        if dice.random() < 0.35:
            made.matching, made.apart = self.conditions.where(kind, 1), self.measures(kind, True)
            if dice.random() < 0.5:
                made.measures = [*made.measures, Measure("share")]
        if groups and dice.random() < 0.5:
            made.order = self.group_order(kind, matching=made.matching is not None)
        if groups and dice.random() < 0.4:
            made.first = dice.choice((1, 2, 5))
        return made

    def group_order(self, kind: Kind, *, matching: bool) -> GroupOrder:
        """Return an order of groups by a measure, which need not be selected."""
        dice = self.dice
        descending = dice.random() < 0.6
        chosen = dice.choice([each for each in self.measures(kind, False) if each.function != "currencies"])
        if matching and dice.random() < 0.3:
            return GroupOrder("share", None, False, descending)
        apart = matching and dice.random() < 0.5
        each = dice.choice(list(chosen.fields)) if chosen.fields else None
        return GroupOrder(chosen.function, each, apart, descending)

    def group_keys(self, kind: Kind) -> list[GroupKey]:
        """Return what a type may be grouped by, here and beyond edges to one."""
        own = [GroupKey(each) for each in self.dimensions(kind) if each.of in KEYS]
        money = kind.currency is not None and "currency" not in kind.fields
        if money and self.may_compare(kind, kind.all("money")[0]):
            own.append(GroupKey(None))
        return [*own, *self.beyond(kind, ())] if self.dice.random() < 0.6 else own

    def beyond(self, kind: Kind, edges: tuple[Field, ...]) -> list[GroupKey]:
        """Return keys beyond the edges to one of a type, two away at most."""
        found: list[GroupKey] = []
        for edge in kind.all("one"):
            joined = kinds()[edge.target].local == kind.local and edge.name not in STAMPS
            if joined and self.may_compare(kind, edge):
                way, target = (*edges, edge), kinds()[edge.target]
                found += [
                    GroupKey(each, way)
                    for each in self.dimensions(target)
                    if (each.of in KEYS - {"text", "key"} or each.name in GROUPING) and each.name not in STAMPS
                ]
                found += self.beyond(target, way) if not edges else []
        return found

    def dimensions(self, kind: Kind) -> list[Field]:
        """Return the fields that may be compared."""
        return [each for each in kind.fields.values() if self.may_compare(kind, each)]

    def measures(self, kind: Kind, optional: bool) -> list[Measure]:
        """Return the selected measures; at least one unless `optional`."""
        dice = self.dice
        found = [Measure("count")] if dice.random() < 0.6 or not optional else []
        if kind.all("money") and dice.random() < 0.15:
            may = [self.may_compare(kind, each) for each in kind.all("money")]
            found += [Measure("currencies")] if any(may) else []
        functions = ("sum", "sum", "avg", "avg", "min", "max", "countDistinct")
        for function in dict.fromkeys(dice.sample(functions, dice.choice((0, 1, 1, 2)))):
            fields = [each for each in measured(kind, function) if self.may_measure(kind, function, each)]
            if fields:
                found.append(Measure(function, dice.sample(fields, min(len(fields), dice.choice((1, 1, 2))))))
        return found


def measured(kind: Kind, function: str) -> list[Field]:
    """Return the fields that a function measures."""
    if function == "countDistinct":
        return [each for each in kind.fields.values() if each.of in {"enum", "code", "one"} or each.name in GROUPING]
    of = {"int", "decimal", "money"} if function in {"sum", "avg"} else {"int", "decimal", "money", "date", "moment"}
    computed = [each for each in kind.computed.values() if each.of != "clock"]
    return [*(each for each in kind.fields.values() if each.of in of and each.name != "version"), *computed]
