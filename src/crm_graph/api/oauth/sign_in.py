"""The sign-in page of the authorization server: a password, a second factor, or an identity provider."""

from __future__ import annotations

from dataclasses import dataclass, replace
from urllib.parse import quote, urlsplit

from authlib.oauth2.rfc6749 import InvalidRequestError
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from crm_graph.api.oauth import device, forms
from crm_graph.api.oauth.answers import NO_STORE
from crm_graph.api.oauth.clients import OAuthClient
from crm_graph.api.oauth.exchange import Exchange
from crm_graph.api.oauth.pages import answered, page
from crm_graph.api.oauth.requests import parse_parameters, read_form
from crm_graph.api.oauth.texts import texts_for
from crm_graph.api.oauth.visits import Desk
from crm_graph.domains.identity.accounts.browsers import start_browser
from crm_graph.domains.identity.accounts.enums import SignInMethod
from crm_graph.domains.identity.accounts.session_rows import Source
from crm_graph.domains.identity.accounts.sign_in import (
    Identified,
    SecondFactorRequired,
    SignInFailure,
    authenticate,
)
from crm_graph.domains.identity.authorizations.apps import App
from crm_graph.kernel.errors import Unauthenticated

AUTHORIZE = "/oauth/authorize"
MAX_CONTINUE_LENGTH = 16_000


@dataclass(frozen=True, slots=True)
class _Target:
    """Where a member goes on to: for which client, if for one, and where that one's browser goes at last."""

    continue_: str
    app: App | None
    redirect_uri: str | None
    workspace: str | None
    """The short name of the one where they sign in: the client's, or what they say, there or not."""


class SignIn:
    """The page, and the handler of its form."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def __call__(self, request: Request) -> Response:
        """Sign a member in with this browser, and send it on."""
        return await answered(request, self._answer)

    async def _answer(self, request: Request) -> Response:
        services = self._desk.services
        exchange = self._desk.begin(request)
        form = await read_form(request, services.settings.oauth_max_bytes)
        target = await self._target(exchange, form.get("continue", ""))
        if not forms.is_own_form(services, request, form.get(forms.FIELD), _page(target.continue_)):
            return self.expired(request)
        email, texts = form.get("email", ""), texts_for(request.headers.get("accept-language"))
        if target.app is None:
            target = replace(target, workspace=form.get("workspace", "").strip() or None)
        try:
            signed_in = await authenticate(
                services, email, form.get("password", ""), form.get("code"), target.workspace, exchange.origin
            )
        except SignInFailure:
            return await self._page(request, exchange, target, email, 403, texts["sign_in_failed"])
        except SecondFactorRequired as error:
            problem = texts["second_factor_wrong" if error.wrong else "second_factor_needed"]
            return await self._page(request, exchange, target, email, 403, problem, second_factor=True)
        try:
            cookie = await self._start(exchange, signed_in)
        except Unauthenticated:  # what was checked has changed at this very moment
            return await self._page(request, exchange, target, email, 403, texts["sign_in_failed"])
        response = RedirectResponse(target.continue_, 303, NO_STORE)
        max_age_s = services.settings.browser_sign_in_minutes * 60
        forms.set_cookie(response, exchange.address, forms.SIGNED_IN, cookie, max_age_s)
        return response

    async def _start(self, exchange: Exchange, who: Identified) -> str:
        """Sign a member in with this browser; return the cookie's value. Raises Unauthenticated."""
        async with exchange.services.database.transaction() as session:
            return await start_browser(
                exchange.services,
                session,
                who.workspace_id,
                who.member_id,
                method=SignInMethod.PASSWORD,
                origin=exchange.origin,
                source=Source(generation=who.generation),
            )

    async def page(self, request: Request, exchange: Exchange, continue_: str, email: str = "") -> Response:
        """Return the page, for going on to an address of ours afterwards."""
        return await self._page(request, exchange, await self._target(exchange, continue_), email)

    def expired(self, request: Request) -> Response:
        """Return the page for a form that is not ours."""
        texts = texts_for(request.headers.get("accept-language"))
        return page("message", texts, 403, title=texts["error"], message=texts["form_expired"], detail=None)

    async def _page(
        self,
        request: Request,
        exchange: Exchange,
        target: _Target,
        email: str,
        status: int = 200,
        problem: str | None = None,
        *,
        second_factor: bool = False,
    ) -> Response:
        services, app = self._desk.services, target.app
        browser_id = forms.browser_of(request)
        providers = () if app is None else await self._desk.providers(services, app.workspace_id)
        response = page(
            "sign_in",
            texts_for(request.headers.get("accept-language")),
            status,
            form_goes_to=target.redirect_uri,
            app=None if app is None else app.name,
            problem=problem,
            email=email,
            workspace=target.workspace or "",
            second_factor=second_factor,
            continue_=target.continue_,
            providers=[_link(id_, name, target.continue_) for id_, name in providers],
            form_token=forms.form_token(services, request, browser_id, _page(target.continue_)),
        )
        forms.set_cookie(response, exchange.address, forms.COOKIE, browser_id)
        return response

    async def _target(self, exchange: Exchange, continue_: str) -> _Target:
        """Return where to go on to. Raises InvalidRequestError for what is not one of our pages: no open redirect."""
        parts = urlsplit(continue_) if len(continue_) <= MAX_CONTINUE_LENGTH else urlsplit("")
        is_ours = continue_.isascii() and "\\" not in continue_ and not (parts.scheme or parts.netloc or parts.fragment)
        if not is_ours or parts.path not in {AUTHORIZE, device.PATH}:
            raise InvalidRequestError("There is no such page to continue to.")
        parameters = parse_parameters(parts.query, self._desk.services.settings.oauth_max_bytes)
        if parts.path == device.PATH:
            return _Target(continue_, None, None, parameters.get("workspace"))
        app = await exchange.app(parameters.get("client_id", ""))
        uri = parameters.get("redirect_uri", "")
        if app is None or not OAuthClient(exchange, app).check_redirect_uri(uri):
            raise InvalidRequestError("There is no such client.")
        return _Target(continue_, app, uri, app.workspace)


def _link(id_: str, name: str, continue_: str) -> dict[str, str]:
    return {"name": name, "href": f"/sso/{quote(id_, safe='')}/start?continue={quote(continue_, safe='')}"}


def _page(continue_: str) -> str:
    return f"/oauth/sign-in {continue_}"
