"""Everything that an installation answers about one workspace to whoever has no account of another: the doors of a
workspace, and what each says, sends to the database and hashes."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.routing import Route

from crm_graph.api.body import GraphQLRequest
from crm_graph.api.oauth.routes import routes
from crm_graph.api.sign_on.sso import SingleSignOn
from crm_graph.domains.identity.accounts.credentials import set_password
from crm_graph.domains.identity.accounts.directory import MemberDirectory
from crm_graph.domains.identity.accounts.enums import LinkPurpose
from crm_graph.domains.identity.accounts.links import make_link
from crm_graph.domains.identity.clients.keys import ApiKeys
from crm_graph.domains.identity.providers.bearer import ProviderTokens
from crm_graph.identity.authenticate import Authenticator
from crm_graph.identity.oidc.issuers import Issuers
from crm_graph.identity.origin import Origin
from tests.api.oauth.site import CALLBACK, ISSUER, Pkce, Registered, Site, request_of
from tests.permissions.doors.visit import ROOMY
from tests.permissions.world import FOREIGN, World
from tests.support.accounts import CHEAP, PASSWORD, REFRESH, SIGN_IN, WRONG
from tests.support.issuers import AUDIENCE, PRIVATE, Liar

SETTINGS = replace(
    ROOMY,
    provider_private=PRIVATE,
    provider_cache_ms=1,
    trusted_cache_ms=0,
    oauth_requests_per_minute=1_000_000,
    rate_address_requests=1_000_000,
    rate_address_cost=100_000_000,
    rate_member_requests=1_000_000,
    rate_member_cost=100_000_000,
    rate_client_requests=1_000_000,
    rate_client_cost=100_000_000,
    rate_address_failures=1_000_000,
    argon2_memory_kib=CHEAP["argon2_memory_kib"],
    argon2_iterations=CHEAP["argon2_iterations"],
)
HOME = Origin("203.0.113.7", "somebody")
SUBJECT = "eve"
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
WHO = "{ viewer { member { id email } workspace { slug } roles } }"
RESET = """mutation ($token: String!, $password: String!) {
    resetPassword(input: {token: $token, password: $password}) { errors { code message field } } }"""
ACCEPT = """mutation ($token: String!, $password: String!) {
    acceptInvitation(input: {token: $token, password: $password}) { accessToken errors { code message field } } }"""
REQUEST = """mutation ($email: String!, $workspace: String) {
    requestPasswordReset(input: {email: $email, workspace: $workspace}) { errors { code message } } }"""
_MASKS = (
    (re.compile(r'(requestId\\*": \\*")[0-9a-f]{32}'), r"\1<request>"),
    (re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]+"), "<token>"),
    (re.compile(r"[\w-]{41,}={0,2}"), "<secret>"),
    (re.compile(r"\b[B-Z]{4}-[B-Z]{4}\b"), "<code>"),
    (re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z|\b1[78]\d{8}\b"), "<time>"),
    (re.compile(r"\w{3}, \d\d \w{3} \d{4} [\d:]+ GMT"), "<time>"),
)


@dataclass(frozen=True, slots=True)
class Seen:
    """What a door did: its answer, without what is random, the statements, and how many passwords were verified."""

    answer: str
    statements: tuple[str, ...]
    verifications: int


@dataclass(slots=True)
class Victim:
    """A workspace with all that lets somebody in: an account with a password and a session, links, clients, keys, and a
    provider whose tokens are taken."""

    world: World
    site: Site
    tokens: ProviderTokens
    issuer: Liar
    email: str
    refresh_token: str
    access_token: str
    reset: str
    invitation: str
    app: Registered
    device: Registered
    service: Registered

    @property
    def engine(self) -> Any:
        """The engine of all doors."""
        return self.world.graph.engine

    async def ask(
        self, source: str, variables: Mapping[str, Any] | None = None, token: str | None = None, origin: Origin = HOME
    ) -> Any:
        """Return the whole answer to an operation, of nobody or of a bearer."""
        request = GraphQLRequest(source, None, variables or {})
        if token is None:
            claims = (await self.engine.admission.admit(request, None, origin.address)).claims
        else:
            keys = ApiKeys(self.world.graph.database)
            authenticator = Authenticator(self.world.graph.authority, MemberDirectory(), [keys, self.tokens])
            claims = await authenticator.authenticate(f"Bearer {token}")
            await keys.close()  # it notes the use beside the request
        operation = await self.engine.admission.operation(request, claims)
        return (await self.engine.execute(request, operation, claims, origin=origin)).body

    async def sign_in(self, **given: Any) -> Any:
        """Return who a password signs in, or the refusal."""
        body = await self.ask(SIGN_IN, {"input": {"email": self.email, "password": PASSWORD, **given}})
        token = body["data"]["signIn"]["accessToken"]
        return body if token is None else [body, await self.ask(WHO, token=token)]

    async def page(self, link: str, **fields: str) -> Any:
        """Return what a browser is shown that opens a link, and posts its form, and where it comes to."""
        self.site.http.cookies.clear()
        found = await self.site.http.get(link)
        shown = [shape(found)]
        if fields:
            found = await self.site.submit(found, **fields)
            shown.append(shape(found))
        if fields and found.status_code == 303:
            shown.append(shape(await self.site.http.get(found.headers["location"])))
        return shown

    async def post(self, endpoint: str, **fields: str) -> Any:
        """Return what an endpoint of the authorization server answers."""
        return shape(await self.site.post(endpoint, fields))

    def doors(self) -> Mapping[str, Callable[[], Awaitable[Any]]]:
        """Return every way to be answered something about the workspace."""
        slug, email, http = "other", self.email, self.site.http
        authorize = "/oauth/authorize?" + str(httpx.QueryParams(request_of(self.app, PKCE, nonce="n")))
        provider = self.world.id("IdentityProvider", FOREIGN)
        service, device = self.service.credentials(), self.device.credentials()
        right, wrong = {"email": email, "password": PASSWORD}, {"email": email, "password": WRONG}
        unknown = {"email": "nobody@canary.example", "password": WRONG}
        start = f"/sso/{provider}/start?continue=%2Foauth%2Fauthorize%3Fx%3D1"
        return {
            "signIn": self.sign_in,
            "signIn, named": lambda: self.sign_in(workspace=slug),
            "signIn, wrong": lambda: self.sign_in(password=WRONG),
            "signIn, wrong and named": lambda: self.sign_in(password=WRONG, workspace=slug),
            "signIn, unknown": lambda: self.sign_in(**unknown),
            "signIn, unknown and named": lambda: self.sign_in(**unknown, workspace=slug),
            "requestPasswordReset": lambda: self.ask(REQUEST, {"email": email}),
            "requestPasswordReset, named": lambda: self.ask(REQUEST, {"email": email, "workspace": slug}),
            "requestPasswordReset, unknown": lambda: self.ask(REQUEST, {"email": unknown["email"]}),
            "resetPassword": lambda: self.ask(RESET, {"token": self.reset, "password": PASSWORD}),
            "resetPassword, wrong": lambda: self.ask(RESET, {"token": self.reset[:-8] + "AAAAAAAA", "password": "x"}),
            "acceptInvitation": lambda: self.ask(ACCEPT, {"token": self.invitation, "password": PASSWORD}),
            "acceptInvitation, wrong": lambda: self.ask(ACCEPT, {"token": self.reset, "password": PASSWORD}),
            "refreshSession": lambda: self.ask(REFRESH, {"token": self.refresh_token}),
            "refreshSession, wrong": lambda: self.ask(REFRESH, {"token": "crmr_x"}),
            "signOut": lambda: self.ask(
                "mutation ($t: String!) { signOut(input: {refreshToken: $t}) { errors { code } } }",
                {"t": self.refresh_token},
            ),
            "an access token": lambda: self.ask(WHO, token=self.access_token),
            "an API key": lambda: self.ask(WHO, token=self.service.secret),
            "a provider's token": lambda: self.ask(WHO, token=self.issuer.token(sub=SUBJECT)),
            "authorize": lambda: self.page(authorize),
            "authorize, and sign in": lambda: self.page(authorize, **right),
            "authorize, and wrong": lambda: self.page(authorize, **wrong),
            "authorize, and unknown": lambda: self.page(authorize, **unknown),
            "authorize, unknown client": lambda: self.page("/oauth/authorize?client_id=apc_" + "0" * 32),
            "device": lambda: self.page("/oauth/device?user_code=BCDF-GHJK"),
            "device, and sign in": lambda: self.page("/oauth/device", **right),
            "device, sign in and named": lambda: self.page("/oauth/device", **right, workspace=slug),
            "device, and wrong": lambda: self.page("/oauth/device", **wrong),
            "device, and unknown": lambda: self.page("/oauth/device", **unknown),
            "device_authorization": lambda: self.post("device_authorization", **device),
            "device_authorization, command line": lambda: self.post(
                "device_authorization", client_id=f"crm-graph-cli@{slug}"
            ),
            "device_authorization, unknown": lambda: self.post("device_authorization", client_id="crm-graph-cli@x"),
            "token": lambda: self.post("token", grant_type="client_credentials", **service),
            "token, wrong": lambda: self.post(
                "token", grant_type="client_credentials", client_id=service["client_id"], client_secret="x"
            ),
            "introspect": lambda: self.post("introspect", token=self.access_token, **service),
            "revoke": lambda: self.post("revoke", token=self.refresh_token, **device),
            "userinfo": lambda: self._get("/oauth/userinfo", authorization=f"Bearer {self.access_token}"),
            "jwks": lambda: self._get("/oauth/jwks"),
            "metadata": lambda: self._get("/.well-known/openid-configuration"),
            "metadata of OAuth": lambda: self._get("/.well-known/oauth-authorization-server"),
            "sso": lambda: self._get(start),
            "sso, unknown": lambda: self._get(start.replace(provider, "idp_" + "0" * 32)),
            "sso, callback": lambda: self._get(f"/sso/{provider}/callback?code=x&state=y"),
            "cookies": lambda: _shaped(http.get("/oauth/device", headers={"cookie": "crm_signed_in=x"})),
        }

    async def _get(self, path: str, **headers: str) -> Any:
        self.site.http.cookies.clear()
        return shape(await self.site.http.get(path, headers=headers))

    async def seen(self) -> dict[str, Seen]:
        """Go to every door, each as if to none before."""
        found = {}
        database, passwords = self.world.graph.database, self.engine.services.passwords
        for name, door in self.doors().items():
            async with self.world.undone():
                await self.world.move_directory()
                before = passwords.verifications
                database.one.sent.clear()
                answer = json.dumps(await door(), default=str, ensure_ascii=False)
                for pattern, mask in _MASKS:
                    answer = pattern.sub(mask, answer)
                found[name] = Seen(answer, tuple(database.one.sent), passwords.verifications - before)
        return found


PKCE = Pkce()


def shape(response: httpx.Response) -> Any:
    """Return a response as its reader sees it."""
    headers = {name: value for name, value in response.headers.items() if name != "content-length"}
    return [response.status_code, sorted(headers.items()), response.text]


async def _shaped(response: Awaitable[httpx.Response]) -> Any:
    return shape(await response)


@asynccontextmanager
async def victim(world: World, issuer: Liar) -> AsyncIterator[Victim]:
    """Furnish the foreign workspace of a world."""
    graph = world.graph
    services = graph.engine.services
    issuers = Issuers.of(services.settings)
    pages = SingleSignOn(services, issuers)
    sso = [Route("/sso/{provider}/start", pages.start), Route("/sso/{provider}/callback", pages.callback)]
    app = Starlette(routes=[*routes(lambda: graph.engine), *sso])
    transport = httpx.ASGITransport(app, client=(HOME.address or "", 4711))
    try:
        async with httpx.AsyncClient(transport=transport, base_url=ISSUER) as http:
            yield await _furnish(world, Site(graph, http), ProviderTokens(services, issuers), issuer)
    finally:
        await issuers.aclose()


async def _furnish(world: World, site: Site, tokens: ProviderTokens, issuer: Liar) -> Victim:
    graph, member = world.graph, world.row("Member", FOREIGN)
    services, workspace_id = graph.engine.services, member["workspace_id"]
    await world.become("analyst", place=FOREIGN)
    hashed = await services.passwords.hash(PASSWORD)
    async with services.database.transaction() as session:
        await set_password(services, session, workspace_id, member["id"], hashed, 0)
        link = await make_link(services, session, workspace_id, member["id"], LinkPurpose.RESET)
        other = await graph.value(
            "SELECT id FROM member WHERE workspace_id = $1 AND id <> $2 AND status = 'ACTIVE' ORDER BY id LIMIT 1",
            workspace_id,
            member["id"],
        )
        invitation = await make_link(services, session, workspace_id, other, LinkPurpose.INVITATION)
    await world.put(
        "IdentityProvider",
        FOREIGN,
        issuer=issuer.address,
        client_id="crm",
        audiences=[AUDIENCE],
        accept_tokens=True,
        enabled=True,
        email_domains=["canary.example"],
        default_roles=["analyst"],
        created_at=LONG_AGO,
    )
    await world.put("MemberIdentity", FOREIGN, subject=SUBJECT, proved_at=None, created_at=LONG_AGO)
    device = await site.client(kind="PUBLIC", workspace="other", redirect_uris=(CALLBACK,), name="Wall display")
    app = await site.client(workspace="other", first_party=True, name="Their app")
    service = await site.client(workspace="other", acts_as="analyst", name="Their service")
    world.rows["ApiClient", FOREIGN] = {"workspace_id": workspace_id, "id": app.id}
    await world.read("ApiClient", FOREIGN)
    found = Victim(
        world, site, tokens, issuer, member["email"], "", "", _token(link), _token(invitation), app, device, service
    )
    body = await found.ask(SIGN_IN, {"input": {"email": found.email, "password": PASSWORD, "workspace": "other"}})
    found.access_token, found.refresh_token = (body["data"]["signIn"][key] for key in ("accessToken", "refreshToken"))
    return found


def _token(link: str) -> str:
    return link.partition("#")[2]
