"""Bearer tokens of other issuers: which are accepted, as whom, and for how long."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import orjson
import pytest

from crm_graph.kernel.errors import Unauthenticated
from tests.sign_on.flow import answered
from tests.support.issuers import AUDIENCE, EC, ED25519, OTHER_RSA, RSA, Answer, Liar, liar
from tests.support.sign_on import Desk

ACCEPTING: dict[str, Any] = {"acceptTokens": True, "audiences": [AUDIENCE]}
UNKNOWN = "The bearer token is malformed or was not issued here."


async def accepting(at: Desk, issuer: Liar, **values: Any) -> str:
    """Make a provider whose subject `eve` is the first analyst; return its id."""
    provider_id = await at.provider(issuer.address, **{**ACCEPTING, **values})
    await at.link(provider_id, "eve", f"mem_{await at.member('analyst')}")
    return provider_id


async def refusal(at: Desk, token: str) -> str:
    """Return why a token is refused."""
    with pytest.raises(Unauthenticated) as caught:
        await at.authenticator.authenticate(f"Bearer {token}")
    return caught.value.message


async def viewer_roles(at: Desk, token: str) -> tuple[str, ...]:
    """Return the roles that a token gives, as of now."""
    claims = await at.authenticator.authenticate(f"Bearer {token}")
    return (await at.authenticator.viewer(claims, at.graph.database.primary_reader())).roles


SIGNED: dict[str, Callable[[Liar], str]] = {
    "RS256": lambda it: it.token(),
    "PS256": lambda it: it.sign(it.claims(), RSA, "PS256"),
    "ES256": lambda it: it.sign(it.claims(), EC, "ES256"),
    "Ed25519": lambda it: it.sign(it.claims(), ED25519, "Ed25519"),
    "a type of application/": lambda it: it.sign(it.claims(), typ="application/at+jwt"),
    "a plain JWT": lambda it: it.sign(it.claims(), typ="JWT"),
    "several audiences": lambda it: it.token(aud=["https://other.example", AUDIENCE]),
    "29 seconds late": lambda it: it.token(exp=it.claims()["iat"] - 25),
    "25 seconds early": lambda it: it.token(iat=it.claims()["iat"] + 25, nbf=it.claims()["iat"] + 25),
    "fractions of seconds": lambda it: it.token(exp=it.claims()["exp"] + 0.5),
}


@pytest.mark.parametrize("make", SIGNED.values(), ids=SIGNED.keys())
async def test_what_is_accepted(at: Desk, issuer: Liar, make: Callable[[Liar], str]) -> None:
    await accepting(at, issuer)
    assert await viewer_roles(at, make(issuer)) == ("analyst",)


async def test_our_own_token_is_no_provider_s(at: Desk, issuer: Liar) -> None:
    """On one's own machine our tokens have the address that was asked: who configures it, in one workspace, does not
    take the tokens of all the others."""
    authority = at.graph.authority
    accepting_ours = {"acceptTokens": True, "audiences": [authority.audience]}
    await at.provider(issuer.address, workspace="other", **accepting_ours)
    issuer.answers["/jwks"] = Answer(authority.jwks())
    claims = await at.graph.claims("analyst")
    token = authority.issue(claims.workspace_id, claims.member_id, timedelta(minutes=5), issuer=issuer.address)
    found = await at.authenticator.authenticate(f"Bearer {token}")
    assert (found.workspace_id, found.identity_id) == (claims.workspace_id, None)
    assert issuer.asked == {}
    assert await viewer_roles(at, token) == ("analyst",)


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unsigned(it: Liar) -> str:
    parts = [{"alg": "none", "typ": "at+jwt"}, it.claims()]
    return ".".join(encoded(orjson.dumps(part)) for part in parts) + "."


def confused(it: Liar, how: str) -> str:
    """Return a token signed by HS256 with the public key as the secret."""
    secret = RSA.as_pem(private=False) if how == "pem" else orjson.dumps(RSA.as_dict(private=False))
    header = {"alg": "HS256", "typ": "at+jwt", "kid": RSA.kid}
    signed = ".".join(encoded(orjson.dumps(part)) for part in (header, it.claims()))
    return f"{signed}.{encoded(hmac.digest(secret, signed.encode(), 'sha256'))}"


def spoilt(token: str, part: int) -> str:
    parts = token.split(".")
    body = bytearray(base64.urlsafe_b64decode(parts[part] + "=="))
    body[len(body) // 2] ^= 1
    parts[part] = encoded(bytes(body))
    return ".".join(parts)


def late(it: Liar) -> int:
    now: int = it.claims()["iat"]
    return now


ALGORITHM = "The bearer token is signed by an algorithm that is not accepted."
KEY = "The bearer token is signed with a key that its issuer does not have."
SIGNATURE = "The bearer token is malformed, or its signature is wrong."
OWN_KEY = "The bearer token brings a key of its own, or asks for what is not known."
KIND = "The bearer token is of another kind."
FUTURE = "The bearer token is from the future: check the clocks."
OVER = "The bearer token has expired: get a new one."
ELSE = "The bearer token is for somebody else."
REFUSED: dict[str, tuple[Callable[[Liar], str], str]] = {
    "alg none": (unsigned, UNKNOWN),
    "alg none with a signature": (lambda it: unsigned(it) + "AAAA", ALGORITHM),
    "HS256 with the public key": (lambda it: confused(it, "pem"), ALGORITHM),
    "HS256 with the JWK": (lambda it: confused(it, "jwk"), ALGORITHM),
    "a foreign key under its own id": (lambda it: it.sign(it.claims(), OTHER_RSA), KEY),
    "a foreign key under a known id": (lambda it: it.sign(it.claims(), OTHER_RSA, kid=RSA.kid), SIGNATURE),
    "a key of another algorithm": (lambda it: it.sign(it.claims(), EC, "ES256", kid=RSA.kid), KEY),
    "an id that is a path": (lambda it: it.sign(it.claims(), kid="../../etc/passwd"), KEY),
    "an id that is a number": (lambda it: resealed(it, kid=7), "The bearer token is malformed."),
    "jku": (lambda it: it.sign(it.claims(), OTHER_RSA, jku="https://evil.example/jwks"), OWN_KEY),
    "x5u": (lambda it: it.sign(it.claims(), OTHER_RSA, x5u="https://evil.example/x"), OWN_KEY),
    "jwk": (lambda it: it.sign(it.claims(), OTHER_RSA, jwk=OTHER_RSA.as_dict(private=False)), OWN_KEY),
    "crit": (lambda it: resealed(it, crit=["exp"]), OWN_KEY),
    "another kind": (lambda it: it.sign(it.claims(), typ="logout+jwt"), KIND),
    "no kind": (lambda it: it.sign(it.claims(), typ=None), KIND),
    "an ID token": (lambda it: it.sign(it.claims(nonce="n"), typ="JWT"), KIND),
    "a logout token": (lambda it: it.sign(it.claims(events={}), typ="JWT"), KIND),
    "no exp": (lambda it: it.token(exp=None), "The bearer token has no valid `exp`."),
    "an exp that is a text": (lambda it: it.token(exp="9999999999"), "The bearer token has no valid `exp`."),
    "an exp that is true": (lambda it: it.token(exp=True), "The bearer token has no valid `exp`."),
    "an exp beyond all time": (lambda it: it.token(exp=1 << 60), "The bearer token has no valid `exp`."),
    "no iat": (lambda it: it.token(iat=None), "The bearer token has no valid `iat`."),
    "no aud": (lambda it: it.token(aud=None), "The bearer token has no valid `aud`."),
    "an empty aud": (lambda it: it.token(aud=[]), "The bearer token has no valid `aud`."),
    "an aud of anything": (lambda it: it.token(aud={"a": 1}), "The bearer token has no valid `aud`."),
    "another aud": (lambda it: it.token(aud="https://other.example"), ELSE),
    "an aud that only begins so": (lambda it: it.token(aud=AUDIENCE + "/"), ELSE),
    "no iss": (lambda it: it.token(iss=None), UNKNOWN),
    "another iss": (lambda it: it.token(iss="https://other.example"), UNKNOWN),
    "iss with a slash": (lambda it: it.token(iss=it.address + "/"), UNKNOWN),
    "iss in a list": (lambda it: it.token(iss=[it.address]), UNKNOWN),
    "our own iss": (lambda it: it.token(iss="crm-graph"), UNKNOWN),
    "no sub": (lambda it: it.token(sub=None), "The bearer token has no valid `sub`."),
    "a sub with a zero": (lambda it: it.token(sub="eve\0"), "The bearer token has no valid `sub`."),
    "expired": (lambda it: it.token(exp=late(it) - 31), OVER),
    "from the future": (lambda it: it.token(iat=late(it) + 60), FUTURE),
    "not yet": (lambda it: it.token(nbf=late(it) + 60), FUTURE),
    "a changed claim": (lambda it: spoilt(it.token(pad="x" * 400), 1), UNKNOWN + "|" + SIGNATURE),
    "a changed signature": (lambda it: spoilt(it.token(), 2), SIGNATURE),
    "100 kB": (lambda it: it.token(pad="x" * 100_000), "The bearer token is too long."),
    "five parts": (lambda it: it.token() + ".a.b", UNKNOWN),
    "another subject": (
        lambda it: it.token(sub="mallory"),
        "The bearer token is of nobody who is a member here: sign in with the provider first.",
    ),
    "a subject in another case": (
        lambda it: it.token(sub="EVE"),
        "The bearer token is of nobody who is a member here: sign in with the provider first.",
    ),
}


def resealed(it: Liar, **header: Any) -> str:
    """Return a good token whose header was replaced: what joserfc would not sign."""
    _, claims, signature = it.token().split(".")
    head = {"alg": "RS256", "typ": "at+jwt", "kid": RSA.kid, **header}
    return ".".join((encoded(orjson.dumps(head)), claims, signature))


@pytest.mark.parametrize(("make", "wanted"), REFUSED.values(), ids=REFUSED.keys())
async def test_what_is_refused(at: Desk, issuer: Liar, make: Callable[[Liar], str], wanted: str) -> None:
    await accepting(at, issuer)
    before = await at.written()
    assert await refusal(at, make(issuer)) in wanted.split("|")
    assert await at.written() == before
    assert issuer.asked["/jwks"] <= 1


async def test_nobody_configured_nothing_fetched(at: Desk, issuer: Liar) -> None:
    for index in range(20):
        assert await refusal(at, issuer.token(iss=f"{issuer.address}/{index}")) == UNKNOWN
    assert issuer.asked == {}
    provider_id = await accepting(at, issuer, acceptTokens=False)
    assert await refusal(at, issuer.token()) == UNKNOWN
    await at.update(provider_id, acceptTokens=True, enabled=False)
    assert await refusal(at, issuer.token()) == UNKNOWN
    assert issuer.asked == {}


async def test_our_own_tokens_are_not_looked_at(at: Desk, issuer: Liar) -> None:
    await accepting(at, issuer)
    claims = await at.graph.claims("analyst")
    token = at.graph.authority.issue(claims.workspace_id, claims.member_id, timedelta(minutes=5))
    at.graph.database.one.sent.clear()
    for _ in range(3):
        assert (await at.authenticator.authenticate(f"Bearer {token}")).member_id == claims.member_id
    assert at.graph.database.one.sent == []
    assert await at.tokens(token) is None


async def test_what_a_token_costs(at: Desk, issuer: Liar, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(at.tokens, "_ttl", timedelta(minutes=1))
    await accepting(at, issuer)
    token, sent = issuer.token(), at.graph.database.one.sent
    sent.clear()
    await at.authenticator.authenticate(f"Bearer {token}")
    assert len(sent) == 3, "the issuers, the providers of this one, the member"
    await at.authenticator.authenticate(f"Bearer {token}")
    assert len(sent) == 3
    await at.authenticator.authenticate(f"Bearer {issuer.token(jti='another')}")
    assert len(sent) == 4, "the member"
    assert issuer.asked["/jwks"] == 1


OFF: dict[str, dict[str, Any]] = {"disabled": {"enabled": False}, "tokens not accepted": {"acceptTokens": False}}


@pytest.mark.parametrize("how", [*OFF, "unlinked", "suspended", "deleted"])
async def test_an_end_of_trust_is_in_force_with_the_next_request(
    at: Desk, issuer: Liar, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where a process remembers both the token and the viewer."""
    monkeypatch.setattr(at.tokens, "_ttl", timedelta(minutes=1))
    provider_id = await accepting(at, issuer)
    claims = await at.authenticator.authenticate(f"Bearer {issuer.token()}")
    assert await at.graph.data("{ viewer { roles } }", claims=claims) == {"viewer": {"roles": ["analyst"]}}
    if how in OFF:
        await at.update(provider_id, **OFF[how])
    elif how == "unlinked":
        link = await at.graph.value("SELECT id FROM member_identity")
        await at.graph.data(
            "mutation ($id: ID!) { unlinkMemberIdentity(input: {id: $id}) { deletedId } }", {"id": f"mid_{link}"}
        )
    elif how == "suspended":
        mutation = "mutation ($id: ID!) { suspendMember(input: {id: $id}) { errors { code } } }"
        await at.graph.data(mutation, {"id": f"mem_{claims.member_id}"})
    else:
        mutation = "mutation ($id: ID!) { deleteIdentityProvider(input: {id: $id}) { errors { code } } }"
        await at.graph.data(mutation, {"id": provider_id})
    again = await at.authenticator.authenticate(f"Bearer {issuer.token()}") if how == "suspended" else claims
    for source in ("{ viewer { roles } }", "{ customers { totalCount } }"):
        error = await at.graph.error(source, claims=again)
        assert error["extensions"]["code"] == "UNAUTHENTICATED"


