"""Signing keys without a table of keys: derived from the installation's secrets and the number of the period.

Time is cut into periods of `CRM_KEY_DAYS`. Each has its Ed25519 key, HKDF of the secret and the period's number, so all
processes of an installation agree without talking, keys rotate by the calendar, and nothing secret is stored. The keys
of the period before and of the one to come are accepted and published too: tokens outlive the turn, and whoever caches
the JWK set knows a key before it signs. A key that leaked is replaced with its secret (`CRM_SECRET`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc.errors import UnsupportedAlgorithmError
from joserfc.jwk import KeySet, OKPKey
from joserfc.jws import JWSRegistry

from crm_graph.kernel.clock import Clock

ALGORITHM = "EdDSA"
"""The name that libraries in the field know (RFC 8037). RFC 9864 has a better one, `Ed25519`, since `EdDSA` alone does
not say the curve: the key says it."""
_ACCEPTED = (ALGORITHM, "Ed25519")
"""Tokens of before are signed under RFC 9864's name."""


class _Registry(JWSRegistry):
    """joserfc's, for our algorithm alone, and without the warning that it has a newer name."""

    def get_alg(self, name: str) -> Any:
        """Return the algorithm. Raises UnsupportedAlgorithmError for any other."""
        if name not in _ACCEPTED:
            raise UnsupportedAlgorithmError("another algorithm")
        return self.algorithms[name]


REGISTRY = _Registry(algorithms=_ACCEPTED)


def derive_key(secret: bytes, purpose: str, length: int) -> bytes:
    """Return key material for one purpose from an installation secret (HKDF-SHA256)."""
    return HKDF(SHA256(), length, None, f"crm-graph {purpose}".encode()).derive(secret)


class SigningKeys:
    """The keys of the periods around now, of all secrets. The first secret signs."""

    def __init__(self, secrets: Sequence[bytes], days: int, clock: Clock) -> None:
        self._secrets = tuple(secrets)
        self._seconds = int(timedelta(days=days).total_seconds())
        self._clock = clock
        self._period = -1
        self._signer: OKPKey
        self._accepted: KeySet

    def signer(self) -> OKPKey:
        """Return the key that signs now."""
        self._turn()
        return self._signer

    def accepted(self) -> KeySet:
        """Return the keys that tokens may be signed with."""
        self._turn()
        return self._accepted

    def public(self) -> dict[str, Any]:
        """Return the accepted keys as a JWK set of public keys (RFC 7517), the signing one first."""
        self._turn()
        return {
            "keys": [
                {**key.as_dict(private=False), "use": "sig", "alg": ALGORITHM, "kid": key.kid}
                for key in self._accepted.keys
                if isinstance(key, OKPKey)
            ]
        }

    def _turn(self) -> None:
        period = int(self._clock().timestamp()) // self._seconds
        if period == self._period:
            return
        keys = [_key(secret, near) for secret in self._secrets for near in (period, period - 1, period + 1)]
        self._period, self._signer, self._accepted = period, keys[0], KeySet([*keys])


def _key(secret: bytes, period: int) -> OKPKey:
    private = Ed25519PrivateKey.from_private_bytes(derive_key(secret, f"token signing {period}", 32))
    key = OKPKey.import_key(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    key.ensure_kid()
    return key
