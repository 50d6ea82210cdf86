"""Takes parts out of documents: any part, to make one smaller; the fields at given places, to do without an error."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import Any

from graphql import (
    REMOVE,
    DocumentNode,
    GraphQLError,
    Node,
    OperationDefinitionNode,
    Visitor,
    get_location,
    parse,
    print_ast,
    visit,
)

from tests.executor.cases import Case

REMOVABLE = frozenset({"field", "inline_fragment", "fragment_spread", "directive", "argument", "object_field"})


def smaller(source: str) -> Iterator[str]:
    """Yield the document without one of its parts, outer parts first; invalid ones do not differ and so fall out."""
    document = parse(source)
    for number in range(_count(document)):
        try:
            yield print_ast(_tidy(visit(document, _Without(number))))
        except GraphQLError:
            continue


def without_fields(case: Case, places: Collection[tuple[int, int]]) -> Case:
    """Return the case without the fields at these lines and columns."""
    document = visit(parse(case.source), _WithoutFields(places))
    return with_source(case, print_ast(_tidy(document)))


class _WithoutFields(Visitor):
    def __init__(self, places: Collection[tuple[int, int]]) -> None:
        super().__init__()
        self.places = places

    def enter_field(self, node: Node, *_: Any) -> Any:
        assert node.loc is not None
        place = get_location(node.loc.source, node.loc.start)
        return REMOVE if (place.line, place.column) in self.places else None


def _count(document: DocumentNode) -> int:
    counter = _Without(-1)
    visit(document, counter)
    return counter.seen


class _Without(Visitor):
    """Removes the part of a number."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number
        self.seen = 0

    def enter(self, node: Node, *_: Any) -> Any:
        if node.kind not in REMOVABLE:
            return None
        self.seen += 1
        return REMOVE if self.seen - 1 == self.number else None


def _tidy(document: DocumentNode) -> DocumentNode:
    """Return the document without the fragments and variables that nothing uses any more."""
    while True:
        spread, used = _Names("fragment_spread"), _Names("variable")
        visit(document, spread)
        for definition in document.definitions:
            for part in ("selection_set", "directives"):
                for node in _nodes(getattr(definition, part, None)):
                    visit(node, used)
        kept = tuple(
            each
            for each in document.definitions
            if each.kind != "fragment_definition" or each.name.value in spread.names  # type: ignore[attr-defined]
        )
        if len(kept) == len(document.definitions):
            break
        document = DocumentNode(definitions=kept)
    definitions = []
    for each in document.definitions:
        if isinstance(each, OperationDefinitionNode):
            variables = tuple(v for v in each.variable_definitions or () if v.variable.name.value in used.names)
            each = OperationDefinitionNode(
                operation=each.operation,
                name=each.name,
                variable_definitions=variables,
                directives=each.directives,
                selection_set=each.selection_set,
            )
        definitions.append(each)
    return DocumentNode(definitions=tuple(definitions))


def _nodes(part: Any) -> list[Any]:
    return list(part) if isinstance(part, list | tuple) else [part] if part is not None else []


class _Names(Visitor):
    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.names: set[str] = set()

    def enter(self, node: Node, *_: Any) -> None:
        if node.kind == self.kind:
            self.names.add(node.name.value)  # type: ignore[attr-defined]


def with_source(case: Case, source: str) -> Case:
    """Return the case with another document; variables that it does not declare are dropped."""
    runs = [
        replace(run, variables={name: value for name, value in run.variables.items() if f"${name}:" in source})
        for run in case.runs
    ]
    return replace(case, source=source, runs=runs)