async def test_two_workspaces_with_one_issuer(at: Desk, issuer: Liar) -> None:
    """The audience decides, or a claim; where neither does, the link does, and the older one."""
    await accepting(at, issuer)
    other = await at.provider(
        issuer.address, workspace="other", **{**ACCEPTING, "audiences": ["https://other.example"]}
    )
    await at.link(other, "eve", f"mem_{await at.member('sales_rep', 'other')}", "other")
    assert await viewer_roles(at, issuer.token()) == ("analyst",)
    assert "sales_rep" in await viewer_roles(at, issuer.token(aud="https://other.example"))
    assert await viewer_roles(at, issuer.token(aud=[AUDIENCE, "https://other.example"])) == ("analyst",)
    tenant = {"claim": "tenant", "operator": "EQUALS", "value": "other"}
    await at.update(other, workspace="other", audiences=[AUDIENCE], required=[tenant])
    assert await viewer_roles(at, issuer.token()) == ("analyst",)
    assert await viewer_roles(at, issuer.token(tenant="other")) == ("analyst",)


async def test_another_workspace_takes_nobody_away(at: Desk, issuer: Liar) -> None:
    """The attack: the issuer and audience of somebody else, anybody may sign up, and the same subject linked. Only
    whoever is nobody elsewhere is taken."""
    await accepting(at, issuer, required=[{"claim": "azp", "operator": "EQUALS", "value": "app"}])
    token, stranger = issuer.token(azp="app"), issuer.token(azp="app", sub="stranger")
    nobody = "The bearer token is of nobody who is a member here: sign in with the provider first."
    assert await viewer_roles(at, token) == ("analyst",)
    assert await refusal(at, stranger) == nobody
    other = await at.provider(issuer.address, workspace="other", **ACCEPTING, **OPEN)
    assert await viewer_roles(at, token) == ("analyst",)
    for subject, role in (("eve", "sales_rep"), ("stranger", "admin")):
        await at.link(other, subject, f"mem_{await at.member(role, 'other')}", "other")
    assert await viewer_roles(at, token) == ("analyst",)
    await suspend(at, token)
    claims = await at.authenticator.authenticate(f"Bearer {token}")
    with pytest.raises(Unauthenticated):
        await at.authenticator.viewer(claims, at.graph.database.primary_reader())


