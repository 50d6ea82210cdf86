"""Which coordinates of the schema an answer shows to have been executed: fields, their arguments, input fields."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLNamedType,
    GraphQLSchema,
    InlineFragmentNode,
    ListValueNode,
    NamedTypeNode,
    ObjectValueNode,
    SelectionSetNode,
    ValueNode,
    VariableNode,
    get_named_type,
)
from graphql.utilities import value_from_ast_untyped

from crm_graph.graph.running.execution import Operation


def coordinates(schema: GraphQLSchema) -> set[str]:
    """Return every coordinate that a query or mutation can use."""
    roots = [schema.query_type, schema.mutation_type]
    found: set[str] = set()
    seen: set[str] = set()
    waiting: list[Any] = [root for root in roots if root is not None]
    while waiting:
        type_ = waiting.pop()
        if type_.name in seen:
            continue
        seen.add(type_.name)
        waiting += schema.get_possible_types(type_) if type_ in schema.type_map.values() and _abstract(type_) else []
        if isinstance(type_, GraphQLEnumType):
            found |= {f"{type_.name}.{name}" for name in type_.values}
        for name, each in getattr(type_, "fields", {}).items():
            found.add(f"{type_.name}.{name}")
            waiting.append(get_named_type(each.type))
            for argument, definition in getattr(each, "args", {}).items():
                found.add(f"{type_.name}.{name}({argument}:)")
                waiting.append(get_named_type(definition.type))
    return found - _output_enum_values(schema)


def _abstract(type_: Any) -> bool:
    return hasattr(type_, "resolve_type")


def _output_enum_values(schema: GraphQLSchema) -> set[str]:
    """Return the values of enums that no input takes: which of them is answered is the data's business."""
    taken = {
        get_named_type(each.type).name
        for type_ in schema.type_map.values()
        if isinstance(type_, GraphQLInputObjectType)
        for each in type_.fields.values()
    }
    enums = [each for each in schema.type_map.values() if isinstance(each, GraphQLEnumType) and each.name not in taken]
    return {f"{each.name}.{name}" for each in enums for name in each.values}


def executed(
    schema: GraphQLSchema, operation: Operation, variables: Mapping[str, Any], data: Any, *, certain: bool = False
) -> set[str]:
    """Return the coordinates whose response keys the data of an answer holds.

    Where a place is abstract its fragments are taken to apply to all of its objects that have their keys; with
    `certain` they are left out.
    """
    root = schema.get_root_type(operation.definition.operation)
    assert root is not None
    defaults = {
        each.variable.name.value: value_from_ast_untyped(each.default_value)
        for each in operation.definition.variable_definitions or ()
        if each.default_value is not None
    }
    walk = _Walk(schema, operation.fragments, {**defaults, **variables}, certain)
    walk.selections(root, root, operation.definition.selection_set, [data] if data else [])
    return walk.found


class _Walk:
    def __init__(
        self,
        schema: GraphQLSchema,
        fragments: Mapping[str, FragmentDefinitionNode],
        variables: Mapping[str, Any],
        certain: bool,
    ) -> None:
        self.schema = schema
        self.fragments = fragments
        self.variables = variables
        self.certain = certain
        self.found: set[str] = set()

    def selections(self, place: Any, type_: Any, selections: SelectionSetNode, objects: list[Any]) -> None:
        """Walk selections on a type, at a place of a type (that of the field) where these objects were answered."""
        if not objects or (self.certain and _abstract(place)):
            return
        for node in selections.selections:
            if isinstance(node, FieldNode):
                self._field(type_, node, objects)
                continue
            on: NamedTypeNode | None
            if isinstance(node, FragmentSpreadNode):
                fragment = self.fragments[node.name.value]
                on, inner = fragment.type_condition, fragment.selection_set
            else:
                assert isinstance(node, InlineFragmentNode)
                on, inner = node.type_condition, node.selection_set
            condition: Any = self.schema.type_map[on.name.value] if on is not None else type_
            if _abstract(place) or _abstract(condition) or condition is place:
                self.selections(place, condition, inner, objects)

    def _field(self, type_: Any, node: FieldNode, objects: list[Any]) -> None:
        key = node.alias.value if node.alias else node.name.value
        values = [each[key] for each in objects if key in each]
        name = node.name.value
        if not values or name.startswith("__"):
            return
        self.found.add(f"{type_.name}.{name}")
        definition = type_.fields[name]
        for argument in node.arguments or ():
            self.found.add(f"{type_.name}.{name}({argument.name.value}:)")
            self._literal(get_named_type(definition.args[argument.name.value].type), argument.value)
        if node.selection_set is not None:
            inner = [each for each in _flat(values) if isinstance(each, dict)]
            of = get_named_type(definition.type)
            self.selections(of, of, node.selection_set, inner)

    def _literal(self, type_: GraphQLNamedType, value: ValueNode) -> None:
        if isinstance(value, VariableNode):
            self._value(type_, self.variables.get(value.name.value))
        elif isinstance(value, ListValueNode):
            for item in value.values:
                self._literal(type_, item)
        elif isinstance(value, ObjectValueNode) and isinstance(type_, GraphQLInputObjectType):
            for each in value.fields:
                name = each.name.value
                self.found.add(f"{type_.name}.{name}")
                self._literal(get_named_type(type_.fields[name].type), each.value)
        elif isinstance(type_, GraphQLEnumType):
            self._value(type_, value_from_ast_untyped(value))

    def _value(self, type_: GraphQLNamedType, value: Any) -> None:
        if isinstance(value, list):
            for item in value:
                self._value(type_, item)
        elif isinstance(value, dict) and isinstance(type_, GraphQLInputObjectType):
            for name, item in value.items():
                self.found.add(f"{type_.name}.{name}")
                self._value(get_named_type(type_.fields[name].type), item)
        elif isinstance(type_, GraphQLEnumType) and value is not None:
            self.found.add(f"{type_.name}.{value}")


def _flat(values: Any) -> Iterator[Any]:
    for value in values:
        if isinstance(value, list):
            yield from _flat(value)
        else:
            yield value
