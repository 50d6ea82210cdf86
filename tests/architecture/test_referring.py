"""What operations read of other records is declared, and declared truly: a column under the field that governs it.

`Work.refer` and `visible_rows` hand out nothing else (`referring.py`), so that these tables are all there is.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from crm_graph.graph.schema.build import BuiltSchema

SOURCE = Path(__file__).parents[2] / "src" / "crm_graph"
PLACES = {"refer": 5, "visible_rows": 2}
"""The functions that read for operations, and the position of `needs` in their arguments."""

NEEDS = {
    "Stage.pipeline_id": "whether a stage is of the opportunity's pipeline; imports say one that the file leaves out",
    "Stage.required_fields": "what a deal must have to enter a stage",
    "Stage.name": "an import names the stage that a row names",
    "Stage.kind": "comes with the object: an import compares the status of a row with it",
    "Member.status": "a service member is suspended with its client, once",
    "WebhookEndpoint.roles": "who may send a request again holds the endpoint's roles",
    "OpportunityLine.opportunity_id": "which deals have a product already",
    "OpportunityLine.product_id": "which deals have a product already",
}
"""Columns that a rule asks without the viewer's right to them, and why they are shown to nobody."""


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """Yield the calls that read for operations, with the function's name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in PLACES and isinstance(node.func, ast.Attribute) == (name == "refer"):
                yield name, node


def needs(source: str) -> Iterator[str]:
    """Yield the columns, `STAGE.kind`, that calls need, by the name of the policy. Raises TypeError for what cannot be
    read off the source: then nobody can review it."""
    tree = ast.parse(source)
    constants = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for name, call in calls(tree):
        policy = ast.unparse(call.args[1])
        given = next((each.value for each in call.keywords if each.arg == "needs"), None)
        if given is None and len(call.args) > PLACES[name]:
            given = call.args[PLACES[name]]
        if isinstance(given, ast.Name):
            given = constants.get(given.id, given)
        if not (given is None or isinstance(given, ast.Tuple)):
            raise TypeError(f"line {call.lineno}: `needs` is written out, as a tuple")
        yield from (f"{policy}.{ast.literal_eval(each)}" for each in (given.elts if given is not None else ()))


def copied(source: str) -> Iterator[tuple[str, str]]:
    """Yield the columns that are copied or told, each with the field by which reading it is granted."""
    for node in ast.walk(ast.parse(source)):
        pairs = zip(node.keys, node.values, strict=True) if isinstance(node, ast.Dict) else ()
        for key, value in pairs:
            if isinstance(value, ast.Call) and getattr(value.func, "id", "") == "Copied":
                assert key is not None
                yield ast.literal_eval(key), ast.literal_eval(value.args[0])


def test_what_rules_need_is_listed_here(schema: BuiltSchema) -> None:
    policies = {policy.type.upper(): policy.type for policy in schema.policies}
    found = {
        f"{policies[name.partition('.')[0].replace('_', '')]}.{name.partition('.')[2]}"
        for path in SOURCE.glob("domains/**/*.py")
        for name in needs(path.read_text())
    }
    assert found == set(NEEDS)


def test_a_copied_column_is_read_under_its_own_field(schema: BuiltSchema) -> None:
    """The attack: `{"price": Copied("name")}` copies a price by the right to a name."""
    governed = {
        (column.column, column.field) for each in schema.registry.records.values() for column in each.columns.values()
    }
    found = {pair for path in SOURCE.glob("domains/**/*.py") for pair in copied(path.read_text())}
    assert ("price", "price") in found
    assert found <= governed


def test_the_lint_sees_what_it_is_for() -> None:
    refer = "work.refer(Stage, STAGE, id_, 'stageId', {'price': Copied('name')}, ('kind',))"
    assert list(needs(refer)) == ["STAGE.kind"]
    assert list(copied(refer)) == [("price", "name")]
    assert list(needs("N = ('a', 'b')\nwork.refer(Stage, STAGE, id_, 'stageId', needs=N)")) == ["STAGE.a", "STAGE.b"]
    assert list(needs("refer(values, 'stage_id', Stage)")) == []  # of the toolkit: from an id to another
    with pytest.raises(TypeError, match="`needs` is written out"):
        list(needs("work.refer(Stage, STAGE, id_, 'stageId', needs=names())"))
