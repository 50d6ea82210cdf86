"""The schema cut to a role is a schema, and names nothing that the role cannot reach."""

from __future__ import annotations

import pytest
from graphql import build_schema, validate_schema

from crm_graph.graph.build import BuiltSchema
from crm_graph.graph.cut import cut_to_role
from crm_graph.permissions.roles import BUILT_IN


@pytest.mark.parametrize("role", BUILT_IN)
def test_a_cut_is_a_valid_schema(schema: BuiltSchema, role: str) -> None:
    assert validate_schema(build_schema(cut_to_role(schema, role))) == []


def test_orders_across_edges_are_cut_too(schema: BuiltSchema) -> None:
    """A marketer does not read what customers earn, so no deal is ordered by it."""
    whole, cut = build_schema(cut_to_role(schema, "admin")), build_schema(cut_to_role(schema, "marketer"))
    across = "CUSTOMER_ANNUAL_REVENUE"
    assert across in whole.type_map["OpportunityOrderField"].values  # type: ignore[attr-defined]
    assert across not in cut.type_map["OpportunityOrderField"].values  # type: ignore[attr-defined]
