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
from crm_graph.domains.workspace.authorizations.apps import Person
from crm_graph.domains.workspace.authorizations.codes import has_nonce
from crm_graph.identity.keys import ALGORITHM


def user_info(person: Person, scope: str) -> UserInfo:
    """Return the claims about a member that the scopes are for."""
    claims = UserInfo(sub=person.member_id, name=person.name, email=person.email)
    return claims.filter(scope)


class DeviceIdToken(OpenIDToken):  # type: ignore[misc] # Authlib is untyped
    """ID tokens, signed as all of our tokens are."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._claims: dict[str, Any] = {}

    def encode_id_token(self, token: dict[str, Any], request: OAuthRequest) -> str:
        """Return the ID token that goes with an access token."""
        services = self._exchange.services
        now, owner = services.clock(), request.user
        assert isinstance(owner, Owner)
        lifetime = timedelta(seconds=services.settings.access_token_seconds)
        # Authlib knows Ed25519's hash, SHA-512, under the name of EdDSA alone.
        at_hash = create_half_hash(token["access_token"], "EdDSA").decode()
        self._claims = {
            "iss": self._exchange.issuer,
            "aud": [request.client.client_id],
            "azp": request.client.client_id,
            "iat": int(now.timestamp()),
            "exp": int((now + lifetime).timestamp()),
            "auth_time": int(owner.at.timestamp()),
            "at_hash": at_hash,
        }
        encoded: str = super().encode_id_token(token, request)
        return encoded

    def resolve_client_private_key(self, client: OAuthClient) -> Any:  # noqa: ARG002 - Authlib's signature
        """Return the key that signs today."""
        return self._exchange.services.authority.keys.signer()

    def get_client_algorithm(self, client: OAuthClient) -> str:  # noqa: ARG002 - Authlib's signature
        """Return the algorithm."""
        return ALGORITHM

    def get_encode_header(self, client: OAuthClient) -> dict[str, Any]:
        """Return the header; not of an access token's type, so that none is taken for one."""
        key = self.resolve_client_private_key(client)
        return {"alg": ALGORITHM, "typ": "JWT", "kid": key.kid}

    def get_client_claims(self, client: OAuthClient) -> dict[str, Any]:  # noqa: ARG002 - Authlib's signature
        """Return the claims of the token that is being made."""
        return self._claims

    def generate_user_info(self, user: Owner, scope: str) -> UserInfo:
        """Return the claims about the member."""
        return user_info(user.person, scope)


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
