"""Answers that belong to another sign-in, and providers that lie."""

from __future__ import annotations

import base64
import hashlib
from datetime import timedelta
from typing import Any

import pytest

from crm_graph.api.sign_on.sso import is_allowed
from tests.sign_on.flow import NOT_ADMITTED, answered, identity, refused
from tests.support.issuers import OTHER_RSA, RSA, Answer, Liar, liar
from tests.support.sign_on import BASE, Desk, parameters, start, told

BEGIN = "This browser has begun no sign-in, or too long ago: begin again."
ANOTHER = (400, "This answer belongs to another sign-in: begin again.")
OTHER_PROVIDER = (400, "This answer comes from another provider than the one asked: begin again.")
UNBELIEVABLE = (502, "The provider's answer cannot be accepted: ask an administrator of the workspace.")
UNREACHABLE = (503, "The provider cannot be reached now: try again in a while.")


def half(text: str) -> str:
    """Return the `at_hash` of an access token, for algorithms with SHA-256."""
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()[:16]).rstrip(b"=").decode()


GOOD: dict[str, dict[str, Any]] = {
    "plain": {},
    "azp": {"azp": "crm"},
    "several audiences and azp": {"aud": ["crm", "other"], "azp": "crm"},
    "at_hash": {"at_hash": half("opaque")},
}


@pytest.mark.parametrize("claims", GOOD.values(), ids=GOOD.keys())
async def test_what_is_accepted(at: Desk, issuer: Liar, claims: dict[str, Any]) -> None:
    provider_id = await at.provider(issuer.address, allowSignUp=True)
    response = await answered(at, issuer, provider_id, claims=claims)
    assert response.status_code == 302, response.text
    form = dict(part.split("=") for part in issuer.bodies["/token"].decode().split("&"))
    assert sorted(form) == ["code", "code_verifier", "grant_type", "redirect_uri"]


ID_TOKENS: dict[str, tuple[dict[str, Any], str]] = {
    "another nonce": ({"nonce": "n"}, "is of another sign-in: its `nonce` differs."),
    "no nonce": ({"nonce": None}, "is of another sign-in: its `nonce` differs."),
    "another client": ({"aud": "other"}, "is for somebody else."),
    "another party": ({"azp": "other"}, "is for somebody else."),
    "several audiences": ({"aud": ["crm", "other"]}, "is for somebody else."),
    "another issuer": ({"iss": "https://accounts.example.com"}, "is of another issuer."),
    "no issuer": ({"iss": None}, "is of another issuer."),
    "another access token": ({"at_hash": half("other")}, "belongs to another access token: its `at_hash` differs."),
    "an at_hash of nothing": ({"at_hash": ""}, "belongs to another access token: its `at_hash` differs."),
    "expired": ({"exp": 1_700_000_000}, "has expired: get a new one."),
    "no exp": ({"exp": None}, "has no valid `exp`."),
    "from the future": ({"iat": 4_000_000_000}, "is from the future: check the clocks."),
    "no iat": ({"iat": None}, "has no valid `iat`."),
    "no sub": ({"sub": None}, "has no valid `sub`."),
    "a sub of 300 letters": ({"sub": "s" * 300}, "has no valid `sub`."),
}


@pytest.mark.parametrize(("claims", "wanted"), ID_TOKENS.values(), ids=ID_TOKENS.keys())
async def test_an_id_token_that_is_wrong(at: Desk, issuer: Liar, claims: dict[str, Any], wanted: str) -> None:
    await at.provider(issuer.address, allowSignUp=True)
    await refused(at, issuer, (400, f"The ID token {wanted}"), claims=claims)


SIGNATURES: dict[str, tuple[dict[str, Any], str]] = {
    "a foreign key": ({"key": OTHER_RSA}, "is signed with a key that its issuer does not have."),
    "a foreign key under a known id": ({"key": OTHER_RSA, "kid": RSA.kid}, "is malformed, or its signature is wrong."),
    "an algorithm it does not name": ({"algorithm": "PS256"}, "is signed by an algorithm that is not accepted."),
    "an access token": ({"typ": "at+jwt"}, "is of another kind."),
}


@pytest.mark.parametrize(("how", "wanted"), SIGNATURES.values(), ids=SIGNATURES.keys())
async def test_an_id_token_with_another_signature(at: Desk, issuer: Liar, how: dict[str, Any], wanted: str) -> None:
    await at.provider(issuer.address, allowSignUp=True)
    await refused(
        at,
        issuer,
        (400, f"The ID token {wanted}"),
        token=lambda nonce: issuer.sign(identity(issuer, nonce), **{"typ": "JWT", **how}),
    )


