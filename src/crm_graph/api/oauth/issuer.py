"""Who the authorization server says it is: one address, which clients compare letter by letter (RFC 8414, RFC 9207)."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.requests import Request

from crm_graph.kernel.errors import BadUserInput
from crm_graph.kernel.settings import Settings

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


def issuer_of(settings: Settings, request: Request) -> str:
    """Return the issuer: `CRM_PUBLIC_URL`, or on one's own machine the address that was asked for.

    Raises BadUserInput where neither is known: the Host header is whatever the asker wrote, and an issuer out of it
    would be printed into documents that others keep.
    """
    if settings.public_url:
        return settings.public_url.rstrip("/")
    try:
        host = urlsplit(f"//{request.headers.get('host', '')}").hostname
    except ValueError:
        host = None
    if host not in LOOPBACK:
        raise BadUserInput("This server does not know its own address: its operator must set CRM_PUBLIC_URL.")
    return f"{request.url.scheme}://{request.headers['host']}"
