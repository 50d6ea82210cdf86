"""Signing out of the authorization server's pages, also at an app's wish (OpenID Connect RP-Initiated Logout 1.0).

A link of somebody else signs nobody out: a page asks, and its form is ours. Where to go on afterwards is an address
that the app is called back at, to the letter, or nowhere: this is no redirector. The sessions of apps go on, each for
itself; codes and answers to devices that were on their way die with the sign-in.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

from authlib.oauth2.rfc6749 import InvalidRequestError
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from crm_graph.api.oauth import forms
from crm_graph.api.oauth.answers import NO_STORE
from crm_graph.api.oauth.clients import OAuthClient
from crm_graph.api.oauth.exchange import Exchange
from crm_graph.api.oauth.pages import answered, page, too_many_page
from crm_graph.api.oauth.requests import parse_parameters, read_form
from crm_graph.api.oauth.texts import texts_for
from crm_graph.api.oauth.visits import Desk
from crm_graph.domains.identity.accounts.browsers import SignedInBrowser
from crm_graph.domains.identity.accounts.journal import By
from crm_graph.domains.identity.accounts.sessions import sign_out

PATH = "/oauth/sign-out"
_PARAMETERS = ("client_id", "id_token_hint", "logout_hint", "post_logout_redirect_uri", "state", "ui_locales")


@dataclass(frozen=True, slots=True)
class _Asked:
    """What was asked for: `here` is this page with its parameters, `back` where the browser goes on to."""

    here: str
    app: str | None
    back: str | None


class SignOut:
    """The page, and the handler of its form."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def __call__(self, request: Request) -> Response:
        """Answer a browser."""
        if request.method not in {"GET", "POST"}:
            return PlainTextResponse("Method Not Allowed", 405, {"Allow": "GET, POST"})
        return await answered(request, self._answer)

    async def _answer(self, request: Request) -> Response:
        desk = self._desk
        exchange = desk.begin(request)
        retry_after_s = desk.limiter().retry_after_s("sign-out", exchange.origin.address)
        if retry_after_s:
            return too_many_page(request, retry_after_s)
        max_bytes = desk.services.settings.oauth_max_bytes
        parameters = parse_parameters(request.scope["query_string"].decode("latin-1"), max_bytes)
        form = await read_form(request, max_bytes) if request.method == "POST" else {}
        if form and forms.FIELD not in form:
            # An app's own form, from its own origin: this browser keeps our cookies from it, but not from a link.
            kept = {name: form[name] for name in _PARAMETERS if name in form}
            return RedirectResponse(f"{PATH}?{urlencode(kept)}" if kept else PATH, 303, NO_STORE)
        asked = await self._read(exchange, parameters)
        signed_in = await desk.signed_in(exchange, request)
        if signed_in is not None and not form:
            return self._ask(request, exchange, signed_in, asked)
        if signed_in is not None:
            if not forms.is_own_form(desk.services, request, form.get(forms.FIELD), asked.here):
                return self._done(request, asked, "form_expired", 403)
            await self._end(exchange, signed_in)
        response = self._done(request, asked, "signed_out")
        response.delete_cookie(
            forms.SIGNED_IN,
            forms.PATH,
            secure=exchange.address.startswith("https://"),
            httponly=True,
            samesite="lax",
        )
        return response

    async def _read(self, exchange: Exchange, parameters: dict[str, str]) -> _Asked:
        """Return what a request asks for. Raises InvalidRequestError for an address that is none of the client's."""
        here = f"{PATH}?{urlencode(parameters)}" if parameters else PATH
        hinted = await _client_of(exchange, parameters.get("id_token_hint"))
        client_id = parameters.get("client_id", hinted)
        if hinted is not None and client_id != hinted:
            raise InvalidRequestError("The 'id_token_hint' is another client's.")
        app = None if client_id is None else await exchange.app(client_id)
        uri = parameters.get("post_logout_redirect_uri")
        if uri is None:
            return _Asked(here, None if app is None else app.name, None)
        if app is None or not OAuthClient(exchange, app).check_redirect_uri(uri):
            raise InvalidRequestError("The 'post_logout_redirect_uri' is none of the client's redirect URIs.")
        state = parameters.get("state")
        if state is not None:
            uri = f"{uri}{'&' if urlsplit(uri).query else '?'}{urlencode({'state': state})}"
        return _Asked(here, app.name, uri)

    def _ask(self, request: Request, exchange: Exchange, signed_in: SignedInBrowser, asked: _Asked) -> Response:
        browser_id = forms.browser_of(request)
        response = page(
            "sign_out",
            texts_for(request.headers.get("accept-language")),
            form_goes_to=asked.back,
            person=signed_in,
            app=asked.app,
            action=asked.here,
            form_token=forms.form_token(self._desk.services, request, browser_id, asked.here),
        )
        forms.set_cookie(response, exchange.address, forms.COOKIE, browser_id)
        return response

    async def _end(self, exchange: Exchange, signed_in: SignedInBrowser) -> None:
        by = By(signed_in.member_id, exchange.origin)
        async with exchange.services.database.transaction() as session:
            await sign_out(exchange.services, session, signed_in.workspace_id, signed_in.session_id, by)

    def _done(self, request: Request, asked: _Asked, message: str, status: int = 200) -> Response:
        if status == 200 and asked.back is not None:
            return RedirectResponse(asked.back, 303, NO_STORE)
        texts = texts_for(request.headers.get("accept-language"))
        return page("message", texts, status, title=texts["sign_out"], message=texts[message], detail=None)


async def _client_of(exchange: Exchange, id_token: str | None) -> str | None:
    """Return the client that an ID token of ours was made for, over or not: it is a hint, and lets nobody in. None
    without one. Raises InvalidRequestError for one that is not ours."""
    if id_token is None:
        return None
    client = await exchange.services.client_of_id_token(id_token)
    if client is None:
        raise InvalidRequestError("The 'id_token_hint' is no ID token of this server.")
    return client
