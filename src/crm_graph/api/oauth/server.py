"""Authlib's authorization server for one exchange: which grants and endpoints there are, and whose tokens they give.

One is made a request: it is a few lists, and so its parts know their exchange without a global.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from authlib.oauth2.rfc6749 import (
    AccessDeniedError,
    AuthorizationServer,
    InvalidClientError,
    InvalidGrantError,
    InvalidRequestError,
    OAuth2Error,
)
from authlib.oauth2.rfc8628 import DEVICE_CODE_GRANT_TYPE
from authlib.oauth2.rfc9207 import IssuerParameter

from crm_graph.api.oauth.answers import Answer, answer
from crm_graph.api.oauth.clients import SCOPES, OAuthClient
from crm_graph.api.oauth.device import Devices
from crm_graph.api.oauth.exchange import Exchange
from crm_graph.api.oauth.grants import ClientGrant, CodeGrant, DeviceGrant, Owner, RefreshGrant
from crm_graph.api.oauth.openid import DeviceIdToken, IdToken
from crm_graph.api.oauth.pkce import Pkce
from crm_graph.api.oauth.requests import OAuthRequest
from crm_graph.api.oauth.restrictions import Restrictions
from crm_graph.api.oauth.tokens import Introspection, Revocation
from crm_graph.domains.identity.accounts.enums import SignInMethod
from crm_graph.domains.identity.accounts.session_rows import Source
from crm_graph.domains.identity.accounts.sessions import start_session
from crm_graph.domains.identity.authorizations.apps import find_person
from crm_graph.kernel.errors import Unauthenticated


class _Issuer(IssuerParameter):  # type: ignore[misc] # Authlib is untyped
    def __init__(self, issuer: str) -> None:
        self._issuer = issuer

    def get_issuer(self) -> str:
        return self._issuer


def _key(client: OAuthClient) -> str:
    """Return what tells a client from all others: its id does so in its workspace alone."""
    return f"{client.app.workspace_id} {client.app.id}"


class Server(AuthorizationServer):  # type: ignore[misc] # Authlib is untyped
    """The authorization server."""

    def __init__(self, exchange: Exchange) -> None:
        super().__init__(SCOPES)
        self.exchange = exchange
        self._issuer = _Issuer(exchange.issuer)
        self.register_extension(self._issuer)
        self.register_token_generator("default", self._tokens_of_member)
        self.register_token_generator("client_credentials", self._token_of_client)
        self.register_grant(CodeGrant, [Restrictions(), Pkce(), IdToken(exchange)])
        self.register_grant(RefreshGrant)
        self.register_grant(ClientGrant)
        self.register_grant(DeviceGrant, [DeviceIdToken(exchange)])
        self.register_endpoint(Revocation(self))
        self.register_endpoint(Introspection(self))
        self.register_endpoint(Devices(self))

    def query_client(self, client_id: str) -> OAuthClient | None:
        """Return a client by its id, or None."""
        app = self.exchange.wait(self.exchange.app(client_id))
        return None if app is None else OAuthClient(self.exchange, app)

    def authenticate_client(self, request: OAuthRequest, methods: list[str], endpoint: str = "token") -> OAuthClient:
        """Return the client of a request. Raises OAuth2Error.

        Beside Authlib's: a client shows one credential and names one client (RFC 6749, section 2.3), and one that
        has shown a secret is counted.
        """
        basic = request.headers.get("Authorization", "").partition(" ")[0].lower() == "basic"
        if basic and "client_secret" in request.form:
            raise InvalidRequestError("The client authenticates in two ways at once.")
        try:
            client = super().authenticate_client(request, methods, endpoint)
        except ValueError:  # bytes in `Authorization` that are no text
            raise InvalidClientError("The client cannot authenticate so.", status_code=401) from None
        assert isinstance(client, OAuthClient)
        named = request.form.get("client_id")
        if basic and named is not None and named != client.client_id:
            raise InvalidClientError("The request names two clients.", status_code=401)
        if not client.is_public and self.exchange.limiter.retry_after_s("client", _key(client)):
            raise OAuth2Error("There were too many requests.", error="temporarily_unavailable", status_code=429)
        request.client = client
        return client

    def save_token(self, token: dict[str, Any], request: OAuthRequest) -> None:
        """Do nothing: the session behind the tokens is written where they are made."""

    def send_signal(self, name: str, *args: Any, **kwargs: Any) -> None:
        """Do nothing: there is the event log."""

    def create_oauth2_request(self, request: OAuthRequest) -> OAuthRequest:
        """Return the request as it is."""
        return request

    def handle_response(self, status: int, body: Any, headers: Any) -> Answer:
        """Return the response to be sent."""
        return answer(status, body, headers)

    def refuse(self, request: OAuthRequest, error: OAuth2Error) -> Answer:
        """Return the redirect by which a client learns of an error; with the issuer, as every authorization
        response."""
        error.state = request.payload.state
        response: Answer = self.handle_error_response(request, error)
        self._issuer.add_issuer_parameter(self, response)
        return response

    def _tokens_of_member(
        self, *, grant_type: str, client: OAuthClient, user: Owner, scope: str, **_: Any
    ) -> dict[str, Any]:
        """Start the session of a member with a client, and return its first tokens."""
        app, exchange = client.app, self.exchange
        scopes = frozenset(scope.split())
        is_device = grant_type == DEVICE_CODE_GRANT_TYPE
        try:
            pair = exchange.wait(
                start_session(
                    exchange.services,
                    exchange.session(),
                    app.workspace_id,
                    user.person.member_id,
                    method=SignInMethod.DEVICE if is_device else SignInMethod.OAUTH,
                    origin=exchange.origin,
                    client_id=app.id,
                    scope=scopes,
                    source=Source(signed_in_id=user.signed_in_id),
                    issuer=exchange.issuer,
                )
            )
        except Unauthenticated:  # the member, or the sign-in that the code came from, has gone
            raise (AccessDeniedError() if is_device else InvalidGrantError()) from None
        exchange.started = pair
        return {**self.bearer(pair.access_token, scopes), "refresh_token": pair.refresh_token}

    def _token_of_client(self, *, client: OAuthClient, scope: str | None, **_: Any) -> dict[str, Any]:
        """Return a token by which a client acts as its service member. It asks for another when it ends; the token is
        good while the key is that it was got by."""
        app, services = client.app, self.exchange.services
        assert app.member_id is not None
        if self.exchange.wait(find_person(self.exchange.reader(), app.workspace_id, app.member_id)) is None:
            raise InvalidClientError("The client's service member may not come in.")
        scopes = frozenset(client.get_allowed_scope(scope).split())
        lifetime = timedelta(seconds=services.settings.access_token_seconds)
        assert client.key_id is not None, "a client by itself has shown a key"
        token = services.authority.issue(
            app.workspace_id,
            app.member_id,
            lifetime,
            app.id,
            key_id=client.key_id,
            scope=scopes,
            issuer=self.exchange.issuer,
        )
        return self.bearer(token, scopes)

    def bearer(self, access_token: str, scopes: frozenset[str]) -> dict[str, Any]:
        """Return the members of a token response that all grants share."""
        return {
            "token_type": "Bearer",
            "access_token": access_token,
            "expires_in": self.exchange.services.settings.access_token_seconds,
            "scope": " ".join(sorted(scopes)),
        }
