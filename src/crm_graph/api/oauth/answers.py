"""Answers of the endpoints: JSON, redirects, and errors in RFC 6749's form. None of them is kept by anybody."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import orjson
from authlib.oauth2.rfc6749 import OAuth2Error
from starlette.responses import Response

NO_STORE = {
    "Cache-Control": "no-store",
    "Pragma": "no-cache",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
OPEN_TO_ALL = {"Access-Control-Allow-Origin": "*"}
"""For endpoints that look at no cookie: what a page of another origin gets there, it could get without a browser."""


class Answer(Response):
    """A response whose redirect Authlib's extensions may change."""

    @property
    def location(self) -> str | None:
        """Where it redirects to, if anywhere."""
        return self.headers.get("location")

    @location.setter
    def location(self, value: str) -> None:
        self.headers["location"] = value


def answer(status: int, body: Any, headers: Iterable[tuple[str, str]] = ()) -> Answer:
    """Return a response out of what Authlib hands over: a dict to be sent as JSON, or text."""
    is_json = isinstance(body, Mapping)
    content = orjson.dumps(body) if is_json else body
    response = Answer(content, status, media_type="application/json" if is_json else "text/plain")
    for name, value in {**dict(headers), **NO_STORE}.items():
        if name.lower() != "content-type" or not is_json:
            response.headers[name] = value
    return response


def refusal(error: OAuth2Error, retry_after_s: int = 0) -> Answer:
    """Return an error in RFC 6749's form."""
    response = answer(*error())
    if retry_after_s:
        response.headers["Retry-After"] = str(retry_after_s)
    return response


def too_many(retry_after_s: int) -> Answer:
    """Return the answer to one request too many."""
    error = OAuth2Error("There were too many requests.", error="temporarily_unavailable", status_code=429)
    return refusal(error, retry_after_s)
