"""What clients read first: where the endpoints are and what they do (RFC 8414, OpenID Connect Discovery)."""

from __future__ import annotations

from typing import Any

from authlib.oauth2.rfc8628 import DEVICE_CODE_GRANT_TYPE

from crm_graph.api.oauth.clients import ALL_METHODS, SCOPES, SECRET_METHODS
from crm_graph.api.oauth.issuer import Place
from crm_graph.identity.keys import ALGORITHM
from crm_graph.identity.rsa_keys import RS256


def metadata(place: Place) -> dict[str, Any]:
    """Return the one document of both kinds."""
    return {
        "issuer": place.issuer,
        "authorization_endpoint": f"{place.address}/oauth/authorize",
        "token_endpoint": f"{place.address}/oauth/token",
        "device_authorization_endpoint": f"{place.address}/oauth/device_authorization",
        "revocation_endpoint": f"{place.address}/oauth/revoke",
        "introspection_endpoint": f"{place.address}/oauth/introspect",
        "userinfo_endpoint": f"{place.address}/oauth/userinfo",
        "end_session_endpoint": f"{place.address}/oauth/sign-out",
        "jwks_uri": f"{place.address}/oauth/jwks",
        "scopes_supported": list(SCOPES),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": [
            "authorization_code",
            "refresh_token",
            "client_credentials",
            DEVICE_CODE_GRANT_TYPE,
        ],
        "token_endpoint_auth_methods_supported": ALL_METHODS,
        "revocation_endpoint_auth_methods_supported": ALL_METHODS,
        "introspection_endpoint_auth_methods_supported": SECRET_METHODS,
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": True,
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [RS256, ALGORITHM],
        "claims_supported": ["iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "at_hash", "name", "email"],
        "prompt_values_supported": ["none", "login", "consent", "select_account"],
        "ui_locales_supported": ["en", "zh"],
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
        "claims_parameter_supported": False,
    }
