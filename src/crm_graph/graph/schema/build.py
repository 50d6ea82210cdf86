"""Builds the schema from the explicit list of slices: extensions applied, inputs derived, fields bound."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar, cast

import strawberry
from graphql import GraphQLNonNull, GraphQLObjectType, GraphQLSchema, get_nullable_type
from strawberry.annotation import StrawberryAnnotation
from strawberry.schema.config import StrawberryConfig
from strawberry.types.arguments import StrawberryArgument
from strawberry.types.field import StrawberryField

from crm_graph.db.personal import personal_columns
from crm_graph.events.effects import DomainEvent, Effects
from crm_graph.graph.idempotency.asked import IDEMPOTENT, KEYLESS
from crm_graph.graph.reading.page_requests import PageLimits
from crm_graph.graph.reading.sizes import guard_sizes, tell_sizes
from crm_graph.graph.records import roots
from crm_graph.graph.records.belonging import paths_to
from crm_graph.graph.records.record import (
    Extension,
    RootSpec,
    WatchSpec,
    apply_extension,
    extend_rows,
    record_of,
    spec_of,
)
from crm_graph.graph.records.registry import Registry
from crm_graph.graph.records.scalars import SCALARS, tighten_builtin_scalars
from crm_graph.graph.schema.bind import SchemaBindings, bind
from crm_graph.graph.schema.derive import (
    aggregate_arguments,
    as_of_arguments,
    connection_arguments,
    derive,
    derived_annotation,
    keeping_arguments,
    say_uses,
    watch_arguments,
)
from crm_graph.graph.schema.resolvers import compile_resolvers
from crm_graph.graph.writes import bind_writes
from crm_graph.keeping import erased_event, events_of
from crm_graph.permissions.compiler import AccessCompiler
from crm_graph.permissions.definitions import Vocabulary
from crm_graph.permissions.policy import Policy
from crm_graph.work import TimerHandler, Work

_QUERY = (
    "What can be asked. An argument that is null is an absent one, everywhere. Within a filter null is refused, since a"
    " condition that was dropped would match too much: `isNull` asks for what has no value."
)
_MUTATION = (
    "What can be changed. Each field commits by itself, in the order of the document, and is null when it is refused at"
    " the top level (`errors`); those before it are done, and answered. In the input of an update null clears a value"
    " and an absent one stays; `ifVersion: null` is an absent one. Sent under an `Idempotency-Key`, or with"
    " `@idempotent(key:)` at a field, it is done once, however often it is sent."
)


@dataclass(frozen=True, slots=True)
class Slice:
    """What a slice contributes to the schema. `queries`, `mutations` and `subscriptions` are classes whose fields are
    added to the root types; `events` lists the event classes that its operations record."""

    name: str
    records: Sequence[type] = ()
    queries: Sequence[type] = ()
    mutations: Sequence[type] = ()
    subscriptions: Sequence[type] = ()
    extensions: Sequence[Extension] = ()
    of_rows: type | None = None
    """Fields that every record has whose table keeps who wrote a row, beside where members lie."""
    events: Sequence[type[DomainEvent]] = ()
    policies: Sequence[Policy] = ()
    """The policies of types that are no records."""
    timers: Mapping[str, TimerHandler] = field(default_factory=dict)
    """What is done when a timer is due, by its kind."""
    traces: Sequence[Callable[[Work], Awaitable[None]]] = ()
    """What forgets what the slice has stored of answers, when a person of the workspace is erased: it may show them."""
    public: Sequence[str] = ()
    """The root fields that need no credential, by GraphQL name: signing in. Their types hold plain values only."""
    keyless: Sequence[str] = ()
    """The mutations that are not done under an idempotency key, by GraphQL name, beside public ones: they are given
    passwords and codes, of which not even a fingerprint is kept, and prove by them that it is time to do it."""


_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class BuiltSchema:
    """A schema ready to be executed."""

    strawberry: strawberry.Schema
    core: GraphQLSchema
    registry: Registry
    bindings: SchemaBindings
    policies: tuple[Policy, ...]
    vocabulary: Vocabulary
    slices: tuple[Slice, ...] = field(default_factory=tuple)
    _derived: dict[Callable[[BuiltSchema], Any], Any] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def once(self, derive: Callable[[BuiltSchema], _T]) -> _T:
        """Return what a function derives from this schema: it is called the first time, as a built schema does not
        change, and its result lives as long as the schema."""
        if derive not in self._derived:
            self._derived[derive] = derive(self)
        return cast(_T, self._derived[derive])

    def compiler(self) -> AccessCompiler:
        """Return what compiles the access of viewers to this schema. Whoever acts as a member has it from here, so that
        every door opens on the same."""
        return AccessCompiler(self.policies, self.vocabulary.inherent)

    @property
    def public(self) -> frozenset[str]:
        """The root fields that need no credential."""
        return frozenset(name for each in self.slices for name in each.public)

    @property
    def keyless(self) -> frozenset[str]:
        """The fields of Mutation that are not done under an idempotency key."""
        return self.public | {name for each in self.slices for name in each.keyless}


def build_schema(slices: Iterable[Slice], limits: PageLimits | None = None) -> BuiltSchema:
    """Return the schema of these slices. Raises ValueError when two of them declare the same field, or events of
    one name."""
    tighten_builtin_scalars()
    slices = tuple(map(_with_kept, slices))
    limits = limits or PageLimits()
    for extension in (extension for each in slices for extension in each.extensions):
        apply_extension(extension)
    records = [record_of(cls) for each in slices for cls in each.records]
    for fields in (each.of_rows for each in slices if each.of_rows is not None):
        extend_rows(fields, records)
    registry = Registry.of(records)
    registry.filter_limits, registry.aggregate_limits = limits.filters, limits.aggregates
    registry.effects = Effects(event for each in slices for event in each.events)
    registry.traces = tuple(forget for each in slices for forget in each.traces)
    derive(registry)
    query = _root("Query", _QUERY, (*(cls for each in slices for cls in each.queries), *_missing_roots(slices)))
    _add_root_arguments(query, registry)
    mutation = _root("Mutation", _MUTATION, (cls for each in slices for cls in each.mutations))
    bind_writes(mutation, registry)
    subscription = _root("Subscription", "What can be watched.", (c for each in slices for c in each.subscriptions))
    for each in subscription.__strawberry_definition__.fields:  # type: ignore[attr-defined]
        spec = spec_of(each)
        assert isinstance(spec, WatchSpec), f"Subscription.{each.python_name} does not say what it watches"
        each.arguments = watch_arguments(spec)
        if spec.timeline:
            belonging = ", ".join(f"`{name}`" for name in paths_to(record_of(spec.record), registry))
            each.description = f"{each.description} Of these types: {belonging}."
    schema = strawberry.Schema(
        query=query,
        mutation=mutation,
        subscription=subscription,
        types=[record.cls for record in registry.records.values()],
        config=StrawberryConfig(scalar_map=SCALARS, disable_field_suggestions=True),
    )
    core = schema._schema
    _finish_mutations(core)
    tell_sizes(core, registry)
    say_uses(core, registry)
    compile_resolvers(schema, core)
    guard_sizes(core)
    assert core.subscription_type is not None
    for definition in core.subscription_type.fields.values():
        definition.resolve = lambda event, _info, **_: event
    policies = (
        *(record.policy for record in registry.records.values()),
        *(policy for each in slices for policy in each.policies),
    )
    built = BuiltSchema(
        schema, core, registry, bind(core, registry, limits), policies, _vocabulary(core, registry, policies), slices
    )
    _take_keys(built)
    return built


def _with_kept(of: Slice) -> Slice:
    """Return a slice with the events that its kept records have beside its own."""
    kept = [record for record in map(record_of, of.records) if record.is_kept]
    erased = (erased_event(record.name) for record in kept if personal_columns(record.table))
    return replace(of, events=(*of.events, *(event for record in kept for event in events_of(record.name)), *erased))


def _vocabulary(core: GraphQLSchema, registry: Registry, policies: tuple[Policy, ...]) -> Vocabulary:
    """Return what role definitions may speak of."""
    fields = {policy.type: frozenset[str]() for policy in policies}
    inherent = dict(fields)
    for record in registry.records.values():
        of = frozenset(each.field for each in record.columns.values())
        type_ = core.type_map[record.name]
        assert isinstance(type_, GraphQLObjectType)
        fields[record.name] = of
        inherent[record.name] = frozenset(name for name in of if isinstance(type_.fields[name].type, GraphQLNonNull))
    return Vocabulary({policy.type: policy for policy in policies}, fields, inherent)


def _missing_roots(slices: Iterable[Slice]) -> Iterator[type]:
    """Yield, slice by slice, the fields of Query that no slice declares: what is part of something can be found and
    listed like it, and whatever can be listed can be measured."""
    declared = {
        each.python_name
        for of in slices
        for cls in of.queries
        for each in _typed(cls).__strawberry_definition__.fields  # type: ignore[attr-defined]
    }
    for of in slices:
        records = [record_of(cls) for cls in of.records]
        yield roots.derived(records, declared)


def _typed(cls: type) -> type:
    """Return a class as Strawberry's type; it is made one once, as a process may build several schemas."""
    return cls if "__strawberry_definition__" in vars(cls) else strawberry.type(cls)


