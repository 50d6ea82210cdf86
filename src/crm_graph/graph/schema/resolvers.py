"""The resolvers of root fields as they are called: what Strawberry finds out for every request is found once.

Strawberry asks each value of an input for its type, its field's name and its definition anew, a quarter of what a stage
move takes here; what it makes of them is kept: instances of the input classes, with `Some` around what is `Maybe`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING
from functools import cache
from typing import Any

import strawberry
from graphql import GraphQLField, GraphQLSchema
from strawberry.schema.compat import is_scalar
from strawberry.schema.config import StrawberryConfig
from strawberry.types.arguments import convert_argument
from strawberry.types.base import (
    StrawberryList,
    StrawberryMaybe,
    StrawberryObjectDefinition,
    StrawberryOptional,
    get_object_definition,
    has_object_definition,
)
from strawberry.types.enum import StrawberryEnumDefinition, has_enum_definition
from strawberry.types.field import StrawberryField

from crm_graph.graph.context import Info

Convert = Callable[[Any], Any]


def compile_resolvers(schema: strawberry.Schema, core: GraphQLSchema) -> None:
    """Give the root fields that have a resolver of their own, and nothing else around it, a short way to it."""
    inputs = _Inputs(schema.config, schema.schema_converter.scalar_registry)
    for type_ in (core.query_type, core.mutation_type):
        for definition in type_.fields.values() if type_ is not None else ():
            field = definition.extensions.get("strawberry-definition")
            if isinstance(field, StrawberryField) and field.base_resolver is not None and not field.extensions:
                definition.resolve = _resolver(definition, field, inputs)


def _resolver(definition: GraphQLField, field: StrawberryField, inputs: _Inputs) -> Callable[..., Any]:
    resolver = field.base_resolver
    assert resolver is not None
    assert resolver.parent_parameter is None, definition
    assert resolver.root_parameter is None, definition
    by_name = {inputs.name_of(argument): argument for argument in field.arguments}
    arguments = {name: (each.python_name, inputs.converter(each.type)) for name, each in by_name.items()}
    asks_self = resolver.self_parameter is not None
    info_name = None if resolver.info_parameter is None else resolver.info_parameter.name

    def resolve(source: Any, raw_info: Any, **given: Any) -> Any:
        converted: dict[str, Any] = {}
        for name, value in given.items():
            python_name, convert = arguments[name]
            converted[python_name] = value if convert is None else convert(value)
        if info_name is not None:
            converted[info_name] = Info(_raw_info=raw_info, _field=field)
        return resolver(source, **converted) if asks_self else resolver(**converted)

    return resolve


class _Inputs:
    """Finds how values become what resolvers are given, as Strawberry's `convert_argument` does it."""

    def __init__(self, config: StrawberryConfig, scalars: Mapping[Any, Any]) -> None:
        self._config, self._scalars = config, scalars
        self._builds: dict[int, Convert] = {}

    def name_of(self, argument: Any) -> str:
        """Return the name of an argument in GraphQL."""
        return self._config.name_converter.from_argument(argument)

    def converter(self, type_: Any) -> Convert | None:
        """Return how values of a type convert; None where they stay as they are."""
        if isinstance(type_, StrawberryMaybe):
            return self._maybe(type_)
        if isinstance(type_, StrawberryOptional):
            return self.converter(type_.of_type)
        if isinstance(type_, StrawberryList):
            return self._list(type_)
        if is_scalar(type_, self._scalars) or isinstance(type_, StrawberryEnumDefinition) or has_enum_definition(type_):
            return None
        if has_object_definition(type_):
            return self._object(type_)
        return lambda value: convert_argument(value, type_, self._scalars, self._config)

    def _maybe(self, type_: StrawberryMaybe) -> Convert:
        inner, nullable = self.converter(type_.of_type), isinstance(type_.of_type, StrawberryOptional)

        def convert(value: Any) -> Any:
            if value is None and not nullable:  # raises, in Strawberry's words
                return convert_argument(value, type_, self._scalars, self._config)
            return strawberry.Some(value if inner is None else inner(value))

        return convert

    def _list(self, type_: StrawberryList) -> Convert:
        inner = self.converter(type_.of_type)
        if inner is None:
            return lambda value: None if value is None else list(value)
        return lambda value: None if value is None else [inner(item) for item in value]

    def _object(self, type_: Any) -> Convert:
        """Return how the values of an input become an instance. Its fields are looked at when the first is made: types
        may name each other."""
        definition: StrawberryObjectDefinition = get_object_definition(type_, strict=True)
        found = self._builds.get(id(definition))
        if found is None:

            @cache
            def fields() -> tuple[dict[str, Any], list[tuple[str, str, Convert | None]]]:
                absent = {
                    each.python_name: None
                    for each in definition.fields
                    if each.default_value is MISSING and each.default_factory is MISSING
                }
                return absent, [
                    (
                        self._config.name_converter.from_field(each),
                        each.python_name,
                        self.converter(each.resolve_type(type_definition=definition)),
                    )
                    for each in definition.fields
                ]

            def build(value: Any) -> Any:
                if value is None:
                    return None
                absent, known = fields()
                given = dict(absent)
                for name, python_name, convert in known:
                    if name in value:
                        held = value[name]
                        given[python_name] = held if convert is None else convert(held)
                return type_(**given)

            found = self._builds[id(definition)] = build
        return found
