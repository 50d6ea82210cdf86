"""Which credential a request shows: its `Authorization` header, or its cookie where there may be one.

A browser sends cookies whoever made it ask, so a cookie counts only with a header that no page of another origin can
add without asking us first, and from an origin that we trust.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from crm_graph.api.admission.origins import Origins
from crm_graph.identity.cookies import CookieJar, cookies_are_secure
from crm_graph.kernel.errors import Forbidden, Unauthenticated
from crm_graph.kernel.settings import Settings

CSRF_HEADER = b"x-crm-csrf"
CSRF_VALUE = "1"
SITE_HEADER = b"sec-fetch-site"
Values = Callable[[bytes], Sequence[str]]
"""The values of a request's header, by its name in small letters."""


class Credentials:
    """Finds credentials by the settings."""

    def __init__(self, settings: Settings, origins: Origins) -> None:
        self._cookies = settings.cookies
        self._secure = cookies_are_secure(settings)
        self._origins = origins

    @property
    def use_cookies(self) -> bool:
        """Whether there are cookies at all."""
        return self._cookies

    def jar(self, values: Values) -> CookieJar | None:
        """Return the cookies of a request that may use them, None for one that does not want to. Raises Forbidden for
        one that came from elsewhere."""
        if not self._cookies or tuple(values(CSRF_HEADER)) != (CSRF_VALUE,):
            return None
        origins = values(b"origin")
        if len(origins) > 1 or (origins and not self._origins.is_trusted(origins[0], _one(values(b"host")))):
            raise Forbidden("This origin may not send cookies: CRM_ALLOWED_ORIGINS names the origins that may.")
        return CookieJar("; ".join(values(b"cookie")), secure=self._secure)

    def of_handshake(self, values: Values) -> str | None:
        """Return the credential in the cookies of a WebSocket's handshake, to which a page cannot add a header: so its
        origin must be there, and trusted."""
        return self._in_cookies(values) if self._is_of_trusted_page(values) else None

    def of_stream(self, values: Values) -> str | None:
        """Return the credential in the cookies of an EventSource, to which a page cannot add a header either, and whose
        Origin a browser leaves out where it is our own: there `Sec-Fetch-Site` says so, which no page can set."""
        is_own = not values(b"origin") and tuple(values(SITE_HEADER)) == ("same-origin",)
        return self._in_cookies(values) if is_own or self._is_of_trusted_page(values) else None

    def check_stream(self, values: Values) -> None:
        """Raise Forbidden for a stream that a page from elsewhere opens by GET, whatever it shows."""
        origins, sites = values(b"origin"), values(SITE_HEADER)
        if origins:
            allowed = len(origins) == 1 and self._origins.is_allowed(origins[0], _one(values(b"host")))
        else:
            allowed = all(site in {"same-origin", "none"} for site in sites)
        if not allowed:
            raise Forbidden("This origin may not open streams: CRM_ALLOWED_ORIGINS names the origins that may.")

    def _is_of_trusted_page(self, values: Values) -> bool:
        origins = values(b"origin")
        return len(origins) == 1 and self._origins.is_trusted(origins[0], _one(values(b"host")))

    def _in_cookies(self, values: Values) -> str | None:
        if not self._cookies:
            return None
        token = CookieJar("; ".join(values(b"cookie")), secure=self._secure).access_token
        return None if token is None else f"Bearer {token}"

    def shown(self, values: Values, jar: CookieJar | None) -> str | None:
        """Return the credential of a request: a header wins over a cookie. Raises Unauthenticated for two headers."""
        given = authorization(values)
        if given is not None or jar is None or jar.access_token is None:
            return given
        return f"Bearer {jar.access_token}"

    def wants_header(self, values: Values) -> bool:
        """Return whether a request shows a cookie that does not count for want of the header."""
        return self._cookies and CookieJar("; ".join(values(b"cookie")), secure=self._secure).access_token is not None


def authorization(values: Values) -> str | None:
    """Return the `Authorization` header. Raises Unauthenticated for several: which one counted would be anybody's
    guess, and a proxy's another than ours."""
    given = values(b"authorization")
    if len(given) > 1:
        raise Unauthenticated("Send one Authorization header.")
    return given[0] if given else None


def _one(values: Sequence[str]) -> str | None:
    return values[0] if len(values) == 1 else None
