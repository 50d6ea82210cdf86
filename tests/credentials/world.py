"""An installation with one credential of each kind, all of one member: made as people and programs make them."""

from __future__ import annotations

import html
import re
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pyotp
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from crm_graph.api.engine import Engine
from crm_graph.api.oauth.routes import routes
from crm_graph.api.sign_on.sso import SingleSignOn
from crm_graph.api.transport.http import GraphQLEndpoint
from crm_graph.app import running_engine
from crm_graph.domains.identity.accounts.credentials import set_password
from crm_graph.domains.identity.accounts.enums import LinkPurpose
from crm_graph.domains.identity.accounts.links import find_link, make_link, parse
from crm_graph.domains.identity.accounts.sessions import start_operator_session
from crm_graph.graph.schema.build import BuiltSchema
from crm_graph.identity.installation import Installation
from crm_graph.identity.oidc.issuers import Issuers
from crm_graph.kernel.settings import Settings
from tests.api.oauth.site import Pkce, hidden
from tests.support.accounts import CHEAP, PASSWORD, SIGN_IN
from tests.support.issuers import AUDIENCE, PRIVATE, Answer, Liar
from tests.support.issuers import SECRET as ISSUER_SECRET
from tests.support.services import SECRET

BASE = "http://127.0.0.1:8000"
CALLBACK = "https://app.example.com/callback"
NEW_PASSWORD = "another horse battery staple"
EMAIL, ADMIN = "rep@example.com", "admin@example.com"
DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
_DEVICE_PAGE = "/oauth/device"
_INPUTS = {
    "disableSecondFactor": "ProveSecondFactorInput",
    "removeSecondFactorOfMember": "OfMemberInput",
    "revokeSessionsOfMember": "OfMemberInput",
}
_MEMBER = """
    SELECT member.workspace_id, member.id FROM member JOIN workspace ON workspace.id = member.workspace_id
    WHERE email = $1 AND slug = 'demo'
"""


