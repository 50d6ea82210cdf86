"""A running engine on a database of its own: what is committed is visible, as the log's readers need it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

from crm_graph.api.body import GraphQLRequest
from crm_graph.api.engine import Engine
from crm_graph.app import running_engine
from crm_graph.graph.schema.build import BuiltSchema
from crm_graph.identity.installation import Installation
from crm_graph.identity.tokens import Claims
from crm_graph.kernel.settings import Settings
from tests.support.database import clone, log_settled


class Running:
    """The engine, and a connection past it."""

    def __init__(self, engine: Engine, connection: asyncpg.Connection[Any]) -> None:
        self.engine = engine
        self.connection = connection

    async def member(self, role: str, skip: int = 0, workspace: str = "demo") -> Claims:
        """Return the claims of a member with a role."""
        row = await self.connection.fetchrow(
            "SELECT replace(workspace_id::text, '-', ''), replace(member_id::text, '-', '') FROM member_role"
            " WHERE role = $1 AND workspace_id = (SELECT id FROM workspace WHERE slug = $3)"
            " ORDER BY member_id OFFSET $2 LIMIT 1",
            role,
            skip,
            workspace,
        )
        assert row is not None
        return Claims(row[0], row[1], datetime.now(UTC) + timedelta(hours=1))

    async def claims(self, member_id: str) -> Claims:
        """Return the claims of a member of the demo workspace by their id as the API spells it."""
        (workspace,) = await self.connection.fetch(
            "SELECT replace(id::text, '-', '') FROM workspace WHERE slug = 'demo'"
        )
        return Claims(workspace[0], member_id.removeprefix("mem_"), datetime.now(UTC) + timedelta(hours=1))

    async def settled(self) -> None:
        """See `log_settled`."""
        await log_settled(self.connection)

    async def answer(self, claims: Claims, source: str, variables: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Execute an operation and return the response."""
        request = GraphQLRequest(source, None, dict(variables or {}))
        answer = await self.engine.execute(request, await self.engine.admission.operation(request, claims), claims)
        return answer.body

    async def data(self, claims: Claims, source: str, variables: Mapping[str, Any] | None = None) -> Any:
        """Execute an operation that must succeed and return its data."""
        body = await self.answer(claims, source, variables)
        assert "errors" not in body, body["errors"]
        return body["data"]

    async def error(self, claims: Claims, source: str, variables: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Execute an operation that must fail with one error and return it."""
        (error,) = (await self.answer(claims, source, variables))["errors"]
        assert isinstance(error, dict)
        return error

    async def mutate(self, claims: Claims, field: str, input_: Mapping[str, Any], selection: str) -> Any:
        """Run one mutation that must succeed and return its payload."""
        type_ = field[0].upper() + field[1:] + "Input!"
        source = f"mutation ($input: {type_}) {{ {field}(input: $input) {{ {selection} errors {{ code message }} }} }}"
        payload = (await self.data(claims, source, {"input": input_}))[field]
        assert payload["errors"] == [], payload
        return payload


@asynccontextmanager
async def running(
    postgres: str, schema: BuiltSchema, name: str, settings: Settings | None = None
) -> AsyncIterator[Running]:
    """Lend a running engine on a clone of the template."""
    url = await clone(postgres, name)
    async with running_engine(Installation(url, [b"s" * 32]), settings or Settings(), schema) as engine:
        connection = await asyncpg.connect(url)
        try:
            yield Running(engine, connection)
        finally:
            await connection.close()
