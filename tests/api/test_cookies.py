"""Tokens in cookies: only where they are configured, only with the header, only from our own pages."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import orjson
import pytest
import strawberry

from crm_graph.api.admission.credentials import Credentials
from crm_graph.api.admission.origins import Origins
from crm_graph.api.schema import SLICES
from crm_graph.api.transport.http import GraphQLEndpoint
from crm_graph.api.transport.incoming import Incoming, Reply
from crm_graph.graph.context import Info
from crm_graph.graph.schema.build import BuiltSchema, Slice, build_schema
from crm_graph.graph.writes import does
from crm_graph.identity.cookies import CookieJar, cookies_are_secure
from crm_graph.kernel.errors import OperatorError
from crm_graph.kernel.settings import Settings
from tests.support.database import SavepointDatabase
from tests.support.graph import Graph

WHO = "{ viewer { roles } }"
HOST = "crm.example.com"
CSRF = {"x-crm-csrf": "1"}
ACCESS, REFRESH = "__Host-crm_access", "__Secure-crm_refresh"


class SignIn:
    """Stands for what signs in and out: the mechanism is the same."""

    @strawberry.mutation(description="Signs in.", metadata=does(None))  # type: ignore[untyped-decorator]
    def test_sign_in(self, info: Info) -> str:
        jar = info.context.cookies
        if jar is None:
            return "no cookies"
        before = jar.refresh_token or "none"
        jar.signed_in("ACCESS", timedelta(minutes=10), "REFRESH", timedelta(days=30))
        return before

    @strawberry.mutation(description="Signs out.", metadata=does(None))  # type: ignore[untyped-decorator]
    def test_sign_out(self, info: Info) -> bool:
        if info.context.cookies is not None:
            info.context.cookies.signed_out()
        return True


@pytest.fixture(scope="module")
def schema() -> BuiltSchema:
    """The product's schema and the two mutations."""
    return build_schema((*SLICES, Slice("sign-in", mutations=(SignIn,), public=("testSignIn", "testSignOut"))))


class Browser:
    """Sends requests to the endpoint as a browser does."""

    def __init__(self, schema: BuiltSchema, database: SavepointDatabase, settings: Settings) -> None:
        self.graph = Graph(schema, database, settings)
        self.endpoint = GraphQLEndpoint(self.graph.engine)

    async def token(self, role: str = "admin") -> str:
        """Return a token of the first member with a role."""
        claims = await self.graph.claims(role)
        return self.graph.authority.issue(claims.workspace_id, claims.member_id, timedelta(minutes=5))

    async def send(self, source: str, method: str = "POST", **headers: str) -> tuple[int, dict[str, list[str]], Any]:
        """Return status, headers and body."""
        given = {"host": HOST, "content-type": "application/json", **headers}

        bodies = [orjson.dumps({"query": source})]

        async def receive() -> Any:
            if not bodies:
                await asyncio.Event().wait()  # the client stays
            return {"type": "http.request", "body": bodies.pop()}

        raw = [(name.encode(), value.encode()) for name, value in given.items()]
        query = b"query=" + source.encode().replace(b" ", b"+") if method == "GET" else b""
        reply = await self.endpoint.respond(Incoming(method, raw, query, receive, "192.0.2.1"))
        assert isinstance(reply, Reply)
        found: dict[str, list[str]] = {}
        for name, value in reply.headers:
            found.setdefault(name.decode(), []).append(value.decode())
        return reply.status, found, orjson.loads(reply.body)


@pytest.fixture
async def browser(schema: BuiltSchema, graph: Graph) -> Browser:
    """A browser of an installation with cookies."""
    settings = Settings(cookies=True, allowed_origins="https://app.example.com,*", public_url=f"https://{HOST}")
    return Browser(schema, graph.database, settings)


async def test_signing_in_sets_both(browser: Browser) -> None:
    status, headers, body = await browser.send("mutation { testSignIn }", **CSRF, origin=f"https://{HOST}")
    assert (status, body) == (200, {"data": {"testSignIn": "none"}})
    assert headers["set-cookie"] == [
        f"{ACCESS}=ACCESS; Path=/; Max-Age=600; HttpOnly; SameSite=Strict; Secure",
        f"{REFRESH}=REFRESH; Path=/graphql; Max-Age=2592000; HttpOnly; SameSite=Strict; Secure",
    ]
    assert headers["cache-control"] == ["private, no-store"]


async def test_the_refresh_token_comes_from_its_cookie(browser: Browser) -> None:
    _, _, body = await browser.send("mutation { testSignIn }", **CSRF, cookie=f"a=b; {REFRESH}=crmr_1; c=d")
    assert body == {"data": {"testSignIn": "crmr_1"}}


async def test_signing_out_clears_both(browser: Browser) -> None:
    _, headers, _ = await browser.send("mutation { testSignOut }", **CSRF)
    assert [each.partition(";")[0] for each in headers["set-cookie"]] == [f"{ACCESS}=", f"{REFRESH}="]
    assert all("Max-Age=0" in each for each in headers["set-cookie"])


async def test_a_cookie_that_is_over_keeps_nobody_from_signing_in(browser: Browser) -> None:
    """Nor does a good one make signing in be somebody's: it is executed once, as nobody."""
    over = browser.graph.authority.issue("1" * 32, "1" * 32, timedelta(minutes=5))
    for token in (over, "nonsense", await browser.token()):
        status, headers, body = await browser.send("mutation { testSignIn }", cookie=f"{ACCESS}={token}", **CSRF)
        assert (status, body) == (200, {"data": {"testSignIn": "none"}})
        assert len(headers["set-cookie"]) == 2


