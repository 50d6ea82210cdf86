"""What else an authorization request may not ask for, and what `prompt` means without OpenID Connect as well."""

from __future__ import annotations

import re
from typing import Any

from authlib.oauth2.rfc6749 import InvalidRequestError
from authlib.oidc.core.errors import (
    RegistrationNotSupportedError,
    RequestNotSupportedError,
    RequestURINotSupportedError,
)
from authlib.oidc.core.grants.util import validate_request_prompt

_SECONDS = re.compile(r"[0-9]{1,9}\Z")
MAX_NONCE_LENGTH = 512


class Restrictions:
    """An extension of the code grant."""

    def __call__(self, grant: Any) -> None:
        grant.register_hook("after_validate_authorization_request_payload", self._check)
        grant.register_hook("after_validate_consent_request", validate_request_prompt)

    @staticmethod
    def _check(grant: Any, _: None) -> None:
        """Raise OAuth2Error, which then goes to the client: its redirect URI is known to be right by now."""
        data = grant.request.payload.data
        if "request" in data:
            raise RequestNotSupportedError
        if "request_uri" in data:
            raise RequestURINotSupportedError
        if "registration" in data:
            raise RegistrationNotSupportedError
        if data.get("response_mode", "query") != "query":
            raise InvalidRequestError("The only 'response_mode' is query.")
        if "max_age" in data and not _SECONDS.match(data["max_age"]):
            raise InvalidRequestError("Invalid 'max_age' in request.")
        if len(data.get("nonce", "")) > MAX_NONCE_LENGTH:
            raise InvalidRequestError(f"The 'nonce' is longer than {MAX_NONCE_LENGTH} characters.")
