"""A stream tells LEFT and ENTERED when rows change that its filter, or the viewer's scope, reads beside the record."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from crm_graph.api.body import GraphQLRequest
from crm_graph.graph.schema.build import BuiltSchema
from crm_graph.identity.tokens import Claims
from crm_graph.kernel.settings import Settings
from tests.events.follower import Follower
from tests.events.live import Live
from tests.events.test_groups import counted
from tests.support.live import Running, running

PRICE = {"amount": "10", "currency": "CNY"}
OPPORTUNITIES = ("Opportunity", "opportunities")
CONTACTS = ("Contact", "contacts")
ORDERS = ("Order", "orders")
CUSTOMERS = ("Customer", "customers")


@asynccontextmanager
async def following(
    live: Running, claims: Claims, of: tuple[str, str], where: dict[str, Any]
) -> AsyncIterator[Follower]:
    """Lend a follower that has started."""
    follower = Follower(live, claims, *of, where)
    await follower.start()
    await follower.catch_up()
    try:
        yield follower
    finally:
        await follower.stop()


async def agrees(follower: Follower) -> list[tuple[str, str | None]]:
    """Return what a follower is told, whose list must then be the list as queried anew."""
    told = await follower.catch_up()
    assert follower.ids == await follower.listed(), told
    assert follower.wrong == []
    return told


async def customer(live: Running, claims: Claims, **values: Any) -> str:
    """Create a customer and return its id."""
    made = await live.mutate(claims, "createCustomer", {"name": "C", **values}, "customer { id }")
    return str(made["customer"]["id"])


async def change(live: Running, claims: Claims, type_: str, id_: str, **values: Any) -> None:
    """Update a record."""
    await live.mutate(claims, f"update{type_}", {"id": id_, **values}, f"{type_[0].lower()}{type_[1:]} {{ id }}")


def grant(type_: str, scope: str, *fields: tuple[str, str, str]) -> dict[str, Any]:
    """Return the right to read the records of a type; each field with a level and a scope of its own."""
    given = [{"field": field, "level": level, "scope": scope} for field, level, scope in fields]
    return {"type": type_, "verbs": [{"verb": "read", "scope": scope}], "default": "READ", "fields": given}


EVERYBODY = (grant("Member", "ALL"), grant("Stage", "ALL"), grant("Pipeline", "ALL"))


async def become(live: Live, name: str, *grants: dict[str, Any]) -> Claims:
    """Give a sales representative a new role instead of theirs, and return their claims."""
    admin, claims = await live.member("admin"), await live.member("sales_rep")
    values = {"name": name, "grants": [*grants, *EVERYBODY]}
    await live.mutate(admin, "createRole", values, "role { name }")
    await live.mutate(admin, "setMemberRoles", {"id": f"mem_{claims.member_id}", "roles": [name]}, "member { id }")
    return claims


async def contact(live: Live, claims: Claims, of: str) -> str:
    """Create a contact of a customer and return its id."""
    values = {"customerId": of, "name": "Somebody"}
    made = await live.mutate(claims, "createContact", values, "contact { id }")
    return str(made["contact"]["id"])


async def test_a_filter_across_an_edge(live: Live) -> None:
    admin = await live.member("admin")
    of = await customer(live, admin, city="Here")
    id_ = await live.create(admin, "deal", customerId=of)
    async with following(live, admin, OPPORTUNITIES, {"customer": {"city": {"eq": "Here"}}}) as follower:
        assert id_ in follower.ids
        await change(live, admin, "Customer", of, city="There")
        assert await agrees(follower) == [("LEFT", id_)]
        await live.rename(admin, id_, "renamed")
        assert await agrees(follower) == []
        await change(live, admin, "Customer", of, city="Here")
        assert await agrees(follower) == [("ENTERED", id_)]
        await live.rename(admin, id_, "again")
        assert await agrees(follower) == [("UPDATED", id_)]


async def test_bursts_are_told_event_by_event(live: Live) -> None:
    """The hub has read none of it yet: whatever came later is undone for each event."""
    admin = await live.member("admin")
    of = await customer(live, admin, city="Here")
    id_ = await live.create(admin, "deal", customerId=of)
    where = {"customer": {"city": {"eq": "Here"}}}
    async with following(live, admin, OPPORTUNITIES, where) as follower:
        cursor = follower.cursor
        await change(live, admin, "Customer", of, city="There")
        await live.rename(admin, id_, "renamed")
        await change(live, admin, "Customer", of, city="Here")
        await live.rename(admin, id_, "again")
        await live.mutate(admin, "deleteOpportunity", {"id": id_}, "deletedId")
        await live.mutate(admin, "deleteCustomer", {"id": of}, "deletedId")
        told = [("LEFT", id_), ("ENTERED", id_), ("UPDATED", id_), ("DELETED", id_)]
        assert await agrees(follower) == told
        late = Follower(live, admin, *OPPORTUNITIES, where, {*follower.ids, id_}, cursor=cursor)
        await late.start()
        assert await agrees(late) == told, "who was away is told the same"
        await late.stop()


async def test_a_scope_of_the_customer_s_owner(live: Live) -> None:
    admin = await live.member("admin")
    rep = await become(live, "contacts_of_own", grant("Contact", "OWN"), grant("Customer", "ALL"))
    of = await customer(live, admin)
    id_ = await contact(live, admin, of)
    async with following(live, rep, CONTACTS, {}) as follower:
        assert id_ not in follower.ids
        await change(live, admin, "Customer", of, ownerId=f"mem_{rep.member_id}")
        assert await agrees(follower) == [("ENTERED", id_)]
        await change(live, admin, "Contact", id_, title="Head")
        assert await agrees(follower) == [("UPDATED", id_)]
        await change(live, admin, "Customer", of, ownerId=f"mem_{admin.member_id}")
        assert await agrees(follower) == [("LEFT", id_)]
        await change(live, admin, "Contact", id_, title="Boss")
        await change(live, admin, "Customer", of, city="Elsewhere")
        assert await agrees(follower) == []


async def test_account_teams(live: Live) -> None:
    admin = await live.member("admin")
    grants = grant("Contact", "ACCOUNT_TEAM"), grant("Customer", "ACCOUNT_TEAM")
    rep = await become(live, "account_team", *grants)
    of = await customer(live, admin)
    id_ = await contact(live, admin, of)
    values = {"customerId": of, "memberId": f"mem_{rep.member_id}"}
    async with following(live, rep, CONTACTS, {}) as contacts, following(live, rep, CUSTOMERS, {}) as customers:
        made = await live.mutate(admin, "addAccountTeamMember", values, "accountTeamMember { id }")
        assert await agrees(contacts) == [("ENTERED", id_)]
        assert await agrees(customers) == [("ENTERED", of), ("UPDATED", of)]
        entry = made["accountTeamMember"]["id"]
        await live.mutate(admin, "removeAccountTeamMember", {"id": entry}, "deletedId")
        assert await agrees(contacts) == [("LEFT", id_)]
        assert await agrees(customers) == [("LEFT", of)]


async def test_teams(live: Live) -> None:
    """Whom a viewer sees through their team is told by a resync, also to who was away when it changed."""
    admin = await live.member("admin")
    rep = await become(live, "team_reader", grant("Opportunity", "TEAM"))
    other = await live.member("marketer")
    id_ = await live.create(admin, "of the team", ownerId=f"mem_{other.member_id}")
    me = "query($id: ID!) { member(id: $id) { team { id } } }"
    team = (await live.data(admin, me, {"id": f"mem_{rep.member_id}"}))["member"]["team"]["id"]
    was = (await live.data(admin, me, {"id": f"mem_{other.member_id}"}))["member"]["team"]["id"]
    async with following(live, rep, OPPORTUNITIES, {}) as follower, following(live, admin, OPPORTUNITIES, {}) as all_:
        assert id_ not in follower.ids
        await change(live, admin, "Member", f"mem_{other.member_id}", teamId=team)
        assert await agrees(follower) == [("RESYNC", None)]
        assert id_ in follower.ids
        await follower.stop()
        await change(live, admin, "Member", f"mem_{other.member_id}", teamId=was)
        await live.rename(admin, id_, "of another one")
        await follower.start()
        assert await agrees(follower) == [("RESYNC", None)]
        assert await agrees(all_) == [("UPDATED", id_)], "who sees all is told of no team"


async def test_none_and_every(live: Live) -> None:
    admin = await live.member("admin")
    of = await customer(live, admin)
    none: dict[str, Any] = {"opportunities": {"none": {}}}
    every = {"opportunities": {"every": {"name": {"startsWith": "good"}}}}
    async with following(live, admin, CUSTOMERS, none) as lonely, following(live, admin, CUSTOMERS, every) as good:
        id_ = await live.create(admin, "bad", customerId=of)
        assert await agrees(lonely) == [("LEFT", of)]
        assert await agrees(good) == [("LEFT", of)]
        await live.rename(admin, id_, "good")
        assert await agrees(lonely) == []
        assert await agrees(good) == [("ENTERED", of)]
        await live.mutate(admin, "deleteOpportunity", {"id": id_}, "deletedId")
        assert await agrees(lonely) == [("ENTERED", of)]
        assert await agrees(good) == []


async def test_two_edges_away_and_beyond_a_member(live: Live) -> None:
    """A member who is renamed changes the directory as well, and what anybody may see not at all."""
    admin, owner = await live.member("admin"), await live.member("marketer")
    of = await customer(live, admin, ownerId=f"mem_{owner.member_id}")
    id_ = await live.create(admin, "deal", customerId=of)
    where = {"customer": {"owner": {"name": {"eq": "Renamed"}}}}
    async with following(live, admin, OPPORTUNITIES, where) as follower:
        await change(live, admin, "Member", f"mem_{owner.member_id}", name="Renamed")
        assert ("ENTERED", id_) in await agrees(follower)
        await change(live, admin, "Customer", of, ownerId=f"mem_{admin.member_id}")
        assert await agrees(follower) == [("LEFT", id_)]


async def test_a_field_that_is_shown_on_some_rows_compares_where_it_is_shown(live: Live) -> None:
    admin = await live.member("admin")
    customers = grant("Customer", "ALL", ("annualRevenue", "READ", "OWN"), ("annualRevenue", "MASKED", "ALL"))
    rep = await become(live, "own_revenue", grant("Opportunity", "ALL"), customers)
    of = await customer(live, admin, annualRevenue={"amount": "500", "currency": "EUR"})
    id_ = await live.create(admin, "deal", customerId=of)
    where = {"customer": {"annualRevenue": {"gt": "100"}}}
    async with following(live, rep, OPPORTUNITIES, where) as follower:
        await change(live, admin, "Customer", of, ownerId=f"mem_{rep.member_id}")
        assert await agrees(follower) == [("ENTERED", id_)]
        await change(live, admin, "Customer", of, ownerId=f"mem_{admin.member_id}")
        assert await agrees(follower) == [("LEFT", id_)]


async def test_parts_that_come_with_an_event_of_their_whole(live: Live) -> None:
    admin = await live.member("admin")
    id_ = await live.create(admin, "deal")
    source = "query($id: ID!) { opportunity(id: $id) { stage { id } pipeline { stages(first: 9) { nodes { id } } } } }"
    deal = (await live.data(admin, source, {"id": id_}))["opportunity"]
    stage = deal["stage"]["id"]
    next_ = next(node["id"] for node in deal["pipeline"]["stages"]["nodes"] if node["id"] != stage)
    where = {"stageMoves": {"some": {"fromStageId": {"eq": stage}}}}
    async with following(live, admin, OPPORTUNITIES, where) as follower:
        for to, told in ((next_, "ENTERED"), (stage, "UPDATED")):
            await live.mutate(admin, "moveOpportunity", {"id": id_, "stageId": to}, "opportunity { id }")
            assert await agrees(follower) == [(told, id_)]
        cursor = follower.cursor
        other = await live.create(admin, "another", stageId=stage)
        await live.mutate(admin, "moveOpportunity", {"id": other, "stageId": next_}, "opportunity { id }")
        assert await agrees(follower) == [("ENTERED", other)], "in one go: it was not there when it was created"
        assert cursor != follower.cursor


async def test_what_the_log_does_not_keep_is_told_by_a_resync(live: Live) -> None:
    """The lines of an order go with it, and no event says what they were."""
    admin = await live.member("admin")
    made = await live.mutate(admin, "createProduct", {"name": "P", "sku": "P-1", "price": PRICE}, "product { id }")
    product = made["product"]["id"]
    of = await customer(live, admin)
    lines = [{"productId": product, "quantity": "1"}]
    async with following(live, admin, ("Product", "products"), {"orderLines": {"some": {}}}) as follower:
        order = await live.mutate(admin, "createOrder", {"customerId": of, "lines": lines}, "order { id }")
        assert await agrees(follower) == [("ENTERED", product)]
        await live.mutate(admin, "deleteOrder", {"id": order["order"]["id"]}, "deletedId")
        assert await agrees(follower) == [("RESYNC", None)]
        assert product not in follower.ids


async def test_more_than_can_be_told_is_a_resync(postgres: str, database_url: str, schema: BuiltSchema) -> None:
    assert database_url, "makes the template"
    settings = Settings(live_max_dependents=2, live_max_undone=3)
    async with running(postgres, schema, "live_limits", settings) as live:
        admin = await live.member("admin")
        of = await customer(live, admin, city="Here")
        where = {"customer": {"city": {"eq": "Here"}}}
        async with following(live, admin, OPPORTUNITIES, where) as follower:
            made = [await create(live, admin, of) for _ in range(2)]
            await follower.catch_up()
            await change(live, admin, "Customer", of, city="There")
            assert sorted(await agrees(follower)) == sorted(("LEFT", id_) for id_ in made)
            made.append(await create(live, admin, of))
            await change(live, admin, "Customer", of, city="Here")
            assert await agrees(follower) == [("RESYNC", None)], "of three deals"
            assert set(made) <= follower.ids
            await follower.stop()
            for name in "abcdefgh":
                await change(live, admin, "Opportunity", made[0], name=name)
            await live.settled()
            await follower.start()
            assert await agrees(follower) == [("RESYNC", None)], "from so far back, and once for all that came since"
            await change(live, admin, "Opportunity", made[0], name="again")
            assert await agrees(follower) == [("UPDATED", made[0])]


async def create(live: Running, claims: Claims, of: str) -> str:
    """Open an opportunity of a customer and return its id."""
    made = await live.mutate(claims, "createOpportunity", {"name": "deal", "customerId": of}, "opportunity { id }")
    return str(made["opportunity"]["id"])


async def test_what_is_asked_of_the_database(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    """An event of a column that no predicate reads costs nothing; any other one statement for all who filter alike,
    and one that confirms the receivers."""
    admin = await live.member("admin")
    of = await customer(live, admin, city="Here")
    id_ = await live.create(admin, "deal", customerId=of)
    across, plain = {"customer": {"city": {"eq": "Here"}}}, {"name": {"eq": "deal"}}
    async with (
        following(live, admin, OPPORTUNITIES, across) as follower,
        following(live, admin, OPPORTUNITIES, {"customer": {"city": {"eq": "There"}}}) as other,
        following(live, admin, OPPORTUNITIES, plain) as third,
    ):
        with counted(monkeypatch) as statements:
            await change(live, admin, "Customer", of, industry="Mining")
            await follower.catch_up()
        assert statements.beside_the_hub == 0
        with counted(monkeypatch) as statements:
            await change(live, admin, "Customer", of, city="There")
            assert await follower.catch_up() == [("LEFT", id_)]
            assert await other.catch_up() == [("ENTERED", id_)]
        assert statements.count("jsonb_to_recordset") == 1
        assert statements.count(r"WITH ORDINALITY AS one") == 1, "one confirms both, who are of one family"
        assert statements.beside_the_hub == 1, "and the one that judged looks like the hub's, for the horizon in it"
        assert await third.catch_up() == []
        with counted(monkeypatch) as statements:
            await live.rename(admin, id_, "renamed")
            assert await third.catch_up() == [("LEFT", id_)]
            await other.catch_up()
        assert statements.count("jsonb_to_recordset") == 2
        assert statements.count("WITH later") == 1


async def test_a_timeline_loses_what_goes_to_another_customer(live: Live) -> None:
    """The lines of an order belong to a customer by their order."""
    admin = await live.member("admin")
    here, there = await customer(live, admin), await customer(live, admin)
    made = await live.mutate(admin, "createProduct", {"name": "P", "sku": "P-2", "price": PRICE}, "product { id }")
    lines = [{"productId": made["product"]["id"], "quantity": "1"}]
    selection = "order { id lines { nodes { id } } }"
    order = (await live.mutate(admin, "createOrder", {"customerId": here, "lines": lines}, selection))["order"]
    source = "subscription($id: ID!) { timelineChanged(customerId: $id) { kind type recordId event } }"
    await live.settled()  # a stream that starts before the log has told of the customers tells of them too
    streams = []
    for of in (here, there):
        request = GraphQLRequest(source, None, {"id": of})
        operation = await live.engine.admission.operation(request, admin)
        refusal, stream = await live.engine.subscribe(request, operation, lambda: admin)
        assert refusal is None
        streams.append(stream)
    await change(live, admin, "Order", order["id"], customerId=there)
    for stream, kind in zip(streams, ("LEFT", "ENTERED"), strict=True):
        told = [(await anext(stream))[1].body["data"]["timelineChanged"] for _ in range(3)]
        assert told[0]["type"] == "Order"
        assert {each["kind"] for each in told} == {kind}
        assert order["lines"]["nodes"][0]["id"] in {each["recordId"] for each in told}
        assert {each["event"] for each in told} == {"OrderUpdated", "OrderLineUpdated", "OrderStatusChangeUpdated"}
        await stream.aclose()


async def test_what_follows_the_account_comes_and_goes_with_it(live: Live) -> None:
    """A deal of a stranger on a customer: seen while one looks after the customer, or is in its account team."""
    admin = await live.member("admin")
    rep = await become(live, "accounts", grant("Opportunity", "ACCOUNT"), grant("Customer", "ALL"))
    of = await customer(live, admin)
    values = {"name": "Somebody else's", "customerId": of}
    made = await live.mutate(admin, "createOpportunity", values, "opportunity { id }")
    deal = str(made["opportunity"]["id"])
    async with following(live, rep, OPPORTUNITIES, {"customerId": {"eq": of}}) as follower:
        assert follower.ids == set()
        await change(live, admin, "Customer", of, ownerId=f"mem_{rep.member_id}")
        assert await agrees(follower) == [("ENTERED", deal)]
        await change(live, admin, "Customer", of, ownerId=f"mem_{admin.member_id}")
        assert await agrees(follower) == [("LEFT", deal)]
        entry = {"customerId": of, "memberId": f"mem_{rep.member_id}"}
        added = await live.mutate(admin, "addAccountTeamMember", entry, "accountTeamMember { id }")
        assert await agrees(follower) == [("ENTERED", deal)]
        removal = {"id": added["accountTeamMember"]["id"]}
        await live.mutate(admin, "removeAccountTeamMember", removal, "deletedId")
        assert await agrees(follower) == [("LEFT", deal)]
