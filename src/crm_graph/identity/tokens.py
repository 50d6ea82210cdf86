"""Bearer tokens: signed by this installation, short-lived, naming a member of a workspace and nothing that can change.

Ed25519 keys are derived from the installation's secrets, so every process of the installation signs and accepts
alike, and a secret is rotated by putting a new one in front of the list. Roles are not in the token: they are read
per request.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, OKPKey

from crm_graph.kernel.clock import Clock, system_clock
from crm_graph.kernel.errors import Unauthenticated
from crm_graph.kernel.ids import new_id

ALGORITHM = "Ed25519"
MAX_TOKEN_LENGTH = 4_096
MAX_CHECKED_TOKENS = 10_000
"""Verified tokens that a process remembers, about 1 KB each."""
LEEWAY = timedelta(seconds=30)
"""How far clocks may differ."""
_EPOCH = datetime.fromtimestamp(0, UTC)
_HEX32 = re.compile(r"[0-9a-f]{32}\Z")


@dataclass(frozen=True, slots=True)
class Claims:
    """What a valid token says. Times are aware, UTC."""

    workspace_id: str
    member_id: str
    expires_at: datetime
    issued_at: datetime = _EPOCH
    client_id: str | None = None
    """The API client that the token was given to; which documents it may run depends on that."""


def derive_key(secret: bytes, purpose: str, length: int) -> bytes:
    """Return key material for one purpose from an installation secret (HKDF-SHA256)."""
    return HKDF(SHA256(), length, None, f"crm-graph {purpose}".encode()).derive(secret)


class TokenAuthority:
    """Issues and checks bearer tokens. The first secret signs; all of them are accepted."""

    def __init__(self, secrets: Sequence[bytes], issuer: str, audience: str, clock: Clock = system_clock) -> None:
        self._issuer = issuer
        self._audience = audience
        self._clock = clock
        self._checked: dict[str, Claims] = {}
        keys = [_signing_key(secret) for secret in secrets]
        self._signer = keys[0]
        self._keys = KeySet([*keys])

    def issue(self, workspace_id: str, member_id: str, lifetime: timedelta, client_id: str | None = None) -> str:
        """Return a bearer token for a member, to be used by one API client if given (`azp`, the authorized party)."""
        now = self._clock()
        claims = {
            "iss": self._issuer,
            "aud": self._audience,
            "sub": member_id,
            "ws": workspace_id,
            "iat": int(now.timestamp()),
            "exp": int((now + lifetime).timestamp()),
            "jti": new_id(),
        }
        if client_id is not None:
            claims["azp"] = client_id
        header = {"alg": ALGORITHM, "typ": "at+jwt", "kid": self._signer.kid}
        return jwt.encode(header, claims, self._signer, algorithms=[ALGORITHM])

    def check(self, token: str) -> Claims:
        """Return the claims of a token. Raises Unauthenticated, saying what is wrong without echoing any of it.

        The signature of a token is verified once, which takes 90 us, a third of a point query; its times every time.
        """
        known = self._checked.get(token)
        if known is not None:
            return self._timely(known)
        claims = self._timely(self._verify(token))
        if len(self._checked) >= MAX_CHECKED_TOKENS:
            del self._checked[next(iter(self._checked))]
        self._checked[token] = claims
        return claims

    def _timely(self, claims: Claims) -> Claims:
        now = self._clock()
        if now >= claims.expires_at + LEEWAY:
            raise Unauthenticated("The bearer token has expired: get a new one.")
        if claims.issued_at > now + LEEWAY:
            raise Unauthenticated("The bearer token is from the future: check the clocks.")
        return claims

    def _verify(self, token: str) -> Claims:
        if len(token) > MAX_TOKEN_LENGTH:
            raise Unauthenticated("The bearer token is too long.")
        try:
            decoded = jwt.decode(token, self._keys, algorithms=[ALGORITHM])
        except (JoseError, ValueError, TypeError, KeyError, UnicodeError):
            raise Unauthenticated("The bearer token is malformed or was not issued here.") from None
        claims = decoded.claims
        if decoded.header.get("typ") != "at+jwt" or {"jku", "x5u", "jwk", "crit"} & decoded.header.keys():
            raise Unauthenticated("The bearer token is of another kind.")
        if claims.get("iss") != self._issuer or claims.get("aud") != self._audience:
            raise Unauthenticated("The bearer token was issued by, or for, somebody else.")
        client_id = _id(claims, "azp") if "azp" in claims else None
        return Claims(_id(claims, "ws"), _id(claims, "sub"), _time(claims, "exp"), _time(claims, "iat"), client_id)


def _signing_key(secret: bytes) -> OKPKey:
    private = Ed25519PrivateKey.from_private_bytes(derive_key(secret, "token signing", 32))
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    key = OKPKey.import_key(pem)
    key.ensure_kid()
    return key


def _time(claims: Any, name: str) -> datetime:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 33:
        raise Unauthenticated(f"The bearer token has no valid `{name}`.")
    return datetime.fromtimestamp(value, UTC)


def _id(claims: Any, name: str) -> str:
    value = claims.get(name)
    if not isinstance(value, str) or not _HEX32.match(value):
        raise Unauthenticated(f"The bearer token has no valid `{name}`.")
    return value
