"""Coordinates x roles x doors: see `tests.permissions.doors`."""

from __future__ import annotations

import pytest
from graphql import GraphQLInputObjectType, GraphQLObjectType, get_named_type

from crm_graph.graph.schema.build import BuiltSchema
from crm_graph.permissions.roles import BUILT_IN
from tests.permissions.doors.all_doors import DOORS
from tests.permissions.doors.visit import visit
from tests.permissions.matrix import MATRIX, Shown, parse
from tests.permissions.world import ANCHORS, UNOWNED, World

DERIVED = (
    "",
    *("Connection", "Edge", "Aggregate", "Group", "GroupKey", "Measures", "Distinct", "Sums", "Extremes", "Change"),
    *("Filter", "ListFilter", "Order", "GroupBy", "Having", "HavingSums", "HavingExtremes", "Rights"),
    *("GroupOrder", "HavingDistinct"),
)
"""The types of a record: their fields are its fields, and every door asks for them under its permissions."""
OPEN = frozenset({"PageInfo", "Money", "UserError", "DeletePayload", "Viewer", "MoneyInput"}) | {
    *(
        *("Account", "SignedInSession", "AuthorizedApp"),
        *("StageTotals", "TimelineChange"),  # tests/events/test_boards.py, test_timelines.py
        *("ClaimConditionInput", "ProvisioningRuleInput", "TrustedDocumentInput"),
        *("ChangeFeed", "RecordChange"),
        *("HistoryEntry", "HistoryEntryConnection", "HistoryEntryEdge", "FieldChange"),  # the door `history`
        "Storage",  # tests/api/test_storage*.py: who may not see it is told nothing of it
        *("TimeSpan", "PeriodInput"),  # operands
        "Role",
        "RecordGrant",
        "VerbGrant",
        "FieldGrant",
        "Grantable",
        "RecordGrantInput",
        "VerbGrantInput",
    ),
    *("FieldGrantInput", "AccessExplanation", "AccessRule", "RecordPermission", "VerbPermission", "FieldPermission"),
}
"""Types that hold no field of a record by themselves: parts of answers, and what everybody may know of themselves."""
PARTS = {"OrderLineInput": "OrderLine"}
"""Inputs within inputs, and the record whose fields they write."""


@pytest.mark.parametrize("role", BUILT_IN)
@pytest.mark.parametrize("door", DOORS)
async def test_a_role_reaches_just_what_it_is_granted(world: World, door: str, role: str) -> None:
    made = await visit(world, role)
    await DOORS[door](made)
    assert sum(made.tried.values()) > 0
    assert not made.wrong, "\n".join(made.wrong[:20])


def test_every_type_is_behind_some_door(schema: BuiltSchema) -> None:
    """A type that this does not know has fields that no door asks for: teach the doors, or say that it is open."""
    roots = {"Query", "Mutation", "Subscription"}
    known = {f"{name}{suffix}" for name in schema.registry.records for suffix in DERIVED} | OPEN | roots | {*PARTS}
    assert schema.core.mutation_type is not None
    for field in schema.core.mutation_type.fields.values():
        known |= {get_named_type(field.type).name, *(get_named_type(each.type).name for each in field.args.values())}
    known |= {name for name in schema.core.type_map if name.endswith("Comparator") or name.startswith("__")}
    types = {
        name
        for name, each in schema.core.type_map.items()
        if isinstance(each, GraphQLObjectType | GraphQLInputObjectType)
    }
    assert types - known == set()


def test_every_record_has_its_place_in_the_world(schema: BuiltSchema) -> None:
    """Which column says whose a row is must be known, or its rows would be in no place."""
    assert {*ANCHORS, *UNOWNED} == set(schema.registry.records)


def test_the_matrix_names_every_role_and_type(schema: BuiltSchema) -> None:
    assert list(MATRIX.roles) == list(BUILT_IN)
    for types in MATRIX.roles.values():
        assert list(types) == list(schema.registry.records)


def test_the_matrix_is_read_as_it_is_meant() -> None:
    """The parser is the judge of all doors: it has its own test, and refuses what it does not understand."""
    text = """role r
  Deal: read ALL, update TEAM, approve NONE; fields WRITE
    .amount: WRITE TEAM, MASKED ALL
  Note: nothing
"""
    deal = parse(text).of("r", "Deal")
    assert deal.shown("amount", "own") is Shown.WRITE
    assert deal.shown("amount", "outside") is Shown.MASKED
    assert deal.shown("name", "outside") is Shown.WRITE
    assert [deal.allows(verb, "team") for verb in ("read", "update", "move", "approve", "delete")] == [
        *(True, True, True),
        *(False, False),
    ]
    assert not deal.allows("update", "outside")
    assert parse(text).of("r", "Note").shown("text", "own") is Shown.NONE
    with pytest.raises(ValueError, match="cannot read"):
        parse("role r\n  Deal: read ALL\n")
