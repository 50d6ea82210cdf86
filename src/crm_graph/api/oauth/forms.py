"""Forms that only our own pages can have made: a token in each, bound to the browser, the sign-in and the page.

`SameSite` alone does not do: it trusts every sibling domain, and older browsers. A token for one page is none for
another: one that was read on the consent page of a harmless client approves no other.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets

from starlette.requests import Request
from starlette.responses import Response

from crm_graph.identity.services import Services

COOKIE = "crm_form"
SIGNED_IN = "crm_signed_in"
"""The cookie of a browser's sign-in (`accounts/browsers.py`)."""
FIELD = "form_token"
PATH = "/oauth"
_PURPOSE = "form tokens"
_COOKIE_VALUE = re.compile(r"[A-Za-z0-9_-]{43}\Z")


def browser_of(request: Request) -> str:
    """Return what tells this browser from others: its cookie, or a new value for one."""
    cookie = request.cookies.get(COOKIE, "")
    return cookie if _COOKIE_VALUE.match(cookie) else secrets.token_urlsafe(32)


def form_token(services: Services, request: Request, browser_id: str, page: str) -> str:
    """Return the token of the form of one page, for this browser and whoever has signed in with it."""
    return _token(services.keys(_PURPOSE)[0], request, browser_id, page)


def is_own_form(services: Services, request: Request, given: str | None, page: str) -> bool:
    """Return whether a form that was posted was made by our page, for this browser and this sign-in."""
    browser_id = request.cookies.get(COOKIE, "")
    if given is None or not given.isascii() or not _COOKIE_VALUE.match(browser_id):
        return False
    return any(hmac.compare_digest(given, _token(key, request, browser_id, page)) for key in services.keys(_PURPOSE))


def set_cookie(response: Response, address: str, name: str, value: str, max_age_s: int | None = None) -> None:
    """Set a cookie of the authorization server's pages, which are at an address."""
    response.set_cookie(
        name, value, max_age=max_age_s, path=PATH, secure=address.startswith("https://"), httponly=True, samesite="lax"
    )


def _token(key: bytes, request: Request, browser_id: str, page: str) -> str:
    signed_in = request.cookies.get(SIGNED_IN, "")
    text = "\0".join((browser_id, hashlib.sha256(signed_in.encode()).hexdigest(), page))
    return base64.urlsafe_b64encode(hmac.digest(key, text.encode(), hashlib.sha256)).rstrip(b"=").decode()
