"""The few requests that the command line makes as a client of an installation, by the standard library."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import urlencode, urlsplit

import orjson

from crm_graph.kernel.errors import CrmError, OperatorError

TIMEOUT_S = 30
MAX_ANSWER_BYTES = 64 * 1024 * 1024
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class WebError(CrmError):
    """Raised for an error in RFC 6749's form; `code` is its `error`."""

    def __init__(self, code: str, description: str) -> None:
        super().__init__(f"the server refused: {code}{f' ({description})' if description else ''}")
        self.code = code


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Tokens and secrets go to the address that was asked for, and nowhere that it points to."""

    def redirect_request(self, *_: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_NoRedirects)


def get_json(url: str, token: str | None = None) -> dict[str, Any]:
    """Return the JSON object at an address. Raises OperatorError and WebError."""
    return _send(url, None, {}, token)


def post_form(url: str, fields: dict[str, str]) -> dict[str, Any]:
    """Post a form and return the JSON object that answers it. Raises OperatorError and WebError."""
    return _send(url, urlencode(fields).encode(), {"Content-Type": "application/x-www-form-urlencoded"}, None)


def post_json(url: str, body: dict[str, Any], token: str) -> dict[str, Any]:
    """Post JSON and return the JSON object that answers it, whatever its status. Raises OperatorError and WebError."""
    return _send(url, orjson.dumps(body), {"Content-Type": "application/json"}, token)


def _send(url: str, body: bytes | None, headers: dict[str, str], token: str | None) -> dict[str, Any]:
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOOPBACK):
        raise OperatorError(f"{url} is no https:// address", "tokens travel encrypted only, except on this machine")
    request = urllib.request.Request(url, body, {"Accept": "application/json", **headers})  # noqa: S310 - just checked
    if token is not None:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with _OPENER.open(request, timeout=TIMEOUT_S) as response:
            return _object(url, response.read(MAX_ANSWER_BYTES))
    except urllib.error.HTTPError as error:
        refusal = _object(url, error.read(MAX_ANSWER_BYTES), error.code)
        if isinstance(refusal.get("error"), str):
            raise WebError(refusal["error"], str(refusal.get("error_description", ""))) from None
        return refusal
    except (urllib.error.URLError, OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or type(error).__name__
        raise OperatorError(f"{parts.netloc} does not answer: {reason}", "check the URL, and that it runs") from None


def _object(url: str, body: bytes, status: int = 200) -> dict[str, Any]:
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        answer = None
    if not isinstance(answer, dict):
        raise OperatorError(f"{url} answered {status} without JSON", "check the URL: is it a crm-graph installation?")
    return answer
