"""Random filters and `having`s. Their operands are mostly values that are there, hidden ones included: who asks for
something that they may not see, asks for what it is."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from tests.permissions.oracle.documents import Bare, Where
from tests.permissions.oracle.filters import OF_VIEWER
from tests.permissions.oracle.kinds import Field, Kind, kinds
from tests.permissions.oracle.sight import Sight
from tests.permissions.oracle.world import moment, number

_BASE = ("eq", "ne", "in", "notIn", "isNull")
_ORDERED = (*_BASE, "gt", "gte", "lt", "lte")
OPERATORS = {
    "text": (*_BASE, "eq", "contains", "startsWith"),
    "id": _BASE,
    "one": (*_BASE, "isNull", "isNull"),
    "code": _BASE,
    "tag": _BASE,
    "key": (*_BASE, "contains", "startsWith"),
    "sealed": _BASE,
    "enum": _BASE,
    "bool": ("eq", "ne", "isNull"),
    "int": _ORDERED,
    "decimal": _ORDERED,
    "money": _ORDERED,
    "date": _ORDERED,
    "moment": _ORDERED,
}


class Conditions:
    """Makes filters for a member; `careful` as in `Asker`."""

    def __init__(self, dice: random.Random, sight: Sight, *, careful: bool) -> None:
        self.dice = dice
        self.sight = sight
        self.careful = careful

    def where(self, kind: Kind, depth: int) -> Where:
        """Return a filter of a type."""
        made: dict[str, Any] = {}
        for _ in range(self.dice.choice((1, 1, 1, 2))):
            made.update(self.entry(kind, depth))
        return made

    def entry(self, kind: Kind, depth: int) -> dict[str, Any]:
        """Return one part of a filter; empty where nothing may be compared."""
        dice = self.dice
        how = dice.choice(("leaf",) * 5 + ("one", "one", "many", "many", "many", "id", "combine", "combine"))
        if how == "combine" and depth:
            name = dice.choice(("and", "or", "not"))
            if name == "not":
                return {name: self.where(kind, depth - 1)}
            return {name: [self.where(kind, depth - 1) for _ in range(dice.choice((0, 1, 2, 2)))]}
        if how == "one" and depth:
            fields = self.comparable(kind, "one")
            if fields:
                each = dice.choice(fields)
                target = kinds()[each.target]
                return {each.name: self.where(target, depth - 1) if dice.random() < 0.85 else {}}
        if how == "many" and depth:
            fields = [each for each in kind.all("many") if self.may_compare(kinds()[each.target], each.back)]
            if fields:
                each = dice.choice(fields)
                quantifier = dice.choice(("some", "none", "every"))
                inner = self.where(kinds()[each.target], depth - 1) if dice.random() < 0.75 else {}
                return {each.name: {quantifier: inner}}
        if how == "id":
            fields = self.comparable(kind, "one")
            if fields:
                each = dice.choice(fields)
                return {f"{each.name}Id": self.comparator(kinds()[each.target], each, kind)}
        return self.leaf(kind)

    def leaf(self, kind: Kind) -> dict[str, Any]:
        """Return a condition on a leaf."""
        if kind.name == "Member" and self.dice.random() < 0.25:
            return {self.dice.choice(OF_VIEWER): self.dice.random() < 0.7}
        money = kind.currency
        if (
            money is not None
            and money.of == "money"
            and self.dice.random() < 0.1
            and self.may_compare(kind, money.name)
        ):
            return {"currency": self.comparator(kind, Field("currency", "code", columns=money.columns[1:]), kind)}
        fields = [each for each in self.comparable(kind, *OPERATORS) if each.of != "one"]
        if not fields:
            return {}
        hidden = [each for each in fields if not each.required]
        each = self.dice.choice(hidden if hidden and self.dice.random() < 0.75 else fields)
        return {each.name: self.comparator(kind, each, kind)}

    def comparable(self, kind: Kind, *of: str) -> list[Field]:
        """Return the fields of these kinds that are to be compared."""
        return [each for each in kind.all(*of) if self.may_compare(kind, each.name)]

    def may_compare(self, kind: Kind, name: str) -> bool:
        """Return whether to compare a field."""
        return not self.careful or self.sight.comparable(kind, kind.fields[name])

    def comparator(self, target: Kind, each: Field, kind: Kind) -> dict[str, Any]:
        """Return the conditions on a value of a field; ids are those of `target`."""
        operator = self.dice.choice(OPERATORS[each.of])
        if operator == "isNull":
            return {operator: self.dice.random() < 0.5}
        if operator in {"in", "notIn"}:
            return {operator: [self.operand(target, each, kind) for _ in range(self.dice.choice((0, 1, 2, 3)))]}
        operand = self.operand(target, each, kind)
        if operator in {"contains", "startsWith"}:
            start = self.dice.randint(0, max(0, len(operand) - 2)) if operator == "contains" else 0
            operand = operand[start : start + self.dice.choice((1, 2, 3))] or "a"
        return {operator: operand}

    def operand(self, target: Kind, each: Field, kind: Kind) -> Any:
        """Return a value to compare with, in input form."""
        dice = self.dice
        if each.of in {"id", "one"}:
            return self.any_id(target)
        if each.of == "enum":
            return Bare(dice.choice(each.values))
        if each.of == "bool":
            return dice.random() < 0.5
        found = [row[each.column] for row in self.sight.world.of(kind.name).values() if row[each.column] is not None]
        value = dice.choice(found) if found and dice.random() < 0.9 else None
        match each.of:
            case "text" | "key":
                text = "Nobody" if value is None else str(value)
                return dice.choice((text, text, text.upper(), text.lower()))
            case "code" | "tag":
                return value or "EUR"
            case "sealed":
                text = value or "1234"
                return dice.choice((text, text.lower(), f"{text[:3]} {text[3:]}", f"{text[:4]}-{text[4:]}"))
            case "int":
                return (value or 0) + dice.choice((0, 0, 1, -1))
            case "decimal" | "money":
                return number((value or Decimal(100)) + dice.choice((Decimal(0), Decimal(0), Decimal("0.5"))))
            case "date":
                return ((value or date(2026, 1, 1)) + timedelta(days=dice.choice((0, 0, 1)))).isoformat()
            case _:
                return moment(value or datetime(2026, 1, 1, tzinfo=UTC))

    def any_id(self, kind: Kind) -> str:
        """Return the id of some row of a type, seen or not; now and then one that names nothing, or another type."""
        dice = self.dice
        found = list(self.sight.world.of(kind.name))
        key = dice.choice(found) if found and dice.random() < 0.93 else f"{dice.getrandbits(128):032x}"
        prefix = kind.prefix if dice.random() < 0.97 else dice.choice(list(kinds().values())).prefix
        return f"{prefix}_{key}"

    def having(self, kind: Kind, depth: int) -> Where:
        """Return a condition on the groups of an aggregate."""
        dice = self.dice
        how = dice.choice(("count", "count", "measure", "measure", "measure", "combine"))
        if how == "combine" and depth:
            name = dice.choice(("and", "or", "not"))
            if name == "not":
                return {name: self.having(kind, depth - 1)}
            return {name: [self.having(kind, depth - 1) for _ in range(dice.choice((0, 1, 2)))]}
        if how == "measure":
            function = dice.choice(("sum", "avg", "min", "max"))
            computed = [each for each in kind.computed.values() if each.of != "clock"]
            computed = [
                each for each in computed if all(self.may_compare(kind, part.name) for part in kind.made_of(each))
            ]
            if computed and dice.random() < 0.3:
                return {function: {dice.choice(computed).name: self.whole_numbers()}}
            of = ("int", "decimal", "money", *(("date", "moment") if function in {"min", "max"} else ()))
            fields = [each for each in self.comparable(kind, *of) if each.name != "version"]
            if fields:
                each = dice.choice(fields)
                compared = each if each.of in {"date", "moment"} else Field(each.name, "decimal", columns=each.columns)
                conditions = self.comparator(kind, compared, kind) if each.of != "int" else self.whole_numbers()
                return {function: {each.name: conditions}}
        return {"count": {dice.choice(("eq", "ne", "gt", "gte", "lt", "lte")): dice.choice((0, 1, 1, 2, 3))}}

    def whole_numbers(self) -> dict[str, Any]:
        """Return conditions on a measure of whole numbers, which is a decimal."""
        operator = self.dice.choice(("eq", "ne", "gt", "gte", "lt", "lte", "isNull"))
        return {operator: self.dice.random() < 0.5 if operator == "isNull" else str(self.dice.randint(0, 60))}
