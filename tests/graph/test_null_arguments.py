"""A null argument is an absent one: for every nullable argument of every field of the schema, and both ways to send it.

Relay sends null for every variable that is not set, and Apollo's and urql's users write `$where: CustomerFilter` once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pytest
from graphql import (
    GraphQLArgument,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    get_named_type,
    is_leaf_type,
    is_required_argument,
)
from graphql.type import is_non_null_type

from crm_graph.api.body import parse_request
from crm_graph.api.schema import make_schema
from crm_graph.graph.changes.live import _whole
from crm_graph.graph.records.record import WatchSpec, spec_of
from crm_graph.kernel.ids import encode_id, new_id
from tests.support.graph import Graph
from tests.support.projected import begin

SCHEMA = make_schema()
CORE = SCHEMA.core
MAX_DEPTH, MAX_LEAVES = 5, 4


@dataclass(frozen=True)
class Place:
    """A field that can be reached from Query, and one of its arguments that may be null."""

    path: tuple[str, ...]
    """The fields that lead to it, with what they need; the last is the field itself, without arguments."""
    definition: GraphQLField
    argument: str
    type: str

    @property
    def name(self) -> str:
        return f"{'.'.join(step.partition('(')[0] for step in self.path)}({self.argument}:)"

    def body(self, argument: str) -> str:
        """Return the selection of the field with one argument, or none."""
        given = f"({argument})" if argument else ""
        body = f"{self.path[-1]}{given} {selection(self.definition)}"
        for step in reversed(self.path[:-1]):
            body = f"{step} {{ {body} }}"
        return body

    def document(self, ways: Iterable[str]) -> str:
        """Return a query for the field, once in each of these ways to say its argument."""
        said = {"absent": "", "literal": f"{self.argument}: null"}
        said |= {name: f"{self.argument}: ${name}" for name in ("set", "unset")}
        aliased = " ".join(f"{name}: {self.body(said[name])}" for name in ways)
        declared = " ".join(f"${name}: {self.type}" for name in ways if f"${name}" in said[name])
        return f"query {f'({declared})' if declared else ''} {{ {aliased} }}"


WAYS = ("absent", "literal", "set", "unset")


def selection(definition: GraphQLField, depth: int = 3) -> str:
    """Return a selection of leaves: of a page its total and the first levels of its rows."""
    type_ = get_named_type(definition.type)
    if is_leaf_type(type_):
        return ""
    if not isinstance(type_, GraphQLObjectType | GraphQLInterfaceType):
        return "{ __typename }"
    fields: list[str] = []
    for name, each in type_.fields.items():
        if each.args or each.deprecation_reason:
            continue
        inner = get_named_type(each.type)
        if is_leaf_type(inner):
            if len(fields) < MAX_LEAVES:
                fields.append(name)
        elif depth > 1 and name in {"nodes", "edges", "node", "groups", "key", "pageInfo"}:
            fields.append(f"{name} {selection(each, depth - 1)}")
    return f"{{ __typename {' '.join(fields)} }}"


def places(schema: GraphQLSchema) -> Iterator[Place]:
    """Yield each nullable argument of each field of each type once, by the shortest way to it."""
    seen: set[str] = set()
    assert schema.query_type is not None
    waiting: list[tuple[GraphQLObjectType, tuple[str, ...]]] = [(schema.query_type, ())]
    while waiting:
        type_, path = waiting.pop(0)
        if type_.name in seen:
            continue
        seen.add(type_.name)
        for name, definition in type_.fields.items():
            if any(is_required_argument(each) for each in definition.args.values()):
                continue
            for argument, given in definition.args.items():
                if not is_non_null_type(given.type):
                    yield Place((*path, name), definition, argument, str(given.type))
            inner = get_named_type(definition.type)
            if isinstance(inner, GraphQLObjectType) and len(path) < MAX_DEPTH:
                step = f"{name}(first: 2)" if "first" in definition.args else name
                waiting.append((inner, (*path, step)))


PLACES = list(places(CORE))
NEEDING = {
    # What needs another argument, and has one that may be null.
    "explainAccess": ("field", "memberId"),
    # tests/graph/test_as_of.py sends null beside ids
    **dict.fromkeys(("node", "nodes", "customer", "opportunity", "order", "ticket", "campaign"), ("asOf",)),
}


def arguments(schema: GraphQLSchema) -> Iterator[tuple[str, str, GraphQLArgument]]:
    """Yield every argument of every field of every object type that is not of introspection."""
    for type_ in schema.type_map.values():
        if isinstance(type_, GraphQLObjectType) and not type_.name.startswith("__"):
            for name, definition in type_.fields.items():
                for argument, given in definition.args.items():
                    yield f"{type_.name}.{name}", argument, given


def test_every_nullable_argument_is_tried() -> None:
    """Those of subscriptions and of `explainAccess` have tests of their own below."""
    assert CORE.query_type is not None
    tried = {(step.path[-1], step.argument) for step in PLACES}
    for coordinate, argument, given in arguments(CORE):
        type_, _, field = coordinate.partition(".")
        if is_non_null_type(given.type) or type_ == "Subscription" or argument in NEEDING.get(field, ()):
            continue
        assert (field, argument) in tried, f"{coordinate}({argument}:) is not tried with null"
        assert given.default is None or given.default.value is None, f"{coordinate}({argument}:) has another default"
    assert len(PLACES) > 150


@pytest.mark.parametrize("executor", ["planned", "reference"])
async def test_null_is_absent(graph: Graph, executor: str) -> None:
    graph.use(executor)
    await begin(graph)
    differing = {}
    for place in PLACES:
        bodies = [await graph.execute(place.document((way,)), {"set": None}) for way in WAYS]
        data = {way: value for body in bodies for way, value in (body.get("data") or {}).items()}
        if place.path == ("changes",):  # its cursor is sealed anew each time
            data = {way: {**value, "cursor": ""} for way, value in data.items()}
        if any("errors" in body for body in bodies) or any(data[way] != data["absent"] for way in WAYS):
            differing[place.name] = bodies[-1].get("errors")
    assert not differing


@pytest.mark.parametrize("executor", ["planned", "reference"])
async def test_all_arguments_at_once(graph: Graph, executor: str) -> None:
    """What Relay sends of a document whose variables are all unset."""
    graph.use(executor)
    source = """query ($where: CustomerFilter, $orderBy: [CustomerOrder!], $first: Int, $after: String, $last: Int,
      $before: String, $by: [CustomerGroupBy!], $having: CustomerHaving, $inner: ContactFilter) {
        customers(where: $where, orderBy: $orderBy, first: $first, after: $after, last: $last, before: $before) {
          nodes { id contacts(where: $inner, first: $first, last: $last, before: $before) { totalCount } }
        }
        customersAggregate(where: $where, groupBy: $by, having: $having) { groups { count } } }"""
    names = ("where", "orderBy", "first", "after", "last", "before", "by", "having", "inner")
    whole = await graph.data(source)
    assert len(whole["customers"]["nodes"]) == 30
    assert await graph.data(source, dict.fromkeys(names)) == whole


@pytest.mark.parametrize("key", ["direction", "nulls"])
async def test_what_an_order_does_not_say(graph: Graph, key: str) -> None:
    source = "query ($by: [CustomerOrder!]) { customers(orderBy: $by, first: 5) { nodes { id } } }"
    plain = await graph.data(source, {"by": [{"field": "NAME"}]})
    assert await graph.data(source, {"by": [{"field": "NAME", key: None}]}) == plain
    literal = f"{{ customers(orderBy: [{{field: NAME, {key}: null}}], first: 5) {{ nodes {{ id }} }} }}"
    assert await graph.data(literal) == plain


@pytest.mark.parametrize("given", ["null", "$given"])
async def test_null_arguments_of_a_field_that_needs_others(graph: Graph, given: str) -> None:
    id_ = (await graph.data("{ customers(first: 1) { nodes { id } } }"))["customers"]["nodes"][0]["id"]
    assert CORE.query_type is not None
    leaves = selection(CORE.query_type.fields["explainAccess"])
    absent = await graph.data(f'{{ explainAccess(id: "{id_}") {leaves} }}')
    for argument, type_ in (("field", "String"), ("memberId", "ID")):
        declared = f"query ($given: {type_})" if given == "$given" else ""
        source = f'{declared} {{ explainAccess(id: "{id_}", {argument}: {given}) {leaves} }}'
        assert await graph.data(source, {"given": None} if declared else {}) == absent


STILL_REFUSED = [
    "{name: null}",
    "{name: {eq: null}}",
    "{name: {in: null}}",
    "{and: null}",
    "{or: null}",
    "{not: null}",
    "{owner: null}",
    "{contacts: null}",
    "{contacts: {some: null}}",
    "{or: [{name: {eq: null}}]}",
]


@pytest.mark.parametrize("executor", ["planned", "reference"])
@pytest.mark.parametrize("where", STILL_REFUSED)
async def test_a_null_within_a_filter_is_refused(graph: Graph, where: str, executor: str) -> None:
    """A condition that was dropped would match too much."""
    graph.use(executor)
    error = await graph.error(f"{{ customers(where: {where}) {{ totalCount }} }}")
    assert error["extensions"]["code"] == "BAD_USER_INPUT"
    assert "null" in error["message"]


async def test_a_null_in_a_list_of_conditions_is_refused(graph: Graph) -> None:
    body = await graph.execute("{ customers(where: {and: [null]}) { totalCount } }")
    assert body["errors"][0]["extensions"]["code"] == "VALIDATION_FAILED"


SUBSCRIPTIONS = [
    (name, argument, str(given.type))
    for name, definition in (CORE.subscription_type.fields.items() if CORE.subscription_type else ())
    for argument, given in definition.args.items()
    if not is_non_null_type(given.type)
]


@pytest.mark.parametrize(("name", "argument", "type_"), SUBSCRIPTIONS)
async def test_null_arguments_of_subscriptions(graph: Graph, name: str, argument: str, type_: str) -> None:
    assert CORE.subscription_type is not None
    definition = CORE.subscription_type.fields[name]
    spec = spec_of(definition.extensions["strawberry-definition"])
    assert isinstance(spec, WatchSpec)
    needed = ""
    if spec.argument is not None:
        whole, _ = _whole(spec, SCHEMA.registry)
        needed = f'{spec.argument}: "{encode_id(whole.prefix, new_id())}"'
    claims = await graph.claims("admin")
    for value, declared in (("null", ""), ("$given", f"($given: {type_})")):
        source = f"subscription {declared} {{ {name}({needed} {argument}: {value}) {{ kind }} }}"
        request = parse_request({"query": source, "variables": {"given": None} if declared else {}})
        operation = await graph.engine.admission.operation(request, claims)
        refusal, stream = await graph.engine.subscribe(request, operation, lambda: claims)
        await stream.aclose()
        assert refusal is None, refusal


def test_inputs_take_null_for_a_version() -> None:
    """`ifVersion: null` is an absent one: it is nullable wherever it is, and no input makes more of it."""
    versions = [
        field
        for type_ in CORE.type_map.values()
        if isinstance(type_, GraphQLInputObjectType)
        for name, field in type_.fields.items()
        if name == "ifVersion"
    ]
    assert versions
    assert not any(is_non_null_type(field.type) for field in versions)


async def test_null_clears_in_an_update_and_is_no_version(graph: Graph) -> None:
    made = await graph.data(
        'mutation { createCustomer(input: {name: "Lin", city: "Ningbo", email: null}) { customer { id city email } } }'
    )
    customer = made["createCustomer"]["customer"]
    assert customer["email"] is None
    source = """mutation ($input: UpdateCustomerInput!) {
      updateCustomer(input: $input) { customer { city } errors { code } } }"""
    changed = await graph.data(source, {"input": {"id": customer["id"], "city": None, "ifVersion": None}})
    assert changed["updateCustomer"] == {"customer": {"city": None}, "errors": []}
