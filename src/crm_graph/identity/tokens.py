"""Bearer tokens: signed by this installation, short-lived, naming a member of a workspace and nothing that can change.

Each names what it came from: the session (`sid`), or the API key by which a client got it (`key`); when that ends, the
token does, with the next request.

Ed25519 keys are derived from the installation's secrets and the calendar (`SigningKeys`): every process signs and
accepts alike without a table of keys, and a key is replaced when its time is over. Roles are not in the token: they
are read per request.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError

from crm_graph.identity.keys import ALGORITHM, REGISTRY, SigningKeys
from crm_graph.identity.viewer import NOBODY
from crm_graph.kernel.clock import Clock, system_clock
from crm_graph.kernel.errors import CredentialExpired, Unauthenticated
from crm_graph.kernel.ids import encode_id, new_id

MAX_TOKEN_LENGTH = 4_096
MAX_CHECKED_TOKENS = 10_000
"""Verified tokens that a process remembers, about 1 KB each."""
LEEWAY = timedelta(seconds=30)
"""How far clocks can differ."""
ACCESS_TOKEN_TYPE = "at+jwt"  # noqa: S105 - no password
"""RFC 9068's `typ`: a token of another kind, an ID token say, is no access token."""
CLIENT_PREFIX = "apc"
"""What the API's id of a client begins with: RFC 9068's `client_id` is the one that the client knows."""


def client_key(client_id: str) -> str:
    """Return the id of an API client as the API spells it."""
    return encode_id(CLIENT_PREFIX, client_id)


_UNKNOWN = datetime.min.replace(tzinfo=UTC)
_HEX32 = re.compile(r"[0-9a-f]{32}\Z")
_LOCAL = re.compile(r"https?://(localhost|127\.0\.0\.1|\[::1\])(:[0-9]{1,5})?\Z")
"""What the authorization server calls itself on one's own machine: whatever it was asked as."""
_UNREADABLE = (JoseError, ValueError, TypeError, KeyError, UnicodeError, RecursionError)
_FOREIGN_KEY_HEADERS = frozenset({"jku", "x5u", "jwk", "x5c", "crit", "b64"})


@dataclass(frozen=True, slots=True)
class Claims:
    """Who a request acts for, as its credential says. Times are aware, UTC."""

    workspace_id: str
    member_id: str
    expires_at: datetime
    issued_at: datetime = _UNKNOWN
    client_id: str | None = None
    """The API client that acts: its roles, its documents and its limits bound what the credential may do."""
    session_id: str | None = None
    """The signed-in session; once that is revoked, the token stops working with the next request."""
    key_id: str | None = None
    """The API key that was shown instead of a token, or by which a client got the token."""
    scope: frozenset[str] | None = None
    """The OAuth scopes of the token; None is a token that was made without any, which may all that its member may."""
    identity_id: str | None = None
    """The link of an identity provider's account by whose token the member came; once that is undone, or the provider
    is not trusted any more, the token stops working with the next request."""

    @property
    def is_anonymous(self) -> bool:
        """Whether nobody has shown anything: only public operations are for them."""
        return self.workspace_id == NOBODY

    @property
    def unbound_since(self) -> datetime | None:
        """When a credential was made that has no row here which a suspension ends, another issuer's token say, or one
        that a client got by a key: a suspension since then has ended it. None for all others, a key itself among them,
        and for claims that were read off no credential."""
        return None if self.session_id is not None or self.issued_at == _UNKNOWN else self.issued_at

    @property
    def principal(self) -> tuple[str | frozenset[str] | datetime | None, ...]:
        """What decides, beside the database, what may be done: the same for all tokens of a session."""
        return (
            self.unbound_since,
            self.workspace_id,
            self.member_id,
            self.client_id,
            self.session_id,
            self.key_id,
            self.scope,
            self.identity_id,
        )


ANONYMOUS = Claims(NOBODY, NOBODY, datetime.max.replace(tzinfo=UTC))


