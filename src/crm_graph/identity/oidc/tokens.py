"""Tokens of issuers: from text to claims that can be believed.

What a token says of itself (its issuer, its key, its algorithm) only chooses among what we know: the key comes from
the issuer's set, the algorithm from our list, and a token that brings a key or an address of one is refused.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
from joserfc import jwt
from joserfc.errors import JoseError, UnsupportedAlgorithmError
from joserfc.jws import JWSRegistry

from crm_graph.identity.oidc.discovery import ALGORITHMS
from crm_graph.identity.oidc.issuers import Issuers
from crm_graph.identity.tokens import LEEWAY
from crm_graph.kernel.clock import Clock
from crm_graph.kernel.errors import CredentialExpired, Unauthenticated

MAX_SUBJECT_LENGTH = 255
"""OpenID Connect Core, section 2."""
MAX_HEADER_LENGTH = 4_096
_FOREIGN_KEYS = frozenset({"jku", "x5u", "jwk", "x5c", "crit", "b64", "zip", "enc"})


class _Registry(JWSRegistry):
    """joserfc's, without the warning that `EdDSA` has a newer name: others still call it so."""

    max_header_length = MAX_HEADER_LENGTH

    def __init__(self, algorithm: str) -> None:
        super().__init__(algorithms=[algorithm], strict_check_header=False)
        self._algorithm = algorithm

    def get_alg(self, name: str) -> Any:
        """Return the one algorithm, for its own name only."""
        if name != self._algorithm:
            raise UnsupportedAlgorithmError("another algorithm")
        return self.algorithms[name]


_REGISTRIES = {algorithm: _Registry(algorithm) for algorithm in ALGORITHMS}


@dataclass(frozen=True, slots=True)
class Verified:
    """A token whose signature, issuer and times are right. What it is for, its caller decides."""

    header: Mapping[str, Any]
    claims: Mapping[str, Any]
    subject: str
    audiences: tuple[str, ...]
    expires_at: datetime
    issued_at: datetime


def peek(token: str) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Return header and claims of what looks like a JWT, unverified: to choose where to look, and for nothing else."""
    parts = token.split(".")
    if len(parts) != 3 or not parts[2]:
        return None
    header, claims = _object(parts[0]), _object(parts[1])
    return None if header is None or claims is None else (header, claims)


async def verify(
    issuers: Issuers,
    issuer: str,
    token: str,
    *,
    what: str,
    types: Collection[str | None],
    clock: Clock,
    algorithms: Collection[str] = ALGORITHMS,
) -> Verified:
    """Return a token of an issuer, verified. `what` names it in messages; `types` are the `typ` it may have.

    Raises Unauthenticated, which echoes nothing of the token, and IssuerFault where the keys cannot be had.
    """
    peeked = peek(token)
    if peeked is None:
        raise Unauthenticated(f"The {what} is malformed.")
    header = peeked[0]
    algorithm, kid, type_ = header.get("alg"), header.get("kid"), header.get("typ")
    if not isinstance(algorithm, str) or algorithm not in algorithms or algorithm not in _REGISTRIES:
        raise Unauthenticated(f"The {what} is signed by an algorithm that is not accepted.")
    if _FOREIGN_KEYS & header.keys():
        raise Unauthenticated(f"The {what} brings a key of its own, or asks for what is not known.")
    if not (type_ is None or isinstance(type_, str)) or _type(type_) not in types:
        raise Unauthenticated(f"The {what} is of another kind.")
    if kid is not None and not isinstance(kid, str):
        raise Unauthenticated(f"The {what} is malformed.")
    key = await issuers.key(issuer, kid, algorithm)
    if key is None:
        raise Unauthenticated(f"The {what} is signed with a key that its issuer does not have.")
    try:
        claims = jwt.decode(token, key, registry=_REGISTRIES[algorithm]).claims
    except (JoseError, ValueError, TypeError, KeyError, UnicodeError):
        raise Unauthenticated(f"The {what} is malformed, or its signature is wrong.") from None
    return _believe(header, claims, issuer, what, clock)


def _believe(header: Mapping[str, Any], claims: Mapping[str, Any], issuer: str, what: str, clock: Clock) -> Verified:
    if claims.get("iss") != issuer:
        raise Unauthenticated(f"The {what} is of another issuer.")
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= MAX_SUBJECT_LENGTH or not subject.isprintable():
        raise Unauthenticated(f"The {what} has no valid `sub`.")
    named = claims.get("aud")
    audiences = (named,) if isinstance(named, str) else tuple(named) if isinstance(named, list) else ()
    if not audiences or not all(isinstance(audience, str) and audience for audience in audiences):
        raise Unauthenticated(f"The {what} has no valid `aud`.")
    now = clock()
    expires_at = _time(claims, "exp", what)
    issued_at = _time(claims, "iat", what)
    if now >= expires_at + LEEWAY:
        raise CredentialExpired(f"The {what} has expired: get a new one.")
    if issued_at > now + LEEWAY or ("nbf" in claims and _time(claims, "nbf", what) > now + LEEWAY):
        raise Unauthenticated(f"The {what} is from the future: check the clocks.")
    return Verified(header, claims, subject, audiences, expires_at, issued_at)


def _time(claims: Mapping[str, Any], name: str, what: str) -> datetime:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1 << 33:
        raise Unauthenticated(f"The {what} has no valid `{name}`.")
    return datetime.fromtimestamp(value, UTC)


def _type(type_: str | None) -> str | None:
    return None if type_ is None else type_.lower().removeprefix("application/")


def _object(part: str) -> dict[str, Any] | None:
    try:
        parsed = orjson.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (binascii.Error, ValueError):
        return None
    return parsed if isinstance(parsed, dict) else None