TOKEN_ENDPOINTS: dict[str, tuple[Answer, tuple[int, str]]] = {
    "a used code": (
        Answer({"error": "invalid_grant"}, 400),
        (400, "The provider does not accept this code: it was used, or was not given for this sign-in."),
    ),
    "a wrong secret": (Answer({"error": "invalid_client"}, 401), UNBELIEVABLE),
    "no ID token": (Answer({"access_token": "a"}), UNBELIEVABLE),
    "a redirect": (Answer({}, 307, {"Location": "http://127.0.0.1:1/"}), UNBELIEVABLE),
    "a huge answer": (Answer({"id_token": "x" * 300_000}), UNBELIEVABLE),
    "a page": (Answer({}, 200, {"Content-Type": "text/html"}), UNBELIEVABLE),
    "an error": (Answer({}, 500), UNREACHABLE),
}


@pytest.mark.parametrize(("answer", "wanted"), TOKEN_ENDPOINTS.values(), ids=TOKEN_ENDPOINTS.keys())
async def test_a_token_endpoint_that_fails(at: Desk, issuer: Liar, answer: Answer, wanted: tuple[int, str]) -> None:
    await at.provider(issuer.address, allowSignUp=True)
    issuer.answers["/token"] = answer
    await refused(at, issuer, wanted)


async def test_a_token_endpoint_that_is_silent(at: Desk, issuer: Liar) -> None:
    await at.provider(issuer.address, allowSignUp=True)
    await at.issuers.metadata(issuer.address)
    at.issuers.fetcher._timeout_s = 0.2
    issuer.answers["/token"] = Answer(hangs=True)
    await refused(at, issuer, UNREACHABLE)


async def test_userinfo_of_somebody_else(at: Desk, issuer: Liar) -> None:
    issuer.metadata["userinfo_endpoint"] = f"{issuer.address}/me"
    await at.provider(issuer.address, allowSignUp=True)
    nothing = {"email": None, "email_verified": None, "name": None}
    issuer.answers["/me"] = Answer({"sub": "other", "email": "ada@new.example", "email_verified": True})
    await refused(at, issuer, (400, "The provider tells about another subject than it signed in."), claims=nothing)
    # What is verified is the address beside it, not one from the other document.
    issuer.answers["/me"] = Answer({"sub": "s", "email": "other@new.example", "email_verified": True})
    await refused(at, issuer, NOT_ADMITTED, claims={"email_verified": None})


ANSWERS: dict[str, tuple[dict[str, str], tuple[int, str]]] = {
    "another state": ({"state": "x"}, ANOTHER),
    "no state": ({"state": ""}, ANOTHER),
    "another issuer": ({"iss": "https://accounts.example.com"}, OTHER_PROVIDER),
    "no code": ({"code": ""}, (400, "This answer has no code: begin again.")),
    "a long code": ({"code": "c" * 3_000}, (400, "This answer has no code: begin again.")),
    "denied": ({"error": "access_denied"}, (403, "The provider did not sign you in.")),
    "an error": ({"error": "<script>", "error_description": "<script>"}, UNBELIEVABLE),
}


@pytest.mark.parametrize(("changes", "wanted"), ANSWERS.values(), ids=ANSWERS.keys())
async def test_an_answer_that_is_wrong(
    at: Desk, issuer: Liar, changes: dict[str, str], wanted: tuple[int, str]
) -> None:
    await at.provider(issuer.address, allowSignUp=True)
    await refused(at, issuer, wanted, parameters_changed=changes)
    assert issuer.asked["/token"] == 0


async def test_an_issuer_that_names_itself_must_do_so(at: Desk, issuer: Liar) -> None:
    issuer.metadata["authorization_response_iss_parameter_supported"] = True
    provider_id = await at.provider(issuer.address, allowSignUp=True)
    await refused(at, issuer, OTHER_PROVIDER)
    response = await answered(at, issuer, provider_id, parameters_changed={"iss": issuer.address})
    assert response.status_code == 302


async def test_a_mix_up_gives_a_code_to_nobody(at: Desk, issuer: Liar) -> None:
    """The attacker's own provider sends the victim on to the honest one; the code comes back, and must not go out."""
    async with liar() as evil:
        honest_id = await at.provider(issuer.address, allowSignUp=True)
        evil_id = await at.provider(evil.address, workspace="other", name="Evil", allowSignUp=True)
        before = await at.written()
        async with at.browser() as victim:
            asked = parameters(await start(victim, evil_id))
            given = {"code": "the victim's", "state": asked["state"]}
            assert told(await victim.get(f"/sso/{honest_id}/callback", params=given)) == ANOTHER
        async with at.browser() as victim:
            asked = parameters(await start(victim, evil_id))
            given = {"code": "the victim's", "state": asked["state"], "iss": issuer.address}
            assert told(await victim.get(f"/sso/{evil_id}/callback", params=given)) == OTHER_PROVIDER
        assert (evil.asked["/token"], issuer.asked["/token"]) == (0, 0)
        assert await at.written() == before


