"""The endpoints that programs ask: tokens, devices, revocation, introspection, userinfo, keys, metadata."""

from __future__ import annotations

from collections.abc import Callable

import orjson
from authlib.oauth2.rfc6749 import InvalidRequestError, OAuth2Error
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from crm_graph.api.oauth.answers import OPEN_TO_ALL, Answer, answer, refusal, too_many
from crm_graph.api.oauth.attempts import count_wrong_secret
from crm_graph.api.oauth.issuer import place_of
from crm_graph.api.oauth.metadata import metadata
from crm_graph.api.oauth.openid import Userinfo
from crm_graph.api.oauth.requests import OAuthRequest, read_form
from crm_graph.api.oauth.server import Server
from crm_graph.api.oauth.visits import Desk
from crm_graph.kernel.errors import BadUserInput, RateLimited

KEYS_MAX_AGE_S = 3_600
"""How long clients may keep the keys. A key is published a whole period before it signs."""
METADATA_MAX_AGE_S = 300
_PREFLIGHT = {
    **OPEN_TO_ALL,
    "Access-Control-Allow-Methods": "GET, POST",
    "Access-Control-Allow-Headers": "Authorization, Content-Type",
    "Access-Control-Max-Age": "3600",
}


class Endpoints:
    """The handlers, over the process's desk."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def token(self, request: Request) -> Response:
        """Give tokens for a grant."""
        return await self._form("token", request, _token)

    async def device_authorization(self, request: Request) -> Response:
        """Let a device wait for its member."""
        return await self._form(
            "device", request, lambda server, asked: _endpoint(server, "device_authorization", asked)
        )

    async def revoke(self, request: Request) -> Response:
        """Take a token back."""
        return await self._form("revoke", request, lambda server, asked: _endpoint(server, "revocation", asked))

    async def introspect(self, request: Request) -> Response:
        """Tell a client about its token."""
        return await self._form("introspect", request, lambda server, asked: _endpoint(server, "introspection", asked))

    async def userinfo(self, request: Request) -> Response:
        """Tell who the member of an access token is."""
        if request.method == "OPTIONS":
            return Response(status_code=204, headers=_PREFLIGHT)
        try:
            exchange = self._desk.begin(request)
            asked = OAuthRequest(request.method, exchange.address + request.url.path, request.headers, {})
            response = await exchange.run(lambda: answer(*Userinfo(exchange, asked)(asked)))
        except OAuth2Error as error:
            response = refusal(error)
        return _opened(response)

    async def jwks(self, _: Request) -> Response:
        """Give the keys by which our tokens can be checked."""
        headers = {"Cache-Control": f"public, max-age={KEYS_MAX_AGE_S}", **OPEN_TO_ALL}
        body = orjson.dumps(await self._desk.services.jwks())
        return Response(body, media_type="application/jwk-set+json", headers=headers)

    async def metadata(self, request: Request) -> Response:
        """Say where everything is."""
        try:
            body = orjson.dumps(metadata(place_of(self._desk.services.settings, request)))
        except BadUserInput as error:
            return refusal(InvalidRequestError(error.message))
        headers = {"Cache-Control": f"public, max-age={METADATA_MAX_AGE_S}", "Vary": "Host", **OPEN_TO_ALL}
        return Response(body, media_type="application/json", headers=headers)

    async def _form(self, what: str, request: Request, act: Callable[[Server, OAuthRequest], Answer]) -> Response:
        """Answer a form that a client posted. What is wrong with it is said in RFC 6749's form."""
        if request.method == "OPTIONS":
            return Response(status_code=204, headers=_PREFLIGHT)
        try:
            return _opened(await self._answer(what, request, act))
        except OAuth2Error as error:
            return _opened(refusal(error))
        except RateLimited as error:
            return _opened(too_many(error.retry_after_s))
        except ClientDisconnect:
            return Response(status_code=499)

    async def _answer(self, what: str, request: Request, act: Callable[[Server, OAuthRequest], Answer]) -> Answer:
        exchange = self._desk.begin(request)
        retry_after_s = self._desk.limiter().retry_after_s(what, exchange.origin.address)
        if retry_after_s:
            return too_many(retry_after_s)
        parameters = await read_form(request, self._desk.services.settings.oauth_max_bytes)
        asked = OAuthRequest("POST", exchange.address + request.url.path, request.headers, parameters)
        server = Server(exchange)
        await exchange.services.rsa.turn()
        response = await exchange.run(lambda: act(server, asked))
        if response.status_code == 401:
            await count_wrong_secret(exchange)
        return response


def _token(server: Server, asked: OAuthRequest) -> Answer:
    if "grant_type" not in asked.form:
        raise InvalidRequestError("Missing 'grant_type' in request.")
    response: Answer = server.create_token_response(asked)
    return response


def _endpoint(server: Server, name: str, asked: OAuthRequest) -> Answer:
    response: Answer = server.create_endpoint_response(name, asked)
    return response


def _opened(response: Answer) -> Answer:
    response.headers.update(OPEN_TO_ALL)
    return response
