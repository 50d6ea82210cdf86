"""The reference executor: the same schema under graphql-core, each edge through an aiodataloader loader.

It shares with the planner the sources and nothing else: no plan, no generated loop, no batching of its own. It serves
what the planner does not cover, and it is what the planner is compared with.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from inspect import isawaitable
from typing import Any

import orjson
from aiodataloader import DataLoader
from graphql import (
    FieldNode,
    FragmentSpreadNode,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLResolveInfo,
    GraphQLTypeResolver,
    InlineFragmentNode,
    OperationType,
    SelectionSetNode,
    VariableNode,
    default_type_resolver,
    get_named_type,
    is_abstract_type,
    is_leaf_type,
)
from graphql.pyutils import Path

from crm_graph.executor.fields import (
    INHERITED,
    Batch,
    BatchFunction,
    Column,
    Computed,
    Edge,
    FieldKind,
    Nested,
    Planning,
    Resolver,
    Same,
    Shape,
    inherited,
    present,
)
from crm_graph.executor.resolvers import check_batch
from crm_graph.executor.rows import column_key, value_or_raise
from crm_graph.graph.context import GraphContext
from crm_graph.graph.schema.build import BuiltSchema

ROOT_KEY = ""
"""The one key of a root edge: aiodataloader takes no None."""


@dataclass(frozen=True, slots=True)
class ReferenceRow:
    """A fetched row with its shape and the renames of the embedded object that it is read as."""

    type_name: str
    shape: Shape
    values: Sequence[Any]
    rename: Mapping[str, str]
    above: Mapping[str, Any] = field(default_factory=dict)
    """What the sources below it inherit."""

    def get(self, key: str) -> Any:
        """Return the value of a column."""
        return value_or_raise(self.values[self.shape.columns[self.rename.get(key, key)]])

    def __getattr__(self, name: str) -> Any:
        """Return a column by its Python name, as a `RowView` does."""
        key = column_key(name)
        if self.rename.get(key, key) not in self.shape.columns:
            raise AttributeError(f"{self.type_name} rows have no {name}")
        return self.get(key)


def attach_reference(schema: BuiltSchema) -> None:
    """Give every bound field of the schema a graphql-core resolver made from its kind."""
    reference = Reference(schema)
    for (type_name, field_name), kind in schema.bindings.kinds.items():
        type_ = schema.core.type_map.get(type_name)
        if not isinstance(kind, Resolver) and isinstance(type_, GraphQLObjectType):
            type_.fields[field_name].resolve = reference.resolver(type_name, kind)
    for type_ in schema.core.type_map.values():
        if isinstance(type_, GraphQLInterfaceType):
            if not isinstance(type_.resolve_type, _RowTypes):
                type_.resolve_type = _RowTypes(type_.resolve_type or default_type_resolver)
        elif type_.name in schema.registry.records:
            assert isinstance(type_, GraphQLObjectType)
            type_.is_type_of = None  # records are rows, and no objects of their class


@dataclass(frozen=True, slots=True)
class _RowTypes:
    """A type resolver that also knows rows."""

    otherwise: GraphQLTypeResolver

    def __call__(self, value: Any, info: GraphQLResolveInfo[Any], type_: Any) -> Any:
        return value.type_name if isinstance(value, ReferenceRow) else self.otherwise(value, info, type_)


class Reference:
    """Makes graphql-core resolvers from kinds."""

    def __init__(self, schema: BuiltSchema) -> None:
        self.schema = schema

    def resolver(self, type_name: str, kind: FieldKind) -> Any:
        """Return the resolver of a field."""
        match kind:
            case Column(key, prefix):
                return lambda row, _info: _prefixed(prefix, _read(row, key))
            case Computed(needs, compute):
                return lambda row, _info: compute(*(_read(row, key) for key in needs))
            case Same(rename, unless_null):
                return lambda row, info: self._same(row, info, rename, unless_null)
            case Nested(key):
                return lambda row, info: self._nested(row, info, key)
            case Edge(source, key):

                async def load(row: Any, info: GraphQLResolveInfo[Any], **arguments: Any) -> Any:
                    key_value = ROOT_KEY if key is None else _read(row, key)
                    if key_value is None:
                        return None
                    given = inherited(present(arguments), row.above if isinstance(row, ReferenceRow) else {})
                    loader = self._loader(info, source, given, is_root=key is None)
                    # Other fields wait for the same record: this one may be given up, and must not take it with it.
                    return await asyncio.shield(loader.load(key_value))

                return load
            case Batch(_, function):

                async def load_batch(parent: Any, info: GraphQLResolveInfo[Any], **arguments: Any) -> Any:
                    value = await self._batch_loader(info, function, arguments).load(parent)
                    return await value if isawaitable(value) else value

                return load_batch
            case _:
                raise AssertionError(f"{type_name}: {kind} needs no reference resolver")

    def _same(self, row: Any, info: GraphQLResolveInfo[Any], rename: Mapping[str, str], unless_null: str | None) -> Any:
        if unless_null is not None and row.get(unless_null) is None:
            return None
        name = get_named_type(info.return_type).name
        composed = {key: row.rename.get(of, of) for key, of in rename.items()}
        return ReferenceRow(name, row.shape, row.values, {**row.rename, **composed}, row.above)

    def _nested(self, row: ReferenceRow, info: GraphQLResolveInfo[Any], key: str) -> Any:
        name = get_named_type(info.return_type).name
        shape = row.shape.nested[row.rename.get(key, key)]
        return [ReferenceRow(name, shape, values, {}, row.above) for values in row.get(key)]

    def _loader(
        self, info: GraphQLResolveInfo[Any], source: Any, arguments: Mapping[str, Any], *, is_root: bool
    ) -> DataLoader[Any, Any]:
        """Return the request's loader for this edge at this place of the document with these arguments.

        All merged nodes name the place: a fragment's node is merged with other selections wherever it is spread. Each
        mutation has loaders of its own, since the one before it can have changed what they would remember.
        """
        context: GraphContext = info.context
        key = _place(info, arguments)
        loader = context.loaders.get(key)
        if loader is None:
            loader = context.loaders[key] = DataLoader(self._batch(info, source, arguments, is_root=is_root))
        return loader

    def _batch_loader(
        self, info: GraphQLResolveInfo[Any], function: BatchFunction, arguments: Mapping[str, Any]
    ) -> DataLoader[Any, Any]:
        """Return the request's loader for this batch field at this place; its keys are the parents, however often."""
        context: GraphContext = info.context
        coordinate = f"{info.parent_type.name}.{info.field_name}"

        async def batch(parents: list[Any]) -> list[Any]:
            returned = function(parents, arguments, context)
            values = await returned if isawaitable(returned) else returned
            check_batch(coordinate, values, parents)
            return list(values)

        key = _place(info, arguments)
        loader = context.loaders.get(key)
        if loader is None:
            loader = context.loaders[key] = DataLoader(batch, cache=False, get_cache_key=id)
        return loader

    def _batch(self, info: GraphQLResolveInfo[Any], source: Any, arguments: Mapping[str, Any], *, is_root: bool) -> Any:
        context: GraphContext = info.context
        shapes = self._shapes(info)
        planning: Planning = context.extras.setdefault("reference_planning", Planning(context.access))
        fetch = source.plan(shapes, planning)
        named = get_named_type(info.return_type)
        above = {INHERITED: arguments[INHERITED]} if INHERITED in arguments else {}

        def wrap(value: Any) -> Any:
            if value is None or is_leaf_type(named) or isinstance(value, Exception):
                return value
            if isinstance(value, list):
                return [wrap(item) for item in value]
            name, row = value if is_abstract_type(named) else (named.name, value)
            return ReferenceRow(name, shapes[name], row, {}, above)

        async def batch(keys: list[Any]) -> list[Any]:
            values = await fetch(context, [None] if is_root else keys, arguments)
            return [wrap(value) for value in values]

        return batch

    def _shapes(self, info: GraphQLResolveInfo[Any]) -> dict[str, Shape]:
        """Return the shapes of what this field yields, by walking its selections once more."""
        named = get_named_type(info.return_type)
        if is_leaf_type(named):
            return {}
        types = self.schema.core.get_possible_types(named) if is_abstract_type(named) else [named]
        shapes = {type_.name: Shape() for type_ in types}
        for name, shape in shapes.items():
            for node in info.field_nodes:
                if node.selection_set is not None:
                    self._collect(info, name, node.selection_set, shape, {})
        return shapes

    def _collect(
        self,
        info: GraphQLResolveInfo[Any],
        type_name: str,
        selections: SelectionSetNode,
        shape: Shape,
        rename: Mapping[str, str],
    ) -> None:
        for node in _fields(info, self.schema, type_name, selections):
            name = node.name.value
            if name == "__typename":
                continue
            kind = self.schema.bindings.kind(type_name, name)
            definition: GraphQLField = self.schema.core.type_map[type_name].fields[name]  # type: ignore[attr-defined]
            inner = get_named_type(definition.type).name
            match kind:
                case Column(key) | Edge(_, key) if key is not None:
                    shape.need(rename.get(key, key))
                case Computed(needs) | Batch(needs) | Resolver(needs):
                    for key in needs:
                        shape.need(rename.get(key, key))
                case Same(inner_rename, unless_null):
                    if unless_null is not None:
                        shape.need(rename.get(unless_null, unless_null))
                    assert node.selection_set is not None
                    composed = {key: rename.get(of, of) for key, of in inner_rename.items()}
                    self._collect(info, inner, node.selection_set, shape, {**rename, **composed})
                case Nested(key):
                    assert node.selection_set is not None
                    self._collect(info, inner, node.selection_set, shape.nest(rename.get(key, key)), {})
                case _:
                    pass


