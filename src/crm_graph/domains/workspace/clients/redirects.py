"""Where a client may have a member sent back to with an authorization code (RFC 6749, section 3.1.2; RFC 8252)."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address
from urllib.parse import urlsplit

from crm_graph.kernel.errors import Refused

MAX_REDIRECTS = 20
MAX_LENGTH = 500
_DANGEROUS = frozenset({"javascript", "data", "vbscript", "file", "blob", "about", "view-source", "ws", "wss", "ftp"})


def check_redirect_uris(uris: Sequence[str], path: str = "redirectUris") -> list[str]:
    """Return the addresses, each once. Raises Refused INVALID for one that a code must not be sent to."""
    found = list(dict.fromkeys(uris))
    if len(found) > MAX_REDIRECTS:
        raise Refused("INVALID", f"A client has at most {MAX_REDIRECTS} redirect addresses.", (path,))
    for number, uri in enumerate(found):
        reason = _fault(uri)
        if reason is not None:
            raise Refused("INVALID", f"A redirect address {reason}.", (path, str(number)))
    return found


def _fault(uri: str) -> str | None:
    """Return what is wrong with an address, or None."""
    if (
        not 0 < len(uri) <= MAX_LENGTH
        or not uri.isascii()
        or any(each <= " " or each in '\\"<>^`{|}\x7f' for each in uri)
    ):
        return f"has 1 to {MAX_LENGTH} letters of ASCII, without spaces, backslashes and quotes"
    try:
        parts = urlsplit(uri)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "must be an absolute URI"
    if "#" in uri or "*" in uri:
        return "has neither a fragment nor a wildcard: it is compared letter by letter"
    if parts.username is not None or parts.password is not None:
        return "must not hold a name or a password"
    if parts.scheme in {"http", "https"}:
        if not host:
            return "must name a host"
        return None if parts.scheme == "https" or _is_loopback(host) else "must be https, except on one's own machine"
    if parts.scheme in _DANGEROUS or "." not in parts.scheme:
        return "must be https, or of an app's own scheme in reverse domain order, `com.example.app:/signed-in`"
    return None


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
