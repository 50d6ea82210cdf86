"""Where an address is a member's is known, whoever wrote the member: the demo data, a mutation, a file."""

from __future__ import annotations

from tests.support.graph import Graph
from tests.transfer.desk import Desk

ASTRAY = """
    SELECT lower(email), workspace_id FROM member
    EXCEPT SELECT email, workspace_id FROM member_address
"""
LEFT = """
    SELECT email, workspace_id FROM member_address
    EXCEPT SELECT lower(email), workspace_id FROM member
"""
CREATE = "mutation ($i: CreateMemberInput!) { createMember(input: $i) { member { id } errors { message } } }"
UPDATE = "mutation ($i: UpdateMemberInput!) { updateMember(input: $i) { errors { message } } }"


async def test_of_members_by_mutations(graph: Graph) -> None:
    assert await graph.value("SELECT count(*) FROM member_address") > 10
    assert await graph.rows(ASTRAY) == await graph.rows(LEFT) == []
    made = await graph.data(CREATE, {"i": {"name": "Ann", "email": "Ann@x.example", "roles": ["sales_rep"]}})
    assert made["createMember"]["errors"] == []
    assert await graph.value("SELECT count(*) FROM member_address WHERE email = 'ann@x.example'") == 1
    await graph.data(UPDATE, {"i": {"id": made["createMember"]["member"]["id"], "email": "anna@x.example"}})
    assert await graph.value("SELECT count(*) FROM member_address WHERE email = 'ann@x.example'") == 0
    assert await graph.rows(ASTRAY) == await graph.rows(LEFT) == []


async def test_of_members_by_files(desk: Desk) -> None:
    await desk.load("member", "name,email,roles,external_id\nAnn,Ann@x.example,sales_rep,a1\n")
    fetch = desk.database.one.connection.fetch
    assert await fetch(ASTRAY) == await fetch(LEFT) == []
    assert len(await fetch("SELECT 1 FROM member_address WHERE email = 'ann@x.example'")) == 1
    await desk.load("member", "name,email,roles,external_id\nAnn,anna@x.example,sales_rep,a1\n")
    assert await fetch(ASTRAY) == await fetch(LEFT) == []
    assert len(await fetch("SELECT 1 FROM member_address WHERE email = 'anna@x.example'")) == 1
