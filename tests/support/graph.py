"""The graph as a test uses it: execute an operation as somebody, and see what was answered and what was sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from crm_graph.api.body import GraphQLRequest
from crm_graph.api.documents.cache import DocumentError
from crm_graph.api.engine import Engine
from crm_graph.domains.identity.accounts.directory import VIEWER, MemberDirectory
from crm_graph.events.hub import Hub
from crm_graph.executor.results import OnError
from crm_graph.graph.cursors import CursorSealer
from crm_graph.graph.records.record import record_of
from crm_graph.graph.running.execution import make_executor
from crm_graph.graph.schema.build import BuiltSchema
from crm_graph.identity.authenticate import Authenticator, Resolver
from crm_graph.identity.tokens import Claims, TokenAuthority
from crm_graph.kernel.clock import Clock, system_clock
from crm_graph.kernel.ids import encode_id
from crm_graph.kernel.settings import Settings
from tests.support.database import SavepointDatabase
from tests.support.services import SECRET, make_services


class Graph:
    """An engine over one database in a savepoint."""

    def __init__(
        self,
        schema: BuiltSchema,
        database: SavepointDatabase,
        settings: Settings | None = None,
        resolvers: Sequence[Resolver] = (),
        clock: Clock = system_clock,
    ) -> None:
        self.database = database
        self.schema = schema
        self.authority = TokenAuthority([SECRET], "crm-graph", "crm-graph")
        self.engine = Engine(
            schema,
            make_services(self.authority, database, settings, clock),
            Authenticator(self.authority, MemberDirectory(), resolvers),
            hub=Hub(database),
            sealer=CursorSealer(b"c" * 64),
        )

    async def rows(self, query: str, *arguments: Any) -> list[Any]:
        """Return rows of plain SQL, past all permissions: what is really there."""
        return await self.database.one.connection.fetch(query, *arguments)

    async def value(self, query: str, *arguments: Any) -> Any:
        """Return the one value of plain SQL."""
        return await self.database.one.connection.fetchval(query, *arguments)

    async def claims(self, role: str, workspace: str = "demo") -> Claims:
        """Return the claims of the first member with a role."""
        row = await self.database.one.connection.fetchrow(
            "SELECT member.workspace_id, member.id FROM member"
            " JOIN workspace ON workspace.id = member.workspace_id"
            " JOIN member_role ON member_role.workspace_id = member.workspace_id AND member_id = member.id"
            " WHERE slug = $1 AND role = $2 AND status = 'ACTIVE' ORDER BY member.id LIMIT 1",
            workspace,
            role,
        )
        assert row is not None, f"no {role} in {workspace}"
        return Claims(row[0], row[1], datetime.now(UTC) + timedelta(hours=1))

    async def execute(
        self,
        source: str,
        variables: Mapping[str, Any] | None = None,
        *,
        role: str = "admin",
        workspace: str = "demo",
        operation: str | None = None,
        on_error: OnError | None = None,
        claims: Claims | None = None,
        key: str | None = None,
    ) -> dict[str, Any]:
        """Execute an operation as the first member with a role, or by these claims, and return the response; `key` is
        the request's idempotency key."""
        claims = claims or await self.claims(role, workspace)
        request = GraphQLRequest(source, operation, variables or {}, on_error=on_error, idempotency_key=key)
        try:
            found = await self.engine.admission.operation(request, claims)
        except DocumentError as error:
            return self.engine.answers.refuse(error.errors, error.code).body
        finally:
            self.database.one.sent.clear()
        return (await self.engine.execute(request, found, claims)).body

    async def data(self, source: str, variables: Mapping[str, Any] | None = None, **options: Any) -> Any:
        """Execute an operation that must succeed and return its data."""
        body = await self.execute(source, variables, **options)
        assert "errors" not in body, body["errors"]
        return body["data"]

    async def error(self, source: str, variables: Mapping[str, Any] | None = None, **options: Any) -> dict[str, Any]:
        """Execute an operation that must fail with one error and return it."""
        body = await self.execute(source, variables, **options)
        (error,) = body["errors"]
        assert isinstance(error, dict)
        return error

    @property
    def statements(self) -> int:
        """How many statements the last operation sent, those that find its document and its viewer not counted."""
        return sum(text != VIEWER.text for text in self.database.one.sent)

    def use(self, executor: str) -> None:
        """Switch the executor: `planned` or `reference`."""
        self.engine.execution.executor = make_executor(executor, self.schema)

    async def id_of(self, cls: type, where: str = "true", workspace: str = "demo") -> str:
        """Return the API id of a record's first row (by id) that matches plain SQL."""
        record = record_of(cls)
        value = await self.value(
            f"SELECT id FROM {record.table.name} WHERE workspace_id ="
            f" (SELECT id FROM workspace WHERE slug = $1) AND {where} ORDER BY id LIMIT 1",
            workspace,
        )
        assert value is not None, f"no {record.name} where {where}"
        return encode_id(record.prefix, value)
