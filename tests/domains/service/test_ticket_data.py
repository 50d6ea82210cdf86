"""What the data of tickets and replies is held to, by a mutation as by a file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from crm_graph.domains.service.tickets.graph import Ticket
from tests.support.graph import Graph
from tests.transfer.conftest import desk
from tests.transfer.desk import Desk

__all__ = ["desk"]


async def errors(graph: Graph, field: str, input_: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return code, message and path of what a mutation refuses."""
    type_ = f"{field[0].upper()}{field[1:]}Input!"
    source = f"mutation ($input: {type_}) {{ {field}(input: $input) {{ errors {{ code message field }} }} }}"
    payload = (await graph.data(source, {"input": input_}))[field]
    return [(each["code"], each["message"], ".".join(each["field"])) for each in payload["errors"]]


@pytest.mark.parametrize("satisfaction", [None, 1, 5])
async def test_satisfaction_in_range(graph: Graph, satisfaction: int | None) -> None:
    id_ = await graph.id_of(Ticket)
    assert await errors(graph, "updateTicket", {"id": id_, "satisfaction": satisfaction}) == []


@pytest.mark.parametrize("satisfaction", [-1, 0, 6])
async def test_satisfaction_out_of_range_is_refused(graph: Graph, desk: Desk, satisfaction: int) -> None:
    sent = {"id": await graph.id_of(Ticket), "satisfaction": satisfaction}
    refused = [("INVALID", "`satisfaction` must be from 1 to 5.", "satisfaction")]
    assert await errors(graph, "updateTicket", sent) == refused
    report = await desk.load("ticket", f"number,subject,satisfaction\nT-3,Help,{satisfaction}\n")
    assert [(each.column, each.reason) for each in report.errors] == [("satisfaction", "must be from 1 to 5")]


@pytest.mark.parametrize("body", ["", " ", "\n"])
@pytest.mark.parametrize("public", [True, False])
async def test_a_reply_says_something(graph: Graph, body: str, public: bool) -> None:
    sent = {"ticketId": await graph.id_of(Ticket), "public": public}
    refused = [("INVALID", "`body` cannot be blank.", "body")]
    assert await errors(graph, "addTicketReply", {**sent, "body": body}) == refused
    assert await errors(graph, "addTicketReply", {**sent, "body": "On its way."}) == []


@pytest.mark.parametrize("name", ["subject", "kind", "channel", "priority"])
async def test_what_must_have_a_value_cannot_be_cleared(graph: Graph, name: str) -> None:
    sent = {"id": await graph.id_of(Ticket), name: None}
    assert await errors(graph, "updateTicket", sent) == [("REQUIRED", f"`{name}` must have a value.", name)]


async def test_a_ticket_that_comes_with_an_assignee_is_open(desk: Desk) -> None:
    """As by the mutation: nobody has a NEW ticket."""
    await desk.member("Ann", "ann@desk.example", "support_agent")
    report = await desk.load(
        "ticket", "external_id,subject,assignee,status\n1,A,,\n2,B,Ann,\n3,C,Ann,PENDING\n4,D,Ann,NEW\n"
    )
    assert report.errors == []
    rows = await desk.rows("SELECT subject, status FROM ticket WHERE workspace_id = $1 ORDER BY subject")
    assert rows == [("A", "NEW"), ("B", "OPEN"), ("C", "PENDING"), ("D", "OPEN")]
