"""A null where there must be a value is an error at its path, in words of the API (R16)."""

from __future__ import annotations

import pytest
from graphql import GraphQLInputObjectType, get_named_type

from crm_graph.api.schema import make_schema
from crm_graph.graph.reading.sizes import DEFINITION, _is_kept
from crm_graph.graph.writes import DOES_KEY, MANY_KEY
from crm_graph.kernel.ids import encode_id, new_id
from tests.support.graph import Graph

CORE = make_schema().core
assert CORE.mutation_type is not None
KEPT = [
    (name, key)
    for name, field in CORE.mutation_type.fields.items()
    if "input" in field.args and MANY_KEY not in field.extensions[DEFINITION].metadata
    for key, each in get_named_type(field.args["input"].type).fields.items()
    if _is_kept(each) or "Null is refused." in (each.description or "")
]


@pytest.mark.parametrize(("name", "key"), KEPT)
async def test_a_null_where_there_must_be_a_value(graph: Graph, name: str, key: str) -> None:
    assert CORE.mutation_type is not None
    field = CORE.mutation_type.fields[name]
    input_ = get_named_type(field.args["input"].type)
    assert isinstance(input_, GraphQLInputObjectType)
    policy = field.extensions[DEFINITION].metadata[DOES_KEY].policy
    record = graph.schema.registry.records[policy.type]
    prefixes = {"id": record.prefix, **{f"{each}Id": of.target.prefix for each, of in record.edges.items()}}
    required = {
        each: encode_id(prefixes[each], new_id()) for each, of in input_.fields.items() if str(of.type) == "ID!"
    }
    source = f"mutation ($input: {input_}!) {{ {name}(input: $input) {{ errors {{ code field message }} }} }}"
    errors = (await graph.data(source, {"input": {**required, key: None}}))[name]["errors"]
    assert {"code": "REQUIRED", "field": [key], "message": f"`{key}` must have a value."} in errors


def test_there_are_such_fields() -> None:
    assert len(KEPT) > 30
