"""Filters that are stored as JSON, by record type: `{"Opportunity": {"name": {"startsWith": "A"}}}`.

Each is what `where` of a list of that type takes as a variable. What was stored is checked anew whenever it is used:
the schema and the permissions of its user can have changed since.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graphql import GraphQLError
from graphql.utilities import coerce_input_value, validate_input_value

from crm_graph.graph.changes.judging import Judge
from crm_graph.graph.schema.build import BuiltSchema
from crm_graph.kernel.errors import BadUserInput, Forbidden
from crm_graph.permissions.access import Access
from crm_graph.permissions.grants import READ


def stored_judges(schema: BuiltSchema, stored: Any) -> Mapping[str, Judge]:
    """Return who judges the events of each type that a stored filter names. Raises BadUserInput and LimitExceeded with
    the path of what is wrong."""
    if stored is None:
        return {}
    if not isinstance(stored, dict):
        raise BadUserInput('A filter is an object by record type: `{"Customer": {...}}`.')
    return {name: _judge(schema, name, where) for name, where in stored.items()}


def require_askable(judges: Mapping[str, Judge], access: Access) -> None:
    """Raise Forbidden where one may not read a type at all, or not filter it so."""
    for name, judge in judges.items():
        if not access.of(name).allows(READ):
            raise Forbidden(f"Your roles do not allow to read {name} records.")
        judge.statement(access)


def _judge(schema: BuiltSchema, name: str, where: Any) -> Judge:
    record = schema.registry.records.get(name)
    type_: Any = schema.core.type_map.get(f"{name}Filter")
    if record is None or type_ is None:
        raise BadUserInput("There is no record type of this name that can be filtered.", path=(name,))

    def refuse(error: GraphQLError, path: list[str | int]) -> None:
        raise BadUserInput(error.message, path=(name, *path))

    if where is None:
        raise BadUserInput(
            "The filter of this type is null. Leave the type out to be told of all its records.", path=(name,)
        )
    validate_input_value(where, type_, refuse, hide_suggestions=True)
    return Judge.of(record, schema.registry, coerce_input_value(where, type_), (name,))
