"""What goes together, written by two at once over real pools: one waits for the other, and knows what it did."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import asyncpg
import pytest

from crm_graph.graph.schema.build import BuiltSchema
from crm_graph.identity.tokens import Claims
from crm_graph.kernel.settings import Settings
from tests.support.database import with_database
from tests.support.live import Running, running

ROUNDS = 12
SOON_S = 20
ERRORS = "mutation ($input: {0}Input!) {{ {1}(input: $input) {{ errors {{ code field }} }} }}"


@pytest.fixture(scope="module")
async def real(postgres: str, schema: BuiltSchema) -> AsyncIterator[Running]:
    """An engine whose transactions commit."""
    async with running(postgres, schema, "crm_coherence", replace(Settings(), jobs=False)) as engine:
        yield engine


class Desk:
    """An administrator who writes."""

    def __init__(self, real: Running, claims: Claims) -> None:
        self.real, self.claims = real, claims

    async def make(self, field: str, record: str, **values: Any) -> str:
        """Make a record and return its id."""
        id_: str = (await self.real.mutate(self.claims, field, values, f"{record} {{ id }}"))[record]["id"]
        return id_

    async def codes(self, field: str, **values: Any) -> list[tuple[str, str]]:
        """Return why a mutation was refused."""
        source = ERRORS.format(f"{field[0].upper()}{field[1:]}", field)
        data = await self.real.data(self.claims, source, {"input": values})
        return [(each["code"], ".".join(each["field"])) for each in data[field]["errors"]]


@pytest.fixture
async def desk(real: Running) -> Desk:
    """Who writes."""
    return Desk(real, await real.member("admin"))


async def events_of(real: Running, *ids: str) -> list[str]:
    """Return the entities of the latest events of records, in the order of the log."""
    rows = await real.connection.fetch(
        "SELECT entity, max(seq) AS last FROM event WHERE entity_id = ANY($1::uuid[]) GROUP BY 1 ORDER BY 2",
        [id_[4:] for id_ in ids],
    )
    return [row["entity"] for row in rows]


async def test_a_contact_moves_while_a_ticket_is_made_with_it(real: Running, desk: Desk) -> None:
    before, after = [await desk.make("createCustomer", "customer", name=name) for name in "ab"]
    outcomes = set()
    for number in range(ROUNDS):
        person = await desk.make("createContact", "contact", name="p", customerId=before)
        ticket = f"tic_{number:032x}".replace("tic_0", "tic_1", 1)
        making = desk.codes("createTicket", id=ticket, subject="x", customerId=before, contactId=person)
        moving = desk.codes("updateContact", id=person, customerId=after)
        asked = (making, moving) if number % 2 else (moving, making)
        answers = dict(zip(asked, await asyncio.gather(*asked), strict=True))
        assert answers[moving] == []
        assert answers[making] in ([], [("INCOHERENT", "contactId")])
        outcomes.add(not answers[making])
        if not answers[making]:
            assert await events_of(real, ticket, person) == ["Ticket", "Contact"], "it was made before, not beside"
    assert outcomes, "either may be first"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ("UPDATE contact SET customer_id = $2 WHERE id = $1", [("INCOHERENT", "contactId")]),
        ("UPDATE contact SET name = 'other' WHERE id = $1 AND $2::uuid IS NOT NULL", []),
    ],
)
async def test_who_asks_waits_for_who_changes(
    real: Running, desk: Desk, change: str, code: list[tuple[str, str]]
) -> None:
    before, after = [await desk.make("createCustomer", "customer", name=name) for name in "cd"]
    person = await desk.make("createContact", "contact", name="p", customerId=before)
    name = await real.connection.fetchval("SELECT current_database()")
    other = await asyncpg.connect(with_database(real.engine.database.url, name))
    try:
        async with other.transaction():
            await other.execute(change, person[4:], after[4:])
            making = asyncio.create_task(desk.codes("createTicket", subject="x", customerId=before, contactId=person))
            async with asyncio.timeout(SOON_S):
                waiting = (
                    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                    " AND wait_event_type = 'Lock' AND query LIKE '%FROM contact%'"
                )
                while not await real.connection.fetchval(waiting):  # noqa: ASYNC110 - nobody tells
                    await asyncio.sleep(0.01)
            assert not making.done()
        assert await making == code
    finally:
        await other.close()


async def test_two_at_once_make_no_circle(desk: Desk) -> None:
    for _ in range(ROUNDS // 3):
        one, two = [await desk.make("createCustomer", "customer", name=name) for name in "ef"]
        answers = await asyncio.gather(
            desk.codes("updateCustomer", id=one, parentId=two), desk.codes("updateCustomer", id=two, parentId=one)
        )
        assert sorted(answers) == [[], [("INVALID", "parentId")]]


async def test_whoever_is_put_on_a_list_as_they_unsubscribe(real: Running, desk: Desk) -> None:
    first, second = [await desk.make("createCampaign", "campaign", name=n, channel="EMAIL") for n in "xy"]
    customer = await desk.make("createCustomer", "customer", name="g")
    for _ in range(ROUNDS):
        person = await desk.make("createContact", "contact", name="p", customerId=customer)
        place = await desk.make("addCampaignMember", "member", campaignId=first, contactId=person)
        answers = await asyncio.gather(
            desk.codes("setCampaignMemberStatus", id=place, status="UNSUBSCRIBED"),
            desk.codes("addCampaignMember", campaignId=second, contactId=person),
        )
        assert list(answers) == [[], []]
        rows = await real.connection.fetch(
            "SELECT seq, type, changes FROM event WHERE entity = 'CampaignMember' AND workspace_id ="
            " (SELECT workspace_id FROM contact WHERE id = $1) ORDER BY seq DESC LIMIT 2",
            person[4:],
        )
        if rows[0]["type"] == "CampaignMemberAdded":
            status = "SELECT status FROM campaign_member WHERE contact_id = $1 AND campaign_id = $2"
            assert await real.connection.fetchval(status, person[4:], second[4:]) == "UNSUBSCRIBED"
