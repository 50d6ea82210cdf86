"""The fields of Query that every record has, declared by a slice in one line each."""

from __future__ import annotations

from typing import Any

import strawberry

from crm_graph.graph.records.record import METADATA_KEY, RootSpec


def _root(how: str, description: str) -> Any:
    return strawberry.field(description=description, metadata={METADATA_KEY: RootSpec(how)})


def one(description: str) -> Any:
    """Return `customer(id:)`: a record by id, or null."""
    return _root("one", description)


def many(description: str) -> Any:
    """Return `customers(where:, orderBy:, first:, ...)`: a connection over all that may be seen."""
    return _root("many", description)


def aggregate(description: str) -> Any:
    """Return `customersAggregate(where:, groupBy:, having:)`."""
    return _root("aggregate", description)


def node(description: str) -> Any:
    """Return Relay's `node(id:)`."""
    return _root("node", description)


def nodes(description: str) -> Any:
    """Return Relay's `nodes(ids:)`."""
    return _root("nodes", description)
