"""The change feed: what a client that keeps a copy is told, and what is not."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest

from crm_graph.api.body import GraphQLRequest
from crm_graph.db.session import ReadSession
from crm_graph.events import log
from crm_graph.graph.schema.build import BuiltSchema
from crm_graph.identity.tokens import Claims
from tests.support.live import Running, running

FEED = """
query ($after: Cursor, $types: [String!], $first: Int) {
  changes(after: $after, types: $types, first: $first) {
    cursor hasMore resync
    nodes {
      cursor kind event recordId type changedFields
      node { id ... on Opportunity { name owner { id } } ... on Customer { name } }
    }
  }
}
"""


@pytest.fixture(scope="module")
async def live(postgres: str, database_url: str, schema: BuiltSchema) -> AsyncIterator[Running]:
    assert database_url, "makes the template"
    async with running(postgres, schema, f"feed_{abs(hash(database_url)) % 10**6}") as live:
        yield live


async def feed(live: Running, claims: Claims, after: str | None = None, **more: Any) -> Any:
    await live.settled()
    return (await live.data(claims, FEED, {"after": after, **more}))["changes"]


async def start(live: Running, claims: Claims, **more: Any) -> str:
    answer = await feed(live, claims, **more)
    assert (answer["nodes"], answer["hasMore"], answer["resync"]) == ([], False, [])
    return str(answer["cursor"])


async def create(live: Running, claims: Claims, name: str, **more: Any) -> str:
    made = await live.mutate(claims, "createOpportunity", {"name": name, **more}, "opportunity { id }")
    return str(made["opportunity"]["id"])


async def update(live: Running, claims: Claims, id_: str, **more: Any) -> None:
    await live.mutate(claims, "updateOpportunity", {"id": id_, **more}, "opportunity { id }")


async def test_changes_since_a_cursor_in_pages(live: Running) -> None:
    admin = await live.member("admin")
    cursor = await start(live, admin)
    id_ = await create(live, admin, "one")
    await update(live, admin, id_, name="two")
    kept = await create(live, admin, "kept")
    await live.mutate(admin, "deleteOpportunity", {"id": id_}, "deletedId")
    first = await feed(live, admin, cursor, first=3)
    assert [(each["kind"], each["recordId"], each["type"]) for each in first["nodes"]] == [
        ("CREATED", id_, "Opportunity"),
        ("UPDATED", id_, "Opportunity"),
        ("CREATED", kept, "Opportunity"),
    ]
    assert [each["node"] and each["node"]["name"] for each in first["nodes"]] == [None, None, "kept"]
    assert first["hasMore"] is True
    second = await feed(live, admin, first["cursor"], first=3)
    (deleted,) = second["nodes"]
    assert (deleted["kind"], deleted["recordId"], deleted["node"]) == ("DELETED", id_, None)
    assert (deleted["changedFields"], second["hasMore"]) == ([], False)
    assert (await feed(live, admin, first["nodes"][1]["cursor"]))["nodes"] == first["nodes"][2:] + second["nodes"]
    third = await feed(live, admin, second["cursor"])
    assert (third["nodes"], third["hasMore"]) == ([], False)


async def test_only_what_may_be_seen_is_told(live: Running) -> None:
    admin, rep, stranger = [await live.member(role) for role in ("admin", "sales_rep", "marketer")]
    mine, theirs = f"mem_{rep.member_id}", f"mem_{stranger.member_id}"
    cursor = await start(live, rep)
    hidden = await create(live, admin, "hidden", ownerId=theirs)
    await update(live, admin, hidden, name="still hidden")
    nothing = await feed(live, rep, cursor)
    assert nothing["nodes"] == []
    assert nothing["cursor"] != cursor, "it moves on over what is not seen"
    id_ = await create(live, admin, "shown", ownerId=mine)
    await update(live, admin, id_, ownerId=theirs)
    await update(live, admin, id_, name="hidden now")
    answer = await feed(live, rep, cursor)
    assert [(each["recordId"], each["kind"], each["node"]) for each in answer["nodes"]] == [
        (id_, "CREATED", None),
        (id_, "LEFT", None),
    ]
    await update(live, admin, id_, ownerId=mine)
    (entered,) = (await feed(live, rep, answer["cursor"]))["nodes"]
    assert (entered["kind"], entered["node"]["owner"]["id"]) == ("ENTERED", mine)


async def test_types_are_record_types(live: Running) -> None:
    admin, agent = await live.member("admin"), await live.member("support_agent")
    error = await live.error(admin, FEED, {"types": ["Opportunity", "Oportunity"]})
    assert error["extensions"]["code"] == "BAD_USER_INPUT"
    assert error["extensions"]["argument"] == ["types", 1]
    assert "Campaign, CampaignMember, Contact, Customer, " in error["message"]
    cursor = await start(live, agent, types=["Opportunity"])
    every, one = await start(live, admin), await start(live, admin, types=["Customer"])
    await create(live, admin, "of a type")
    assert len((await feed(live, admin, every))["nodes"]) == 1
    assert (await feed(live, admin, one, types=["Customer"]))["nodes"] == []
    assert (await feed(live, agent, cursor, types=["Opportunity"]))["nodes"] == []


async def test_another_workspace_hears_nothing(live: Running) -> None:
    admin, other = await live.member("admin"), await live.member("admin", workspace="other")
    theirs, ours = await start(live, other), await start(live, admin)
    await create(live, admin, "not theirs")
    assert (await feed(live, other, theirs))["nodes"] == []
    error = await live.error(other, FEED, {"after": ours})
    assert (error["extensions"]["code"], error["extensions"]["argument"]) == ("BAD_USER_INPUT", ["after"])


@pytest.mark.parametrize("cursor", ["", "nonsense", "ffffffffffff-1", "1-1"])
async def test_a_wrong_cursor_is_refused(live: Running, cursor: str) -> None:
    error = await live.error(await live.member("admin"), FEED, {"after": cursor})
    assert (error["extensions"]["code"], error["extensions"]["argument"]) == ("BAD_USER_INPUT", ["after"])


@pytest.mark.parametrize("first", [0, -1, 1_001])
async def test_a_wrong_size_is_refused(live: Running, first: int) -> None:
    source = "query ($first: Int) { changes(first: $first) { cursor } }"  # what is selected costs before it is refused
    error = await live.error(await live.member("admin"), source, {"first": first})
    assert error["extensions"] == {**error["extensions"], "code": "BAD_USER_INPUT", "argument": ["first"]}


async def test_a_page_takes_a_statement_a_type(live: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    admin = await live.member("admin")
    cursor = await start(live, admin)
    for index in range(30):
        await create(live, admin, f"many {index}")
        await live.mutate(admin, "createCustomer", {"name": f"many {index}"}, "customer { id }")
    await feed(live, admin, cursor)  # the viewer is remembered from here on
    sent: list[str] = []
    fetch = ReadSession.fetch

    async def counting(self: ReadSession, statement: Any, values: Any) -> Any:
        if statement is not log._AFTER and not re.search("webhook_|crm_jobs|advisory", statement.text):  # others
            sent.append(statement.text)
        return await fetch(self, statement, values)

    monkeypatch.setattr(ReadSession, "fetch", counting)
    for size in (10, 60):
        sent.clear()
        assert len((await feed(live, admin, cursor, first=size))["nodes"]) == size
        # The events; those of two types judged; the two types' records, with the owners of the opportunities.
        assert len(sent) == 5, sent


async def test_a_new_scope_means_reading_anew(live: Running) -> None:
    admin, rep = await live.member("admin"), await live.member("sales_rep", skip=1)
    id_ = await create(live, admin, "before", ownerId=f"mem_{rep.member_id}")
    cursor = await start(live, rep, types=["Opportunity", "Customer"])
    roles = {"id": f"mem_{rep.member_id}", "roles": ["support_agent"]}
    await live.mutate(admin, "setMemberRoles", roles, "member { id }")
    await update(live, admin, id_, name="after")
    answer = await feed(live, rep, cursor, types=["Opportunity", "Customer"])
    assert (answer["nodes"], answer["resync"]) == ([], ["Opportunity", "Customer"])
    again = await feed(live, rep, answer["cursor"], types=["Opportunity", "Customer"])
    assert (again["nodes"], again["resync"]) == ([], [])
    await live.mutate(admin, "setMemberRoles", {**roles, "roles": ["sales_rep"]}, "member { id }")


async def test_the_owner_of_a_customer_decides_what_contacts_show(live: Running) -> None:
    admin, rep = await live.member("admin"), await live.member("sales_rep")
    acme = {"name": "Acme", "ownerId": f"mem_{admin.member_id}"}
    id_ = {"id": (await live.mutate(admin, "createCustomer", acme, "customer { id }"))["customer"]["id"]}
    cursor = await start(live, rep, types=["Contact"])
    await live.mutate(admin, "updateCustomer", {**id_, "name": "Acme 2"}, "customer { id }")
    quiet = await feed(live, rep, cursor, types=["Contact"])
    assert (quiet["nodes"], quiet["resync"]) == ([], [])
    stranger = f"mem_{(await live.member('marketer')).member_id}"
    await live.mutate(admin, "updateCustomer", {**id_, "ownerId": stranger}, "customer { id }")
    quiet = await feed(live, rep, cursor, types=["Contact"])
    assert (quiet["nodes"], quiet["resync"]) == ([], []), "neither owner is one of the viewer's circle"
    owner = f"mem_{rep.member_id}"
    await live.mutate(admin, "updateCustomer", {**id_, "ownerId": owner}, "customer { id }")
    answer = await feed(live, rep, cursor, types=["Contact"])
    assert (answer["nodes"], answer["resync"]) == ([], ["Contact"])
    assert (await feed(live, admin, await start(live, admin)))["resync"] == []


async def test_a_subscription_goes_on_from_a_feeds_cursor(live: Running) -> None:
    admin = await live.member("admin")
    cursor = await start(live, admin)
    id_ = await create(live, admin, "caught up")
    request = GraphQLRequest(f'subscription {{ opportunityChanged(after: "{cursor}") {{ recordId }} }}')
    operation = await live.engine.admission.operation(request, admin)
    refusal, stream = await live.engine.subscribe(request, operation, lambda: admin)
    assert refusal is None
    _, answer = await anext(aiter(stream))
    assert answer.body["data"]["opportunityChanged"]["recordId"] == id_