async def test_a_provider_cannot_speak_for_another(at: Desk, issuer: Liar) -> None:
    """Tokens that name the honest issuer, from the attacker's endpoint, under keys of either."""
    async with liar() as evil:
        evil_id = await at.provider(evil.address, workspace="other", name="Evil", allowSignUp=True)
        for key in (RSA, OTHER_RSA):
            evil.publish(key)
            at.issuers._known.clear()
            await refused(
                at,
                evil,
                (400, "The ID token is of another issuer."),
                provider_id=evil_id,
                token=lambda nonce, key=key: issuer.sign(identity(issuer, nonce), key, typ="JWT"),
            )


async def test_a_cookie_that_is_old_or_not_ours(at: Desk, issuer: Liar, monkeypatch: pytest.MonkeyPatch) -> None:
    provider_id = await at.provider(issuer.address, allowSignUp=True)
    async with at.browser() as browser:
        given = {"code": "c", **parameters(await start(browser, provider_id))}
        cookie = browser.cookies["crm_sso"]
        for value in ("", "x", cookie[:-8] + "AAAAAAA=", "%C3%A9", "A" * 5_000):
            async with at.browser() as other:
                headers = {"cookie": f"crm_sso={value}"}
                response = await other.get(f"/sso/{provider_id}/callback", params=given, headers=headers)
                assert told(response) == (400, BEGIN)
        monkeypatch.setattr("crm_graph.api.sign_on.sso.LIFETIME", timedelta(seconds=-1))
        assert told(await browser.get(f"/sso/{provider_id}/callback", params=given)) == (400, BEGIN)
    assert issuer.asked["/token"] == 0


ALLOWED = (
    "/oauth/authorize",
    "/oauth/authorize?client_id=a&redirect_uri=https%3A%2F%2Fapp.example%2F&scope=a+b",
    "/oauth/",
)
ELSEWHERE = (
    "",
    "/",
    "/graphql",
    "/oauth",
    "//evil.example/oauth/",
    "/\\evil.example",
    "https://evil.example/oauth/",
    "/oauth/../graphql",
    "/oauth/%2e%2e/graphql",
    "/oauth/%252e%252e/graphql",
    "/oauth//evil.example",
    "/oauth/%2f%2fevil.example",
    "/oauth/%5cevil",
    "/oauth/a\r\nSet-Cookie: a=b",
    "/oauth/a?b=\r\nx",
    "/oauth/%0d%0aSet-Cookie",
    "/oauth/\u0000",
    "/oauth/é",
    "/oauth/a#b",
    "/oauth/" + "a" * 2_000,
    "javascript:alert(1)//oauth/",
)


def test_where_a_sign_in_may_lead() -> None:
    assert [to for to in ALLOWED if not is_allowed(to)] == []
    assert [to for to in ELSEWHERE if is_allowed(to)] == []


async def test_how_a_sign_in_begins(at: Desk, issuer: Liar) -> None:
    provider_id = await at.provider(issuer.address)
    nothing = (404, "There is no such provider.")
    async with at.browser() as browser:
        for id_ in ("x", "idp_x", provider_id.replace("idp", "cus"), "idp_" + "0" * 32):
            assert told(await browser.get(f"/sso/{id_}/start", params={"continue": "/oauth/a"})) == nothing
        for to in ("https://evil.example/", ""):
            response = await browser.get(f"/sso/{provider_id}/start", params={"continue": to})
            assert told(response) == (400, "`continue` must be a path under /oauth/.")
        assert "crm_sso" not in browser.cookies
        await at.update(provider_id, enabled=False)
        assert told(await browser.get(f"/sso/{provider_id}/start", params={"continue": "/oauth/a"})) == nothing
        await at.update(provider_id, enabled=True)
        issuer.answers["/jwks"] = Answer({}, 500)
        assert told(await browser.get(f"/sso/{provider_id}/start", params={"continue": "/oauth/a"})) == UNREACHABLE


async def test_the_host_header_is_no_way_out(at: Desk, issuer: Liar) -> None:
    provider_id = await at.provider(issuer.address)
    async with at.browser() as browser:
        for host in ("evil.example/x", "a b", "a\x00", "user@evil.example"):
            response = await browser.get(
                f"/sso/{provider_id}/start", params={"continue": "/oauth/a"}, headers={"host": host}
            )
            assert response.status_code == 400, host
        response = await browser.get(f"{BASE}/sso/{provider_id}/start", params={"continue": "/oauth/a"})
        assert "Secure" not in response.headers["set-cookie"], "http on loopback"
        response = await browser.get(
            f"/sso/{provider_id}/start", params={"continue": "/oauth/a"}, headers={"host": "crm.example"}
        )
        assert "Secure" in response.headers["set-cookie"]
