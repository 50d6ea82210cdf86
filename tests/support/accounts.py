"""Accounts as a test uses them: members with passwords, requests from addresses, tokens, and a clock to turn."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from crm_graph.api.body import GraphQLRequest
from crm_graph.api.documents.cache import DocumentError
from crm_graph.api.engine import Engine
from crm_graph.db.pool import Database
from crm_graph.domains.identity.accounts.credentials import set_password
from crm_graph.domains.identity.accounts.directory import MemberDirectory
from crm_graph.events.hub import Hub
from crm_graph.graph.cursors import CursorSealer
from crm_graph.graph.schema.build import BuiltSchema
from crm_graph.identity.authenticate import Authenticator
from crm_graph.identity.origin import Origin
from crm_graph.identity.tokens import TokenAuthority
from crm_graph.kernel.errors import Unauthenticated
from crm_graph.kernel.settings import Settings
from tests.support.services import SECRET, make_services

PASSWORD = "correct horse battery staple"
WRONG = "wrong horse battery staple"
HOME = Origin("192.0.2.1", "test")
ELSEWHERE = Origin("198.51.100.7", "elsewhere")
CHEAP = {"argon2_memory_kib": 64, "argon2_iterations": 1}
"""Of Argon2 only; everything else is as in production."""

SIGN_IN = """mutation ($input: SignInInput!) { signIn(input: $input) {
    accessToken refreshToken expiresAt secondFactorRequired errors { code message field } } }"""
REFRESH = """mutation ($token: String!) { refreshSession(input: {refreshToken: $token}) {
    accessToken refreshToken expiresAt errors { code } } }"""
WHO = "{ viewer { member { email } } }"


class Clock:
    """A clock that is turned by hand."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC).replace(microsecond=0)

    def __call__(self) -> datetime:
        """Return its time."""
        return self.now

    def turn(self, **by: float) -> None:
        """Go on by so many seconds, minutes, hours."""
        self.now += timedelta(**by)

    def turn_to_noon(self) -> None:
        """Go on to noon of tomorrow."""
        self.now = self.now.replace(hour=12, minute=0, second=0) + timedelta(days=1)


class Accounts:
    """An engine, asked as a client asks it: with or without a token, from an address."""

    def __init__(self, schema: BuiltSchema, database: Database, **settings: Any) -> None:
        self.clock = Clock()
        made = Settings(**{**CHEAP, **settings})
        authority = TokenAuthority([SECRET], "crm-graph", "crm-graph", self.clock)
        self.database = database
        self.services = make_services(authority, database, made, self.clock)
        authenticator = Authenticator(authority, MemberDirectory())
        sealer = CursorSealer(b"c" * 64)
        self.engine = Engine(schema, self.services, authenticator, hub=Hub(database), sealer=sealer)

    async def rows(self, query: str, *arguments: Any) -> list[Any]:
        """Return rows of plain SQL, past all permissions: what is really there."""
        async with self.database.transaction() as session:
            return await session.connection.fetch(query, *arguments)

    async def value(self, query: str, *arguments: Any) -> Any:
        """Return the one value of plain SQL."""
        ((value,),) = await self.rows(query, *arguments)
        return value

    async def member(self, email: str, workspace: str = "demo") -> tuple[str, str]:
        """Return the workspace and the id of a member."""
        ((workspace_id, id_),) = await self.rows(
            "SELECT member.workspace_id, member.id FROM member JOIN workspace ON workspace.id = member.workspace_id"
            " WHERE email = $1 AND slug = $2",
            email,
            workspace,
        )
        return workspace_id, id_

    async def give_password(self, email: str, password: str = PASSWORD, workspace: str = "demo") -> tuple[str, str]:
        """Let a member have a password; return their workspace and id."""
        workspace_id, member_id = await self.member(email, workspace)
        hashed = await self.services.passwords.hash(password)
        async with self.database.transaction() as session:
            await set_password(self.services, session, workspace_id, member_id, hashed, 0)
        return workspace_id, member_id

    async def ask(
        self,
        source: str,
        variables: Mapping[str, Any] | None = None,
        *,
        token: str | None = None,
        origin: Origin = HOME,
    ) -> dict[str, Any]:
        """Return the whole answer to a request."""
        request = GraphQLRequest(source, None, variables or {})
        try:
            credential = None if token is None else f"Bearer {token}"
            claims = (await self.engine.admission.admit(request, credential, origin.address)).claims
            operation = await self.engine.admission.operation(request, claims)
        except Unauthenticated as error:
            return self.engine.answers.refuse_error(error).body
        except DocumentError as error:
            return self.engine.answers.refuse(error.errors, error.code).body
        return (await self.engine.execute(request, operation, claims, origin=origin)).body

    async def data(self, source: str, variables: Mapping[str, Any] | None = None, **options: Any) -> Any:
        """Return the data of a request that must succeed."""
        body = await self.ask(source, variables, **options)
        assert "errors" not in body, body["errors"]
        return body["data"]

    async def code(self, source: str, variables: Mapping[str, Any] | None = None, **options: Any) -> str:
        """Return the code of the one error of a request that must fail."""
        (error,) = (await self.ask(source, variables, **options))["errors"]
        code: str = error["extensions"]["code"]
        return code

    async def sign_in(
        self, email: str = "rep@example.com", password: str = PASSWORD, origin: Origin = HOME, **more: Any
    ) -> dict[str, Any]:
        """Return the payload of signing in, in the workspace `demo` unless told."""
        input_ = {"email": email, "password": password, "workspace": "demo", **more}
        payload: dict[str, Any] = (await self.data(SIGN_IN, {"input": input_}, origin=origin))["signIn"]
        return payload

    async def events(self, *names: str) -> list[str]:
        """Return the types of the events of accounts, in order, or of these."""
        found = await self.rows("SELECT type FROM event WHERE entity = 'Account' ORDER BY seq")
        return [row["type"] for row in found if not names or row["type"] in names]


async def limited(accounts: Accounts, origin: Origin = ELSEWHERE, **input_: Any) -> dict[str, Any] | None:
    """Return the RATE_LIMITED error of an attempt, or None."""
    given = {"email": "rep@example.com", "password": WRONG, "workspace": "demo", **input_}
    body = await accounts.ask(SIGN_IN, {"input": given}, origin=origin)
    if "errors" not in body:
        return None
    (error,) = body["errors"]
    assert error["extensions"]["code"] == "RATE_LIMITED"
    found: dict[str, Any] = error
    return found


TABLES = "credential, recovery_code, member_link, attempt, mail, member_session"


@asynccontextmanager
async def real_accounts(schema: BuiltSchema, url: str, **settings: Any) -> AsyncIterator[Accounts]:
    """Lend accounts over real pools, where transactions commit and requests run at once. Leaves no account behind."""
    database = await Database.open(url)
    try:
        accounts = Accounts(schema, database, **settings)
        yield accounts
        async with database.transaction() as session:
            await session.connection.fetch(f"TRUNCATE {TABLES}")
            await session.connection.fetch("DELETE FROM event WHERE entity = 'Account'")
            await session.connection.fetch("UPDATE member SET status = 'ACTIVE' WHERE email = 'rep@example.com'")
    finally:
        await database.close()
