"""An installation that was backed up, and the one that was restored from it, as tests use them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import orjson

from crm_graph.db import embedded
from tests.faults.installation import SECRET, SETTINGS, Installation, Process
from tests.support.server import free_port

HOOKS = {
    "CRM_WEBHOOK_PRIVATE": "127.0.0.0/8",
    "CRM_WEBHOOK_RETRY_MS": "50",
    "CRM_WEBHOOK_RETRY_MAX_MS": "100",
    "CRM_WEBHOOK_POLL_MS": "20",
    "CRM_EVENT_RETENTION_DAYS": "0",  # the demo data are of long ago
}
KEYS = {"CRM_SECRET": SECRET}
_TABLES = """
    SELECT quote_ident(nspname) || '.' || quote_ident(relname) AS name FROM pg_class
    JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE relkind = 'r' AND nspname IN ('public', 'crm_jobs') ORDER BY 1
"""
UNSEALED = "SELECT (SELECT count(*) FROM event) - (SELECT count(*) FROM audit_entry)"
CREATE_ENDPOINT = """mutation($input: CreateWebhookEndpointInput!) { createWebhookEndpoint(input: $input) {
    webhookEndpoint { id } errors { code message } } }"""
CREATE_CUSTOMER = """mutation($input: CreateCustomerInput!) { createCustomer(input: $input) {
    customer { id } errors { code message } } }"""
CHANGES = """query($after: Cursor) { changes(after: $after, types: ["Customer"], first: 1000) {
    cursor hasMore nodes { recordId event } } }"""


_WRITTEN = {
    "public.workspace_directory": {"directory_version"},
    "public.webhook_delivery": {"claimed_until", "claim", "attempts", "first_attempt_at", "next_attempt_at"},
    "public.mail": {"next_at"},
    "crm_jobs.pgqueuer": {"heartbeat", "execute_after"},
    "crm_jobs.pgqueuer_schedules": {"next_run"},
}
"""What restoring writes into rows that it finds: leases given back, viewers to be read anew."""


async def rows_of(url: str) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of every table, in one order, without the columns that restoring writes."""
    connection = await asyncpg.connect(url)
    try:
        names = [row["name"] for row in await connection.fetch(_TABLES)]
        return {
            name: [
                {key: value for key, value in orjson.loads(row[0]).items() if key not in _WRITTEN.get(name, ())}
                for row in await connection.fetch(f"SELECT to_json(row)::text FROM {name} AS row ORDER BY row::text")
            ]
            for name in names
        }
    finally:
        await connection.close()


async def gone_quiet(installation: Installation) -> None:
    """Wait until every event is sealed."""
    async with asyncio.timeout(60):
        while (await installation.rows(UNSEALED))[0][0]:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.05)


class Caller:
    """A member who calls an API."""

    def __init__(self, installation: Installation, member: str) -> None:
        self._address = installation.apis[0].address
        self._headers = {"Authorization": f"Bearer {installation.token(member)}"}

    async def ask(self, query: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        """Return the answer to an operation."""
        async with httpx.AsyncClient(timeout=30, headers=self._headers) as http:
            answer = await http.post(self._address, json={"query": query, "variables": variables})
            found: dict[str, Any] = answer.json()
            return found

    async def data(self, query: str, variables: Mapping[str, Any]) -> Any:
        """Return what the one field of an operation answers, which must succeed."""
        answer = await self.ask(query, variables)
        assert "errors" not in answer, answer
        (found,) = answer["data"].values()
        assert not found.get("errors"), found
        return found

    async def customers(self, *names: str) -> list[str]:
        """Make customers one after another, and return their ids."""
        return [(await self.data(CREATE_CUSTOMER, {"input": {"name": name}}))["customer"]["id"] for name in names]

    async def changed(self, after: str | None) -> tuple[list[str], str]:
        """Return the records of the change feed after a cursor, and where it goes on."""
        ids: list[str] = []
        while True:
            page = await self.data(CHANGES, {"after": after})
            ids += [node["recordId"] for node in page["nodes"]]
            after = page["cursor"]
            if not page["hasMore"]:
                assert after is not None
                return ids, after


@asynccontextmanager
async def brought_back(data: Path, before: Installation, **settings: str) -> AsyncIterator[Installation]:
    """Serve what was restored into a data directory by one API process, until the block ends."""
    with embedded.running(data, shared_buffers_mb=64) as server:
        made = Installation(data, server.url, workspace_id=before.workspace_id)
        given = {**SETTINGS, **HOOKS, **settings}
        api = Process("restored", server.url, data.parent / "restored.log", free_port(), given)
        made.apis = [api]
        try:
            await api.ready()
            yield made
        finally:
            api.kill()
