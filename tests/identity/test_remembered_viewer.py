"""A viewer is remembered between requests and confirmed by each: whatever changed is in force on the next one."""

from __future__ import annotations

from typing import Any

from crm_graph.domains.customers.customers.graph import Customer
from crm_graph.domains.identity.accounts.directory import VIEWER
from tests.support.graph import Graph

COUNT = "{ opportunities { totalCount } }"
POINT = "query ($id: ID!) { customer(id: $id) { name } }"
RENAME = """mutation ($id: ID!) { updateCustomer(input: {id: $id, name: "Renamed"}) {
    customer { name } errors { code } } }"""


async def _member(graph: Graph, role: str) -> Any:
    claims = await graph.claims(role)
    return claims.member_id


async def test_one_statement_serves_a_point_query(graph: Graph) -> None:
    id_ = await graph.id_of(Customer)
    await graph.data(POINT, {"id": id_})
    assert (await graph.data(POINT, {"id": id_}))["customer"]["name"]
    assert len(graph.database.one.sent) == 1
    assert "directory_version" in graph.database.one.sent[0]


async def test_no_rows_are_no_proof(graph: Graph) -> None:
    """Then the viewer is looked up: nothing tells a stranger's empty answer from a suspended member's."""
    await graph.data(COUNT)
    assert (await graph.data(POINT, {"id": f"cus_{'0' * 32}"}))["customer"] is None
    assert graph.database.one.sent[-1] == VIEWER.text
    assert len(graph.database.one.sent) == 2


async def test_a_suspended_member_is_out(graph: Graph) -> None:
    assert await graph.data(COUNT, role="sales_rep")
    member = await _member(graph, "sales_rep")
    claims = await graph.claims("sales_rep")
    await graph.rows("UPDATE member SET status = 'SUSPENDED' WHERE id = $1", member)
    for source in (COUNT, "{ __typename }", "{ viewer { member { name } } }"):
        error = await graph.error(source, claims=claims)
        assert error["extensions"]["code"] == "UNAUTHENTICATED"


async def test_roles_are_those_of_now(graph: Graph) -> None:
    """Granted and revoked, by whoever, also where the old roles' answer needs no statement at all."""
    hidden = '{ customers(where: {annualRevenue: {gt: "1"}}) { totalCount } }'
    claims = await graph.claims("marketer")
    assert (await graph.error(hidden, claims=claims))["extensions"]["code"] == "FORBIDDEN"
    await graph.rows("UPDATE member_role SET role = 'admin' WHERE member_id = $1", claims.member_id)
    assert await graph.data(hidden, claims=claims)
    await graph.rows("UPDATE member_role SET role = 'marketer' WHERE member_id = $1", claims.member_id)
    assert (await graph.error(hidden, claims=claims))["extensions"]["code"] == "FORBIDDEN"


async def test_teams_are_those_of_now(graph: Graph) -> None:
    """What a representative sees follows the team that they are moved to."""
    claims = await graph.claims("sales_rep")
    before = (await graph.data(COUNT, claims=claims))["opportunities"]["totalCount"]
    id_ = f"mem_{claims.member_id}"
    team = await graph.value("SELECT team_id FROM member WHERE id = $1", claims.member_id)
    other = await graph.value(
        "SELECT team_id FROM member WHERE workspace_id = $1 AND team_id <> $2 GROUP BY team_id"
        " ORDER BY count(*) DESC LIMIT 1",
        claims.workspace_id,
        team,
    )
    move = "mutation ($id: ID!, $team: ID) { updateMember(input: {id: $id, teamId: $team}) { errors { code } } }"
    await graph.data(move, {"id": id_, "team": f"tea_{other}"})
    after = (await graph.data(COUNT, claims=claims))["opportunities"]["totalCount"]
    expected = await graph.execute(COUNT, claims=claims)
    assert after != before
    assert expected["data"]["opportunities"]["totalCount"] == after
    await graph.data(move, {"id": id_, "team": f"tea_{team}"})
    assert (await graph.data(COUNT, claims=claims))["opportunities"]["totalCount"] == before


async def test_nothing_is_written_for_a_member_who_may_no_more(graph: Graph) -> None:
    claims = await graph.claims("sales_manager")
    id_ = await graph.id_of(Customer)
    assert (await graph.data(RENAME, {"id": id_}, claims=claims))["updateCustomer"]["errors"] == []
    await graph.rows("UPDATE customer SET name = 'Before' WHERE id = $1", id_.removeprefix("cus_"))
    await graph.rows("UPDATE member_role SET role = 'analyst' WHERE member_id = $1", claims.member_id)
    error = await graph.error(RENAME, {"id": id_}, claims=claims)
    assert error["extensions"]["code"] == "FORBIDDEN"
    await graph.rows("UPDATE member SET status = 'SUSPENDED' WHERE id = $1", claims.member_id)
    error = await graph.error(RENAME, {"id": id_}, claims=claims)
    assert error["extensions"]["code"] == "UNAUTHENTICATED"
    assert await graph.value("SELECT name FROM customer WHERE id = $1", id_.removeprefix("cus_")) == "Before"


async def test_a_mutation_whose_first_read_finds_nothing_is_confirmed_before_it_commits(graph: Graph) -> None:
    create = 'mutation { createCustomer(input: {name: "New"}) { customer { id } errors { code } } }'
    claims = await graph.claims("sales_manager")
    assert (await graph.data(create, claims=claims))["createCustomer"]["customer"]
    await graph.rows("DELETE FROM member_role WHERE member_id = $1", claims.member_id)
    before = await graph.value("SELECT count(*) FROM customer")
    assert (await graph.error(create, claims=claims))["extensions"]["code"] == "FORBIDDEN"
    assert await graph.value("SELECT count(*) FROM customer") == before
