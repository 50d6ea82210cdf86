"""The authorization endpoint: whoever comes signs in, is asked once whether the app may act for them, and goes back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from authlib.oauth2.rfc6749 import OAuth2Error
from authlib.oidc.core.errors import ConsentRequiredError
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from crm_graph.api.oauth import forms
from crm_graph.api.oauth.answers import Answer
from crm_graph.api.oauth.clients import OAuthClient
from crm_graph.api.oauth.exchange import Exchange
from crm_graph.api.oauth.grants import Owner
from crm_graph.api.oauth.pages import answered, page, too_many_page
from crm_graph.api.oauth.requests import OAuthRequest, parse_parameters, read_form
from crm_graph.api.oauth.server import Server
from crm_graph.api.oauth.sign_in import SignIn
from crm_graph.api.oauth.texts import texts_for
from crm_graph.api.oauth.visits import Desk
from crm_graph.domains.identity.authorizations.consents import consented_scopes, remember_consent

PATH = "/oauth/authorize"
ALLOW, DENY = "allow", "deny"


@dataclass(frozen=True, slots=True)
class _Asked:
    """A good request whose member has to do something first: sign in where `owner` is None, otherwise agree."""

    client: OAuthClient
    redirect_uri: str
    scopes: tuple[str, ...]
    owner: Owner | None


class Authorize:
    """The handler."""

    def __init__(self, desk: Desk, sign_in: SignIn) -> None:
        self._desk = desk
        self._sign_in = sign_in

    async def __call__(self, request: Request) -> Response:
        """Answer a browser. A HEAD is no browser's, and must not take a code along."""
        if request.method not in {"GET", "POST"}:
            return PlainTextResponse("Method Not Allowed", 405, {"Allow": "GET, POST"})
        return await answered(request, self._answer)

    async def _answer(self, request: Request) -> Response:
        desk = self._desk
        exchange = desk.begin(request)
        retry_after_s = desk.limiter().retry_after_s("authorize", exchange.origin.address)
        if retry_after_s:
            return too_many_page(request, retry_after_s)
        max_bytes = desk.services.settings.oauth_max_bytes
        parameters = parse_parameters(request.scope["query_string"].decode("latin-1"), max_bytes)
        decision = None
        if request.method == "POST":
            form = await read_form(request, max_bytes)
            here = f"{PATH}?{urlencode(parameters)}"
            if not forms.is_own_form(desk.services, request, form.get(forms.FIELD), here):
                return self._sign_in.expired(request)
            decision = ALLOW if form.get("decision") == ALLOW else DENY
        owner = await self._owner(exchange, request, parameters)
        asked = OAuthRequest("GET", exchange.address + PATH, request.headers, parameters, of_query=True)
        server = Server(exchange)
        judged = await exchange.run(lambda: _judge(server, asked, owner, decision))
        if isinstance(judged, Answer):
            return judged
        back = _without_sign_in(parameters)
        if judged.owner is None:
            return await self._sign_in.page(request, exchange, back, parameters.get("login_hint", ""))
        return self._consent(request, judged, judged.owner, parameters)

    async def _owner(self, exchange: Exchange, request: Request, parameters: dict[str, str]) -> Owner | None:
        """Return who has signed in to the client's workspace; None where that is longer ago than `max_age`."""
        app = await exchange.app(parameters.get("client_id", ""))
        owner = None if app is None else await self._desk.owner(exchange, request, app.workspace_id)
        max_age = parameters.get("max_age", "")
        if owner is not None and max_age.isascii() and max_age.isdigit() and len(max_age) < 10:
            too_old = self._desk.services.clock() - owner.at > timedelta(seconds=int(max_age))
            return None if too_old or int(max_age) == 0 else owner
        return owner

    def _consent(self, request: Request, asked: _Asked, owner: Owner, parameters: dict[str, str]) -> Response:
        here = f"{PATH}?{urlencode(parameters)}"
        browser_id = forms.browser_of(request)
        services, app = self._desk.services, asked.client.app
        response = page(
            "consent",
            texts_for(request.headers.get("accept-language")),
            form_goes_to=asked.redirect_uri,
            app=app.name,
            workspace=app.workspace,
            scopes=asked.scopes,
            person=owner.person,
            code=None,
            action=here,
            another=f"{PATH}?{urlencode({**parameters, 'prompt': 'login'})}",
            form_token=forms.form_token(services, request, browser_id, here),
        )
        forms.set_cookie(response, self._desk.begin(request).address, forms.COOKIE, browser_id)
        return response


def _judge(server: Server, asked: OAuthRequest, owner: Owner | None, decision: str | None) -> Answer | _Asked:
    """Return the answer to a request, or what its member has to do first. Raises OAuth2Error where the client cannot
    be told: it, or its redirect URI, is not known to be right."""
    try:
        grant = server.get_consent_grant(asked, owner)
        return _granted(server, asked, grant, owner, decision)
    except OAuth2Error as error:
        if error.redirect_uri:
            return server.refuse(asked, error)
        raise


def _granted(
    server: Server, asked: OAuthRequest, grant: Any, owner: Owner | None, decision: str | None
) -> Answer | _Asked:
    client: OAuthClient = asked.client
    scopes = tuple(asked.scope.split())
    if owner is None or grant.prompt in {"login", "select_account"}:
        return _Asked(client, grant.redirect_uri, scopes, None)
    exchange, app, person = server.exchange, client.app, owner.person
    if decision is None:
        agreed = app.first_party or exchange.wait(
            consented_scopes(exchange.reader(), app.workspace_id, person.member_id, app.id)
        ).issuperset(scopes)
        if grant.prompt == "consent" or not agreed:
            if asked.payload.data.get("prompt") == "none":
                raise ConsentRequiredError(redirect_uri=grant.redirect_uri)
            return _Asked(client, grant.redirect_uri, scopes, owner)
    elif decision == ALLOW:
        exchange.wait(
            remember_consent(
                exchange.services,
                exchange.session(),
                app.workspace_id,
                person.member_id,
                app.id,
                frozenset(scopes),
                exchange.origin,
            )
        )
    answer: Answer = server.create_authorization_response(asked, None if decision == DENY else owner, grant)
    return answer


def _without_sign_in(parameters: dict[str, str]) -> str:
    """Return the address of a request for after its member has signed in: what asked for that is answered then. That
    they did, and when, is for the client to see in `auth_time`."""
    kept = dict(parameters)
    prompts = [prompt for prompt in kept.pop("prompt", "").split() if prompt not in {"login", "select_account"}]
    if prompts:
        kept["prompt"] = " ".join(prompts)
    if kept.get("max_age", "").strip("0") == "":
        kept.pop("max_age", None)
    return f"{PATH}?{urlencode(kept)}"
