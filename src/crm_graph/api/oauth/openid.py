"""OpenID Connect: ID tokens and userinfo."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from authlib.oauth2.rfc6749 import ResourceProtector
from authlib.oauth2.rfc6750 import BearerTokenValidator
from authlib.oidc.core import UserInfo
from authlib.oidc.core.grants import OpenIDCode, OpenIDToken
from authlib.oidc.core.userinfo import UserInfoEndpoint
from authlib.oidc.core.util import create_half_hash

from crm_graph.api.oauth.clients import OAuthClient
from crm_graph.api.oauth.exchange import Exchange
from crm_graph.api.oauth.grants import Owner
from crm_graph.api.oauth.requests import OAuthRequest
from crm_graph.api.oauth.tokens import AccessToken, find_access_token
from crm_graph.domains.identity.authorizations.apps import Person
from crm_graph.domains.identity.authorizations.codes import has_nonce


def user_info(person: Person, scope: str) -> UserInfo:
    """Return the claims about a member that the scopes are for."""
    claims = UserInfo(sub=person.member_id, name=person.name, email=person.email)
    return claims.filter(scope)


class DeviceIdToken(OpenIDToken):  # type: ignore[misc] # Authlib is untyped
    """ID tokens."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def encode_id_token(self, token: dict[str, Any], request: OAuthRequest) -> str:
        """Return the ID token that goes with an access token. Authlib's own wants keys before it asks for them, and
        knows fewer of them."""
        services = self._exchange.services
        now, owner = services.clock(), request.user
        assert isinstance(owner, Owner)
        lifetime = timedelta(seconds=services.settings.access_token_seconds)
        at_hash = create_half_hash(token["access_token"], services.settings.id_token_algorithm).decode()
        claims = {
            "iss": self._exchange.issuer,
            "aud": [request.client.client_id],
            "azp": request.client.client_id,
            "iat": int(now.timestamp()),
            "exp": int((now + lifetime).timestamp()),
            "auth_time": int(owner.at.timestamp()),
            "at_hash": at_hash,
        }
        if request.authorization_code:
            claims |= self.get_authorization_code_claims(request.authorization_code)
        claims |= user_info(owner.person, token["scope"])
        return services.sign_id_token(claims)


class IdToken(DeviceIdToken, OpenIDCode):  # type: ignore[misc] # Authlib is untyped
    """ID tokens of the code grant, bound to the client's nonce."""

    def __init__(self, exchange: Exchange) -> None:
        DeviceIdToken.__init__(self, exchange)
        OpenIDCode.__init__(self, require_nonce=False)

    def exists_nonce(self, nonce: str, request: OAuthRequest) -> bool:
        """Return whether the client has sent this nonce before."""
        client: OAuthClient = request.client
        app = client.app
        return self._exchange.wait(has_nonce(self._exchange.reader(), app.workspace_id, app.id, nonce))

    def __call__(self, grant: Any) -> None:
        OpenIDCode.__call__(self, grant)


class _Bearers(BearerTokenValidator):  # type: ignore[misc] # Authlib is untyped
    def __init__(self, exchange: Exchange) -> None:
        super().__init__()
        self._exchange = exchange

    def authenticate_token(self, token_string: str) -> AccessToken | None:
        return find_access_token(self._exchange, token_string)


class _Protector(ResourceProtector):  # type: ignore[misc] # Authlib is untyped
    def __init__(self, exchange: Exchange, request: OAuthRequest) -> None:
        super().__init__()
        self._request = request
        self.register_token_validator(_Bearers(exchange))

    def acquire_token(self, scopes: str) -> Any:
        return self.validate_request([scopes], self._request)


class Userinfo(UserInfoEndpoint):  # type: ignore[misc] # Authlib is untyped
    """Who the member of an access token is."""

    def __init__(self, exchange: Exchange, request: OAuthRequest) -> None:
        super().__init__(resource_protector=_Protector(exchange, request))

    def generate_user_info(self, user: Person, scope: str) -> UserInfo:
        """Return the claims about the member."""
        return user_info(user, scope)
