"""Tokens as an attacker makes them: any header, any claims, any key."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc.jwk import OKPKey

from crm_graph.identity.keys import SigningKeys

DROP = object()
"""A claim or header of this value is left out."""


def encode(data: bytes) -> str:
    """Return the Base64url of JOSE."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def jws(header: Mapping[str, Any], payload: bytes, key: OKPKey | bytes | None) -> str:
    """Return a signed token: by an Ed25519 key, by HMAC-SHA256 under bytes, or by nobody."""
    signed = f"{encode(orjson.dumps(header))}.{encode(payload)}"
    signature = b""
    if isinstance(key, bytes):
        signature = hmac.new(key, signed.encode(), hashlib.sha256).digest()
    elif key is not None:
        signature = key.private_key.sign(signed.encode())  # type: ignore[union-attr] # an Ed25519 one
    return f"{signed}.{encode(signature)}"


@dataclass(frozen=True, slots=True)
class Forge:
    """What an attacker has: the public keys, a member's ids, and for some attacks the installation's own secret."""

    secret: bytes
    workspace_id: str
    member_id: str
    days: int = 30

    def key(self, periods: int = 0) -> OKPKey:
        """Return the signing key of a period, counted from the one of now."""
        now = datetime.now(UTC) + timedelta(days=self.days * periods)
        return SigningKeys([self.secret], self.days, lambda: now).signer()

    def public_pem(self) -> bytes:
        """Return the public key as a PEM, which is what an HMAC is made with in the oldest attack."""
        public: Any = self.key().public_key
        pem: bytes = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return pem

    def public_raw(self) -> bytes:
        """Return the public key's 32 bytes."""
        public: Any = self.key().public_key
        raw: bytes = public.public_bytes(Encoding.Raw, PublicFormat.Raw)
        return raw

    def claims(self, **changed: Any) -> dict[str, Any]:
        """Return the claims of a good token, changed."""
        now = int(time.time())
        claims = {
            "iss": "crm-graph",
            "aud": "crm-graph",
            "sub": self.member_id,
            "ws": self.workspace_id,
            "iat": now,
            "exp": now + 600,
            "jti": "0" * 32,
            **changed,
        }
        return {name: value for name, value in claims.items() if value is not DROP}

    def token(self, key: OKPKey | bytes | None = None, header: Mapping[str, Any] | None = None, **changed: Any) -> str:
        """Return a token with changed claims and header, signed with the key of now unless another is given."""
        key = self.key() if key is None else key
        kid = key.kid if isinstance(key, OKPKey) else self.key().kid
        head = {"alg": "Ed25519", "typ": "at+jwt", "kid": kid, **(header or {})}
        head = {name: value for name, value in head.items() if value is not DROP}
        return jws(head, orjson.dumps(self.claims(**changed)), key)

    def unsigned(self, algorithm: str) -> str:
        """Return a good token without a signature."""
        return jws({"alg": algorithm, "typ": "at+jwt", "kid": self.key().kid}, orjson.dumps(self.claims()), None)