def _root(name: str, description: str, classes: Iterable[type]) -> type:
    """Return a root type with the fields of the slices' classes."""
    fields: dict[str, StrawberryField] = {}
    for cls in classes:
        for each in _typed(cls).__strawberry_definition__.fields:  # type: ignore[attr-defined]
            if each.python_name in fields:
                raise ValueError(f"{name}.{each.python_name} is declared by two slices")
            fields[each.python_name] = copy(each)  # a process may build several schemas
    root: Any = strawberry.type(type(name, (), {"__annotations__": {}}), name=name, description=description)
    root.__strawberry_definition__.fields.extend(fields.values())
    return cast(type, root)


def _add_root_arguments(query: type, registry: Registry) -> None:
    arguments: Mapping[str, Callable[[StrawberryField], Any]] = {
        "one": lambda each: [
            _argument("id", strawberry.ID, "The id of the record."),
            *as_of_arguments(registry.target_of(each)),
        ],
        # Relay's compiler knows no other argument of `node`.
        "node": lambda _: [_argument("id", strawberry.ID, "The id of the object, of any type.")],
        "nodes": lambda _: [
            _argument("ids", list[strawberry.ID], "At most 100 ids, of any types."),
            *as_of_arguments(None),
        ],
        "many": lambda each: [
            *connection_arguments(registry.target_of(each), default=50),
            *keeping_arguments(registry.target_of(each)),
            *as_of_arguments(registry.target_of(each)),
        ],
    }
    for each in query.__strawberry_definition__.fields:  # type: ignore[attr-defined]
        spec = spec_of(each)
        if isinstance(spec, RootSpec) and spec.how == "aggregate":
            record = registry.aggregated_by(each)
            each.arguments = [*aggregate_arguments(record, registry.aggregate_limits), *as_of_arguments(record)]
            each.type_annotation = derived_annotation(f"{record.name}Aggregate")
        elif isinstance(spec, RootSpec):
            each.arguments = arguments[spec.how](each)


def _finish_mutations(core: GraphQLSchema) -> None:
    """Give the one argument of each mutation its description, which would be the same sentence forty times, and make
    each nullable: mutations commit one by one, and one that is refused must not take the answers of those before it."""
    assert core.mutation_type is not None
    for definition in core.mutation_type.fields.values():
        definition.type = get_nullable_type(definition.type)
        for argument in definition.args.values():
            argument.description = argument.description or "The values of this mutation, as one object."


def _take_keys(built: BuiltSchema) -> None:
    """Let documents ask that a mutation be done once, and mark those that take no key."""
    core = built.core
    core.directives = (*core.directives, IDEMPOTENT)
    assert core.mutation_type is not None
    for name in built.keyless:
        core.mutation_type.fields[name].extensions[KEYLESS] = True


def _argument(name: str, annotation: Any, description: str) -> Any:
    return StrawberryArgument(name, name, StrawberryAnnotation(annotation), description=description)
