"""The pages on which a member lets a device in: the code that it shows, then what it wants, then yes or no.

The code that a link brings along is shown, not taken: whoever sent the link may be somebody else (RFC 8628, section
5.4).
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from crm_graph.api.oauth import forms
from crm_graph.api.oauth.attempts import count_user_code
from crm_graph.api.oauth.authorize import ALLOW, DENY
from crm_graph.api.oauth.device import PATH
from crm_graph.api.oauth.exchange import Exchange
from crm_graph.api.oauth.grants import Owner
from crm_graph.api.oauth.pages import answered, page, too_many_page
from crm_graph.api.oauth.requests import parse_parameters, read_form
from crm_graph.api.oauth.sign_in import SignIn
from crm_graph.api.oauth.texts import texts_for
from crm_graph.api.oauth.visits import Desk
from crm_graph.domains.identity.authorizations.apps import (
    COMMAND_LINE,
    MAX_ASKED_LENGTH,
    App,
    command_line,
    find_app_in,
)
from crm_graph.domains.identity.authorizations.devices import (
    WaitingDevice,
    answer_device,
    find_waiting,
    normalize_user_code,
)
from crm_graph.kernel.errors import Unauthenticated


class DevicePages:
    """The handler."""

    def __init__(self, desk: Desk, sign_in: SignIn) -> None:
        self._desk = desk
        self._sign_in = sign_in

    async def __call__(self, request: Request) -> Response:
        """Answer a browser."""
        if request.method not in {"GET", "POST"}:
            return PlainTextResponse("Method Not Allowed", 405, {"Allow": "GET, POST"})
        return await answered(request, self._answer)

    async def _answer(self, request: Request) -> Response:
        desk = self._desk
        exchange = desk.begin(request)
        max_bytes = desk.services.settings.oauth_max_bytes
        retry_after_s = desk.limiter().retry_after_s("device page", exchange.origin.address)
        if retry_after_s:
            return too_many_page(request, retry_after_s)
        query = parse_parameters(request.scope["query_string"].decode("latin-1"), max_bytes)
        owner = await desk.owner(exchange, request)
        if request.method == "GET":
            code = normalize_user_code(query.get("user_code", ""))
            if owner is None or "switch" in query:
                kept = {"user_code": code, "workspace": query.get("workspace", "")[:MAX_ASKED_LENGTH]}
                kept = {name: value for name, value in kept.items() if value}
                here = f"{PATH}?{urlencode(kept)}" if kept else PATH
                return await self._sign_in.page(request, exchange, here)
            return self._form(request, exchange, code)
        form = await read_form(request, max_bytes)
        code = normalize_user_code(form.get("user_code", ""))
        decision = form.get("decision")
        here = PATH if decision is None else f"{PATH} {code}"
        if owner is None or not forms.is_own_form(desk.services, request, form.get(forms.FIELD), here):
            return self._sign_in.expired(request)
        await count_user_code(exchange, owner)
        if decision in {ALLOW, DENY}:
            return await self._decide(request, exchange, code, approved=decision == ALLOW)
        return await self._ask(request, exchange, owner, code)

    async def _ask(self, request: Request, exchange: Exchange, owner: Owner, code: str) -> Response:
        """Show what the device wants."""
        services, workspace_id = self._desk.services, owner.person.workspace_id
        waiting = await find_waiting(services, exchange.reader(), workspace_id, code)
        app = None if waiting is None else await _app(exchange, workspace_id, waiting)
        if waiting is None or app is None:
            return self._form(request, exchange, code, "device_unknown")
        browser_id = forms.browser_of(request)
        response = page(
            "consent",
            _texts(request),
            app=app.name,
            workspace=owner.person.workspace,
            scopes=waiting.scope.split(),
            person=owner.person,
            code=code,
            action=PATH,
            another=f"{PATH}?{urlencode({'user_code': code, 'switch': '1'})}",
            form_token=forms.form_token(services, request, browser_id, f"{PATH} {code}"),
        )
        forms.set_cookie(response, exchange.address, forms.COOKIE, browser_id)
        return response

    async def _decide(self, request: Request, exchange: Exchange, code: str, *, approved: bool) -> Response:
        services = self._desk.services
        signed_in = await self._desk.signed_in(exchange, request)
        if signed_in is None:
            return self._sign_in.expired(request)
        try:
            async with services.database.transaction() as session:
                answered = await answer_device(services, session, signed_in, code, exchange.origin, approved=approved)
        except Unauthenticated:
            return self._sign_in.expired(request)
        if not answered:
            return self._form(request, exchange, code, "device_unknown")
        texts = _texts(request)
        message = texts["device_allowed" if approved else "device_denied"]
        return page("message", texts, title=texts["device"], message=message, detail=None)

    def _form(self, request: Request, exchange: Exchange, code: str, problem: str | None = None) -> Response:
        texts = _texts(request)
        browser_id = forms.browser_of(request)
        response = page(
            "device",
            texts,
            200 if problem is None else 404,
            problem=None if problem is None else texts[problem],
            code=code,
            form_token=forms.form_token(self._desk.services, request, browser_id, PATH),
        )
        forms.set_cookie(response, exchange.address, forms.COOKIE, browser_id)
        return response


async def _app(exchange: Exchange, workspace_id: str, waiting: WaitingDevice) -> App | None:
    if waiting.client_id is None:
        return command_line(COMMAND_LINE)
    return await find_app_in(exchange.reader(), workspace_id, waiting.client_id)


def _texts(request: Request) -> Mapping[str, str]:
    return texts_for(request.headers.get("accept-language"))
