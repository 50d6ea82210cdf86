"""The public contract is in git: what the code says and what `schema/` says are the same. `make contracts` writes
it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    is_non_null_type,
    is_specified_scalar_type,
)

from crm_graph.api.contracts import CONTRACTS, write
from crm_graph.graph.records.record import ColumnSpec, MoneySpec
from crm_graph.graph.schema.build import BuiltSchema
from crm_graph.kernel.errors import OperatorError

FOLDER = Path(__file__).parents[2] / "schema"


def test_the_contracts_are_as_in_git(schema: BuiltSchema) -> None:
    for name, render in CONTRACTS.items():
        assert (FOLDER / name).read_text() == render(schema), (
            f"schema/{name} is not what the code says: `make contracts`"
        )


OTHERWISE: dict[str, dict[str, Any]] = {
    "a field less": {"data": {"from_stage_id": "str", "to_stage_id": "str"}},
    "a field of another type": {"data": {"from_stage_id": "str", "to_stage_id": "str", "seconds_in_stage": "float"}},
    "another effect": {"effect": "MENTIONS"},
    "a version that went back": {"version": 2},
}


@pytest.mark.parametrize("stored", OTHERWISE.values(), ids=OTHERWISE.keys())
def test_an_event_is_not_another_one_in_the_same_version(tmp_path: Path, stored: dict[str, Any]) -> None:
    said = json.loads((FOLDER / "events.json").read_text())
    said["OpportunityWon"] |= stored
    (tmp_path / "events.json").write_text(before := json.dumps(said))
    with pytest.raises(OperatorError, match=r"this version of OpportunityWon\.\n  fix: "):
        write(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["events.json"]
    assert (tmp_path / "events.json").read_text() == before


def test_an_event_that_moved_its_version_is_written(tmp_path: Path) -> None:
    said = json.loads((FOLDER / "events.json").read_text())
    said["OpportunityWon"] |= {"data": {}, "version": 0}
    (tmp_path / "events.json").write_text(json.dumps(said))
    write(tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == CONTRACTS.keys()
    assert (tmp_path / "events.json").read_text() == (FOLDER / "events.json").read_text()


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
