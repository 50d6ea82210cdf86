"""A role that may do everything but write one field: refused for that field alone, by every mutation that writes it."""

from __future__ import annotations

from typing import Any

import pytest
from graphql import GraphQLEnumType, GraphQLInputField, Undefined, get_named_type, is_required_input_field

from tests.permissions.doors.visit import Visit
from tests.permissions.doors.writing import _sample, inputs, writable
from tests.permissions.tables.actions import WRITES, input_of, mutation, prepare
from tests.permissions.tables.table import Table, Write
from tests.permissions.world import World

ADMINISTERED = {"IdentityProvider", "MemberIdentity"}
"""Only administrators change these, who may write every field."""
WRITING = [(table, write) for table, write in WRITES if table.record and table.type not in ADMINISTERED]
PARTS_OF = {"ApiKey", "OpportunityLine", "OrderLine", "CampaignMember", "TicketReply", "AccountTeamMember", "Stage"}
"""The link of a part to its whole is granted with the whole, not as a field."""
WHOLES = {"opportunityId", "orderId", "campaignId", "ticketId", "customerId", "pipelineId", "clientId"}
BY_TRANSITION = {
    "rejectOrder": {"reason": "rejectedReason"},
    "cancelOrder": {"reason": "cancelledReason"},
    "resolveTicket": {"resolution": "resolution"},
}
"""Inputs of transitions that become a field of the record."""


def _beside_default(of: GraphQLInputField, value: Any) -> Any:
    """Return a value that is not the field's default: sending that writes nothing."""
    type_, default = get_named_type(of.type), of.default_value
    if default is Undefined or default is None:
        return value
    if isinstance(type_, GraphQLEnumType):
        return next(name for name in type_.values if name != getattr(default, "name", default))
    return not default if isinstance(default, bool) else str(default + 1)


@pytest.mark.parametrize(("table", "write"), WRITING, ids=lambda each: getattr(each, "name", ""))
async def test_a_field_that_may_not_be_written(world: World, table: Table, write: Write) -> None:
    record = world.graph.schema.registry.records[table.type]
    await prepare(world, table, write)
    visit = Visit(world, "frozen", world.claims())
    source, base = mutation(world, write), input_of(world, table, write, table.place)
    of = inputs(visit, write)
    needed = {name: value for name, value in base.items() if name == "id" or is_required_input_field(of[name])}
    fields = {**writable(visit, write, record), **BY_TRANSITION.get(write.name, {})}
    for name, field in fields.items():
        if table.type in PARTS_OF and name in WHOLES:
            continue
        whole = {
            "read": "ALL",
            "create": "ALL",
            "update": "ALL",
            "delete": "ALL",
            write.verb: "ALL",
            "default": "WRITE",
        }
        grants = world.everything(**{table.type: {**whole, "fields": {field: ["READ ALL"]}}})
        async with world.undone():
            await world.define("frozen", grants)
            claims = await world.become("frozen")
            before = await world.digest()
            value = needed.get(name, base.get(name)) or _sample(visit, write, record, name, table.place)
            value = _beside_default(of[name], value)
            body = await world.graph.execute(source, {"input": {**needed, name: value}}, claims=claims)
            told = [(error["extensions"]["code"], error["message"]) for error in body.get("errors", ())]
            assert told == [("FORBIDDEN", f"Your roles do not allow to write {table.type}.{field}.")], (name, body)
            assert body["data"] == {write.name: None}
            assert await world.digest() == before
