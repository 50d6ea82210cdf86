"""The grants: Authlib's, over our codes and sessions. There is no other: neither the implicit one nor passwords."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from authlib.oauth2.rfc6749 import AccessDeniedError, InvalidGrantError, InvalidScopeError, scope_to_list
from authlib.oauth2.rfc6749.grants import AuthorizationCodeGrant, ClientCredentialsGrant, RefreshTokenGrant
from authlib.oauth2.rfc8628 import DeviceCodeGrant

from crm_graph.api.oauth.clients import ALL_METHODS, API_SCOPES, SECRET_METHODS, OAuthClient
from crm_graph.api.oauth.exchange import Exchange
from crm_graph.api.oauth.requests import OAuthRequest
from crm_graph.domains.identity.accounts.sessions import (
    ShownRefreshToken,
    find_refresh_token,
    refresh_session,
)
from crm_graph.domains.identity.authorizations.apps import Person, find_person
from crm_graph.domains.identity.authorizations.codes import FoundCode, NewCode, save_code, take_code, use_code
from crm_graph.domains.identity.authorizations.devices import FoundDevice, note_poll, take_device, use_device
from crm_graph.identity.tokens import client_key
from crm_graph.kernel.errors import Unauthenticated


@dataclass(frozen=True, slots=True)
class Owner:
    """The resource owner: a member, when they proved who they are, and the browser's sign-in by which that is known."""

    person: Person
    at: datetime
    signed_in_id: str


class Code:
    """What Authlib asks of an authorization code."""

    code_challenge_method = "S256"

    def __init__(self, code: FoundCode) -> None:
        self.found = code
        self.code_challenge = code.bound.code_challenge

    def get_redirect_uri(self) -> str:
        """Return where the code was sent to."""
        return self.found.bound.redirect_uri

    def get_scope(self) -> str:
        """Return what the member agreed to."""
        return self.found.bound.scope

    def get_nonce(self) -> str | None:
        """Return the client's nonce, for the ID token."""
        return self.found.bound.nonce

    def get_auth_time(self) -> int:
        """Return when the member signed in, in seconds since 1970."""
        return int(self.found.bound.auth_time.timestamp())

    def get_acr(self) -> None:
        """Return nothing: there are no classes of authentication here."""

    def get_amr(self) -> None:
        """Return nothing: see `get_acr`."""


class CodeGrant(AuthorizationCodeGrant):  # type: ignore[misc] # Authlib is untyped
    """Authorization codes."""

    TOKEN_ENDPOINT_AUTH_METHODS = ALL_METHODS

    @property
    def _exchange(self) -> Exchange:
        exchange: Exchange = self.server.exchange
        return exchange

    def save_authorization_code(self, code: str, request: OAuthRequest) -> None:
        """Keep a code, bound to its client, member, address, challenge and nonce."""
        client: OAuthClient = request.client
        owner: Owner = request.user
        data = request.payload.data
        new = NewCode(
            client.app.workspace_id,
            client.app.id,
            owner.person.member_id,
            request.payload.redirect_uri,
            request.scope,
            data.get("nonce"),
            data["code_challenge"],
            owner.at,
            owner.signed_in_id,
        )
        try:
            self._exchange.wait(save_code(self._exchange.services, self._exchange.session(), code, new))
        except Unauthenticated:
            raise AccessDeniedError(redirect_uri=request.payload.redirect_uri) from None

    def query_authorization_code(self, code: str, client: OAuthClient) -> Code | None:
        """Return a code of this client; None for any other, and for one that was used, which ends its session."""
        exchange, app = self._exchange, client.app
        row = exchange.wait(
            take_code(exchange.services, exchange.session(), app.workspace_id, app.id, code, exchange.origin)
        )
        return None if row is None else Code(row)

    def delete_authorization_code(self, authorization_code: Code) -> None:
        """Note that a code was used, and for which session."""
        exchange = self._exchange
        assert exchange.started is not None
        exchange.wait(
            use_code(exchange.services, exchange.session(), authorization_code.found, exchange.started.session_id)
        )

    def authenticate_user(self, authorization_code: Code) -> Owner | None:
        """Return the member, unless they were suspended meanwhile."""
        bound = authorization_code.found.bound
        person = self._exchange.wait(find_person(self._exchange.session(), bound.workspace_id, bound.member_id))
        return None if person is None else Owner(person, bound.auth_time, bound.signed_in_id)


class ShownToken:
    """What Authlib asks of a refresh token that was shown."""

    def __init__(self, text: str, shown: ShownRefreshToken) -> None:
        self.text = text
        self.shown = shown

    def check_client(self, client: OAuthClient) -> bool:
        """Return whether it is this client's."""
        return client.is_one(self.shown.workspace_id, self.shown.client_id)

    def get_scope(self) -> str:
        """Return what the member agreed to."""
        return " ".join(sorted(self.shown.scope or ()))