class World:
    """The installation, the browser that the member is signed in with, and the credentials by their names."""

    def __init__(self, engine: Engine, app: ASGIApp, issuer: Liar) -> None:
        self.engine = engine
        self.services = engine.services
        self.issuer = issuer
        transport = httpx.ASGITransport(app, client=("203.0.113.7", 4711))
        self.browser = httpx.AsyncClient(transport=transport, base_url=BASE)
        self.program = httpx.AsyncClient(transport=transport, base_url=BASE)
        self.tokens: dict[str, str] = {}
        """Bearer tokens, by kind."""
        self.refresh: dict[str, str] = {}
        self.member = self.workspace = self.provider = self.identity = self.client = self.key = self.endpoint = ""
        self.client_fields: dict[str, str] = {}
        self.current = self.admin = self.code = self.device_code = self.link = ""
        self.pkce = Pkce()
        self.recovery: list[str] = []

    async def rows(self, query: str, *arguments: Any) -> list[Any]:
        """Return rows of plain SQL."""
        async with self.services.database.transaction() as session:
            return await session.connection.fetch(query, *arguments)

    async def value(self, query: str, *arguments: Any) -> Any:
        """Return one value of plain SQL."""
        return (await self.rows(query, *arguments))[0][0]

    async def post(self, source: str, variables: Mapping[str, Any] | None = None, token: str = "") -> httpx.Response:
        """Send an operation."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return await self.program.post(
            "/graphql", json={"query": source, "variables": variables or {}}, headers=headers
        )

    async def ask(self, source: str, variables: Mapping[str, Any] | None = None, token: str = "") -> Any:
        """Return the data of an operation that must succeed, also by its payload."""
        body = (await self.post(source, variables, token)).json()
        assert "errors" not in body, body
        for payload in body["data"].values():
            assert not (isinstance(payload, dict) and payload.get("errors")), payload
        return body["data"]

    async def do(self, name: str, input_: Mapping[str, Any], selection: str = "", *, by: str = "") -> Any:
        """Run a mutation as the administrator, or by another token, and return its payload."""
        type_ = _INPUTS.get(name, f"{name[0].upper()}{name[1:]}Input")
        source = f"mutation ($input: {type_}!) {{ {name}(input: $input) {{ {selection} errors {{ code message }} }} }}"
        return (await self.ask(source, {"input": input_}, by or self.admin))[name]

    async def works(self, token: str) -> bool:
        """Return whether a bearer token lets in."""
        response = await self.post("{ viewer { member { id } } }", token=token)
        assert response.status_code in {200, 401}, response.text
        return response.status_code == 200

    async def form(self, endpoint: str, **fields: str) -> httpx.Response:
        """Post a form to the authorization server as the client does."""
        return await self.program.post(f"/oauth/{endpoint}", data={**self.client_fields, **fields})

    async def submit(self, page: httpx.Response, **fields: str) -> httpx.Response:
        """Post the form of a page in the browser."""
        action = re.search(r'<form method="post" action="([^"]*)"', page.text)
        assert action is not None, page.text
        return await self.browser.post(html.unescape(action[1]), data={**hidden(page), **fields})

    async def sign_in(self, email: str = EMAIL) -> dict[str, Any]:
        """Return the tokens of a session of a member's own."""
        code = self.recovery.pop() if self.recovery and email == EMAIL else None
        input_ = {"email": email, "password": PASSWORD, "workspace": "demo", "code": code}
        payload: dict[str, Any] = (await self.ask(SIGN_IN, {"input": input_}))["signIn"]
        return payload

    async def enrol(self, token: str) -> None:
        """Set a second factor."""
        started = await self.do("startSecondFactor", {"password": PASSWORD}, "secret", by=token)
        code = pyotp.TOTP(started["secret"]).at(self.services.clock())
        self.recovery = (await self.do("confirmSecondFactor", {"code": code}, "recoveryCodes", by=token))[
            "recoveryCodes"
        ]

    async def authorize(self) -> str:
        """Return a code that the browser got for the client."""
        parameters = {
            "response_type": "code",
            "client_id": self.client,
            "redirect_uri": CALLBACK,
            "scope": "crm openid",
            "code_challenge": self.pkce.challenge,
            "code_challenge_method": "S256",
        }
        found = await self.browser.get("/oauth/authorize", params=parameters)
        if found.status_code == 200:
            found = await self.submit(found, decision="allow")
        return parse_qs(urlsplit(found.headers["location"]).query)["code"][0]

    async def redeem(self, code: str) -> httpx.Response:
        """Redeem a code."""
        fields = {"code": code, "redirect_uri": CALLBACK, "code_verifier": self.pkce.verifier}
        return await self.form("token", grant_type="authorization_code", **fields)

    async def device(self) -> str:
        """Return the code of a device that the member has let in."""
        device = (await self.form("device_authorization", scope="crm")).json()
        page = await self.browser.get(_DEVICE_PAGE)
        asked = await self.submit(page, user_code=device["user_code"])
        assert "your device is connected" in (await self.submit(asked, decision="allow")).text
        code: str = device["device_code"]
        return code

    async def poll(self, device_code: str) -> httpx.Response:
        """Ask for the tokens of a device."""
        return await self.form("token", grant_type=DEVICE_GRANT, device_code=device_code)

    async def is_signed_in(self) -> bool:
        """Return whether the browser is signed in at the pages."""
        return 'name="user_code"' in (await self.browser.get(_DEVICE_PAGE)).text

    async def has_link(self) -> bool:
        """Return whether the reset link is good, without using it."""
        shown = parse(self.link)
        assert shown is not None
        async with self.services.database.transaction() as session:
            return await find_link(self.services, session, shown, LinkPurpose.RESET) is not None

    async def new_link(self) -> str:
        """Return the token of a reset link, as the mail has it."""
        async with self.services.database.transaction() as session:
            url = await make_link(self.services, session, self.workspace, self.member, LinkPurpose.RESET)
        return url.partition("#")[2]


async def build(world: World, *, with_factor: bool) -> None:
    """Make one credential of each kind."""
    for email in (EMAIL, ADMIN):
        await _give_password(world, email)
    ((world.workspace, world.member),) = await world.rows(_MEMBER, EMAIL)
    world.admin = (await world.sign_in(ADMIN))["accessToken"]
    await world.do("setMemberRoles", {"id": f"mem_{world.member}", "roles": ["admin", "sales_rep"]})
    if with_factor:
        await world.enrol((await world.sign_in())["accessToken"])
    own, current = await world.sign_in(), await world.sign_in()
    world.tokens["own session"], world.refresh["own session"] = own["accessToken"], own["refreshToken"]
    world.current = current["accessToken"]
    await _come_by_provider(world)
    await _make_client(world)
    for kind, answer in (
        ("app session", await world.redeem(await world.authorize())),
        ("device session", await _device(world)),
    ):
        assert answer.status_code == 200, answer.text
        world.tokens[kind], world.refresh[kind] = answer.json()["access_token"], answer.json()["refresh_token"]
    world.code, world.device_code = await world.authorize(), await world.device()
    async with world.services.database.transaction() as session:
        hour = timedelta(hours=1)
        id_ = await start_operator_session(world.services, session, world.workspace, world.member, hour)
    world.tokens["operator token"] = world.services.authority.issue(world.workspace, world.member, hour, session_id=id_)
    world.link = await world.new_link()
    endpoint = {"url": "https://hooks.example.com/", "eventTypes": ["CustomerCreated"], "roles": ["admin"]}
    made = await world.do("createWebhookEndpoint", endpoint, "webhookEndpoint { id }", by=world.current)
    world.endpoint = made["webhookEndpoint"]["id"].partition("_")[2]


