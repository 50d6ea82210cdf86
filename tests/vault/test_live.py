"""Encrypted fields in subscriptions: each subscriber is sent what they may see, and a filter asks the blind index."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from crm_graph.api.body import GraphQLRequest
from crm_graph.api.engine import Engine
from crm_graph.app import running_engine
from crm_graph.graph.schema.build import BuiltSchema
from crm_graph.identity.installation import Installation
from crm_graph.identity.tokens import Claims
from crm_graph.kernel.settings import Settings
from tests.support.database import clone

NUMBER, OTHER = "11010519491231002X", "440308199901015432"
SELECTION = "{ kind changedFields opportunity { name customer { contacts(first: 1) { nodes { nationalId } } } } }"
WHERE = f'(where: {{customer: {{contacts: {{some: {{nationalId: {{eq: "{NUMBER}"}}}}}}}}}})'


class Stage:
    """A deal of the representative's, whose customer has one contact with a number."""

    def __init__(self, engine: Engine, connection: asyncpg.Connection[Any]) -> None:
        self.engine = engine
        self.connection = connection
        self.contact = self.deal = ""

    async def claims(self, role: str) -> Claims:
        """Return the claims of the first member with a role."""
        row = await self.connection.fetchrow(
            "SELECT workspace_id, member_id FROM member_role WHERE role = $1"
            " AND workspace_id = (SELECT id FROM workspace WHERE slug = 'demo') ORDER BY member_id LIMIT 1",
            role,
        )
        assert row is not None
        return Claims(row[0].hex, row[1].hex, datetime.now(UTC) + timedelta(hours=1))

    async def set_up(self) -> None:
        """Give the deal to the representative, and the contact its number."""
        rep = await self.claims("sales_rep")
        row = await self.connection.fetchrow(
            "SELECT opportunity.id, contact.id, opportunity.customer_id FROM opportunity"
            " JOIN contact ON contact.customer_id = opportunity.customer_id"
            " WHERE opportunity.workspace_id = $1 ORDER BY contact.id LIMIT 1",
            rep.workspace_id,
        )
        assert row is not None
        self.deal, self.contact = f"opp_{row[0].hex}", f"con_{row[1].hex}"
        for table, id_ in (("opportunity", row[0]), ("customer", row[2])):
            await self.connection.execute(f"UPDATE {table} SET owner_id = $1 WHERE id = $2", rep.member_id, id_)
        await self.mutate("updateContact", {"id": self.contact, "nationalId": NUMBER})

    async def mutate(self, field: str, input_: dict[str, Any]) -> None:
        """Run one mutation as an administrator; it must succeed."""
        claims = await self.claims("admin")
        type_ = field[0].upper() + field[1:] + "Input!"
        source = f"mutation ($input: {type_}) {{ {field}(input: $input) {{ errors {{ code }} }} }}"
        request = GraphQLRequest(source, None, {"input": input_})
        answer = await self.engine.execute(request, await self.engine.admission.operation(request, claims), claims)
        assert answer.body == {"data": {field: {"errors": []}}}

    async def subscribe(self, role: str, arguments: str = "") -> tuple[Any, AsyncIterator[Any]]:
        """Return the refusal of a subscription, or its stream."""
        claims = await self.claims(role)
        request = GraphQLRequest(f"subscription {{ opportunityChanged{arguments} {SELECTION} }}")
        operation = await self.engine.admission.operation(request, claims)
        return await self.engine.subscribe(request, operation, lambda: claims)

    async def first(self, role: str, name: str, arguments: str = "") -> dict[str, Any]:
        """Return what a subscriber is sent when the deal gets a name."""
        refusal, stream = await self.subscribe(role, arguments)
        assert refusal is None, refusal
        async with asyncio.timeout(10), aclosing(stream) as answers:  # type: ignore[type-var] # a generator it is
            waiting = asyncio.ensure_future(anext(answers))
            await asyncio.sleep(0.05)
            await self.mutate("updateOpportunity", {"id": self.deal, "name": name})
            _, answer = await waiting
        assert "errors" not in answer.body, answer.body
        assert "e1." not in str(answer.body)
        change: dict[str, Any] = answer.body["data"]["opportunityChanged"]
        assert change["opportunity"]["name"] == name
        return change


@pytest.fixture(scope="module")
async def stage(postgres: str, database_url: str, schema: BuiltSchema) -> AsyncIterator[Stage]:
    assert database_url, "makes the template"
    url = await clone(postgres, f"vault_live_{abs(hash(database_url)) % 10**6}")
    async with running_engine(Installation(url, [b"s" * 32]), Settings(), schema) as engine:
        connection = await asyncpg.connect(url)
        stage = Stage(engine, connection)
        await stage.set_up()
        yield stage
        await connection.close()


@pytest.mark.parametrize(("role", "shown"), [("admin", NUMBER), ("sales_rep", "***002X"), ("analyst", None)])
async def test_every_subscriber_is_sent_what_they_may_see(stage: Stage, role: str, shown: str | None) -> None:
    change = await stage.first(role, f"renamed for {role}")
    assert change["opportunity"]["customer"]["contacts"]["nodes"] == [{"nationalId": shown}]
    assert NUMBER not in str(change) or shown == NUMBER


async def test_a_filter_asks_the_blind_index(stage: Stage) -> None:
    assert (await stage.first("admin", "found", WHERE))["kind"] == "UPDATED"
    refusal, stream = await stage.subscribe("admin", WHERE.replace(NUMBER, OTHER))
    assert refusal is None
    waiting = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0.05)
    await stage.mutate("updateOpportunity", {"id": stage.deal, "name": "not told"})
    done, _ = await asyncio.wait([waiting], timeout=0.4)
    assert not done
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)


@pytest.mark.parametrize("role", ["sales_rep", "analyst"])
async def test_a_filter_by_what_is_masked_or_hidden_is_refused(stage: Stage, role: str) -> None:
    refusal, _ = await stage.subscribe(role, WHERE)
    assert refusal is not None
    (error,) = refusal.body["errors"]
    assert error["extensions"]["code"] == "FORBIDDEN"
    assert NUMBER not in str(refusal.body)
