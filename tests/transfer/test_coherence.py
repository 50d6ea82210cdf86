"""Files are held to what mutations are: rows that go with what they point to."""

from __future__ import annotations

import pytest

from crm_graph.kernel.ids import encode_id
from tests.transfer.desk import Desk

TICKETS = "external_id,subject,customer,contact,assignee,status"
DEALS = "external_id,name,customer,stage,status,probability,owner,product,amount,currency"


@pytest.fixture
async def filled(desk: Desk) -> Desk:
    """A workspace with two customers, a person at each, a product that is not sold and a member who is suspended."""
    for entity, rows in {
        "customer": "name,external_id\nA,A\nB,B\n",
        "contact": "customer,name,external_id\nA,Ada,PA\nB,Bob,PB\n",
        "product": "name,sku,active\nOld,OLD,false\nNew,NEW,true\n",
    }.items():
        assert not (await desk.load(entity, rows)).errors
    gone = await desk.member("Gone", "gone@desk.example", "admin")
    await desk.member("Books", "books@desk.example", "finance")
    await desk.value("UPDATE member SET status = 'SUSPENDED' WHERE workspace_id = $1 AND id = $2", gone)
    return desk


@pytest.mark.parametrize(
    ("entity", "head", "row", "column", "reason"),
    [
        ("ticket", TICKETS, "1,x,A,con_PB,,NEW", "contact", "names a contact of another customer than customer"),
        ("ticket", TICKETS, "1,x,A,PA,gone@desk.example,OPEN", "assignee", "names a member that is suspended"),
        (
            "ticket",
            TICKETS,
            "1,x,A,PA,books@desk.example,OPEN",
            "assignee",
            "names a member whose roles show them no tickets of their own",
        ),
        ("opportunity", DEALS, "1,x,A,Lead,OPEN,10,gone@desk.example,,,", "owner", "names a member that is suspended"),
        ("opportunity", DEALS, "1,x,A,Lead,OPEN,10,,OLD,5,USD", "product", "names a product that is not sold any more"),
        ("opportunity", DEALS, "1,x,A,Closed lost,LOST,50,,,,", "probability", "must be 0 where status is LOST"),
        ("customer", "external_id,name,owner", "1,C,gone@desk.example", "owner", "names a member that is suspended"),
    ],
)
async def test_a_row_that_does_not_go_with_what_it_names(
    filled: Desk, entity: str, head: str, row: str, column: str, reason: str
) -> None:
    person = await filled.value("SELECT id FROM contact WHERE workspace_id = $1 AND external_id = 'PB'")
    report = await filled.load(entity, f"{head}\n{row.replace('con_PB', encode_id('con', person))}\n")
    assert [(each.column, each.reason) for each in report.errors] == [(column, reason)]
    assert await filled.value(f"SELECT count(*) FROM {entity} WHERE workspace_id = $1 AND deleted_at IS NULL") == (
        2 if entity == "customer" else 0
    )


async def test_what_is_over_is_brought_in_as_it_was(filled: Desk) -> None:
    report = await filled.load("ticket", f"{TICKETS}\n1,x,A,PA,gone@desk.example,CLOSED\n")
    assert (report.errors, report.inserted) == ([], 1)
    report = await filled.load("opportunity", f"{DEALS}\n1,x,A,Closed won,WON,100,gone@desk.example,OLD,5,USD\n")
    assert (report.errors, report.inserted) == ([], 1)


async def test_what_is_stored_and_stays_is_not_judged(filled: Desk) -> None:
    head = "external_id,subject,customer,contact"
    assert (await filled.load("ticket", f"{head}\nT1,x,A,PA\n")).inserted == 1
    person = encode_id("con", await filled.value("SELECT id FROM contact WHERE workspace_id = $1 AND name = 'Ada'"))
    assert not (await filled.load("contact", f"id,customer\n{person},B\n")).errors
    report = await filled.load("ticket", f"{head}\nT1,y,A,{person}\n")
    assert (report.errors, report.updated) == ([], 1), "its contact has moved on, and the ticket tells of before"
    report = await filled.load("ticket", f"{head}\nT1,y,B,{person}\n")
    assert (report.errors, report.updated) == ([], 1), "it moves along"
    (error,) = (await filled.load("ticket", "external_id,subject,customer\nT1,y,A\n")).errors
    assert (error.column, error.reason) == ("customer", "names a contact of another customer than customer")
