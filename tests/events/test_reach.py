"""What the rule of the log must be for related rows to be undone, and what a predicate is found to read."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import and_

from crm_graph.graph.changes.judging import Judge
from crm_graph.graph.changes.reach import Reached, reached
from crm_graph.graph.reading.filters import predicate
from crm_graph.graph.reading.views import View
from crm_graph.graph.records.record import Record
from crm_graph.graph.schema.build import BuiltSchema
from crm_graph.permissions.access import Access, compile_access
from crm_graph.permissions.grants import ALL, FieldGrant, Level, Role, grant

DOMAINS = Path(__file__).parents[2] / "src" / "crm_graph" / "domains"
SAID_OTHERWISE = {
    "API_KEY": "`ApiKeyCreated` is recorded beside it",
    "TRUSTED_DOCUMENT": "`TrustedDocumentAdded` is recorded beside it",
    "PROVIDER_SECRET": "no record of the graph, no filter reads it",
    "WEBHOOK_SECRET": "no record of the graph, no filter reads it",
    "WEBHOOK_DELIVERY": "no subscription and no edge leads to deliveries",
}
"""Rows that come without an event of their own, and are not undone as parts of their whole."""


def calls(name: str) -> Iterator[ast.Call]:
    """Yield the calls of a method of the unit of work in all slices."""
    for file in sorted(DOMAINS.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == name:
                yield node


def test_rows_come_with_an_event_or_are_said_to_come_without(schema: BuiltSchema) -> None:
    """Else a row that came after an event would be taken for one that was there: UPDATED to whom never had it."""
    unsaid = {each.policy.table.name for each in schema.registry.records.values() if each.policy.unsaid}
    added = {ast.unparse(node.args[1]) for node in calls("add_part") if len(node.args) == 2}
    assert {name.lower() for name in added - SAID_OTHERWISE.keys()} <= unsaid
    for record in schema.registry.records.values():
        assert not record.policy.unsaid or record.policy.parent is not None


def accesses(schema: BuiltSchema) -> Iterator[tuple[str, Access]]:
    """Yield, by the name of each row scope that there is, the access of who may read all in it, and some field too."""
    policies = [each.policy for each in schema.registry.records.values()]
    scopes = {scope for policy in policies for scope in policy.whole.scopes}
    for scope in sorted(scopes):
        grants = {}
        for record in schema.registry.records.values():
            row = scope if scope in record.policy.whole.scopes else ALL
            fields = {
                each.field: (FieldGrant(Level.READ, row),) for each in record.columns.values() if each.key != "id"
            }
            grants[record.name] = grant(read=ALL if scope == "OWN" else row, fields=fields)
        yield scope, compile_access([Role("reader", grants)], policies)


def mentions(schema: BuiltSchema, record: Record, where: dict[str, Any], access: Access) -> list[Reached]:
    """Return what a filter reads."""
    judge = Judge.of(record, schema.registry, where, ("where",))
    rows = record.table.alias("record")
    view = View(record, access, rows)
    matching = predicate(judge.form, view, schema.registry, access)
    return list(reached(and_(*view.conditions(), matching), rows).values())


def test_everything_that_can_be_asked_leads_somewhere(schema: BuiltSchema) -> None:
    """Every edge of every type, under every scope: what a filter reads is reached from the record by equations, so that
    its change is told record by record."""
    count = 0
    for scope, access in accesses(schema):
        for record in schema.registry.records.values():
            for edge in record.edges.values():
                inner: dict[str, Any] = {"id": {"isNull": False}}
                where = {edge.name: {"some": inner} if edge.many else inner}
                found = mentions(schema, record, where, access)
                assert any(each.table is edge.target.table for each in found)
                assert not [each.table.name for each in found if each.adrift], (record.name, where)
                if scope == "ACCOUNT_TEAM":  # it compiles with the columns that are read, and no others
                    judge = Judge.of(record, schema.registry, where, ("where",))
                    assert judge.related(access) is not None
                count += 1
    assert count > 300


@pytest.mark.parametrize("scope", ["ACCOUNT_TEAM", "OWN"])
def test_the_rows_of_a_scope_are_read(schema: BuiltSchema, scope: str) -> None:
    access = dict(accesses(schema))[scope]
    contact = schema.registry.records["Contact"]
    found = {each.table.name: each for each in mentions(schema, contact, {"title": {"eq": "x"}}, access)}
    assert found["customer"].changing >= {"owner_id"}
    assert found["customer"].pointed_to
    if scope == "ACCOUNT_TEAM":
        assert found["account_team_member"].changing == {"customer_id", "member_id"}
        assert not found["account_team_member"].pointed_to
