"""On what else it depends who sees a record: read off the predicates, and as narrow as they are."""

from __future__ import annotations

from typing import Any

import pytest

from crm_graph.events.log import Event
from crm_graph.graph.changes.dependents import causes
from crm_graph.graph.schema.build import BuiltSchema
from crm_graph.identity.viewer import Viewer
from crm_graph.kernel.cursor import LogCursor
from crm_graph.permissions.access import Access, compile_access
from crm_graph.permissions.grants import ALL, FieldGrant, Level, Role, grant

ME, MATE, STRANGER, OTHER = (f"{digit}" * 32 for digit in "1234")
VIEWER = Viewer("0" * 32, ME, (), (ME, MATE))


def access(schema: BuiltSchema, **grants: Any) -> Access:
    return compile_access([Role("reader", grants)], schema.policies)


def event(type_: str, entity: str, **changes: Any) -> Event:
    return Event(LogCursor(1, 1), "0" * 32, type_, entity, "5" * 32, None, "", changes, {})


def shown(schema: BuiltSchema, of: Access, name: str, *events: Event) -> list[bool]:
    found = causes(of, schema.registry, [name]).get(name, ())
    return [any(each.shows(one, VIEWER) for each in found) for one in events]


@pytest.mark.parametrize("scope", [ALL, "TEAM"])
def test_types_that_stand_for_themselves(schema: BuiltSchema, scope: str) -> None:
    of = access(schema, Opportunity=grant(scope), OpportunityLine=grant(scope), Contact=grant(ALL))
    assert causes(of, schema.registry, ["Opportunity", "OpportunityLine", "Contact"]) == {}


def test_the_owner_of_the_customer(schema: BuiltSchema) -> None:
    events = [
        event("CustomerUpdated", "Customer", name=["a", "b"]),
        event("CustomerUpdated", "Customer", owner_id=[STRANGER, OTHER]),
        event("CustomerUpdated", "Customer", owner_id=[None, STRANGER]),
        event("CustomerUpdated", "Customer", owner_id=[STRANGER, MATE]),
        event("CustomerUpdated", "Customer", owner_id=[ME, None]),
        event("CustomerCreated", "Customer", owner_id=[None, ME]),
        event("OpportunityUpdated", "Opportunity", owner_id=[STRANGER, ME]),
    ]
    wanted = [False, False, False, True, True, False, False]
    assert shown(schema, access(schema, Contact=grant("TEAM")), "Contact", *events) == wanted
    masked = access(schema, Contact=grant(ALL, fields={"email": FieldGrant(Level.READ, "TEAM")}))
    assert shown(schema, masked, "Contact", *events) == wanted


def test_account_teams(schema: BuiltSchema) -> None:
    of = access(schema, Customer=grant("ACCOUNT_TEAM"))
    assert shown(
        schema,
        of,
        "Customer",
        event("AccountTeamMemberAdded", "AccountTeamMember", member_id=[None, ME], customer_id=[None, OTHER]),
        event("AccountTeamMemberRemoved", "AccountTeamMember", member_id=[ME, None], customer_id=[OTHER, None]),
        event("AccountTeamMemberAdded", "AccountTeamMember", member_id=[None, STRANGER], customer_id=[None, OTHER]),
        event("AccountTeamMemberRemoved", "AccountTeamMember", member_id=[STRANGER, None], customer_id=[OTHER, None]),
    ) == [True, True, False, False]