async def test_who_does_not_ask_gets_none(browser: Browser) -> None:
    """A mobile application, say: without the header there are no cookies."""
    _, headers, body = await browser.send("mutation { testSignIn }")
    assert body == {"data": {"testSignIn": "no cookies"}}
    assert "set-cookie" not in headers


async def test_a_cookie_counts_with_the_header(browser: Browser) -> None:
    cookie = f"{ACCESS}={await browser.token()}"
    for origin in ({}, {"origin": f"https://{HOST}"}, {"origin": "https://app.example.com"}):
        for method in ("POST", "GET"):
            status, _, body = await browser.send(WHO, method, cookie=cookie, **CSRF, **origin)
            assert (status, body["data"]["viewer"]["roles"]) == (200, ["admin"])


@pytest.mark.parametrize("more", [{}, {"x-crm-csrf": "0"}, {"x-crm-csrf": ""}, {"x-requested-with": "XMLHttpRequest"}])
@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_a_cookie_without_the_header(browser: Browser, more: dict[str, str], method: str) -> None:
    """What a page elsewhere can have a browser send."""
    status, _, body = await browser.send(WHO, method, cookie=f"{ACCESS}={await browser.token()}", **more)
    assert (status, body["errors"][0]["extensions"]["code"]) == (403, "FORBIDDEN")
    assert "data" not in body


@pytest.mark.parametrize("origin", ["null", "https://evil.example", f"http://{HOST}", f"https://{HOST}.evil.example"])
async def test_a_cookie_from_elsewhere(browser: Browser, origin: str) -> None:
    """Also where `*` lets anybody call with a token."""
    status, headers, body = await browser.send(WHO, cookie=f"{ACCESS}={await browser.token()}", **CSRF, origin=origin)
    assert (status, body["errors"][0]["extensions"]["code"]) == (403, "FORBIDDEN")
    assert "access-control-allow-credentials" not in headers


async def test_a_bearer_token_wins(browser: Browser) -> None:
    """And with it the header is not asked for: no page elsewhere has the token."""
    cookie, bearer = f"{ACCESS}={await browser.token()}", f"Bearer {await browser.token('analyst')}"
    for more in ({}, CSRF):
        _, _, body = await browser.send(WHO, cookie=cookie, authorization=bearer, **more)
        assert body["data"]["viewer"]["roles"] == ["analyst"]
    status, _, _ = await browser.send(WHO, cookie=cookie, authorization="Bearer x", **CSRF)
    assert status == 401, "a bad one is not made good by a cookie"


@pytest.mark.parametrize("form", ["crm_access={0}", "__Host-crm_access={0}; __Host-crm_access=x", "x={0}", "{0}"])
async def test_other_cookies(browser: Browser, form: str) -> None:
    """One without the prefix may be planted by a subdomain; of two with one name, one was."""
    status, _, body = await browser.send(WHO, cookie=form.format(await browser.token()), **CSRF)
    assert (status, body["errors"][0]["extensions"]["code"]) == (401, "UNAUTHENTICATED")


async def test_off_by_default(schema: BuiltSchema, graph: Graph) -> None:
    browser = Browser(schema, graph.database, Settings())
    token = await browser.token()
    for name in (ACCESS, "crm_access"):
        status, _, _ = await browser.send(WHO, cookie=f"{name}={token}", **CSRF)
        assert status == 401
    _, headers, body = await browser.send("mutation { testSignIn }", **CSRF)
    assert body == {"data": {"testSignIn": "no cookies"}}
    assert "set-cookie" not in headers


def _handshake(settings: Settings, headers: dict[str, Sequence[str]]) -> str | None:
    found = {"host": [HOST], "cookie": [f"{ACCESS}=TOKEN"], **headers}
    return Credentials(settings, Origins(settings)).of_handshake(lambda name: found.get(name.decode(), ()))


def test_a_socket_s_cookie_needs_an_origin() -> None:
    """A page cannot add a header to a handshake, and every browser says where it comes from."""
    settings = Settings(cookies=True, allowed_origins="https://app.example.com,*")
    assert _handshake(settings, {"origin": [f"https://{HOST}"]}) == "Bearer TOKEN"
    assert _handshake(settings, {"origin": ["https://app.example.com"]}) == "Bearer TOKEN"
    for origin in ([], ["null"], ["https://evil.example"], [f"https://{HOST}", f"https://{HOST}"]):
        assert _handshake(settings, {"origin": origin}) is None
    assert _handshake(replace(settings, cookies=False), {"origin": [f"https://{HOST}"]}) is None


def test_plain_cookies_on_one_s_own_machine_only() -> None:
    assert cookies_are_secure(Settings(cookies=True))
    assert not cookies_are_secure(Settings(cookies=True, public_url="http://localhost:8000"))
    jar = CookieJar("crm_access=x", secure=False)
    jar.signed_in("A", timedelta(minutes=1), None, timedelta())
    assert (jar.access_token, jar.answer) == ("x", ["crm_access=A; Path=/; Max-Age=60; HttpOnly; SameSite=Strict"])
    with pytest.raises(OperatorError):
        cookies_are_secure(Settings(cookies=True, public_url="http://crm.example.com"))
