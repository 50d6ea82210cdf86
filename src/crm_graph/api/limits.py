"""Query-shape limits in one memoised pass: depth, aliases and root fields of what a document expands to.

The usual limiters walk fragments anew at each spread: 18 fragments that spread the next one twice cost them seconds.
Here a fragment is measured once, so the pass is linear in the document, and cycles (which validation refuses) end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
)

CAP = 1 << 40
"""Sums are capped here: doubling fragments reach astronomical numbers, which need not be counted out."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What a selection expands to."""

    depth: int = 0
    aliases: int = 0
    fields: int = 0

    def beside(self, other: Shape) -> Shape:
        """Return the shape of both selections in one set."""
        return Shape(
            max(self.depth, other.depth),
            min(CAP, self.aliases + other.aliases),
            min(CAP, self.fields + other.fields),
        )


@dataclass(frozen=True, slots=True)
class ShapeLimits:
    """Bounds of one operation."""

    depth: int = 12
    aliases: int = 30
    root_fields: int = 20


class LimitError(GraphQLError):
    """Raised when a document's shape exceeds a limit; code COST_LIMIT_EXCEEDED."""


def check_shape(document: DocumentNode, limits: ShapeLimits) -> None:
    """Raise LimitError when an operation of the document exceeds a limit. Introspection fields have depth 1."""
    fragments = {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}
    measure = _Measure(fragments)
    for node in document.definitions:
        if not isinstance(node, OperationDefinitionNode):
            continue
        shape = measure.selections(node.selection_set)
        roots = measure.root_fields(node.selection_set)
        for name, value, limit in (
            ("depth", shape.depth, limits.depth),
            ("number of aliases", shape.aliases, limits.aliases),
            ("number of root fields", roots, limits.root_fields),
        ):
            if value > limit:
                raise LimitError(
                    f"The {name} of this operation is {value if value < CAP else 'huge'}; the limit is {limit}."
                )


class _Measure:
    def __init__(self, fragments: Mapping[str, FragmentDefinitionNode]) -> None:
        self._fragments = fragments
        self._shapes: dict[str, Shape] = {}
        self._roots: dict[str, int] = {}

    def selections(self, selection_set: SelectionSetNode) -> Shape:
        total = Shape()
        for node in selection_set.selections:
            if isinstance(node, FieldNode):
                total = total.beside(self._field(node))
            elif isinstance(node, InlineFragmentNode):
                total = total.beside(self.selections(node.selection_set))
            elif isinstance(node, FragmentSpreadNode):
                total = total.beside(self._fragment(node.name.value))
        return total

    def _field(self, node: FieldNode) -> Shape:
        alias = 1 if node.alias is not None and node.alias.value != node.name.value else 0
        if node.selection_set is None or node.name.value.startswith("__"):
            return Shape(1, alias, 1)
        inner = self.selections(node.selection_set)
        return Shape(min(CAP, inner.depth + 1), min(CAP, inner.aliases + alias), min(CAP, inner.fields + 1))

    def _fragment(self, name: str) -> Shape:
        if name not in self._shapes:
            self._shapes[name] = Shape()
            fragment = self._fragments.get(name)
            if fragment is not None:
                self._shapes[name] = self.selections(fragment.selection_set)
        return self._shapes[name]

    def root_fields(self, selection_set: SelectionSetNode) -> int:
        """Return how many fields a root selection expands to."""
        total = 0
        for node in selection_set.selections:
            if isinstance(node, FieldNode):
                total += 1
            elif isinstance(node, InlineFragmentNode):
                total += self.root_fields(node.selection_set)
            elif isinstance(node, FragmentSpreadNode):
                total += self._fragment_roots(node.name.value)
        return min(CAP, total)

    def _fragment_roots(self, name: str) -> int:
        if name not in self._roots:
            self._roots[name] = 0
            fragment = self._fragments.get(name)
            if fragment is not None:
                self._roots[name] = self.root_fields(fragment.selection_set)
        return self._roots[name]
