"""What an issuer says of itself (OpenID Connect Discovery 1.0), as far as it is used and believed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from crm_graph.identity.oidc.fetch import is_loopback, parse_url
from crm_graph.kernel.errors import IssuerFault

ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA", "Ed25519")
"""The signatures that are believed: made with a private key. Never `none`, never one with a shared secret."""
_DEFAULT_ALGORITHMS = ("RS256",)
_WELL_KNOWN = "/.well-known/openid-configuration"


@dataclass(frozen=True, slots=True)
class Metadata:
    """The endpoints of an issuer, and what it can do."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None
    algorithms: tuple[str, ...]
    """Those of its ID tokens that are believed."""
    auth_methods: frozenset[str]
    sends_issuer: bool
    """Whether its authorization responses name it (RFC 9207)."""


def well_known(issuer: str) -> str:
    """Return the address of an issuer's metadata."""
    return issuer.removesuffix("/") + _WELL_KNOWN


def parse_metadata(issuer: str, document: Mapping[str, Any]) -> Metadata:
    """Return the metadata of an issuer. Raises IssuerFault that says which part cannot be."""
    named = document.get("issuer")
    if named != issuer:
        shown = repr(named)[:200] if isinstance(named, str) else "none"
        raise IssuerFault(
            f"{well_known(issuer)} is of the issuer {shown}, not of {issuer!r}: they must be the same to the letter",
            temporary=False,
        )
    algorithms = _strings(document, "id_token_signing_alg_values_supported") or _DEFAULT_ALGORITHMS
    believed = tuple(algorithm for algorithm in ALGORITHMS if algorithm in algorithms)
    if not believed:
        raise IssuerFault(f"{issuer} signs its ID tokens with none of {', '.join(ALGORITHMS)}", temporary=False)
    if "code" not in (_strings(document, "response_types_supported") or ("code",)):
        raise IssuerFault(f"{issuer} does not support the response type `code`", temporary=False)
    userinfo = document.get("userinfo_endpoint")
    return Metadata(
        issuer,
        _endpoint(document, "authorization_endpoint"),
        _endpoint(document, "token_endpoint"),
        _endpoint(document, "jwks_uri"),
        None if userinfo is None else _endpoint(document, "userinfo_endpoint"),
        believed,
        frozenset(_strings(document, "token_endpoint_auth_methods_supported") or ("client_secret_basic",)),
        document.get("authorization_response_iss_parameter_supported") is True,
    )


def _endpoint(document: Mapping[str, Any], name: str) -> str:
    value = document.get(name)
    url = parse_url(value, f"its `{name}`")
    if url.scheme == "http" and not is_loopback(url.host):
        raise IssuerFault(f"its `{name}` must be https", temporary=False)
    assert isinstance(value, str)
    return value


def _strings(document: Mapping[str, Any], name: str) -> tuple[str, ...]:
    listed = document.get(name)
    return tuple(item for item in listed if isinstance(item, str)) if isinstance(listed, list) else ()
