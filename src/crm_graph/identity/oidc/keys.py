"""The keys of an issuer: a JWK set, of which only what can sign is taken, and nothing at all where it lies.

A set with a shared secret or a private key in it is refused as a whole: somebody has published what they should not
have, and whoever read it can sign. So is one in which an id names two keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey

from crm_graph.kernel.errors import IssuerFault

MAX_KEYS = 50
MAX_KEY_ID_LENGTH = 200
MIN_RSA_BITS, MAX_RSA_BITS = 2_048, 8_192
"""A larger one takes a while to verify with."""
_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_MEMBERS = {"RSA": ("n", "e"), "EC": ("crv", "x", "y"), "OKP": ("crv", "x")}
_ALGORITHMS = {
    ("RSA", None): frozenset({"RS256", "PS256"}),
    ("EC", "P-256"): frozenset({"ES256"}),
    ("OKP", "Ed25519"): frozenset({"EdDSA", "Ed25519"}),
}
_TYPES: Mapping[str, type[RSAKey] | type[ECKey] | type[OKPKey]] = {"RSA": RSAKey, "EC": ECKey, "OKP": OKPKey}

PublicKey = RSAKey | ECKey | OKPKey


@dataclass(frozen=True, slots=True)
class IssuerKey:
    """A key, the id by which tokens name it, and the signatures that it may verify."""

    kid: str | None
    algorithms: frozenset[str]
    key: PublicKey


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The keys with which an issuer signs."""

    keys: tuple[IssuerKey, ...]

    def find(self, kid: str | None, algorithm: str) -> PublicKey | None:
        """Return the key that a token names; one that names none is of the only key for its algorithm."""
        fitting = [key for key in self.keys if algorithm in key.algorithms and (kid is None or key.kid == kid)]
        return fitting[0].key if len(fitting) == 1 else None


def parse_keys(document: Mapping[str, Any], where: str) -> KeyRing:
    """Return the keys of a JWK set. Raises IssuerFault for a set that lies or has no key that can be used."""
    listed = document.get("keys")
    if not isinstance(listed, list) or not all(isinstance(jwk, dict) for jwk in listed):
        raise IssuerFault(f"{where} is no JWK set", temporary=False)
    if len(listed) > MAX_KEYS:
        raise IssuerFault(f"{where} has more than {MAX_KEYS} keys", temporary=False)
    for jwk in listed:
        if jwk.get("kty") == "oct" or _PRIVATE & jwk.keys():
            raise IssuerFault(f"{where} publishes a key that must be secret", temporary=False)
    keys = tuple(key for jwk in listed if (key := _key(jwk, where)) is not None)
    if not keys:
        raise IssuerFault(f"{where} has no key that can sign", temporary=False)
    named = [key.kid for key in keys if key.kid is not None]
    if len(set(named)) != len(named):
        raise IssuerFault(f"{where} has two keys of one id", temporary=False)
    return KeyRing(keys)


def _key(jwk: Mapping[str, Any], where: str) -> IssuerKey | None:
    """Return a key of a set; None for one that is for something else than the signatures that are believed."""
    kind, curve, operations = jwk.get("kty"), jwk.get("crv"), jwk.get("key_ops")
    if jwk.get("use", "sig") != "sig" or (operations is not None and "verify" not in operations):
        return None
    algorithms = _ALGORITHMS.get((str(kind), None if kind == "RSA" else str(curve)))
    if algorithms is None:
        return None
    if "alg" in jwk:
        algorithms &= {jwk["alg"]} if isinstance(jwk["alg"], str) else frozenset()
    kid = jwk.get("kid")
    if kid is not None and (not isinstance(kid, str) or not 0 < len(kid) <= MAX_KEY_ID_LENGTH):
        raise IssuerFault(f"{where} has a key whose id cannot be", temporary=False)
    public = {"kty": str(kind), **{name: jwk.get(name) for name in _MEMBERS[str(kind)]}}
    if kind == "RSA" and not _fits(public["n"]):
        return None
    try:
        key = _TYPES[str(kind)].import_key(public)  # type: ignore[arg-type] # checked by joserfc
        key.public_key  # noqa: B018 - what cannot be a key shows when it is made
    except (JoseError, ValueError, TypeError, KeyError):
        raise IssuerFault(f"{where} has a key that cannot be read", temporary=False) from None
    return IssuerKey(kid, algorithms, key) if algorithms else None


def _fits(modulus: Any) -> bool:
    """Return whether an RSA modulus in base64url is neither too short to trust nor too long to work with."""
    if not isinstance(modulus, str):
        return True  # refused where it is read
    bits = len(modulus.rstrip("=")) * 6
    return MIN_RSA_BITS <= bits <= MAX_RSA_BITS + 32
