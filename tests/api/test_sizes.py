"""Texts have sizes: each input of the schema is given one letter more than it takes, and exactly what it takes."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    get_named_type,
    get_nullable_type,
    is_list_type,
    is_non_null_type,
)
from strawberry.utils.str_converters import to_camel_case

from crm_graph.api.body import GraphQLRequest
from crm_graph.api.schema import make_schema
from crm_graph.db.sizes import JsonBytes, Letters, Size
from crm_graph.domains.customers.customers.graph import Customer
from crm_graph.domains.customers.customers.operations import create_customer
from crm_graph.domains.service.tickets.graph import Ticket
from crm_graph.graph.reading.sizes import MAX_FAULTS, column_size, is_filter, size_in
from crm_graph.graph.schema.build import BuiltSchema
from crm_graph.kernel.errors import Refused
from crm_graph.work import Sent
from tests.support.graph import Graph

CORE = make_schema().core
assert CORE.mutation_type is not None
MUTATIONS = {name: of for name, of in CORE.mutation_type.fields.items() if "input" in of.args}
TEXTUAL = {"String", "JSON"}
PLAIN = {"Int": 1, "Boolean": True, "ID": "x", "Decimal": "1", "DateTime": "2026-11-22T09:30:00Z", "Date": "2026-11-22"}
MOST = "is the most"


def value(size: Size, more: int) -> Any:
    """Return what is `more` than a size takes."""
    if isinstance(size, Letters):
        return "x" * (size.at_most + more)
    if isinstance(size, JsonBytes):
        return {"x": "x" * (size.at_most + more - len('{"x":""}'))}
    assert size.each is not None
    return ["x" * (size.each.at_most + more)]


def filled(type_: Any, more: int, path: tuple[str, ...] = ()) -> tuple[dict[str, Any], dict[tuple[str, ...], Size]]:
    """Return an input object whose texts all have `more` than they may have, and where these are, with their sizes.
    Everything else in it is there only where it has to be."""
    given: dict[str, Any] = {}
    where: dict[tuple[str, ...], Size] = {}
    for name, field in type_.fields.items():
        of, listed = get_named_type(field.type), is_list_type(get_nullable_type(field.type))
        size = size_in(field)
        if of.name in TEXTUAL:
            assert size is not None, f"{type_.name}.{name} holds as much as somebody sends"
            given[name] = value(size, more)
            where[*path, name, *(["0"] if listed else [])] = size
        elif isinstance(of, GraphQLInputObjectType) and not is_filter(of):
            inner, below = filled(of, more, (*path, name, *(["0"] if listed else [])))
            if below or is_non_null_type(field.type):
                given[name], where = [inner] if listed else inner, where | below
        elif is_non_null_type(field.type):
            plain = next(iter(of.values)) if isinstance(of, GraphQLEnumType) else PLAIN.get(of.name, "CNY")
            given[name] = [plain] if listed else plain
    return given, where


async def errors(graph: Graph, name: str, mutation: GraphQLField, given: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the errors of a payload."""
    source = (
        f"mutation ($v: {mutation.args['input'].type}) {{ {name}(input: $v) {{ errors {{ code field message }} }} }}"
    )
    body = await graph.execute(source, {"v": given})
    assert set(body["data"] or {}) <= {name}
    found = body["data"][name]["errors"] if body.get("data") and body["data"][name] else []
    return [each for each in found if isinstance(each, dict)]


@pytest.mark.parametrize("executor", ["planned", "reference"])
async def test_one_letter_too_many_is_refused_at_its_place(graph: Graph, executor: str) -> None:
    """In the payload, all of them at once, before anything else is looked at: no row is needed for it."""
    graph.use(executor)
    count = 0
    for name, mutation in MUTATIONS.items():
        given, where = filled(get_named_type(mutation.args["input"].type), 1)
        if not where:
            continue
        found = await errors(graph, name, mutation, given)
        assert {each["code"] for each in found} == {"INVALID"}, name
        places = [tuple(each["field"]) for each in found]
        assert places == list(dict.fromkeys(places)), name
        assert set(places) <= where.keys(), name
        assert len(places) == min(len(where), MAX_FAULTS), name
        for each in found:
            assert MOST in each["message"], name
        count += len(places)
    assert count > 100


