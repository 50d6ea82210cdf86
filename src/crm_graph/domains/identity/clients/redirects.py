"""Where the authorization server may send a browser back to: what may be registered, and what matches it.

The attack: a code that is sent to an address which only looks like the client's. So addresses are compared as they are
written, letter by letter (RFC 9700, section 2.1), and none may be registered that browsers and servers read
differently. A native app alone may choose its port, on its own machine (RFC 8252, section 7.3).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import unquote, urlsplit

from crm_graph.kernel.errors import Refused

MAX_URI_LENGTH = 1_000
MAX_URIS = 20
_LETTERS = re.compile(r"[A-Za-z0-9\-._~:/?\[\]@!$&'()+,;=%#]+\Z")
"""RFC 3986's letters without `*`: nobody is to take an address for a pattern."""
_LOOPBACK = re.compile(r"(http://(?:127\.0\.0\.1|\[::1\]|localhost))(?::([0-9]{1,5}))?((?:[/?][^#]*)?)\Z")
_PRIVATE = re.compile(r"[a-z][a-z0-9]*(?:\.[a-z0-9][a-z0-9-]*)+:/(?!/)[A-Za-z0-9\-._~/]*\Z")
"""An app's own scheme: a domain name in reverse (RFC 8252, section 7.1)."""
_MAX_PORT = 65_535


def check_redirect_uris(uris: Iterable[str], field: str = "redirectUris") -> list[str]:
    """Return the addresses that a client may register, each once. Raises Refused INVALID naming the one that is wrong
    and why, at `field`."""
    found = list(dict.fromkeys(uris))
    if len(found) > MAX_URIS:
        raise Refused("INVALID", f"A client has at most {MAX_URIS} redirect URIs.", (field,))
    for index, uri in enumerate(found):
        problem = _problem(uri)
        if problem is not None:
            raise Refused("INVALID", f"The redirect URI {problem}.", (field, str(index)))
    return found


def matches(registered: Iterable[str], uri: str, *, any_port: bool) -> bool:
    """Return whether an address is one of those registered; with `any_port` (public clients), one on the loopback
    interface whose port alone is another."""
    if len(uri) > MAX_URI_LENGTH:
        return False
    known = list(registered)
    if uri in known:
        return _problem(uri) is None
    portless = _portless(uri) if any_port else None
    return portless is not None and any(_portless(each) == portless for each in known)


def _portless(uri: str) -> str | None:
    """Return a loopback address without its port; None for any other address."""
    found = _LOOPBACK.match(uri)
    if found is None or _problem(uri) is not None:
        return None
    return found[1] + found[3]


def _problem(uri: str) -> str | None:
    """Return what is wrong with an address, as the end of a sentence; None for one that is good."""
    if not uri or len(uri) > MAX_URI_LENGTH:
        return f"must have between 1 and {MAX_URI_LENGTH} characters"
    if not _LETTERS.match(uri):
        return "holds characters that no address has; write others as %XX"
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError:
        return "is no address"
    if "#" in uri:
        return "must have no fragment (`#`)"
    if _PRIVATE.match(uri):
        return None
    if "@" in parts.netloc:
        return "must have no user name (`@`)"
    if not parts.hostname or port == 0 or parts.netloc.endswith(":"):
        return "must have a host, and a port between 1 and 65535 where it has one"
    if any(segment in {".", ".."} for segment in unquote(parts.path).replace("\\", "/").split("/")):
        return "must have no `.` or `..` in its path"
    return _scheme_problem(uri)


def _scheme_problem(uri: str) -> str | None:
    if uri.startswith("https://"):
        return None
    loopback = _LOOPBACK.match(uri)
    if loopback is None:
        return "must begin with `https://`; `http://` is for 127.0.0.1, [::1] and localhost only"
    return None if int(loopback[2] or 80) <= _MAX_PORT else "must have a port between 1 and 65535"