async def _device(world: World) -> httpx.Response:
    return await world.poll(await world.device())


async def _give_password(world: World, email: str) -> None:
    services = world.services
    hashed = await services.passwords.hash(PASSWORD)
    ((workspace_id, id_),) = await world.rows(_MEMBER, email)
    async with services.database.transaction() as session:
        await set_password(services, session, workspace_id, id_, hashed, 0)


async def _come_by_provider(world: World) -> None:
    """Sign in with the browser by a provider, whose tokens are accepted too."""
    issuer = world.issuer
    given = {"name": "Acme", "issuer": issuer.address, "clientId": "crm", "clientSecret": ISSUER_SECRET}
    accepting = {"acceptTokens": True, "audiences": [AUDIENCE]}
    made = await world.do("createIdentityProvider", {**given, **accepting}, "identityProvider { id }")
    world.provider = made["identityProvider"]["id"]
    link = {"providerId": world.provider, "subject": "eve", "memberId": f"mem_{world.member}"}
    world.identity = (await world.do("linkMemberIdentity", link, "memberIdentity { id }"))["memberIdentity"]["id"]
    begun = await world.browser.get(f"/sso/{world.provider}/start", params={"continue": _DEVICE_PAGE})
    asked = {name: value[0] for name, value in parse_qs(urlsplit(begun.headers["location"]).query).items()}
    now = int(time.time())
    claims = {"iss": issuer.address, "aud": "crm", "sub": "eve", "iat": now, "exp": now + 60, "nonce": asked["nonce"]}
    issuer.answers["/token"] = Answer(
        {"access_token": "opaque", "token_type": "Bearer", "id_token": issuer.sign(claims, typ="JWT")}
    )
    done = await world.browser.get(f"/sso/{world.provider}/callback", params={"code": "c", "state": asked["state"]})
    assert done.headers["location"] == _DEVICE_PAGE, done.text
    world.tokens["provider token"] = issuer.token(iat=now - 2)


async def _make_client(world: World) -> None:
    """Make a client with two keys: one that is a credential here, and one by which it authenticates."""
    given = {"name": "App", "redirectUris": [CALLBACK], "roles": ["sales_rep"]}
    world.client = (await world.do("createApiClient", given, "apiClient { id }"))["apiClient"]["id"]
    key = await world.do("createApiKey", {"clientId": world.client, "name": "one"}, "key apiKey { id }")
    world.key, world.tokens["API key"] = key["apiKey"]["id"], key["key"]
    world.client_fields = {"client_id": world.client, "client_secret": key["key"]}
    answer = await world.form("token", grant_type="client_credentials")
    world.tokens["client token"] = answer.json()["access_token"]
    other = await world.do("createApiKey", {"clientId": world.client, "name": "two"}, "key")
    world.client_fields["client_secret"] = other["key"]


@asynccontextmanager
async def running_world(schema: BuiltSchema, url: str, issuer: Liar) -> AsyncIterator[World]:
    """Lend a world, with the background work of a process."""
    values: dict[str, Any] = {**CHEAP, "provider_private": PRIVATE, "provider_timeout_ms": 30_000}
    settings = Settings(**values, provider_cache_ms=1, device_code_seconds=3_600)
    issuers = Issuers.of(settings)
    async with running_engine(Installation(url, [SECRET]), settings, schema, issuers) as engine:
        graph, pages = GraphQLEndpoint(engine), SingleSignOn(engine.services, issuers)
        starlette = Starlette(
            routes=[
                Route("/sso/{provider}/start", pages.start),
                Route("/sso/{provider}/callback", pages.callback),
                *routes(lambda: engine),
            ]
        )

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await (graph if scope["path"] == "/graphql" else starlette)(scope, receive, send)

        world = World(engine, app, issuer)
        async with world.browser, world.program:
            yield world
