"""The authorization server as a browser and a client see it, in one savepoint."""

from __future__ import annotations

import base64
import hashlib
import html
import re
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
from starlette.applications import Starlette

from crm_graph.api.oauth import forms
from crm_graph.api.oauth.routes import routes
from crm_graph.api.oauth.visits import Providers, of_workspace
from crm_graph.domains.identity.accounts.browsers import start_browser
from crm_graph.domains.identity.accounts.enums import SignInMethod
from crm_graph.domains.identity.accounts.session_rows import UNBOUND
from crm_graph.domains.identity.clients.keys import make_key
from crm_graph.graph.schema.build import BuiltSchema
from crm_graph.identity.origin import Origin
from crm_graph.identity.services import Services
from crm_graph.identity.tokens import Claims
from crm_graph.kernel.ids import encode_id, new_id
from crm_graph.kernel.settings import Settings
from tests.support.database import SavepointDatabase
from tests.support.graph import Graph

ISSUER = "http://127.0.0.1:8000"
HERE = Origin("203.0.113.7", "a browser")
CALLBACK = "https://app.example.com/callback"


@dataclass(frozen=True, slots=True)
class Registered:
    """A client that a test made; `secret` is one of its API keys."""

    id: str
    workspace_id: str
    secret: str | None

    @property
    def client_id(self) -> str:
        """The id on the wire."""
        return encode_id("apc", self.id)

    def credentials(self) -> dict[str, str]:
        """Return the form fields by which it authenticates."""
        found = {"client_id": self.client_id}
        return found if self.secret is None else {**found, "client_secret": self.secret}


@dataclass(slots=True)
class Pkce:
    """A verifier and its challenge."""

    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(32))

    @property
    def challenge(self) -> str:
        """The S256 challenge."""
        digest = hashlib.sha256(self.verifier.encode()).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


class Site:
    """The server with one browser; `http` keeps its cookies."""

    def __init__(self, graph: Graph, http: httpx.AsyncClient) -> None:
        self.graph = graph
        self.http = http

    @property
    def services(self) -> Services:
        """The services of the engine."""
        return self.graph.engine.services

    async def client(
        self,
        *,
        kind: str = "CONFIDENTIAL",
        redirect_uris: tuple[str, ...] = (CALLBACK,),
        first_party: bool = False,
        workspace: str = "demo",
        acts_as: str | None = None,
        name: str | None = None,
    ) -> Registered:
        """Make a client, with a key if it is confidential; `acts_as` is the role of its service member."""
        member = None if acts_as is None else (await self.graph.claims(acts_as, workspace)).member_id
        workspace_id = await self.graph.value("SELECT id FROM workspace WHERE slug = $1", workspace)
        id_ = new_id()
        await self.graph.rows(
            "INSERT INTO api_client (workspace_id, id, name, kind, redirect_uris, first_party, member_id, version,"
            " created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, 1, now(), now())",
            workspace_id,
            id_,
            name or f"App {id_}",
            kind,
            list(redirect_uris),
            first_party,
            member,
        )
        return Registered(id_, workspace_id, None if kind == "PUBLIC" else await self.key(workspace_id, id_))

    async def key(self, workspace_id: str, client_id: str) -> str:
        """Make an API key of a client and return its text."""
        key_id = new_id()
        made = make_key(workspace_id, key_id)
        await self.graph.rows(
            "INSERT INTO api_key (workspace_id, id, client_id, name, prefix, sha256, version, created_at, updated_at)"
            " VALUES ($1, $2, $3, 'key', $4, $5, 1, now(), now())",
            workspace_id,
            key_id,
            client_id,
            made.prefix,
            made.sha256,
        )
        return made.text

    async def sign_in(self, role: str = "sales_rep", workspace: str = "demo", ago_s: int = 0) -> Claims:
        """Let the browser be signed in, as a provider's callback leaves it."""
        claims = await self.graph.claims(role, workspace)
        async with self.services.database.transaction() as session:
            cookie = await start_browser(
                self.services,
                session,
                claims.workspace_id,
                claims.member_id,
                method=SignInMethod.OIDC,
                origin=HERE,
                source=UNBOUND,
            )
        if ago_s:
            await self.graph.rows(
                "UPDATE member_session SET created_at = created_at - $1::interval,"
                " expires_at = expires_at - $1::interval"
                " WHERE id = (SELECT id FROM member_session WHERE kind = 'BROWSER' ORDER BY created_at DESC LIMIT 1)",
                timedelta(seconds=ago_s),
            )
        self.http.cookies.set(forms.SIGNED_IN, cookie, domain="127.0.0.1", path="/oauth")
        return claims

    async def authorize(self, client: Registered, pkce: Pkce, **changes: str | None) -> httpx.Response:
        """Ask for a code; None leaves a parameter out."""
        return await self.http.get("/oauth/authorize", params=request_of(client, pkce, **changes))

    async def submit(self, page: httpx.Response, **fields: str) -> httpx.Response:
        """Post the form of a page, with fields filled in."""
        action = re.search(r'<form method="post" action="([^"]*)"', page.text)
        assert action is not None, page.text
        return await self.http.post(html.unescape(action[1]), data={**hidden(page), **fields})

    async def code(self, client: Registered, pkce: Pkce, **changes: str | None) -> str:
        """Return a code that the signed-in member has agreed to."""
        found = await self.authorize(client, pkce, **changes)
        if found.status_code == 200:
            found = await self.submit(found, decision="allow")
        return redirected(found)["code"]

    async def redeem(self, client: Registered, code_: str, pkce: Pkce, **changes: str | None) -> httpx.Response:
        """Redeem a code."""
        fields: dict[str, str | None] = {
            "grant_type": "authorization_code",
            "code": code_,
            "redirect_uri": CALLBACK,
            "code_verifier": pkce.verifier,
            **client.credentials(),
            **changes,
        }
        return await self.post("token", fields)

    async def tokens(self, client: Registered, **changes: str | None) -> dict[str, Any]:
        """Return the tokens that a client gets for the signed-in member."""
        pkce = Pkce()
        found = await self.redeem(client, await self.code(client, pkce, **changes), pkce)
        assert found.status_code == 200, found.text
        body: dict[str, Any] = found.json()
        return body

    async def refresh(self, client: Registered, token: str, **changes: str | None) -> httpx.Response:
        """Use a refresh token."""
        fields = {"grant_type": "refresh_token", "refresh_token": token, **client.credentials(), **changes}
        return await self.post("token", fields)

    async def post(self, endpoint: str, fields: dict[str, str | None] | dict[str, str]) -> httpx.Response:
        """Post a form to an endpoint, without the browser's cookies."""
        data = {name: value for name, value in fields.items() if value is not None}
        return await self.http.post(f"/oauth/{endpoint}", data=data)

    async def ask(self, access_token: str, source: str = "{ viewer { member { name } } }") -> dict[str, Any]:
        """Ask the graph by an access token."""
        claims = await self.graph.engine.authenticator.authenticate(f"Bearer {access_token}")
        return await self.graph.execute(source, claims=claims)


