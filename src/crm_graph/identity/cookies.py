"""Tokens in cookies, where the operator wants them (`CRM_COOKIES`): for browser applications that keep no token.

The access token's cookie is `__Host-`: of this host, https and all paths. The refresh token's is bound to the path of
the graph, which that prefix forbids, so it is `__Secure-`. Only where the installation's public address is http on
one's own machine are they plain. Both are HttpOnly and SameSite=Strict, and neither counts without the header that
`api/admission/credentials.py` asks for.
"""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import urlsplit

from crm_graph.kernel.errors import OperatorError
from crm_graph.kernel.settings import Settings

GRAPH_PATH = "/graphql"
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def cookies_are_secure(settings: Settings) -> bool:
    """Return whether cookies are for https. Raises OperatorError for a public address where they cannot be safe."""
    parts = urlsplit(settings.public_url)
    if parts.scheme != "http":
        return True
    if settings.cookies and parts.hostname not in _LOOPBACK:
        raise OperatorError(
            f"CRM_COOKIES=1 and CRM_PUBLIC_URL={settings.public_url!r}: cookies would go over the network in clear",
            "serve https, or unset CRM_COOKIES",
        )
    return False


class CookieJar:
    """The cookies of one request: those that came, and those that its answer sets."""

    __slots__ = ("_secure", "access_token", "answer", "refresh_token")

    def __init__(self, sent: str | None, *, secure: bool) -> None:
        self._secure = secure
        cookies = _parse(sent or "")
        self.access_token = cookies.get(self._access)
        self.refresh_token = cookies.get(self._refresh)
        """What `refreshSession` takes where it is given no token."""
        self.answer: list[str] = []
        """The values of `Set-Cookie`."""

    def signed_in(
        self, access_token: str, access_for: timedelta, refresh_token: str | None, refresh_for: timedelta
    ) -> None:
        """Set the tokens of a session that began or goes on."""
        self._set(self._access, access_token, "/", access_for)
        if refresh_token is not None:
            self._set(self._refresh, refresh_token, GRAPH_PATH, refresh_for)

    def signed_out(self) -> None:
        """Clear both."""
        self._set(self._access, "", "/", timedelta())
        self._set(self._refresh, "", GRAPH_PATH, timedelta())

    @property
    def _access(self) -> str:
        return "__Host-crm_access" if self._secure else "crm_access"

    @property
    def _refresh(self) -> str:
        return "__Secure-crm_refresh" if self._secure else "crm_refresh"

    def _set(self, name: str, value: str, path: str, lifetime: timedelta) -> None:
        secure = "; Secure" if self._secure else ""
        seconds = int(lifetime.total_seconds())
        self.answer.append(f"{name}={value}; Path={path}; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}")


def _parse(header: str) -> dict[str, str]:
    """Return the cookies of a header. One that came twice counts as none: one of both was planted."""
    values: dict[str, str] = {}
    twice: set[str] = set()
    for pair in header.split(";"):
        name, separator, value = pair.strip().partition("=")
        if separator and name in values:
            twice.add(name)
        values[name] = value.strip()
    return {name: value for name, value in values.items() if name not in twice and value}
