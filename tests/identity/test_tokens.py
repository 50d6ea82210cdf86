"""Bearer tokens: what is accepted, and what an attacker may try."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey, OKPKey

from crm_graph.identity.tokens import TokenAuthority
from crm_graph.kernel.errors import Unauthenticated

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
WORKSPACE, MEMBER = "01a2048f46cd73b185e9b47148196314", "01a2048f46cd73b185e9b47148196315"
CLIENT = "01a2048f46cd73b185e9b47148196316"


def authority(
    secret: bytes = b"a" * 32, now: datetime = NOW, issuer: str = "us", audience: str = "us"
) -> TokenAuthority:
    return TokenAuthority([secret], issuer, audience, lambda: now)


def token(**changes: object) -> str:
    """Return a token of our own key with changed claims; None leaves a claim out."""
    mine = authority()
    claims = {
        "iss": "us",
        "aud": "us",
        "sub": MEMBER,
        "ws": WORKSPACE,
        "iat": int(NOW.timestamp()),
        "exp": int(NOW.timestamp()) + 60,
    } | changes
    claims = {name: value for name, value in claims.items() if value is not None}
    header = {"alg": "Ed25519", "typ": "at+jwt", "kid": mine.keys.signer().kid}
    return jwt.encode(header, claims, mine.keys.signer(), algorithms=["Ed25519"])


def test_a_token_names_its_member() -> None:
    claims = authority().check(authority().issue(WORKSPACE, MEMBER, timedelta(minutes=5)))
    assert (claims.workspace_id, claims.member_id) == (WORKSPACE, MEMBER)
    assert claims.expires_at == NOW + timedelta(minutes=5)


def test_a_token_may_name_its_client() -> None:
    assert authority().check(authority().issue(WORKSPACE, MEMBER, timedelta(minutes=5))).client_id is None
    assert authority().check(authority().issue(WORKSPACE, MEMBER, timedelta(minutes=5), CLIENT)).client_id == CLIENT


def test_secrets_rotate() -> None:
    old = authority(b"o" * 32).issue(WORKSPACE, MEMBER, timedelta(minutes=5))
    both = TokenAuthority([b"n" * 32, b"o" * 32], "us", "us", lambda: NOW)
    assert both.check(old).member_id == MEMBER
    with pytest.raises(Unauthenticated):
        authority(b"n" * 32).check(old)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"exp": int(NOW.timestamp()) - 31}, "expired"),
        ({"exp": None}, "`exp`"),
        ({"exp": "tomorrow"}, "`exp`"),
        ({"exp": 10**20}, "`exp`"),
        ({"exp": True}, "`exp`"),
        ({"iat": int(NOW.timestamp()) + 31}, "future"),
        ({"iat": None}, "`iat`"),
        ({"iss": "them"}, "somebody else"),
        ({"iss": None}, "somebody else"),
        ({"aud": "them"}, "somebody else"),
        ({"aud": ["us", "them"]}, "somebody else"),
        ({"sub": None}, "`sub`"),
        ({"sub": "1 OR 1=1"}, "`sub`"),
        ({"ws": None}, "`ws`"),
        ({"ws": WORKSPACE.upper()}, "`ws`"),
        ({"azp": "web"}, "`azp`"),
        ({"azp": 7}, "`azp`"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_claims_must_be_right(changes: dict[str, object], reason: str) -> None:
    with pytest.raises(Unauthenticated, match=reason):
        authority().check(token(**changes))


def _parts(**header: object) -> str:
    claims = {"iss": "us", "aud": "us", "sub": MEMBER, "ws": WORKSPACE, "iat": 0, "exp": 1 << 32}

    def encoded(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    return f"{encoded(header)}.{encoded(claims)}"


def test_forged_tokens_are_refused() -> None:
    mine = authority()
    public = mine.keys.signer().as_pem(private=False)
    confused = jwt.encode(
        {"alg": "HS256", "typ": "at+jwt", "kid": mine.keys.signer().kid},
        {"iss": "us", "aud": "us", "sub": MEMBER, "ws": WORKSPACE, "iat": 0, "exp": 1 << 32},
        OctKey.import_key(public.replace(b"-----", b"")),
    )
    foreign = OKPKey.generate_key("Ed25519")
    stolen_kid = jwt.encode(
        {"alg": "Ed25519", "typ": "at+jwt", "kid": mine.keys.signer().kid},
        {"iss": "us", "aud": "us", "sub": MEMBER, "ws": WORKSPACE, "iat": 0, "exp": 1 << 32},
        foreign,
        algorithms=["Ed25519"],
    )
    good = mine.issue(WORKSPACE, MEMBER, timedelta(minutes=5))
    head, claims, signature = good.split(".")
    forged = [
        _parts(alg="none") + ".",
        _parts(alg="none", typ="at+jwt") + "." + signature,
        confused,
        stolen_kid,
        f"{head}.{claims}.",
        f"{head}.{claims}.{signature[:-4]}AAAA",
        f"{_parts(alg='Ed25519', kid='unknown')}.{signature}",
        f"{_parts(alg='Ed25519', jku='https://evil.example/keys')}.{signature}",
        good + "x" * 100_000,
        "",
        "a.b.c",
        "\ud800",
        "....",
    ]
    for each in forged:
        with pytest.raises(Unauthenticated) as caught:
            mine.check(each)
        assert MEMBER not in str(caught.value)