async def suspend(at: Desk, token: str) -> None:
    """Suspend the member of a token."""
    claims = await at.authenticator.authenticate(f"Bearer {token}")
    mutation = "mutation ($id: ID!) { suspendMember(input: {id: $id}) { errors { code } } }"
    await at.graph.data(mutation, {"id": f"mem_{claims.member_id}"})


OPEN: dict[str, Any] = {"allowSignUp": True, "defaultRoles": ["sales_rep"]}


async def workspace_of(at: Desk, token: str) -> str:
    """Return the short name of the workspace that a token is taken for."""
    claims = await at.authenticator.authenticate(f"Bearer {token}")
    slug: str = await at.graph.value("SELECT slug FROM workspace WHERE id = $1", claims.workspace_id)
    return slug


async def test_who_signed_in_by_a_link_is_not_taken_by_an_older_one(at: Desk, issuer: Liar) -> None:
    """The attack: to have been there first, with a link to somebody who was going to come."""
    squatter = await at.provider(issuer.address, workspace="other", **ACCEPTING)
    await at.link(squatter, "eve", f"mem_{await at.member('admin', 'other')}", "other")
    provider_id = await accepting(at, issuer, emailDomains=["new.example"])
    assert await workspace_of(at, issuer.token()) == "other"
    response = await answered(at, issuer, provider_id, claims={"sub": "eve"})
    assert response.status_code == 302, response.text
    assert await workspace_of(at, issuer.token()) == "demo"
    assert await at.graph.value("SELECT count(*) FROM member_identity WHERE proved_at IS NOT NULL") == 1


