"""The public contract is in git: what the code says and what `schema/` says are the same. `make contracts` writes
it."""

from __future__ import annotations

from pathlib import Path

from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    is_non_null_type,
    is_specified_scalar_type,
)

from crm_graph.api.contracts import CONTRACTS
from crm_graph.graph.records.record import ColumnSpec, MoneySpec
from crm_graph.graph.schema.build import BuiltSchema

FOLDER = Path(__file__).parents[2] / "schema"


def test_the_contracts_are_as_in_git(schema: BuiltSchema) -> None:
    for name, render in CONTRACTS.items():
        assert (FOLDER / name).read_text() == render(schema), (
            f"schema/{name} is not what the code says: `make contracts`"
        )


def test_everything_is_described(schema: BuiltSchema) -> None:
    missing = []
    for type_ in schema.core.type_map.values():
        if type_.name.startswith("__") or is_specified_scalar_type(type_):
            continue
        if not type_.description:
            missing.append(type_.name)
        if isinstance(type_, GraphQLObjectType | GraphQLInterfaceType | GraphQLInputObjectType):
            for name, field in type_.fields.items():
                if not field.description:
                    missing.append(f"{type_.name}.{name}")
                for argument, of in getattr(field, "args", {}).items():
                    if not of.description:
                        missing.append(f"{type_.name}.{name}({argument}:)")
        if isinstance(type_, GraphQLEnumType):
            missing += [f"{type_.name}.{name}" for name, value in type_.values.items() if not value.description]
    assert missing == []


def test_what_can_be_withheld_is_nullable(schema: BuiltSchema) -> None:
    """A non-null field comes with the object: no built-in role may hide it, and its column cannot be null."""
    for record in schema.registry.records.values():
        type_ = schema.core.type_map[record.name]
        assert isinstance(type_, GraphQLObjectType)
        hidden = {
            name
            for grant in record.policy.defaults.values()
            for name, given in grant.fields.items()
            if all(each.level == 0 for each in given)
        }
        for name, (each, spec) in record.specs().items():
            if not isinstance(spec, ColumnSpec | MoneySpec):
                continue
            if is_non_null_type(type_.fields[name].type):
                assert name not in hidden, f"{record.name}.{name} can be withheld, so it must be nullable"
                column = record.columns[name].column
                assert not record.table.c[column].nullable, f"{record.name}.{name} is non-null, its column is not"
            assert each.description