class RefreshGrant(RefreshTokenGrant):  # type: ignore[misc] # Authlib is untyped
    """Refresh tokens, each good once: see `accounts/sessions.py`."""

    TOKEN_ENDPOINT_AUTH_METHODS = ALL_METHODS

    def authenticate_refresh_token(self, refresh_token: str) -> ShownToken | None:
        """Return a genuine refresh token, whatever became of its session; nothing happens to it yet."""
        exchange: Exchange = self.server.exchange
        shown = exchange.wait(find_refresh_token(exchange.services, exchange.reader(), refresh_token))
        return None if shown is None else ShownToken(refresh_token, shown)

    def authenticate_user(self, refresh_token: ShownToken) -> str:
        """Return the member's id; whether they may come in is asked where the token is used."""
        return refresh_token.shown.member_id

    def issue_token(self, user: str, refresh_token: ShownToken) -> dict[str, Any]:  # noqa: ARG002 - Authlib's signature
        """Use the token up and return the next ones. A narrower scope, where one is asked for, is the access token's
        alone: the session keeps its own (RFC 6749, section 6)."""
        exchange: Exchange = self.server.exchange
        services, client_id = exchange.services, self.request.client.app.id
        narrower = frozenset(scope_to_list(self.request.payload.scope or "")) or None
        try:
            pair = exchange.wait(
                refresh_session(
                    services,
                    refresh_token.text,
                    exchange.origin,
                    client_id,
                    scope=narrower,
                    issuer=exchange.issuer,
                )
            )
        except Unauthenticated:
            raise InvalidGrantError from None
        scopes = narrower or pair.scope or frozenset()
        return {**self.server.bearer(pair.access_token, scopes), "refresh_token": pair.refresh_token}

    def revoke_old_credential(self, refresh_token: ShownToken) -> None:
        """Do nothing: it was used up."""


class ClientGrant(ClientCredentialsGrant):  # type: ignore[misc] # Authlib is untyped
    """Tokens of clients for themselves."""

    TOKEN_ENDPOINT_AUTH_METHODS = SECRET_METHODS

    def validate_requested_scope(self) -> None:
        """Check the scope: those of a person's identity are not for a client by itself. Raises InvalidScopeError."""
        super().validate_requested_scope()
        if not set(API_SCOPES).issuperset(scope_to_list(self.request.payload.scope or "")):
            raise InvalidScopeError


class Device:
    """What Authlib asks of a device code."""

    def __init__(self, device: FoundDevice) -> None:
        self.found = device

    def get_client_id(self) -> str:
        """Return whose device it is."""
        return self.found.asked_as or client_key(self.found.client_id or "")

    def get_scope(self) -> str:
        """Return what it asked for."""
        return self.found.scope

    def get_user_code(self) -> FoundDevice:
        """Return what the member's answer is found by: it is in the same row."""
        return self.found

    def is_expired(self) -> bool:
        """Return whether nobody answered in time."""
        return not self.found.lives


class DeviceGrant(DeviceCodeGrant):  # type: ignore[misc] # Authlib is untyped
    """Tokens for devices that a member let in."""

    TOKEN_ENDPOINT_AUTH_METHODS = ALL_METHODS

    def query_device_credential(self, device_code: str) -> Device | None:
        """Return a device of the client's workspace by its code; of the command line, one that asks as it does."""
        exchange, app = self.server.exchange, self.request.client.app
        row = exchange.wait(
            take_device(exchange.services, exchange.session(), app.workspace_id, app.asked_as, device_code)
        )
        return None if row is None else Device(row)

    def query_user_grant(self, user_code: FoundDevice) -> tuple[Owner | None, bool] | None:
        """Return who answered, and what; None while nobody has. A member who may not come in any more has said no."""
        device, exchange = user_code, self.server.exchange
        if (
            device.approved is None
            or device.member_id is None
            or device.auth_time is None
            or device.workspace_id is None
        ):
            return None
        client: OAuthClient = self.request.client
        if not client.is_one(device.workspace_id, device.client_id):
            return None, False  # the workspace has removed it since
        person = exchange.wait(find_person(exchange.session(), device.workspace_id, device.member_id))
        if person is None or device.signed_in_id is None:
            return None, False
        return Owner(person, device.auth_time, device.signed_in_id), device.approved

    def should_slow_down(self, credential: Device) -> bool:
        """Note that the device asked; return whether it did so too soon."""
        exchange: Exchange = self.server.exchange
        return exchange.wait(note_poll(exchange.services, exchange.session(), credential.found))

    def save_token(self, token: dict[str, Any]) -> None:  # noqa: ARG002 - Authlib's signature
        """Use the device code up."""
        exchange: Exchange = self.server.exchange
        exchange.wait(use_device(exchange.services, exchange.session(), self.request.credential.found))
