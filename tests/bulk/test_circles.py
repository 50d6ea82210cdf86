"""No row is above itself: whoever moves it, one at a time or in a batch."""

from __future__ import annotations

from typing import Any

from tests.support.graph import Graph

MANY = """mutation ($inputs: [UpsertCustomerInput!]!, $onError: OnRefusal! = REJECT_FAILED) {
  upsertCustomers(inputs: $inputs, onError: $onError) {
    results { customer { externalId parent { externalId } } errors { code field message } } errors { code } } }"""
TEAM = """mutation ($input: UpdateTeamInput!) { updateTeam(input: $input) {
  team { parent { id } } errors { code field message } } }"""
NEW_TEAM = "mutation ($input: CreateTeamInput!) { createTeam(input: $input) { team { id } errors { code } } }"
MEMBER = """mutation ($input: UpdateMemberInput!) { updateMember(input: $input) {
  member { manager { id } } errors { code field message } } }"""
BACK = {"code": "INVALID", "field": ["parentId"], "message": "`parentId` leads back to this customer, in a circle."}


async def place(graph: Graph, *below: tuple[str, str | None]) -> list[Any]:
    """Put customers below others, by their external ids, and return why each was refused, or None."""
    inputs = [
        {"id": f"externalId:{name}", "name": name, "parentId": above and f"externalId:{above}"} for name, above in below
    ]
    results = (await graph.data(MANY, {"inputs": inputs}))["upsertCustomers"]["results"]
    return [next(iter(each["errors"]), None) for each in results]


async def test_a_parent_does_not_lead_back(graph: Graph) -> None:
    for name, above in (("a", None), ("b", "a"), ("c", "b")):
        assert await place(graph, (name, above)) == [None]
    assert await place(graph, ("a", "a")) == [BACK]
    assert await place(graph, ("a", "b")) == [BACK]
    assert await place(graph, ("a", "c")) == [BACK]
    assert await place(graph, ("b", None)) == [None]
    assert await place(graph, ("a", "c")) == [None]


async def test_nor_does_it_over_other_inputs_of_the_batch(graph: Graph) -> None:
    await place(graph, *((name, None) for name in "abcdef"))
    assert await place(graph, ("a", "b"), ("b", "a")) == [None, BACK]
    assert await place(graph, ("c", "d"), ("d", "e"), ("e", "c"), ("f", "c")) == [None, None, BACK, None]
    assert await place(graph, ("c", None), ("e", "c")) == [None, None]


async def test_many_are_placed_in_a_few_statements(graph: Graph) -> None:
    names = [f"n{number}" for number in range(60)]
    await place(graph, ("top", None), ("other", None), *((name, "top") for name in names[:1]))
    await place(graph, *((name, None) for name in names))
    await place(graph, *((name, "top") for name in names[:3]))
    few = graph.statements
    assert await place(graph, *((name, "other") for name in names)) == [None] * 60
    assert graph.statements <= few


async def test_a_circle_that_is_stored_already_ends_the_search_and_stays(graph: Graph) -> None:
    await place(graph, ("a", None), ("c", None))
    await place(graph, ("b", "a"))
    await graph.rows(
        "UPDATE customer SET parent_id = (SELECT id FROM customer WHERE external_id = 'b') WHERE external_id = 'a'"
    )
    assert await place(graph, ("c", "a")) == [None]
    assert await place(graph, ("a", "b")) == [None]  # nothing changes
    assert await place(graph, ("a", None)) == [None]


async def test_teams_and_members(graph: Graph) -> None:
    upper = (await graph.data(NEW_TEAM, {"input": {"name": "Upper"}}))["createTeam"]["team"]["id"]
    lower = (await graph.data(NEW_TEAM, {"input": {"name": "Lower", "parentId": upper}}))["createTeam"]["team"]["id"]
    found = (await graph.data(TEAM, {"input": {"id": upper, "parentId": lower}}))["updateTeam"]
    message = "`parentId` leads back to this team, in a circle."
    assert found == {"team": None, "errors": [{"code": "INVALID", "field": ["parentId"], "message": message}]}
    await graph.rows("UPDATE member SET manager_id = NULL")
    nodes = (await graph.data("{ members(first: 3) { nodes { id } } }"))["members"]["nodes"]
    one, two, three = (node["id"] for node in nodes)
    for member, manager in ((one, two), (two, three)):
        found = (await graph.data(MEMBER, {"input": {"id": member, "managerId": manager}}))["updateMember"]
        assert found["errors"] == []
    for manager in (one, two, three):
        found = (await graph.data(MEMBER, {"input": {"id": three, "managerId": manager}}))["updateMember"]
        assert [(each["code"], each["field"]) for each in found["errors"]] == [("INVALID", ["managerId"])], manager


async def test_who_points_to_nobody_is_in_no_circle(graph: Graph) -> None:
    """A null holds nothing, and asks nothing more than any other change."""
    await place(graph, ("a", None))
    source = "mutation ($input: UpdateCustomerInput!) { updateCustomer(input: $input) { errors { code } } }"
    input_ = {"id": "externalId:a", "city": "Köln", "parentId": None}
    await graph.data(source, {"input": input_})
    with_null = graph.statements
    await graph.data(source, {"input": {"id": "externalId:a", "city": "Aachen"}})
    assert graph.statements == with_null
