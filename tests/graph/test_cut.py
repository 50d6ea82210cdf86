"""The schema cut to a role is a schema, and names nothing that the role cannot reach."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from graphql import GraphQLSchema, build_schema, execute_sync, get_introspection_query, parse, validate_schema

from crm_graph.graph.schema.build import BuiltSchema
from crm_graph.graph.schema.cut import CutSchemas, cut_to_role
from crm_graph.permissions.access import Access, compile_access
from crm_graph.permissions.grants import ALL, HIDDEN, Level, Role, grant
from crm_graph.permissions.roles import BUILT_IN, built_in_roles
from tests.graph.many_records import RECORDS

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("role", BUILT_IN)
def test_a_cut_is_a_valid_schema(schema: BuiltSchema, role: str) -> None:
    assert validate_schema(build_schema(cut_to_role(schema, role))) == []


def test_orders_are_cut_too(schema: BuiltSchema) -> None:
    """A marketer does not read what customers earn, so none is ordered by it."""
    whole, cut = build_schema(cut_to_role(schema, "admin")), build_schema(cut_to_role(schema, "marketer"))
    value = "ANNUAL_REVENUE"
    assert value in whole.type_map["CustomerOrderField"].values  # type: ignore[attr-defined]
    assert value not in cut.type_map["CustomerOrderField"].values  # type: ignore[attr-defined]


def _introspected(schema: GraphQLSchema) -> Any:
    """Return what the tools' query is answered, in an order of its own."""
    query = get_introspection_query(
        specified_by_url=True, directive_is_repeatable=True, schema_description=True, input_value_deprecation=True
    )
    answer = execute_sync(schema, parse(query))
    assert answer.errors is None
    return _sorted(answer.data)


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _sorted(each) for key, each in value.items()}
    if isinstance(value, list):
        return sorted(
            (_sorted(each) for each in value), key=lambda each: each["name"] if isinstance(each, dict) else each
        )
    return value


def _access(schema: BuiltSchema, role: Role) -> Access:
    return compile_access([role], schema.policies, schema.vocabulary.inherent)


@pytest.mark.parametrize("role", BUILT_IN)
async def test_introspection_of_a_cut_says_what_its_sdl_does(schema: BuiltSchema, role: str) -> None:
    cut = await CutSchemas(schema).of(_access(schema, built_in_roles(schema.policies)[role]))
    assert _introspected(cut) == _introspected(build_schema(cut_to_role(schema, role)))


async def test_grants_that_hide_the_same_share_a_schema(schema: BuiltSchema) -> None:
    cuts = CutSchemas(schema)
    wide = Role("wide", {"Customer": grant(read=ALL, default=Level.READ)})
    narrow = Role("narrow", {"Customer": grant(read="OWN", default=Level.READ)})
    other = Role("other", {"Customer": grant(read=ALL, default=Level.READ, fields={"phone": HIDDEN})})
    first, second, third = [await cuts.of(_access(schema, role)) for role in (wide, narrow, other)]
    assert first is second
    assert third is not first
    assert len(cuts.cache) == 2


async def test_the_schemas_of_all_roles_are_bounded_together(schema: BuiltSchema) -> None:
    cuts = CutSchemas(schema, 1_000_000)
    for field in ("phone", "email", "city", "industry", "website", "source"):
        role = Role(field, {"Customer": grant(read=ALL, default=Level.READ, fields={field: HIDDEN})})
        cut = await cuts.of(_access(schema, role))
        assert field not in cut.type_map["Customer"].fields  # type: ignore[attr-defined]
        assert cuts.cache.bytes <= 1_000_000
    assert cuts.cache.evictions > 0


def test_a_schema_of_eighty_records_can_be_introspected_by_every_role() -> None:
    command = [sys.executable, "-m", "tests.graph.many_records"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["records"] == RECORDS
    weights = [0, *(each["weight"] for each in found["roles"].values())]
    for name, each in found["roles"].items():
        assert each["types"] > 300, name
    taken = sum(each["taken"] for each in found["roles"].values())
    assert taken <= weights[-1] <= found["limit"], "the weights are no less than what is taken"
