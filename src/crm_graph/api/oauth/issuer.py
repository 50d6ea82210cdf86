"""Who the authorization server says it is: one name, which clients compare letter by letter (RFC 8414, RFC 9207), and
which is in its tokens, in what it says of them, and in its answers alike."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.requests import Request

from crm_graph.kernel.errors import BadUserInput
from crm_graph.kernel.settings import Settings

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True, slots=True)
class Place:
    """What the authorization server is called, and where its endpoints are: the same, unless `CRM_ISSUER` says else."""

    issuer: str
    address: str


def place_of(settings: Settings, request: Request) -> Place:
    """Return the place: `CRM_PUBLIC_URL`, or on one's own machine the address that was asked for.

    Raises BadUserInput where neither is known: the Host header is whatever the asker wrote, and an issuer out of it
    would be printed into documents that others keep.
    """
    if settings.public_url:
        address = settings.public_url.rstrip("/")
        return Place(settings.issuer or address, address)
    try:
        host = urlsplit(f"//{request.headers.get('host', '')}").hostname
    except ValueError:
        host = None
    if host not in LOOPBACK:
        raise BadUserInput("This server does not know its own address: its operator must set CRM_PUBLIC_URL.")
    address = f"{request.url.scheme}://{request.headers['host']}"
    return Place(settings.issuer or address, address)