class TokenAuthority:
    """Issues and checks bearer tokens. The first secret signs; all of them are accepted."""

    def __init__(
        self, secrets: Sequence[bytes], issuer: str, audience: str, clock: Clock = system_clock, key_days: int = 30
    ) -> None:
        self.issuer = issuer
        self.audience = audience
        self._is_local = "://" not in issuer
        """Whether this installation has no address of its own: then it is whatever it is asked as on this machine."""
        self.keys = SigningKeys(secrets, key_days, clock)
        self._clock = clock
        self._checked: dict[str, Claims] = {}

    def issue(
        self,
        workspace_id: str,
        member_id: str,
        lifetime: timedelta,
        client_id: str | None = None,
        *,
        session_id: str | None = None,
        key_id: str | None = None,
        scope: frozenset[str] | None = None,
        issuer: str | None = None,
        at: datetime | None = None,
        token_id: str | None = None,
    ) -> str:
        """Return a bearer token for a member, to be used by one API client if given (`azp`, the authorized party).

        It is good while the session or the key lives that it came from. `issuer` is what the authorization server was
        asked as, where nobody has said what it is called. Of the same `at` and `token_id` it is the same token, while
        the same key signs.
        """
        now = at or self._clock()
        claims: dict[str, Any] = {
            "iss": issuer or self.issuer,
            "aud": self.audience,
            "sub": member_id,
            "ws": workspace_id,
            "iat": int(now.timestamp()),
            "exp": int((now + lifetime).timestamp()),
            "jti": token_id or new_id(),
        }
        if client_id is not None:
            claims["azp"], claims["client_id"] = client_id, client_key(client_id)
        if session_id is not None:
            claims["sid"] = session_id
        if key_id is not None:
            claims["key"] = key_id
        if scope is not None:
            claims["scope"] = " ".join(sorted(scope))
        return self.sign(claims, ACCESS_TOKEN_TYPE)

    def sign(self, claims: dict[str, Any], type_: str) -> str:
        """Return a JWT of any type (`typ`), signed with the key of today."""
        key = self.keys.signer()
        return jwt.encode({"alg": ALGORITHM, "typ": type_, "kid": key.kid}, claims, key, registry=REGISTRY)

    def verify_id_token(self, token: str) -> dict[str, Any] | None:
        """Return the claims of an ID token that was signed here, whatever its times say; None for any other text."""
        try:
            decoded = jwt.decode(token, self.keys.accepted(), registry=REGISTRY)
        except _UNREADABLE:
            return None
        return decoded.claims if decoded.header.get("typ") == "JWT" and isinstance(decoded.claims, dict) else None

    def jwks(self) -> dict[str, Any]:
        """Return the public keys that tokens of today may be signed with, as a JWK set."""
        return self.keys.public()

    def is_ours(self, issuer: object) -> bool:
        """Return whether an `iss` is a name of this installation."""
        return issuer == self.issuer or (self._is_local and isinstance(issuer, str) and bool(_LOCAL.match(issuer)))

    def has_key(self, kid: object) -> bool:
        """Return whether a key id is of a key of ours: what it signs is ours alone, under whichever name it was made.
        On one's own machine other issuers have addresses like ours, so that a name does not say it."""
        return any(kid == key.kid for key in self.keys.accepted().keys)

    def known(self, token: str) -> Claims | None:
        """Return the claims of a token that was verified before and is good now, or None."""
        claims = self._checked.get(token)
        return claims if claims is not None and self._fault(claims) is None else None

    def check(self, token: str) -> Claims:
        """Return the claims of a token. Raises Unauthenticated, saying what is wrong without echoing any of it.

        The signature of a token is verified once, which takes 90 us, a third of a point query; its times every time.
        """
        known = self.known(token)
        if known is not None:
            return known
        claims = self._timely(self._verify(token))
        if len(self._checked) >= MAX_CHECKED_TOKENS:
            del self._checked[next(iter(self._checked))]
        self._checked[token] = claims
        return claims

    def _timely(self, claims: Claims) -> Claims:
        fault = self._fault(claims)
        if fault is not None:
            raise fault
        return claims

    def _fault(self, claims: Claims) -> Unauthenticated | None:
        now = self._clock()
        if now >= claims.expires_at + LEEWAY:
            return CredentialExpired("The bearer token has expired: get a new one.")
        if claims.issued_at > now + LEEWAY:
            return Unauthenticated("The bearer token is from the future: check the clocks.")
        return None

    def _verify(self, token: str) -> Claims:
        if len(token) > MAX_TOKEN_LENGTH:
            raise Unauthenticated("The bearer token is too long.")
        try:
            decoded = jwt.decode(token, self.keys.accepted(), registry=REGISTRY)
        except _UNREADABLE:
            raise Unauthenticated("The bearer token is malformed or was not issued here.") from None
        claims = decoded.claims
        if not isinstance(claims, dict):
            raise Unauthenticated("The bearer token is malformed or was not issued here.")
        if decoded.header.get("typ") != ACCESS_TOKEN_TYPE or _FOREIGN_KEY_HEADERS & decoded.header.keys():
            raise Unauthenticated("The bearer token is of another kind.")
        if not self.is_ours(claims.get("iss")) or claims.get("aud") != self.audience:
            raise Unauthenticated("The bearer token was issued by, or for, somebody else.")
        if "nbf" in claims and _time(claims, "nbf") > self._clock() + LEEWAY:
            raise Unauthenticated("The bearer token is not good yet: check the clocks.")
        return Claims(
            _id(claims, "ws"),
            _id(claims, "sub"),
            _time(claims, "exp"),
            _time(claims, "iat"),
            _id(claims, "azp") if "azp" in claims else None,
            _id(claims, "sid") if "sid" in claims else None,
            _id(claims, "key") if "key" in claims else None,
            scope=_scope(claims),
        )


def _time(claims: Any, name: str) -> datetime:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 33:
        raise Unauthenticated(f"The bearer token has no valid `{name}`.")
    return datetime.fromtimestamp(value, UTC)


def _id(claims: Any, name: str) -> str:
    value = claims.get(name)
    if not isinstance(value, str) or not _HEX32.match(value) or value == NOBODY:
        raise Unauthenticated(f"The bearer token has no valid `{name}`.")
    return value


def _scope(claims: Any) -> frozenset[str] | None:
    if "scope" not in claims:
        return None
    if not isinstance(claims["scope"], str):
        raise Unauthenticated("The bearer token has no valid `scope`.")
    return frozenset(claims["scope"].split())
