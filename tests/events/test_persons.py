"""Filters of live data that compare what the log keeps under the key of a person."""

from __future__ import annotations

from typing import Any

from tests.events.follower import Follower
from tests.events.live import Live
from tests.events.test_related import CONTACTS, OPPORTUNITIES, agrees, change, customer, following

CALLED = {"name": {"startsWith": "Zebulon"}}


async def contact(live: Live, claims: Any, of: str, name: str) -> str:
    """Create a contact of a customer and return its id."""
    made = await live.mutate(claims, "createContact", {"customerId": of, "name": name}, "contact { id }")
    return str(made["contact"]["id"])


async def test_who_comes_and_goes_by_name(live: Live) -> None:
    """And whoever was away is told the same: old names are read where the log has them."""
    admin = await live.member("admin")
    of = await customer(live, admin)
    async with following(live, admin, CONTACTS, CALLED) as follower:
        cursor = follower.cursor
        id_ = await contact(live, admin, of, "Ada")
        await change(live, admin, "Contact", id_, name="Zebulon")
        await change(live, admin, "Contact", id_, title="Consul")
        await change(live, admin, "Contact", id_, name="Ada")
        told = await agrees(follower)
        assert told == [("ENTERED", id_), ("UPDATED", id_), ("LEFT", id_)]
        late = Follower(live, admin, *CONTACTS, CALLED, {*follower.ids}, cursor=cursor)
        await late.start()
        assert await agrees(late) == told
        await late.stop()


async def test_deals_of_whom_one_knows_by_name(live: Live) -> None:
    admin = await live.member("admin")
    of = await customer(live, admin, name="Zebulon")
    id_ = await live.create(admin, "deal", customerId=of)
    async with following(live, admin, OPPORTUNITIES, {"customer": CALLED}) as follower:
        await change(live, admin, "Customer", of, name="Ada")
        assert await agrees(follower) == [("LEFT", id_)]
        await change(live, admin, "Customer", of, name="Zebulon again")
        assert await agrees(follower) == [("ENTERED", id_)]


async def test_a_list_by_name_is_read_anew_when_somebody_is_erased(live: Live) -> None:
    """Nobody can tell any more who had them in their list. Whoever filters by something else is told of a change."""
    admin = await live.member("admin")
    of = await customer(live, admin)
    id_ = await contact(live, admin, of, "Zebulon")
    async with (
        following(live, admin, CONTACTS, CALLED) as follower,
        following(live, admin, CONTACTS, {"customer": {"city": {"isNull": True}}}) as other,
    ):
        assert id_ in follower.ids
        await live.mutate(admin, "eraseContact", {"id": id_}, "contact { id }")
        assert await agrees(follower) == [("RESYNC", None)]
        assert id_ not in follower.ids
        assert await agrees(other) == [("UPDATED", id_)]