async def test_who_is_new_goes_where_others_have_signed_in(at: Desk, issuer: Liar) -> None:
    """The attack: to have been there first, open to everybody: the issuer knows nothing of it, so nobody signs in."""
    await at.provider(issuer.address, workspace="other", **ACCEPTING, **OPEN)
    provider_id = await accepting(at, issuer, **OPEN)
    assert (await answered(at, issuer, provider_id, claims={"sub": "first"})).status_code == 302
    person = {"email": "new2@new.example", "email_verified": True}
    assert await workspace_of(at, issuer.token(sub="new", **person)) == "demo"


async def test_who_is_new_is_admitted_only_where_anybody_may_sign_up(at: Desk, issuer: Liar) -> None:
    rule = {"claim": "groups", "operator": "CONTAINS", "value": "sales", "roles": ["sales_rep"]}
    provider_id = await accepting(at, issuer, rules=[rule])
    claims = {"sub": "new", "groups": ["sales"], "email": "new@new.example", "email_verified": True}
    before = await at.written()
    assert await refusal(at, issuer.token(**claims)) == (
        "The bearer token is of nobody who is a member here: sign in with the provider first."
    )
    await at.update(provider_id, allowSignUp=True)
    cannot = "The bearer token is of somebody who cannot become a member here."
    before = await at.written()
    assert await refusal(at, issuer.token(**{**claims, "email_verified": False})) == cannot
    assert await refusal(at, issuer.token(**{**claims, "email": await at.email("admin")})) == cannot
    assert await at.written() == before
    assert await viewer_roles(at, issuer.token(**claims)) == ("sales_rep",)
    assert await viewer_roles(at, issuer.token(**{**claims, "groups": []})) == ("sales_rep",)


async def test_an_issuer_that_is_away(at: Desk, issuer: Liar) -> None:
    await accepting(at, issuer)
    issuer.answers["/jwks"] = Answer({}, 503)
    away = "The bearer token cannot be checked: its issuer does not answer. Try again."
    assert await refusal(at, issuer.token()) == away
    asked = issuer.asked["/jwks"]
    assert await refusal(at, issuer.token()) == away
    assert issuer.asked["/jwks"] == asked


async def test_another_issuer_s_subject_is_somebody_else(at: Desk, issuer: Liar) -> None:
    await accepting(at, issuer)
    async with liar() as second:
        await at.provider(second.address, name="Second", **ACCEPTING)
        assert await refusal(at, second.token(sub="eve")) == (
            "The bearer token is of nobody who is a member here: sign in with the provider first."
        )
        assert await refusal(at, second.sign(issuer.claims(), OTHER_RSA)) == KEY
