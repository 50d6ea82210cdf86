"""Which response keys are taken at which place of a document, so that what is generated merges.

The rule is the specification's FieldsInSetCanMerge: fields of one response key must be the same field with the same
arguments, unless their parents are two different object types, and then still have the same shape.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from graphql import GraphQLNamedType, GraphQLOutputType, get_named_type, is_leaf_type, is_object_type


@dataclass(frozen=True, slots=True)
class Taken:
    """A field under a response key."""

    parent: GraphQLNamedType
    name: str
    arguments: str
    type: GraphQLOutputType

    def merges_with(self, other: Taken) -> bool:
        """Return whether both may stand under one response key of one place."""
        if self.parent is not other.parent and is_object_type(self.parent) and is_object_type(other.parent):
            return self._shape() == other._shape()
        same = self.name == other.name and self.arguments == other.arguments
        return same and str(self.type) == str(other.type)

    def _shape(self) -> str:
        named = get_named_type(self.type)
        return str(self.type) if is_leaf_type(named) else str(self.type).replace(named.name, "?")


@dataclass(slots=True)
class Place:
    """All selection sets that are merged at one path of the response."""

    taken: dict[str, list[Taken]] = field(default_factory=dict)
    below: dict[str, Place] = field(default_factory=dict)

    def admits(self, key: str, taken: Taken) -> bool:
        """Return whether a field may be added under a response key."""
        return all(taken.merges_with(other) for other in self.taken.get(key, ()))

    def add(self, key: str, taken: Taken) -> Place:
        """Note a field and return the place below it."""
        others = self.taken.setdefault(key, [])
        if taken not in others:
            others.append(taken)
        return self.below.setdefault(key, Place())

    def admits_all(self, other: Place) -> bool:
        """Return whether everything at another place (a fragment's) may be added here."""
        return all(self.admits(key, taken) for key, many in other.taken.items() for taken in many) and all(
            self.below[key].admits_all(inner) for key, inner in other.below.items() if key in self.below
        )

    def add_all(self, other: Place) -> None:
        """Note everything at another place."""
        for key, many in other.taken.items():
            for taken in many:
                self.add(key, taken)
        for key, inner in other.below.items():
            self.below.setdefault(key, Place()).add_all(inner)
