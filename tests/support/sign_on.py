"""Sign-in with a provider as a test uses it: a workspace with providers, and browsers that go through the pages."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
from starlette.applications import Starlette
from starlette.routing import Route

from crm_graph.api.oauth import forms
from crm_graph.api.sign_on.sso import SingleSignOn
from crm_graph.domains.identity.accounts.browsers import SignedInBrowser, find_browser
from crm_graph.domains.identity.accounts.directory import MemberDirectory
from crm_graph.domains.identity.providers.bearer import ProviderTokens
from crm_graph.graph.schema.build import BuiltSchema
from crm_graph.identity.authenticate import Authenticator
from crm_graph.identity.oidc.issuers import Issuers
from crm_graph.kernel.settings import Settings
from tests.support.database import SavepointDatabase
from tests.support.graph import Graph
from tests.support.issuers import AUDIENCE, PRIVATE, SECRET

BASE = "http://127.0.0.1:8000"
CREATE = """mutation ($input: CreateIdentityProviderInput!) {
  createIdentityProvider(input: $input) { identityProvider { id version } errors { code message field } }
}"""
UPDATE = """mutation ($input: UpdateIdentityProviderInput!) {
  updateIdentityProvider(input: $input) { identityProvider { id version } errors { code message field } }
}"""
LINK = """mutation ($input: LinkMemberIdentityInput!) {
  linkMemberIdentity(input: $input) { memberIdentity { id } errors { code message field } }
}"""


class Desk:
    """A graph with the pages of sign-in beside it, and tokens of providers accepted."""

    def __init__(self, schema: BuiltSchema, database: SavepointDatabase, **settings: Any) -> None:
        values = {"provider_private": PRIVATE, "provider_timeout_ms": 30_000, "provider_cache_ms": 1, **settings}
        self.graph = Graph(schema, database, Settings(**values))
        self.services = self.graph.engine.services
        self.issuers = Issuers.of(self.services.settings)
        self.tokens = ProviderTokens(self.services, self.issuers)
        self.authenticator = Authenticator(self.graph.authority, MemberDirectory(), [self.tokens])
        engine = self.graph.engine
        for part in (engine, engine.contexts, engine.execution):
            part.authenticator = self.authenticator
        pages = SingleSignOn(self.services, self.issuers)
        self.app = Starlette(
            routes=[
                Route("/sso/{provider}/start", pages.start),
                Route("/sso/{provider}/callback", pages.callback),
            ]
        )

    def browser(self) -> httpx.AsyncClient:
        """Return a browser without cookies."""
        return httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url=BASE)

    async def provider(self, issuer: str, *, workspace: str = "demo", **values: Any) -> str:
        """Make a provider and return its id."""
        whole = {"name": "Acme", "issuer": issuer, "clientId": "crm", "clientSecret": SECRET, **values}
        payload = (await self.graph.data(CREATE, {"input": whole}, workspace=workspace))["createIdentityProvider"]
        assert payload["errors"] == [], payload
        id_: str = payload["identityProvider"]["id"]
        return id_

    async def update(self, id_: str, *, workspace: str = "demo", **values: Any) -> None:
        """Change a provider."""
        payload = await self.graph.data(UPDATE, {"input": {"id": id_, **values}}, workspace=workspace)
        assert payload["updateIdentityProvider"]["errors"] == [], payload

    async def link(self, provider_id: str, subject: str, member_id: str, workspace: str = "demo") -> str:
        """Make a subject a member, and return the id of the link."""
        given = {"providerId": provider_id, "subject": subject, "memberId": member_id}
        payload = (await self.graph.data(LINK, {"input": given}, workspace=workspace))["linkMemberIdentity"]
        assert payload["errors"] == [], payload
        id_: str = payload["memberIdentity"]["id"]
        return id_

    async def member(self, role: str, workspace: str = "demo") -> str:
        """Return the inner id of the first member with a role."""
        return (await self.graph.claims(role, workspace)).member_id

    async def email(self, role: str, workspace: str = "demo") -> str:
        """Return the address of the first member with a role."""
        found: str = await self.graph.value(
            "SELECT email FROM member WHERE id = $1", await self.member(role, workspace)
        )
        return found

    async def signed_in(self, browser: httpx.AsyncClient) -> SignedInBrowser | None:
        """Return as whom a browser is signed in now."""
        reader = self.services.database.primary_reader()
        return await find_browser(self.services, reader, browser.cookies.get(forms.SIGNED_IN))

    async def written(self) -> tuple[int, ...]:
        """Return how many members, links, roles and events there are: what a refusal must not change."""
        counts = [
            await self.graph.value(f"SELECT count(*) FROM {table}")
            for table in ("member", "member_identity", "member_role", "event")
        ]
        return tuple(counts)


async def start(browser: httpx.AsyncClient, provider_id: str, to: str = "/oauth/authorize?client_id=x") -> str:
    """Begin a sign-in and return where the browser is sent."""
    response = await browser.get(f"/sso/{provider_id}/start", params={"continue": to})
    assert response.status_code == 302, response.text
    return response.headers["location"]


def parameters(url: str) -> dict[str, str]:
    """Return the query of an address."""
    return {name: value[0] for name, value in parse_qs(urlsplit(url).query).items()}


def told(response: httpx.Response) -> tuple[int, str]:
    """Return status and text of a page."""
    return response.status_code, unescape(response.text.partition("<p>")[2].partition("</p>")[0])


@asynccontextmanager
async def desk(schema: BuiltSchema, database: SavepointDatabase, **settings: Any) -> AsyncIterator[Desk]:
    """Lend a desk."""
    made = Desk(schema, database, **settings)
    try:
        yield made
    finally:
        await made.issuers.aclose()


__all__ = ["AUDIENCE", "BASE", "Desk", "desk", "parameters", "start", "told"]
