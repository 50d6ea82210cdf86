"""The fields of Query that every record has, declared by a slice in one line each."""

from __future__ import annotations

from collections.abc import Iterable, Set
from typing import Any

import strawberry

from crm_graph.graph.records.record import METADATA_KEY, Record, RootSpec
from crm_graph.graph.records.types import AggregateOf, Connection
from crm_graph.kernel import naming


def _root(how: str, description: str) -> Any:
    return strawberry.field(description=description, metadata={METADATA_KEY: RootSpec(how)})


def one(description: str) -> Any:
    """Return `customer(id:)`: a record by id, or null."""
    return _root("one", description)


def many(description: str) -> Any:
    """Return `customers(where:, orderBy:, first:, ...)`: a connection over all that may be seen."""
    return _root("many", description)


def aggregate(description: str) -> Any:
    """Return `customersAggregate(where:, groupBy:, matching:, having:, orderBy:, first:)`."""
    return _root("aggregate", description)


def node(description: str) -> Any:
    """Return Relay's `node(id:)`."""
    return _root("node", description)


def nodes(description: str) -> Any:
    """Return Relay's `nodes(ids:)`."""
    return _root("nodes", description)


def derived(records: Iterable[Record], declared: Set[str]) -> type:
    """Return a class with the roots of records that are not `declared`, by Python name: of a part the record and the
    list, and of all that is listed the aggregate."""
    annotations: dict[str, Any] = {}
    fields: dict[str, Any] = {}
    for record in records:
        single, many_ = naming.snake(record.name), record.plural.lower().replace(" ", "_")
        found: dict[str, tuple[Any, Any]] = {}
        if record.policy.parent is not None:
            found[single] = record.cls | None, one(f"{naming.sentence(record.one)} by id.")
            found[many_] = Connection[record.cls], many(f"The {record.plural} that you may see.")  # type: ignore[name-defined]
        if many_ in declared or many_ in found:
            found[f"{many_}_aggregate"] = AggregateOf[record.cls], aggregate(f"Measures over {record.plural}.")  # type: ignore[name-defined]
        for name, (annotation, made) in found.items():
            if name not in declared:
                annotations[name], fields[name] = annotation, made
    return type("Derived", (), {"__annotations__": annotations, **fields})