async def test_what_a_field_takes_is_not_called_too_long(graph: Graph) -> None:
    count = 0
    for name, mutation in MUTATIONS.items():
        given, where = filled(get_named_type(mutation.args["input"].type), 0)
        if where:
            found = await errors(graph, name, mutation, given)
            assert [each for each in found if MOST in each["message"]] == [], name
            count += 1
    assert count > 50


def test_sizes_are_told_where_a_reader_looks(schema: BuiltSchema) -> None:
    """In the description of what is given and of what is read, and those of a column are the same."""
    told = 0
    for record in schema.registry.records.values():
        type_: Any = schema.core.type_map[record.name]
        for key, column in record.columns.items():
            if key in type_.fields and get_named_type(type_.fields[key].type).name in TEXTUAL:
                size = column_size(record.table.c[column.column])
                assert size is not None
                assert str(size) in type_.fields[key].description, f"{record.name}.{key}"
                for verb in ("Create", "Update"):
                    of_input: Any = schema.core.type_map.get(f"{verb}{record.name}Input")
                    given = of_input.fields.get(key) if of_input is not None else None
                    if given is not None and get_named_type(given.type).name in TEXTUAL:
                        assert given.description.endswith(str(size)), f"{of_input.name}.{key}"
                        told += 1
    assert told > 60


QUERIES: dict[str, tuple[str, int, list[str]]] = {
    "a role": ("query ($v: String!) { role(name: $v) { name } }", 500, ["name"]),
    "a page": ("query ($v: String!) { customers(after: $v) { totalCount } }", 2_048, ["after"]),
    "a page backward": ("query ($v: String!) { customers(before: $v, last: 1) { totalCount } }", 2_048, ["before"]),
    "a pattern": ("query ($v: String!) { customers(where: {name: {contains: $v}}) { totalCount } }", 200, []),
    "a beginning": ("query ($v: String!) { customers(where: {name: {startsWith: $v}}) { totalCount } }", 200, []),
    "a text": ("query ($v: String!) { customers(where: {name: {eq: $v}}) { totalCount } }", 500, []),
    "no text": ("query ($v: String!) { customers(where: {name: {ne: $v}}) { totalCount } }", 500, []),
    "one of texts": ("query ($v: String!) { customers(where: {email: {in: [$v]}}) { totalCount } }", 254, []),
    "none of texts": ("query ($v: String!) { customers(where: {email: {notIn: [$v]}}) { totalCount } }", 254, []),
    "beyond an edge": (
        "query ($v: String!) { orders(where: {customer: {phone: {eq: $v}}}) { totalCount } }",
        50,
        ["where", "customer", "phone", "eq"],
    ),
    "an encrypted text": ("query ($v: String!) { contacts(where: {nationalId: {eq: $v}}) { totalCount } }", 100, []),
    "groups": (
        "query ($v: String!) { customersAggregate(where: {city: {contains: $v}}) { groups { count } } }",
        200,
        ["where", "city", "contains"],
    ),
}


@pytest.mark.parametrize("executor", ["planned", "reference"])
@pytest.mark.parametrize(("source", "limit", "path"), QUERIES.values(), ids=QUERIES.keys())
async def test_operands_have_lengths(graph: Graph, executor: str, source: str, limit: int, path: list[str]) -> None:
    graph.use(executor)
    for letters in (limit, limit + 1):
        body = await graph.execute(source, {"v": "x" * letters})
        messages = [each["message"] for each in body.get("errors", ())]
        if letters <= limit:
            assert not any("the most" in each for each in messages)
            continue
        (error,) = body["errors"]
        assert error["extensions"]["code"] == "BAD_USER_INPUT"
        assert error["extensions"].get("argument", path) == path or not path


