"""Tokens that somebody asks about or gives back: introspection (RFC 7662) and revocation (RFC 7009)."""

from __future__ import annotations

from typing import Any

from authlib.oauth2.rfc6749 import OAuth2Error
from authlib.oauth2.rfc7009 import RevocationEndpoint
from authlib.oauth2.rfc7662 import IntrospectionEndpoint

from crm_graph.api.oauth.clients import ALL_METHODS, SECRET_METHODS, OAuthClient
from crm_graph.api.oauth.exchange import Exchange
from crm_graph.api.oauth.grants import ShownToken
from crm_graph.api.oauth.requests import OAuthRequest
from crm_graph.domains.identity.accounts.directory import MemberDirectory
from crm_graph.domains.identity.accounts.enums import RevokedReason
from crm_graph.domains.identity.accounts.journal import By
from crm_graph.domains.identity.accounts.sessions import (
    find_refresh_token,
    revoke_by_refresh_token,
    revoke_session,
)
from crm_graph.domains.identity.accounts.spelling import REFRESH_TOKEN
from crm_graph.domains.identity.authorizations.apps import Person, find_app_in, find_person
from crm_graph.identity.tokens import Claims, client_key
from crm_graph.kernel.errors import Unauthenticated


class AccessToken:
    """What Authlib asks of an access token of ours that is not over."""

    def __init__(self, exchange: Exchange, claims: Claims) -> None:
        self._exchange = exchange
        self.claims = claims

    @property
    def scope(self) -> str:
        """What it is good for."""
        return self.get_scope()

    def get_scope(self) -> str:
        """Return what it is good for."""
        return " ".join(sorted(self.claims.scope or ()))

    def get_client(self) -> OAuthClient | None:
        """Return the client that it was given to."""
        workspace_id, client_id = self.claims.workspace_id, self.claims.client_id
        if client_id is None:
            return None
        app = self._exchange.wait(find_app_in(self._exchange.reader(), workspace_id, client_id))
        return None if app is None else OAuthClient(self._exchange, app)

    def get_user(self) -> Person | None:
        """Return the member that it acts for."""
        claims = self.claims
        return self._exchange.wait(find_person(self._exchange.reader(), claims.workspace_id, claims.member_id))

    def check_client(self, client: OAuthClient) -> bool:
        """Return whether it was given to this client."""
        return client.is_one(self.claims.workspace_id, self.claims.client_id)

    def is_expired(self) -> bool:
        """Return False: one that is over is not found."""
        return False

    def is_revoked(self) -> bool:
        """Return whether its session or client is gone, or its member may not come in any more."""
        member = self._exchange.wait(MemberDirectory().find(self._exchange.reader(), self.claims))
        return member is None


class RefreshToken(ShownToken):
    """What Authlib asks of a refresh token beside."""

    def is_expired(self) -> bool:
        """Return whether its session is over."""
        return not self.shown.lives

    def is_revoked(self) -> bool:
        """Return whether a newer one has taken its place."""
        return self.shown.is_old


def find_access_token(exchange: Exchange, text: str) -> AccessToken | None:
    """Return an access token of ours, or None."""
    try:
        return AccessToken(exchange, exchange.services.authority.check(text))
    except Unauthenticated:
        return None


def find_token(exchange: Exchange, text: str) -> AccessToken | RefreshToken | None:
    """Return a token of ours of either kind. What kind it is can be seen, so the asker's hint is not needed."""
    if not text.startswith(REFRESH_TOKEN.prefix):
        return find_access_token(exchange, text)
    shown = exchange.wait(find_refresh_token(exchange.services, exchange.reader(), text))
    return None if shown is None else RefreshToken(text, shown)


class Introspection(IntrospectionEndpoint):  # type: ignore[misc] # Authlib is untyped
    """Tells a confidential client about its own tokens, and about no others."""

    CLIENT_AUTH_METHODS = SECRET_METHODS

    def query_token(self, token_string: str, token_type_hint: str | None) -> AccessToken | RefreshToken | None:  # noqa: ARG002
        """Return a token of ours, or None."""
        return find_token(self.server.exchange, token_string)

    def check_permission(self, token: AccessToken | RefreshToken, client: OAuthClient, request: OAuthRequest) -> bool:  # noqa: ARG002
        """Return whether a client may know about a token."""
        return token.check_client(client)

    def introspect_token(self, token: AccessToken | RefreshToken) -> dict[str, Any]:
        """Return what there is to know about a live token."""
        exchange: Exchange = self.server.exchange
        answer: dict[str, Any] = {"active": True, "iss": exchange.issuer, "scope": token.get_scope()}
        if isinstance(token, RefreshToken):
            shown = token.shown
            return {**answer, "client_id": client_key(shown.client_id or ""), "sub": shown.member_id}
        claims = token.claims
        return {
            **answer,
            "client_id": client_key(claims.client_id or ""),
            "sub": claims.member_id,
            "aud": exchange.services.authority.audience,
            "token_type": "Bearer",
            "exp": int(claims.expires_at.timestamp()),
            "iat": int(claims.issued_at.timestamp()),
        }


class Revocation(RevocationEndpoint):  # type: ignore[misc] # Authlib is untyped
    """Ends the session behind a token, of either kind: all tokens of the session stop working."""

    CLIENT_AUTH_METHODS = ALL_METHODS

    def query_token(self, token_string: str, token_type_hint: str | None) -> AccessToken | RefreshToken | None:  # noqa: ARG002
        """Return a token of ours, or None."""
        return find_token(self.server.exchange, token_string)

    def revoke_token(self, token: AccessToken | RefreshToken, request: OAuthRequest) -> None:
        """End a session. Raises OAuth2Error for the token of a client by itself, which has none (section 2.2.1)."""
        exchange: Exchange = self.server.exchange
        services, client_id = exchange.services, request.client.app.id
        if isinstance(token, RefreshToken):
            exchange.wait(revoke_by_refresh_token(services, token.text, exchange.origin, client_id))
            return
        claims = token.claims
        if claims.session_id is None:
            raise OAuth2Error(
                "A token of client credentials ends by itself, or with its key.", error="unsupported_token_type"
            )
        by = By(claims.member_id, exchange.origin, None, client_id)
        exchange.wait(
            revoke_session(
                services, exchange.session(), claims.workspace_id, claims.session_id, RevokedReason.CLIENT, by=by
            )
        )
