"""What every handler starts with: the exchange of a request, and who has signed in with the browser."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from authlib.oauth2.rfc6749 import InvalidRequestError
from starlette.requests import Request

from crm_graph.api.engine import Engine
from crm_graph.api.oauth import forms
from crm_graph.api.oauth.exchange import Exchange
from crm_graph.api.oauth.grants import Owner
from crm_graph.api.oauth.issuer import place_of
from crm_graph.api.oauth.limits import Limiter
from crm_graph.domains.identity.accounts.browsers import SignedInBrowser, find_browser
from crm_graph.domains.identity.authorizations.apps import Person
from crm_graph.domains.identity.providers.directory import providers_for_sign_in
from crm_graph.identity.services import Services
from crm_graph.kernel.errors import BadUserInput

Providers: TypeAlias = Callable[[Services, str], Awaitable[Sequence[tuple[str, str]]]]
"""Returns the identity providers of a workspace: `(id, name)`, of which `/sso/<id>/start` signs in."""


async def of_workspace(services: Services, workspace_id: str) -> Sequence[tuple[str, str]]:
    """Return the enabled providers of a workspace."""
    return await providers_for_sign_in(services.database.primary_reader(), workspace_id)


@dataclass(slots=True)
class Desk:
    """What the handlers of a process share. The engine comes later than the routes."""

    engine: Callable[[], Engine]
    providers: Providers = of_workspace
    _limiter: Limiter | None = None

    @property
    def services(self) -> Services:
        """The process's services."""
        return self.engine().services

    def limiter(self) -> Limiter:
        """Return what counts the requests of this process."""
        if self._limiter is None:
            services = self.services
            self._limiter = Limiter(services.settings.oauth_requests_per_minute, services.clock)
        return self._limiter

    def begin(self, request: Request) -> Exchange:
        """Return the exchange of a request. Raises InvalidRequestError where the server has no address to name."""
        peer = None if request.client is None else request.client.host
        headers = request.headers
        origin = self.engine().proxies.origin(peer, headers.get("x-forwarded-for"), headers.get("user-agent"))
        try:
            here = place_of(self.services.settings, request)
        except BadUserInput as error:
            raise InvalidRequestError(error.message) from None
        return Exchange(self.services, here, origin, self.limiter())

    async def signed_in(self, exchange: Exchange, request: Request) -> SignedInBrowser | None:
        """Return who has signed in with this browser, as of now."""
        return await find_browser(exchange.services, exchange.reader(), request.cookies.get(forms.SIGNED_IN))

    async def owner(self, exchange: Exchange, request: Request, workspace_id: str | None = None) -> Owner | None:
        """Return the member who has signed in with this browser, as of now; None for one of another workspace."""
        browser = await self.signed_in(exchange, request)
        if browser is None or (workspace_id is not None and browser.workspace_id != workspace_id):
            return None
        person = Person(browser.workspace_id, browser.member_id, browser.name, browser.email, browser.workspace)
        return Owner(person, browser.at, browser.session_id)
