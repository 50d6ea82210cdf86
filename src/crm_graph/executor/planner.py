"""Compiles the selection of an operation to a `Plan`: which rows, which columns, which edges, in which shape.

Planning happens once per document, operation, permission fingerprint and outcome of `@skip`/`@include`; see `engine.py`
for the cache. Nothing here runs per row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from operator import attrgetter, itemgetter
from typing import Any

from graphql import (
    FragmentDefinitionNode,
    GraphQLField,
    GraphQLObjectType,
    GraphQLSchema,
    OperationDefinitionNode,
    SchemaMetaFieldDef,
    TypeMetaFieldDef,
    default_field_resolver,
    get_named_type,
    is_abstract_type,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
)
from graphql.execution.collect_fields import FieldDetails, FragmentDetails, collect_fields, collect_subfields
from graphql.execution.values import VariableValues

from crm_graph.executor.arguments import planned_arguments
from crm_graph.executor.builders import Call, Constant, Inline, Read, Way, compile_build
from crm_graph.executor.fields import (
    BEYOND,
    Batch,
    Bindings,
    Column,
    Computed,
    Edge,
    Fetch,
    Nested,
    Planning,
    Resolver,
    Same,
    Shape,
)
from crm_graph.executor.plans import ObjectPlan, Plan, PlannedEdge, PlannedField
from crm_graph.executor.resolvers import batch_fetch, guarded, resolver_fetch, viewed, where_present

Selections = Mapping[str, list[FieldDetails]]
Rename = Callable[[str], str]
KeyReader = Callable[[Any], Any]


class Unplanned(Exception):
    """Raised when a selection needs the reference executor: introspection, or a resolver that returns a record."""


Introspect = Callable[[PlannedField, OperationDefinitionNode, Mapping[str, FragmentDefinitionNode]], Fetch]
"""Returns the fetch of `__schema` or `__type`, for a root object; it gives the response value as it is."""

INTROSPECTION = {"__schema": SchemaMetaFieldDef, "__type": TypeMetaFieldDef}


class Planner:
    """Plans one operation."""

    def __init__(
        self,
        schema: GraphQLSchema,
        bindings: Bindings,
        planning: Planning,
        operation: OperationDefinitionNode,
        fragments: Mapping[str, FragmentDefinitionNode],
        variables: VariableValues,
        introspect: Introspect | None = None,
    ) -> None:
        self.introspect = introspect
        self.schema = schema
        self.bindings = bindings
        self.planning = planning
        self.operation = operation
        self.definitions = fragments
        self.fragments = {name: FragmentDetails(node) for name, node in fragments.items()}
        self.variables = variables

    def plan(self) -> Plan:
        """Return the plan. Raises Unplanned, and whatever a source refuses (a filter on a hidden field)."""
        root_type = self.schema.get_root_type(self.operation.operation)
        assert root_type is not None
        collected = collect_fields(self.schema, self.fragments, self.variables, root_type, self.operation)
        root = self._object(root_type, collected.grouped_field_set, shape=None)
        planning = self.planning
        return Plan(self.operation, root, tuple(sorted(planning.withheld)), tuple(sorted(planning.audited)))

    def _object(self, type_: GraphQLObjectType, selections: Selections, shape: Shape | None) -> ObjectPlan:
        plan = ObjectPlan(type_, shape)
        compile_build(plan, self._selection(plan, selections, _as_it_is))
        return plan

    def _selection(
        self, parent: ObjectPlan, selections: Selections, rename: Rename
    ) -> Sequence[tuple[PlannedField, Way]]:
        """Return how to have each field. One that the type has not, in a document not validated, is left out."""
        return [
            self._field(parent, key, details, rename)
            for key, details in selections.items()
            if (name := details[0].node.name.value) in parent.type.fields or name.startswith("__")
        ]

    def _field(
        self, parent: ObjectPlan, response_key: str, details: list[FieldDetails], rename: Rename
    ) -> tuple[PlannedField, Way]:
        nodes = [detail.node for detail in details]
        name = nodes[0].name.value
        type_ = parent.type
        if name == "__typename":
            definition = GraphQLField(self.schema.type_map["String"])  # type: ignore[arg-type]
            return PlannedField(response_key, type_, name, definition, nodes), Constant(type_.name)
        if name.startswith("__"):
            return self._introspection(PlannedField(response_key, type_, name, _introspection_field(name), nodes))
        planned = PlannedField(response_key, type_, name, type_.fields[name], nodes)
        kind = self.bindings.kind(type_.name, name)
        if parent.shape is None:
            return planned, self._plain_way(planned, details, kind)
        return planned, self._row_way(parent.shape, planned, details, kind, rename)

    def _introspection(self, planned: PlannedField) -> tuple[PlannedField, Way]:
        if self.introspect is None or planned.parent is not self.schema.query_type:
            raise Unplanned("introspection")
        fetch = self.introspect(planned, self.operation, self.definitions)
        return planned, self._edge(planned, None, fetch, per_row=True)

    def _row_way(
        self,
        shape: Shape,
        planned: PlannedField,
        details: list[FieldDetails],
        kind: Any,
        rename: Rename,
    ) -> Way:
        """Return how to have a field of a fetched row."""

        def need(key: str) -> int:
            return shape.need(rename(key))

        match kind:
            case Column(key, prefix) if prefix and not is_non_null_type(planned.definition.type):
                return Call(lambda _run, value: None if value is None else prefix + value, (need(key),))
            case Column(key, prefix, nullable):
                nullable = nullable or self.planning.hides(planned.parent.name, planned.name)
                return Read(need(key), prefix, _must(planned) if nullable else None)
            case Computed(needs, compute):
                return Call(guarded(planned, compute), tuple(need(key) for key in needs))
            case Same(inner_rename, unless_null):
                null_at = None if unless_null is None else need(unless_null)
                return self._inline(shape, planned, details, lambda key: rename(inner_rename.get(key, key)), null_at)
            case Nested(key):
                nested = shape.nest(rename(key))
                planned.objects = self._objects(planned, details, lambda _: nested)
                return self._edge(planned, itemgetter(need(key)))
            case Edge(_, str(key), carried=True) if not self._calls_functions(planned, details) and shape.may_carry(
                rename(key)
            ):
                beyond = f"{rename(key)}{BEYOND}"
                return self._inline(shape, planned, details, lambda key: beyond + key, shape.need(beyond))
            case Edge(_, key):
                edge = self._source_edge(planned, details, kind, None if key is None else itemgetter(need(key)))
                edge.needs_key = edge.non_null and key is not None and BEYOND not in rename(key)
                return edge
            case Resolver(needs) | Batch(needs):
                called = self._called(planned, details, kind)
                return self._called_edge(
                    planned, viewed(called, planned.parent.name, {key: need(key) for key in needs})
                )
            case _:
                called = self._called(planned, details, Resolver())
                return self._called_edge(planned, viewed(called, planned.parent.name, {}))

    def _inline(
        self, shape: Shape, planned: PlannedField, details: list[FieldDetails], rename: Rename, null_at: int | None
    ) -> Inline:
        """Return how to have an object whose fields lie in the row."""
        inner = ObjectPlan(_object_type(planned), shape)
        selection = self._selection(inner, self._subfields(inner.type, details), rename)
        inner.fields = [field for field, _ in selection]
        planned.objects = {inner.type.name: inner}
        if null_at is None:
            return Inline(selection, None)
        return Inline(where_present(selection, null_at), null_at, _must(planned))

    def _calls_functions(self, planned: PlannedField, details: list[FieldDetails]) -> bool:
        """Return whether functions are to be called for an object: once for each, not for each row that carries it."""
        type_ = _object_type(planned)
        names = {subfields[0].node.name.value for subfields in self._subfields(type_, details).values()}
        kinds = [self.bindings.kind(type_.name, name) for name in names if not name.startswith("__")]
        return any(kind is None or isinstance(kind, Resolver | Batch) for kind in kinds)

    def _plain_way(self, planned: PlannedField, details: list[FieldDetails], kind: Any) -> Way:
        """Return how to have a field of a root or of a plain object."""
        if planned.parent is self.schema.subscription_type:
            planned.objects = self._objects(planned, details, lambda _: None)
            return self._edge(planned, lambda event: event)
        match kind:
            case Edge(_, key):
                return self._source_edge(planned, details, kind, None if key is None else attrgetter(key))
            case Resolver() | Batch():
                return self._called_edge(planned, self._called(planned, details, kind))
            case None:
                field = planned.definition.extensions.get("strawberry-definition")
                if field is None or is_abstract_type(get_named_type(planned.definition.type)):
                    return self._called_edge(planned, self._called(planned, details, Resolver()))
                planned.objects = self._objects(planned, details, lambda _: None)
                return self._edge(planned, attrgetter(field.python_name))
            case _:
                raise Unplanned(f"{planned.coordinate} is read from fetched rows only")

    def _called(self, planned: PlannedField, details: list[FieldDetails], kind: Resolver | Batch) -> Fetch:
        """Return the fetch of a field that a function answers: what it returns are plain objects."""
        planned.objects = self._objects(planned, details, lambda _: None)
        if isinstance(kind, Batch):
            return batch_fetch(planned, self.schema, self.operation, self.definitions, kind.function)
        resolve = planned.definition.resolve or default_field_resolver
        return resolver_fetch(planned, self.schema, self.operation, self.definitions, resolve)

    def _called_edge(self, planned: PlannedField, fetch: Fetch) -> PlannedEdge:
        return self._edge(planned, lambda row: row, fetch, per_row=True)

    def _source_edge(
        self, planned: PlannedField, details: list[FieldDetails], edge: Edge, read_key: KeyReader | None
    ) -> PlannedEdge:
        shapes: dict[str, Shape] = {}
        carries = getattr(edge.source, "carries", False)
        planned.objects = self._objects(planned, details, lambda name: shapes.setdefault(name, Shape(carries=carries)))
        return self._edge(planned, read_key, edge.source.plan(shapes, self.planning))

    def _subfields(self, type_: GraphQLObjectType, details: list[FieldDetails]) -> Selections:
        collected = collect_subfields(self.schema, self.fragments, self.variables, self.operation, type_, details)
        return collected.grouped_field_set

    def _objects(
        self, planned: PlannedField, details: list[FieldDetails], shape_for: Callable[[str], Shape | None]
    ) -> Mapping[str, ObjectPlan]:
        named = get_named_type(planned.definition.type)
        if is_leaf_type(named):
            return {}
        types = self.schema.get_possible_types(named) if is_abstract_type(named) else [_object_type(planned)]
        return {
            type_.name: self._object(type_, self._subfields(type_, details), shape_for(type_.name)) for type_ in types
        }

    def _edge(
        self, planned: PlannedField, read_key: KeyReader | None, fetch: Fetch | None = None, *, per_row: bool = False
    ) -> PlannedEdge:
        type_: Any = planned.definition.type
        non_null = [is_non_null_type(type_)]
        type_ = type_.of_type if non_null[0] else type_
        while is_list_type(type_):
            type_ = type_.of_type
            non_null.append(is_non_null_type(type_))
            type_ = type_.of_type if non_null[-1] else type_
        from_source = fetch is not None and not per_row
        depth = len(non_null) - 1
        edge = PlannedEdge(
            planned,
            read_key,
            fetch,
            per_row,
            planned_arguments(planned.definition, planned.nodes[0], self.variables, from_source=from_source),
            depth,
            is_abstract_type(type_),
            non_null[0],
            depth > 0 and non_null[-1],
            type_.coerce_output_value if is_leaf_type(type_) and not from_source else None,
            needs_key=non_null[0],
        )
        for level in range(depth - 1, 0, -1):
            edge.inner = replace(edge, list_depth=depth - level, non_null=non_null[level])
        return edge


def _as_it_is(key: str) -> str:
    return key


def _introspection_field(name: str) -> GraphQLField:
    if name not in INTROSPECTION:
        raise Unplanned(f"{name} is no field of a root")
    return INTROSPECTION[name]


def _must(planned: PlannedField) -> PlannedField | None:
    """Return the field if it must not be null."""
    return planned if is_non_null_type(planned.definition.type) else None


def _object_type(planned: PlannedField) -> GraphQLObjectType:
    named = get_named_type(planned.definition.type)
    assert isinstance(named, GraphQLObjectType)
    return named
