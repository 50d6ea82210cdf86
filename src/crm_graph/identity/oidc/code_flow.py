"""Sign-in by the authorization code flow (OpenID Connect Core 1.0, section 3.1) with PKCE, state and nonce."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from crm_graph.identity.oidc.discovery import Metadata
from crm_graph.identity.oidc.issuers import Issuers
from crm_graph.identity.oidc.tokens import Verified, verify
from crm_graph.kernel.clock import Clock
from crm_graph.kernel.errors import IssuerFault, Unauthenticated

MAX_ACCESS_TOKEN_LENGTH = 16 * 1024
_WHAT = "ID token"
_TYPES = frozenset({None, "jwt"})
_OF_E_MAIL = ("email", "email_verified")


@dataclass(frozen=True, slots=True)
class RelyingParty:
    """Who we are at an issuer: registered as a client, with a secret or without."""

    issuer: str
    client_id: str
    client_secret: str | None
    scopes: tuple[str, ...]
    redirect_uri: str


@dataclass(frozen=True, slots=True)
class Proofs:
    """What ties an answer to its request: to this browser (state), to this ID token (nonce), to this code (PKCE)."""

    state: str
    nonce: str
    verifier: str

    @classmethod
    def make(cls) -> Proofs:
        """Return fresh ones, 256 bits each."""
        return cls(*(secrets.token_urlsafe(32) for _ in range(3)))


def authorization_url(metadata: Metadata, party: RelyingParty, proofs: Proofs) -> str:
    """Return the address to which the browser is sent."""
    parameters = {
        "response_type": "code",
        "client_id": party.client_id,
        "redirect_uri": party.redirect_uri,
        "scope": " ".join(party.scopes),
        "state": proofs.state,
        "nonce": proofs.nonce,
        "code_challenge": _base64(hashlib.sha256(proofs.verifier.encode()).digest()),
        "code_challenge_method": "S256",
    }
    joint = "&" if "?" in metadata.authorization_endpoint else "?"
    return f"{metadata.authorization_endpoint}{joint}{urlencode(parameters)}"


async def redeem(
    issuers: Issuers, party: RelyingParty, proofs: Proofs, code: str, clock: Clock, wanted: Collection[str] = ()
) -> Verified:
    """Return the ID token for a code, with the issuer's userinfo where `wanted` claims are missing in it.

    Raises Unauthenticated for what does not belong together, and IssuerFault.
    """
    metadata = await issuers.metadata(party.issuer)
    answer = await _exchange(issuers, metadata, party, proofs, code)
    id_token, access_token = answer.get("id_token"), answer.get("access_token")
    if not isinstance(id_token, str) or len(id_token) > MAX_ACCESS_TOKEN_LENGTH:
        raise IssuerFault(f"{metadata.token_endpoint} answers no ID token", temporary=False)
    if not isinstance(access_token, str) or not 0 < len(access_token) <= MAX_ACCESS_TOKEN_LENGTH:
        raise IssuerFault(f"{metadata.token_endpoint} answers no access token", temporary=False)
    verified = await verify(
        issuers, party.issuer, id_token, what=_WHAT, types=_TYPES, clock=clock, algorithms=metadata.algorithms
    )
    _check_purpose(verified, party, proofs, access_token)
    missing = [name for name in wanted if name not in verified.claims]
    if missing and metadata.userinfo_endpoint is not None:
        return await _completed(issuers, metadata, verified, access_token)
    return verified


def _check_purpose(verified: Verified, party: RelyingParty, proofs: Proofs, access_token: str) -> None:
    """Check that an ID token is for us, for this request, and belongs to the access token it came with.

    By hand: Authlib's `CodeIDToken` knows no hash for `Ed25519`, and refuses such a token for its `at_hash`.
    """
    claims = verified.claims
    if party.client_id not in verified.audiences:
        raise Unauthenticated(f"The {_WHAT} is for somebody else.")
    party_named = claims.get("azp")
    if party_named != party.client_id and (party_named is not None or len(verified.audiences) > 1):
        raise Unauthenticated(f"The {_WHAT} is for somebody else.")
    nonce = claims.get("nonce")
    if not isinstance(nonce, str) or not hmac.compare_digest(nonce.encode(), proofs.nonce.encode()):
        raise Unauthenticated(f"The {_WHAT} is of another sign-in: its `nonce` differs.")
    if "at_hash" in claims and claims["at_hash"] != _half_hash(str(verified.header["alg"]), access_token):
        raise Unauthenticated(f"The {_WHAT} belongs to another access token: its `at_hash` differs.")


def _half_hash(algorithm: str, text: str) -> str:
    """Return the left half of a text's hash, by the hash of a signature's algorithm; Ed25519's is SHA-512."""
    digest = hashlib.sha256 if algorithm.endswith("256") else hashlib.sha512
    whole = digest(text.encode()).digest()
    return _base64(whole[: len(whole) // 2])


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


async def _exchange(
    issuers: Issuers, metadata: Metadata, party: RelyingParty, proofs: Proofs, code: str
) -> Mapping[str, Any]:
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": party.redirect_uri,
        "code_verifier": proofs.verifier,
    }
    headers: dict[str, str] = {}
    if party.client_secret is None:
        form["client_id"] = party.client_id
    elif "client_secret_basic" in metadata.auth_methods:
        pair = f"{quote(party.client_id, safe='')}:{quote(party.client_secret, safe='')}"
        headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    else:
        form |= {"client_id": party.client_id, "client_secret": party.client_secret}
    answer = await issuers.fetcher.post(metadata.token_endpoint, form, headers)
    if answer.status == 200:
        return answer.body
    if answer.body.get("error") == "invalid_grant":
        raise Unauthenticated("The provider does not accept this code: it was used, or was not given for this sign-in.")
    error = repr(answer.body.get("error"))[:80]
    raise IssuerFault(
        f"{metadata.token_endpoint} answers {answer.status}, error {error}", temporary=answer.status >= 500
    )


async def _completed(issuers: Issuers, metadata: Metadata, verified: Verified, access_token: str) -> Verified:
    """Return an ID token with the claims that only userinfo has; those that are signed stay as they are."""
    assert metadata.userinfo_endpoint is not None
    more = await issuers.fetcher.get(metadata.userinfo_endpoint, {"Authorization": f"Bearer {access_token}"})
    if more.get("sub") != verified.subject:
        raise Unauthenticated("The provider tells about another subject than it signed in.")
    if any(name in verified.claims for name in _OF_E_MAIL):
        # Whether an address is verified is said of the address beside it, never of one from elsewhere.
        more = {name: value for name, value in more.items() if name not in _OF_E_MAIL}
    return Verified(
        verified.header,
        {**more, **verified.claims},
        verified.subject,
        verified.audiences,
        verified.expires_at,
        verified.issued_at,
    )
