"""The product's schema, built once a process: it takes a second of CPU, and does not change."""

from __future__ import annotations

from functools import cache

from crm_graph.api.schema import make_schema
from crm_graph.graph.schema.build import BuiltSchema


@cache
def product_schema() -> BuiltSchema:
    """Return the schema of the product."""
    return make_schema()
