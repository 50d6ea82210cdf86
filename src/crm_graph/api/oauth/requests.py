"""Requests as Authlib takes them, out of bytes that anybody can have written.

Authlib leaves to its framework what is checked here, before it sees anything: that no parameter is repeated
(RFC 6749, sections 3.1 and 3.2), that those of the protocol hold only the letters that RFC 6749's appendix A gives
them (they come back in answers and headers), and how long they are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl

from authlib.oauth2.rfc6749 import InvalidRequestError, OAuth2Error, OAuth2Request
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload
from starlette.requests import Request

FORM = "application/x-www-form-urlencoded"
MAX_PARAMETERS = 50
_FREE = frozenset({"state", "login_hint", "email", "password", "code_totp", "continue"})
"""Parameters that may hold any character but controls: they are the client's or a person's own."""
_LETTERS = re.compile(r"[\x20-\x21\x23-\x5b\x5d-\x7e]*\Z")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")


class OAuthRequest(OAuth2Request):  # type: ignore[misc] # Authlib is untyped
    """A request to an endpoint. `parameters` are those that count there: of the query or of the form, never of both."""

    def __init__(
        self,
        method: str,
        uri: str,
        headers: Mapping[str, str],
        parameters: Mapping[str, str],
        *,
        of_query: bool = False,
    ) -> None:
        super().__init__(method, uri, headers=headers)
        self.parameters = dict(parameters)
        self.payload = BasicOAuth2Payload(self.parameters)
        self._query = self.parameters if of_query else {}
        self._form = {} if of_query else self.parameters

    @property
    def args(self) -> Mapping[str, str]:
        """The parameters of the query."""
        return self._query

    @property
    def form(self) -> Mapping[str, str]:
        """The parameters of the form."""
        return self._form


def parse_parameters(raw: str, max_bytes: int) -> dict[str, str]:
    """Return form-urlencoded parameters, those without a value left out. Raises InvalidRequestError."""
    if len(raw) > max_bytes:
        raise InvalidRequestError(f"The parameters are longer than {max_bytes} bytes.")
    try:
        pairs = parse_qsl(raw, keep_blank_values=True, errors="strict", max_num_fields=MAX_PARAMETERS)
    except ValueError:
        raise InvalidRequestError("The parameters are not form-urlencoded UTF-8, or too many.") from None
    values: dict[str, str] = {}
    for name, value in pairs:
        if name in values:
            raise InvalidRequestError("A parameter is repeated.")
        if _CONTROLS.search(value) or (name not in _FREE and not _LETTERS.match(value)):
            raise InvalidRequestError("A parameter holds characters that it may not hold.")
        values[name] = value
    return {name: value for name, value in values.items() if value != ""}


async def read_form(request: Request, max_bytes: int) -> dict[str, str]:
    """Return the parameters of a form that was posted. Raises InvalidRequestError; ClientDisconnect."""
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media != FORM:
        raise InvalidRequestError(f"The Content-Type must be {FORM}.")
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > max_bytes:
            raise too_large(max_bytes)
    try:
        return parse_parameters(body.decode("ascii"), max_bytes)
    except UnicodeDecodeError:
        raise InvalidRequestError("The parameters are not form-urlencoded.") from None


def too_large(max_bytes: int) -> OAuth2Error:
    """Return the error of a body that is longer than it may be."""
    return InvalidRequestError(f"The body is longer than {max_bytes} bytes.", status_code=413)
