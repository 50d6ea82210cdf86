"""A stream tells LEFT and ENTERED when rows change that its filter, or the viewer's scope, reads beside the record."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from crm_graph.identity.tokens import Claims
from tests.events.follower import Follower
from tests.events.live import Live

OPPORTUNITIES = ("Opportunity", "opportunities")
CONTACTS = ("Contact", "contacts")
ORDERS = ("Order", "orders")
CUSTOMERS = ("Customer", "customers")


@asynccontextmanager
async def following(live: Live, claims: Claims, of: tuple[str, str], where: dict[str, Any]) -> AsyncIterator[Follower]:
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


async def customer(live: Live, claims: Claims, **values: Any) -> str:
    """Create a customer and return its id."""
    made = await live.mutate(claims, "createCustomer", {"name": "C", **values}, "customer { id }")
    return str(made["customer"]["id"])


async def change(live: Live, claims: Claims, type_: str, id_: str, **values: Any) -> None:
    """Update a record."""
    await live.mutate(claims, f"update{type_}", {"id": id_, **values}, f"{type_[0].lower()}{type_[1:]} {{ id }}")


async def role(live: Live, claims: Claims, name: str, grants: dict[str, Any]) -> None:
    """Define a role."""
    values = {"name": name, "grants": grants}
    await live.mutate(claims, "createRole", values, "role { name }")


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
