"""The arguments of a planned field: coerced once where they are constant, and once up to their variables where not.

graphql-core walks the literals of the document with the types of the schema for each request, 40 us for the input of a
mutation. Variables are coerced before that and put where they stand as they are; so a walk with marks in their place
says what comes where, and a request fills in its values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from graphql import (
    FieldNode,
    GraphQLError,
    GraphQLField,
    VariableNode,
    Visitor,
    get_argument_values,
    visit,
)
from graphql.execution.values import VariableValues, VariableValueSource

from crm_graph.executor.fields import present
from crm_graph.executor.plans import Arguments

_Fill = Callable[[Mapping[str, Any]], Any]


def planned_arguments(
    definition: GraphQLField, node: FieldNode, variables: VariableValues, *, from_source: bool
) -> Arguments:
    """Return the way to a field's coerced arguments. A source is given those that are not null; a resolver is given
    what GraphQL says, in lists and dicts of its own."""
    if not definition.args:
        return lambda _: {}
    given = present if from_source else dict
    names = _variables_of(node)
    if not names:
        constant = given(get_argument_values(definition, node, variables))
        if from_source:
            return lambda _: constant
        fill = _filling(constant, set())
        return lambda _: fill({})

    def whole(values: VariableValues) -> Mapping[str, Any]:
        return given(get_argument_values(definition, node, values))

    template = _template(definition, node, names)
    filled: set[str] = set()
    fill = _filling(None if template is None else given(template), filled)
    if filled != set(names):
        return whole

    def arguments(values: VariableValues) -> Mapping[str, Any]:
        coerced = values.coerced
        for name in names:
            if coerced.get(name) is None:  # absent or null: a default may count, or it is an error
                return whole(values)
        completed: Mapping[str, Any] = fill(coerced)
        return completed

    return arguments


@dataclass(frozen=True, slots=True)
class _Mark:
    """Stands where a variable's value comes."""

    name: str


def _template(definition: GraphQLField, node: FieldNode, names: Sequence[str]) -> dict[str, Any] | None:
    """Return the coerced arguments with marks in the places of variables; None where a variable's value is looked at
    while they are coerced, within JSON."""
    marks: dict[str, Any] = {name: _Mark(name) for name in names}
    sources = {name: VariableValueSource(cast(Any, None), mark) for name, mark in marks.items()}
    try:
        return get_argument_values(definition, node, VariableValues(sources, marks))
    except (GraphQLError, AttributeError, TypeError):
        return None


def _filling(literal: Any, filled: set[str]) -> _Fill:
    """Return what makes coerced arguments anew, with the values of variables in the places of their marks, whose names
    it adds to `filled`."""
    match literal:
        case _Mark(name):
            filled.add(name)
            return lambda values: own(values[name])
        case dict():
            items = [(key, _filling(value, filled)) for key, value in literal.items()]
            return lambda values: {key: fill(values) for key, fill in items}
        case list():
            fills = [_filling(value, filled) for value in literal]
            return lambda values: [fill(values) for fill in fills]
        case _:
            return lambda _: literal


def own(value: Any) -> Any:
    """Return a value whose lists and dicts a function may change."""
    if isinstance(value, list):
        return [own(item) for item in value]
    if isinstance(value, dict):
        return {key: own(item) for key, item in value.items()}
    return value


def _variables_of(node: FieldNode) -> tuple[str, ...]:
    """Return the variables that a field's arguments mention."""
    finder = _FindVariables()
    for argument in node.arguments or ():
        visit(argument, finder)
    return tuple(finder.names)


class _FindVariables(Visitor):
    def __init__(self) -> None:
        super().__init__()
        self.names: dict[str, None] = {}

    def enter_variable(self, node: VariableNode, *_: Any) -> None:
        self.names[node.name.value] = None