@pytest.mark.parametrize("operand", [{"contains": "x" * 201}, {"eq": "x" * 501}, {"in": ["x", "x" * 501]}])
async def test_filters_that_wait_have_the_same_bounds(graph: Graph, operand: dict[str, Any]) -> None:
    """A subscription's, which judges every event, and a webhook's, which is stored."""
    request = GraphQLRequest(
        "subscription ($v: CustomerFilter) { customerChanged(where: $v) { kind } }", None, {"v": {"name": operand}}
    )
    claims = await graph.claims("admin")
    operation = await graph.engine.admission.operation(request, claims)
    refusal, _ = await graph.engine.subscribe(request, operation, lambda: claims)
    assert refusal is not None
    assert refusal.code == "BAD_USER_INPUT"
    source = "mutation ($v: CreateWebhookEndpointInput!) { createWebhookEndpoint(input: $v) { errors { code field } } }"
    endpoint = {"url": "https://example.com/x", "eventTypes": ["CustomerUpdated"], "roles": ["admin"]}
    done = await graph.data(source, {"v": {**endpoint, "filter": {"Customer": {"name": operand}}}})
    (error,) = done["createWebhookEndpoint"]["errors"]
    assert error["code"] == "INVALID"
    assert error["field"][:3] == ["filter", "Customer", "name"]


async def test_texts_of_a_filter_are_bounded_together(graph: Graph) -> None:
    source = "query ($v: [String!]!) { customers(where: {name: {in: $v}}) { totalCount } }"
    assert "errors" not in await graph.execute(source, {"v": ["x" * 500] * 40})
    error = await graph.error(source, {"v": ["x" * 500] * 41})
    assert error["extensions"]["code"] == "COST_LIMIT_EXCEEDED"
    assert error["extensions"]["argument"] == ["where", "name", "in"]


async def test_what_was_longer_before_stays_and_other_fields_change(graph: Graph) -> None:
    id_ = await graph.id_of(Customer)
    await graph.rows("UPDATE customer SET industry = $1 WHERE id = $2", "x" * 60_000, id_.removeprefix("cus_"))
    change = "mutation ($v: UpdateCustomerInput!) { updateCustomer(input: $v) { customer { city } errors { field } } }"
    done = await graph.data(change, {"v": {"id": id_, "city": "Ulm"}})
    assert done["updateCustomer"] == {"customer": {"city": "Ulm"}, "errors": []}
    read = await graph.data("query ($v: ID!) { customer(id: $v) { industry } }", {"v": id_})
    assert len(read["customer"]["industry"]) == 60_000
    refused = await graph.data(change, {"v": {"id": id_, "industry": "y" * 501}})
    assert refused["updateCustomer"] == {"customer": None, "errors": [{"field": ["industry"]}]}
    shorter = await graph.data(change, {"v": {"id": id_, "industry": "y" * 500}})
    assert shorter["updateCustomer"]["errors"] == []


async def test_aliases_of_a_long_text_cost_before_anything_is_read(graph: Graph) -> None:
    """492 bytes of request that were 133 MB of answer at a cost of 51."""
    aliases = " ".join(f"a{index}: description" for index in range(28))
    error = await graph.error(f"{{ tickets {{ nodes {{ {aliases} }} }} }}")
    assert error["extensions"]["code"] == "COST_LIMIT_EXCEEDED"
    assert "tickets.nodes" in error["message"]
    assert graph.statements == 0
    id_ = await graph.id_of(Ticket)
    assert len(await graph.data(f'{{ ticket(id: "{id_}") {{ {aliases} }} }}')) == 1


async def test_the_unit_of_work_holds_what_no_input_was_asked_for(graph: Graph) -> None:
    """An operation that something else than a mutation calls: a rule of a provider, a job."""
    context = await graph.engine.contexts.read(await graph.claims("admin"))
    values = {"kind": "COMPANY", "currency": "CNY", "annual_revenue": Decimal(1)}
    for name, longest in {"name": "名" * 500, "external_id": "🚀" * 500, "website": f"https://{'x' * 1_992}"}.items():
        async with context.begin() as work:
            await create_customer(work, Sent({**values, "name": "x", name: longest}))
        with pytest.raises(Refused) as refused:
            async with context.begin() as work:
                await create_customer(work, Sent({**values, "name": "x", name: longest + "x"}))
        assert (refused.value.code, refused.value.field) == ("INVALID", (to_camel_case(name),))
