"""Aggregates by brute force: groups, measures and conditions computed in Python, and random conditions to compare."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from random import Random
from typing import Any

Row = Mapping[str, Any]
FUNCTIONS = ("sum", "avg", "min", "max")
SCALE = Decimal("0.0001")
TINY = Decimal("0.00001")
"""Less than a column can hold: an operand must not be rounded to one."""


@dataclass(frozen=True, slots=True)
class Group:
    """A group as it is answered: its key, how many rows it has, and its measures by `function.field`."""

    key: tuple[Any, ...]
    count: int
    measures: Mapping[str, Any]

    def value(self, name: str) -> Any:
        """Return a measure by its name in a form."""
        return self.count if name == "count" else self.measures[name]


def groups_of(rows: Sequence[Row], keys: Sequence[str], numbers: Sequence[str], moments: Sequence[str]) -> list[Group]:
    """Return the groups of rows; without keys the one group is there also when it is empty."""
    by_key: dict[tuple[Any, ...], list[Row]] = {} if keys else {(): []}
    for row in rows:
        by_key.setdefault(tuple(row[key] for key in keys), []).append(row)
    return [Group(key, len(of), _measures(of, numbers, moments)) for key, of in by_key.items()]


def _measures(rows: Sequence[Row], numbers: Sequence[str], moments: Sequence[str]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name in (*numbers, *moments):
        values = [row[name] for row in rows if row[name] is not None]
        made[f"min.{name}"] = min(values, default=None)
        made[f"max.{name}"] = max(values, default=None)
        if name in numbers:
            made[f"sum.{name}"] = sum(values, Decimal()) if values else None
            average = sum(values, Decimal()) / len(values) if values else None
            made[f"avg.{name}"] = None if average is None else average.quantize(SCALE, ROUND_HALF_UP)
    return made


_TRUE_OF_VALUES: Mapping[str, Callable[[Any, Any], bool]] = {
    "eq": lambda value, operand: value == operand,
    "in": lambda value, operand: value in operand,
    "gt": lambda value, operand: value > operand,
    "gte": lambda value, operand: value >= operand,
    "lt": lambda value, operand: value < operand,
    "lte": lambda value, operand: value <= operand,
}
_COMPLEMENTS = {"ne": "eq", "notIn": "in"}


def compares(operator: str, value: Any, operand: Any) -> bool:
    """Return whether a comparator holds: `ne` and `notIn` are complements, all others are false of null."""
    if operator == "isNull":
        return bool((value is None) == operand)
    if operator in _COMPLEMENTS:
        return not compares(_COMPLEMENTS[operator], value, operand)
    return value is not None and bool(_TRUE_OF_VALUES[operator](value, operand))


def holds(having: Mapping[str, Any], group: Group) -> bool:
    """Return whether a group is one that a `having` asks for."""
    return all(_holds(name, condition, group) for name, condition in having.items())


def _holds(name: str, condition: Any, group: Group) -> bool:
    match name:
        case "and":
            return all(holds(each, group) for each in condition)
        case "or":
            return any(holds(each, group) for each in condition)
        case "not":
            return not holds(condition, group)
        case "count":
            return all(compares(operator, group.count, operand) for operator, operand in condition.items())
    return all(
        compares(operator, group.measures[f"{name}.{field}"], operand)
        for field, comparators in condition.items()
        for operator, operand in comparators.items()
    )


def random_having(random: Random, groups: Sequence[Group], depth: int = 0) -> dict[str, Any]:
    """Return a condition whose operands are mostly measures that some group has."""
    made: dict[str, Any] = {}
    for _ in range(random.choice([0, 1, 1, 1, 2])):
        name = random.choice(["count", *groups[0].measures]) if groups else "count"
        condition = _comparator(random, [group.value(name) for group in groups])
        function, _, field = name.partition(".")
        if field:
            made.setdefault(function, {})[field] = condition
        else:
            made["count"] = condition
    if depth < 3 and random.random() < 0.5:
        name = random.choice(["and", "or", "not"])
        inner = [random_having(random, groups, depth + 1) for _ in range(random.choice([0, 1, 2, 2, 3]))]
        made[name] = random_having(random, groups, depth + 1) if name == "not" else inner
    return made


def _comparator(random: Random, values: Sequence[Any]) -> dict[str, Any]:
    known = [value for value in values if value is not None]
    made: dict[str, Any] = {}
    for operator in random.sample([*_TRUE_OF_VALUES, *_COMPLEMENTS, "isNull"], random.choice([1, 1, 2])):
        if operator == "isNull":
            made[operator] = random.random() < 0.5
        elif operator in {"in", "notIn"}:
            made[operator] = random.choices(known, k=random.choice([0, 1, 2, 4])) if known else []
        elif known:
            value = random.choice(known)
            made[operator] = value + TINY if isinstance(value, Decimal) and random.random() < 0.2 else value
    return made


def spelled(value: Any) -> Any:
    """Return a value as JSON has it in variables and answers: a Decimal is text without trailing zeros."""
    match value:
        case Decimal():
            text = f"{value:f}"
            return text.rstrip("0").rstrip(".") if "." in text else text
        case dict():
            return {key: spelled(item) for key, item in value.items()}
        case list() | tuple():
            return [spelled(item) for item in value]
    return value