def _place(info: GraphQLResolveInfo[Any], arguments: Mapping[str, Any]) -> tuple[Any, ...]:
    nodes = tuple(id(node) for node in info.field_nodes)
    mutation = _root_key(info.path) if info.operation.operation is OperationType.MUTATION else ""
    return "edge", nodes, mutation, info.parent_type.name, orjson.dumps(arguments, default=str)


def _root_key(path: Path) -> str | int:
    while path.prev is not None:
        path = path.prev
    return path.key


def _fields(
    info: GraphQLResolveInfo[Any], schema: BuiltSchema, type_name: str, selections: SelectionSetNode
) -> Iterable[FieldNode]:
    for node in selections.selections:
        if not _included(node, info.variable_values):
            continue
        if isinstance(node, FieldNode):
            yield node
        elif isinstance(node, FragmentSpreadNode):
            fragment = info.fragments[node.name.value]
            if _applies(schema, fragment.type_condition.name.value, type_name):
                yield from _fields(info, schema, type_name, fragment.selection_set)
        elif isinstance(node, InlineFragmentNode):
            condition = node.type_condition
            if condition is None or _applies(schema, condition.name.value, type_name):
                yield from _fields(info, schema, type_name, node.selection_set)


def _included(node: Any, variables: Any) -> bool:
    """Return whether `@skip` and `@include` keep a node; Strawberry's info holds the variables as a plain dict."""
    for directive in node.directives or ():
        if directive.name.value in {"skip", "include"}:
            value = directive.arguments[0].value
            condition = variables.get(value.name.value) if isinstance(value, VariableNode) else value.value
            if bool(condition) == (directive.name.value == "skip"):
                return False
    return True


def _applies(schema: BuiltSchema, condition: str, type_name: str) -> bool:
    if condition == type_name:
        return True
    type_ = schema.core.type_map.get(condition)
    return is_abstract_type(type_) and schema.core.is_sub_type(type_, schema.core.type_map[type_name])


def _read(row: Any, key: str) -> Any:
    return row.get(key) if isinstance(row, ReferenceRow) else getattr(row, key)


def _prefixed(prefix: str, value: Any) -> Any:
    return f"{prefix}{value}" if prefix and value is not None else value
