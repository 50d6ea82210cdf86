"""Generates the arguments of fields; those of connections so that most pages can be meant."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from graphql import GraphQLField, GraphQLNonNull, GraphQLObjectType, get_named_type

from crm_graph.graph.records.record import Record
from tests.executor.cases import Paged
from tests.executor.values import ABSENT, About, Use, Values, literal

PAGE_ARGUMENTS = frozenset({"first", "last", "after", "before"})
WRONG_PAGES: tuple[dict[str, Any], ...] = (
    {"first": -1},
    {"first": 201},
    {"first": 1, "last": 1},
    {"after": "x"},
    {"before": "x"},
    {"last": 2, "before": "nonsense"},
    {"last": None, "first": -5},
)


@dataclass(slots=True)
class Arguments:
    """Generates the arguments of one document's fields."""

    values: Values
    spoil: bool = False
    """Whether one page of the document is to be wrong, rather below a list, where nulls rise."""
    paged: list[Paged] = field(default_factory=list)

    def chance(self, probability: float) -> bool:
        """Return true so often."""
        return self.values.chance(probability)

    def of(self, name: str, definition: GraphQLField, rows: int) -> tuple[str, Paged | None]:
        """Return the arguments of a field as text, and its paging where that is by variables."""
        about = self._about(name, definition)
        given: dict[str, Any] = {}
        for argument_name, argument in definition.args.items():
            required = isinstance(argument.type, GraphQLNonNull) and argument.default is None
            if argument_name in PAGE_ARGUMENTS or not (required or self.chance(0.3)):
                continue
            has_default = argument.default is not None
            within = About(about, argument_name)
            given[argument_name] = self.values.value(argument.type, within, has_default=has_default)
        paged = None
        if definition.args.keys() >= PAGE_ARGUMENTS:
            paged = self._page(given, rows)
        text = ", ".join(f"{key}: {literal(value)}" for key, value in given.items())
        return (f"({text})" if text else ""), paged

    def _page(self, given: dict[str, Any], rows: int) -> Paged | None:
        """Add the arguments of a page: usually one that can be meant."""
        values = self.values
        if not self.paged and self.chance(0.12):
            paged = Paged("paged", *(self._page_variable(name) for name in ("first", "last", "after", "before")))
            given.update(first=Use(paged.first), last=Use(paged.last), after=Use(paged.after), before=Use(paged.before))
            return paged
        spoils = self.spoil and self.chance(0.35 if rows == 1 else 0.9)
        if spoils or self.chance(values.wild):
            self.spoil = self.spoil and not spoils
            given.update(values.random.choice(WRONG_PAGES))
            return None
        sizes = [0, 1, 1, 2, 2, 3] if rows > 20 else [0, 1, 2, 3, 5, 20, 200]
        if rows > 100 or self.chance(0.6):
            name = "last" if self.chance(0.25) else "first"
            given[name] = self._size(sizes)
            if self.chance(0.1):
                given["first" if name == "last" else "last"] = None
        return None

    def _size(self, sizes: list[int]) -> Any:
        if not self.chance(0.25):
            return self.values.random.choice(sizes)
        default = self.values.random.choice(sizes) if self.chance(0.5) else ABSENT
        return Use(self.values.add_variable("Int", default, lambda: self.values.random.choice(sizes)))

    def _page_variable(self, name: str) -> str:
        draw = {"first": lambda: self.values.random.choice([1, 2, 3])}.get(name, lambda: ABSENT)
        return self.values.add_variable("Int" if name in {"first", "last"} else "String", ABSENT, draw)

    def _about(self, name: str, definition: GraphQLField) -> Record | None:
        """Return the record that a field is about: its own, that of its page, its payload's, or that of its name."""
        records = self.values.schema.registry.records
        named = get_named_type(definition.type)
        for suffix in ("", "Connection", "Aggregate"):
            if named.name.removesuffix(suffix) in records:
                return records[named.name.removesuffix(suffix)]
        if isinstance(named, GraphQLObjectType):
            for each in named.fields.values():
                if get_named_type(each.type).name in records:
                    return records[get_named_type(each.type).name]
        ending = [each for each in records.values() if name.endswith(each.name)]  # `deleteCampaignMember`
        return max(ending, key=lambda each: len(each.name), default=None)
