"""Where browsers may call from: the Origin of a request against our own and those of `CRM_ALLOWED_ORIGINS`.

A page elsewhere must not ride on a browser's network or its cookies. Origins are compared whole, after what RFC 6454
says of case and default ports; nothing is matched by its beginning or end.
"""

from __future__ import annotations

import re

from crm_graph.api.admission.hosts import host_of, is_loopback
from crm_graph.kernel.errors import OperatorError
from crm_graph.kernel.settings import Settings

Header = tuple[bytes, bytes]
ANY = "*"
LOOPBACK = "loopback"
"""Stands in `CRM_ALLOWED_ORIGINS` for every port of this machine: the frontends that people develop on it."""
PREFLIGHT_S = 7_200
_HTTP = re.compile(r"(https?)://([a-z0-9_.-]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?\Z")
_OTHER = re.compile(r"[a-z][a-z0-9+.-]*://[a-z0-9_.-]*\Z")
_DEFAULT_PORTS = {"http": "80", "https": "443"}
_METHODS = b"GET, HEAD, POST, OPTIONS"
_REQUEST_HEADERS = (
    b"accept, authorization, content-type, idempotency-key, last-event-id, x-crm-csrf, apollo-require-preflight,"
    b" apollographql-client-name, apollographql-client-version, baggage, sentry-trace, traceparent, tracestate"
)
_MAX_REQUESTED = 50
_MAX_REQUESTED_LETTERS = 2_000
_NAME = re.compile(r"[0-9a-z!#$%&'+.^_`|~-]+\Z")
"""Of a header; without `*`, which would stand for all of them."""
_ANSWER_HEADERS = b"content-disposition, ratelimit, ratelimit-policy, retry-after, www-authenticate"


class Origins:
    """The origins that may call. Raises OperatorError for a setting that names none."""

    def __init__(self, settings: Settings) -> None:
        names = [name.strip() for name in settings.allowed_origins.split(",") if name.strip()]
        self._any = ANY in names
        self._loopback = LOOPBACK in names
        self._cookies = settings.cookies
        self._listed = frozenset(
            _required("CRM_ALLOWED_ORIGINS", name) for name in names if name not in {ANY, LOOPBACK}
        )
        self._own = _required("CRM_PUBLIC_URL", _of_url(settings.public_url)) if settings.public_url else None

    @property
    def vary(self) -> bool:
        """Whether answers differ by the origin that asks, so that every one must say so to caches."""
        return bool(self._listed) or self._loopback

    def is_own(self, origin: str, host: str | None) -> bool:
        """Return whether a request comes from a page of ours: of `CRM_PUBLIC_URL`, or without that of the host that
        the request names itself."""
        canonical = normal(origin)
        if canonical is None:
            return False
        if self._own is not None:
            return canonical == self._own
        scheme, _, place = canonical.partition("://")
        return host is not None and normal(f"{scheme}://{host}") == canonical and bool(place)

    def is_trusted(self, origin: str, host: str | None) -> bool:
        """Return whether an origin may use a member's cookies: ours, or one that is listed by name."""
        return self.is_own(origin, host) or self._is_listed(origin)

    def is_allowed(self, origin: str | None, host: str | None) -> bool:
        """Return whether a WebSocket may come from here; without an Origin it is no browser's."""
        return origin is None or self._any or self.is_trusted(origin, host)

    def headers(self, origin: str | None, host: str | None) -> list[Header]:
        """Return what lets a browser's page of another origin read an answer (CORS). Never `*` with credentials."""
        vary = [(b"vary", b"Origin")] if self.vary else []
        if origin is None or self.is_own(origin, host):
            return vary
        if self._is_listed(origin):
            headers = [(b"access-control-allow-origin", origin.encode("latin-1")), *vary]
            if self._cookies:
                headers.append((b"access-control-allow-credentials", b"true"))
        elif self._any:
            headers = [(b"access-control-allow-origin", b"*"), *vary]
        else:
            return vary
        return [*headers, (b"access-control-expose-headers", _ANSWER_HEADERS)]

    def _is_listed(self, origin: str) -> bool:
        canonical = normal(origin)
        if canonical is None:
            return False
        return canonical in self._listed or (self._loopback and is_loopback(host_of(canonical.partition("://")[2])))

    def preflight(self, origin: str | None, host: str | None, requested: str | None = None) -> list[Header]:
        """Return the answer to a browser that asks before it sends. The headers that it wants to send are allowed as
        they are asked for: clients and what traces them add their own, and none of them gets anybody in."""
        allowed = self.headers(origin, host)
        if any(name == b"access-control-allow-origin" for name, _ in allowed):
            allowed += [
                (b"vary", b"Access-Control-Request-Headers"),
                (b"access-control-allow-methods", _METHODS),
                (b"access-control-allow-headers", _allowed(requested or "")),
                (b"access-control-max-age", str(PREFLIGHT_S).encode()),
            ]
        return allowed


def _allowed(requested: str) -> bytes:
    """Return the names of `Access-Control-Request-Headers`; those that are known where it is not a list of names."""
    names = [name.strip() for name in requested[: _MAX_REQUESTED_LETTERS + 1].lower().split(",")]
    if len(requested) > _MAX_REQUESTED_LETTERS or len(names) > _MAX_REQUESTED or not all(map(_NAME.match, names)):
        return _REQUEST_HEADERS
    return ", ".join(names).encode()


def normal(origin: str) -> str | None:
    """Return an origin in its one spelling; None for what is none, `null` and anything with a path or a name in it
    included."""
    lower = origin.lower()
    match = _HTTP.match(lower)
    if match is None:
        return lower if _OTHER.match(lower) and not lower.startswith(("http:", "https:")) else None
    scheme, host, port = match.groups()
    return f"{scheme}://{host}" if port in (None, _DEFAULT_PORTS[scheme]) else f"{scheme}://{host}:{int(port)}"


def _of_url(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    return f"{scheme}{separator}{rest.partition('/')[0]}"


def _required(setting: str, text: str) -> str:
    canonical = normal(text)
    if canonical is None:
        raise OperatorError(
            f"{setting}: {text!r} is no origin", "write it as `https://app.example.com`, without a path"
        )
    return canonical