def request_of(client: Registered, pkce: Pkce, **changes: str | None) -> dict[str, str]:
    """Return the parameters of a good authorization request, changed."""
    parameters: dict[str, str | None] = {
        "response_type": "code",
        "client_id": client.client_id,
        "redirect_uri": CALLBACK,
        "scope": "crm openid",
        "state": "state of the client",
        "nonce": secrets.token_urlsafe(8),
        "code_challenge": pkce.challenge,
        "code_challenge_method": "S256",
        **changes,
    }
    return {name: value for name, value in parameters.items() if value is not None}


def hidden(page: httpx.Response) -> dict[str, str]:
    """Return the hidden fields of a page."""
    found = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', page.text)
    return {html.unescape(name): html.unescape(value) for name, value in found}


def redirected(response: httpx.Response, to: str = CALLBACK) -> dict[str, str]:
    """Return the parameters by which a client's address is called; it must be that very address."""
    assert response.status_code == 302, (response.status_code, response.text)
    location = response.headers["location"]
    assert location.startswith(f"{to}?"), location
    return {name: value[0] for name, value in parse_qs(urlsplit(location).query, strict_parsing=True).items()}


def is_page(response: httpx.Response, error: str) -> bool:
    """Return whether an error is told to the person alone, and to no client."""
    return response.status_code == 400 and "location" not in response.headers and error in response.text


@asynccontextmanager
async def running(
    schema: BuiltSchema, database: SavepointDatabase, settings: Settings, providers: Providers = of_workspace
) -> AsyncIterator[Site]:
    """Lend a site over a database in a savepoint."""
    graph = Graph(schema, database, settings)
    app = Starlette(routes=routes(lambda: graph.engine, providers))
    transport = httpx.ASGITransport(app, client=("203.0.113.7", 4711))
    async with httpx.AsyncClient(transport=transport, base_url=ISSUER) as http:
        yield Site(graph, http)
