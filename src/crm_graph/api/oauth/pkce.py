"""PKCE as OAuth 2.1 has it: always, and by S256 (RFC 7636, RFC 9700 section 2.1.1)."""

from __future__ import annotations

from typing import Any

from authlib.oauth2.rfc6749 import InvalidRequestError
from authlib.oauth2.rfc7636 import CodeChallenge


class Pkce(CodeChallenge):  # type: ignore[misc] # Authlib is untyped
    """Authlib's extension without `plain`, and without requests that have no challenge: not for confidential clients
    either, whose codes could otherwise be injected."""

    DEFAULT_CODE_CHALLENGE_METHOD = None
    SUPPORTED_CODE_CHALLENGE_METHOD = ("S256",)

    def __init__(self) -> None:
        super().__init__(required=True)

    def validate_code_challenge(self, grant: Any, redirect_uri: str | None) -> None:
        """Check an authorization request. Raises InvalidRequestError."""
        data = grant.request.payload.data
        if "code_challenge" not in data:
            raise InvalidRequestError("Missing 'code_challenge'")
        if "code_challenge_method" not in data:
            raise InvalidRequestError("Missing 'code_challenge_method': S256 is the only one")
        super().validate_code_challenge(grant, redirect_uri)
