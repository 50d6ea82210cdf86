"""Webhooks as a test uses them: a database of its own, a deliverer that runs, and a receiver."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from crm_graph.api.body import GraphQLRequest
from crm_graph.api.engine import Engine
from crm_graph.api.schema import make_schema
from crm_graph.api.webhooks.deliverer import Deliverer
from crm_graph.app import make_engine
from crm_graph.db.pool import Database
from crm_graph.events.hub import Hub
from crm_graph.graph.schema.build import BuiltSchema
from crm_graph.identity.tokens import Claims, TokenAuthority
from crm_graph.kernel.cursor import LogCursor
from crm_graph.kernel.settings import Settings
from tests.support.database import clone
from tests.support.receiver import Receiver, receiving
from tests.support.services import SECRET, make_services

SETTINGS = Settings(
    webhook_private="127.0.0.0/8",
    webhook_timeout_ms=1_000,
    webhook_retry_ms=20,
    webhook_retry_max_ms=50,
    webhook_poll_ms=10,
)
CREATE = """mutation($input: CreateWebhookEndpointInput!) { createWebhookEndpoint(input: $input) {
    webhookEndpoint { id url status cursor version } secret errors { code message field } } }"""
UPDATE = """mutation($input: UpdateWebhookEndpointInput!) { updateWebhookEndpoint(input: $input) {
    webhookEndpoint { id status statusReason cursor version } errors { code message field } } }"""
DELIVERIES = """query($id: ID!) { webhookEndpoint(id: $id) { status statusReason cursor deliveries(first: 200) { nodes {
    id eventType recordId status attempts responseStatus responseBody requestBody error messageId } } } }"""
CUSTOMER = """mutation($input: CreateCustomerInput!) { createCustomer(input: $input) {
    customer { id version } errors { message } } }"""
RENAME = """mutation($input: UpdateCustomerInput!) { updateCustomer(input: $input) {
    customer { id version } errors { message } } }"""


class Hooks:
    """An engine over a database, with a receiver."""

    def __init__(self, schema: BuiltSchema, database: Database, receiver: Receiver) -> None:
        self.schema = schema
        self.database = database
        self.receiver = receiver
        self.engine = self.make(SETTINGS)

    def make(self, settings: Settings) -> Engine:
        """Return an engine with these settings."""
        authority = TokenAuthority([SECRET], "crm-graph", "crm-graph")
        return make_engine(self.schema, make_services(authority, self.database, settings), Hub(self.database))

    @asynccontextmanager
    async def delivering(self, **settings: Any) -> AsyncIterator[Deliverer]:
        """Run a deliverer; it must not end of itself."""
        deliverer = Deliverer(self.make(replace(SETTINGS, **settings)))
        task = asyncio.create_task(deliverer.run())
        try:
            yield deliverer
            assert not task.done(), task.exception()
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    @asynccontextmanager
    async def process(self) -> AsyncIterator[asyncio.subprocess.Process]:
        """Run a deliverer in a process of its own, to be killed."""
        process = await asyncio.create_subprocess_exec(sys.executable, "-m", __name__, self.database.url)
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    async def claims(self, role: str = "admin", workspace: str = "demo") -> Claims:
        """Return the claims of the first member with a role."""
        rows = await self.sql(
            "SELECT member.workspace_id, member.id FROM member JOIN workspace ON workspace.id = member.workspace_id"
            " JOIN member_role ON member_role.workspace_id = member.workspace_id AND member_id = member.id"
            " WHERE slug = $1 AND role = $2 AND status = 'ACTIVE' ORDER BY member.id LIMIT 1",
            workspace,
            role,
        )
        return Claims(rows[0][0], rows[0][1], datetime.now(UTC) + timedelta(hours=1))

    async def sql(self, query: str, *arguments: Any) -> list[Any]:
        """Run plain SQL, past all permissions."""
        async with self.database.transaction() as session:
            return await session.connection.fetch(query, *arguments)

    async def data(self, source: str, variables: Mapping[str, Any] | None = None, claims: Claims | None = None) -> Any:
        """Execute an operation that must succeed."""
        claims = claims or await self.claims()
        request = GraphQLRequest(source, None, variables or {})
        operation = await self.engine.admission.operation(request, claims)
        body = (await self.engine.execute(request, operation, claims)).body
        assert "errors" not in body, body["errors"]
        (found,) = body["data"].values()
        return found

    async def endpoint(self, *events: str, roles: tuple[str, ...] = ("admin",), **more: Any) -> tuple[str, str]:
        """Make an endpoint at the receiver and return its id and its secret."""
        given = {"url": self.receiver.url, "eventTypes": events, "roles": roles, **more}
        made = await self.data(CREATE, {"input": given})
        assert made["errors"] == [], made
        return made["webhookEndpoint"]["id"], made["secret"]

    async def customer(self, **values: Any) -> str:
        """Make a customer and return its id."""
        made = await self.data(CUSTOMER, {"input": {"name": "Zebra", **values}})
        assert made["errors"] == [], made
        id_: str = made["customer"]["id"]
        return id_

    async def rename(self, id_: str, name: str) -> None:
        """Change a customer."""
        made = await self.data(RENAME, {"input": {"id": id_, "name": name}})
        assert made["errors"] == [], made

    async def seen(self, endpoint: str) -> dict[str, Any]:
        """Return an endpoint with its deliveries, as an administrator sees them."""
        found: dict[str, Any] = await self.data(DELIVERIES, {"id": endpoint})
        found["deliveries"] = found["deliveries"]["nodes"]
        return found

    async def position(self, endpoint: str) -> LogCursor:
        """Return how far the fan-out has come for an endpoint."""
        found = LogCursor.decode((await self.seen(endpoint))["cursor"])
        assert found is not None
        return found

    async def rest(self) -> None:
        """Wait a moment before looking again."""
        await asyncio.sleep(0.02)

    async def until(self, endpoint: str, *, deliveries: list[str] | None = None, status: str = "ACTIVE") -> Any:
        """Return an endpoint once it has the status, and its deliveries, oldest event first, have theirs."""
        found: Any = None
        with suppress(TimeoutError):
            async with asyncio.timeout(60):
                while True:
                    found = await self.seen(endpoint)
                    now = sorted(each["status"] for each in found["deliveries"])
                    if found["status"] == status and (deliveries is None or now == sorted(deliveries)):
                        return found
                    await self.rest()
        raise AssertionError(f"{endpoint} is {found}")


@asynccontextmanager
async def hooks_of(postgres: str, name: str, schema: BuiltSchema) -> AsyncIterator[Hooks]:
    """Lend a database of its own with a receiver."""
    database = await Database.open(await clone(postgres, name))
    try:
        async with receiving() as receiver:
            yield Hooks(schema, database, receiver)
    finally:
        await database.close()


async def _deliver(url: str) -> None:
    database = await Database.open(url)
    async with receiving() as unused:
        await Deliverer(Hooks(make_schema(), database, unused).engine).run()


if __name__ == "__main__":
    asyncio.run(_deliver(sys.argv[1]))
