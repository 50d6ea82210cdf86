"""Of every column that can hold a text it is decided whether it says who a person is."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import BigInteger, Boolean, Date, DateTime, Integer, Numeric, SmallInteger, Table, Uuid

from crm_graph.api.schema import TABLES
from crm_graph.db.base import Base, Kept, table_of
from crm_graph.db.history import versions_of
from crm_graph.db.personal import personal_columns
from crm_graph.events.model import Xid8
from crm_graph.graph.schema.build import BuiltSchema
from crm_graph.permissions.grants import ERASE

DECISIONS = ("personal", "sealed", "emptied", "member", "free", "none")
NO_TEXT = (BigInteger, Boolean, Date, DateTime, Integer, Numeric, SmallInteger, Uuid, Xid8)


def tables() -> list[Table]:
    """Return the tables of the product: tests have some of their own."""
    assert TABLES
    classes = (mapper.class_ for mapper in Base.registry.mappers)
    return [table_of(each) for each in classes if each.__module__.startswith("crm_graph.")]


def decided() -> dict[str, dict[str, str]]:
    """Return the decision of each column, by table, as `columns.txt` has them."""
    found: dict[str, dict[str, str]] = {}
    for line in Path(__file__).with_name("columns.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            head, _, names = line.partition(": ")
            table, decision = head.split()
            assert decision in DECISIONS, line
            for name in names.split():
                assert name not in found.setdefault(table, {}), f"{table}.{name} is decided twice"
                found[table][name] = decision
    return found


def test_every_text_column_is_decided() -> None:
    texts = {
        table.name: {column.name for column in table.columns if not isinstance(column.type, NO_TEXT)}
        for table in tables()
    }
    assert {name: {*of} for name, of in decided().items()} == {name: of for name, of in texts.items() if of}


def test_what_is_personal_is_marked_and_nothing_else() -> None:
    for table in tables():
        told = {name for name, decision in decided().get(table.name, {}).items() if decision == "personal"}
        of = next((each for each in tables() if versions_of(each) is table), table)
        assert told == personal_columns(of), table.name


def test_who_is_marked_can_be_erased(schema: BuiltSchema) -> None:
    """By a right of its own, which no built-in role has but that of administrators."""
    marked = [record for record in schema.registry.records.values() if personal_columns(record.table)]
    assert [record.name for record in marked] == ["Customer", "Contact"]
    assert schema.core.mutation_type is not None
    for record in marked:
        assert issubclass(record.model, Kept)
        assert f"erase{record.name}" in schema.core.mutation_type.fields
        assert ERASE in record.policy.by_name
        assert not any(grant.scopes(ERASE) for grant in record.policy.defaults.values())
    for record in schema.registry.records.values():
        assert (ERASE in record.policy.transitions) == (record in marked), record.name
