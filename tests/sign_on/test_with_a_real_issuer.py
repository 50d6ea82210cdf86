"""The whole way with a real issuer: its forms, its codes, its keys, and what of it becomes a member."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.issuers import AUDIENCE, RealIssuer
from tests.support.packages import needs_node
from tests.support.sign_on import BASE, Desk, parameters, start, told

pytestmark = needs_node
TO = "/oauth/authorize?client_id=x&scope=crm"
NOT_ADMITTED = (403, "Your account at this provider is not allowed in here: ask an administrator of the workspace.")
RULES = [
    {"claim": "groups", "operator": "CONTAINS", "value": "sales", "roles": ["sales_rep"]},
    {"claim": "groups", "operator": "CONTAINS", "value": "chiefs", "roles": ["admin"]},
]


async def prepare(at: Desk, oidc: RealIssuer, accounts: dict[str, Any], **values: Any) -> str:
    issuer = {key: values.pop(key) for key in ("algorithm", "method", "conform") if key in values}
    provider_id = await at.provider(oidc.address, **values)
    whole = {"algorithm": "RS256", "method": "client_secret_basic", "conform": True, **issuer}
    await oidc.configure(redirectUris=[f"{BASE}/sso/{provider_id}/callback"], accounts=accounts, **whole)
    return provider_id


def person(email: str, *groups: str, verified: Any = True, name: str = "Ada Byron") -> dict[str, Any]:
    return {"email": email, "email_verified": verified, "groups": list(groups), "name": name}


@pytest.mark.parametrize(
    "issuer",
    [
        {},
        {"algorithm": "PS256"},
        {"algorithm": "ES256", "conform": False},
        {"algorithm": "EdDSA", "method": "client_secret_post"},
    ],
    ids=["RS256", "PS256", "ES256, all in the ID token", "EdDSA, secret in the form"],
)
async def test_somebody_new_becomes_a_member(at: Desk, oidc_provider: RealIssuer, issuer: dict[str, Any]) -> None:
    provider_id = await prepare(at, oidc_provider, {"sub-1": person("Ada@New.example", "sales")}, rules=RULES, **issuer)
    async with at.browser() as browser:
        url = await start(browser, provider_id, TO)
        asked = parameters(url)
        assert {name: asked[name] for name in ("response_type", "client_id", "scope", "code_challenge_method")} == {
            "response_type": "code",
            "client_id": "crm",
            "scope": "openid email profile",
            "code_challenge_method": "S256",
        }
        assert asked["redirect_uri"] == f"{BASE}/sso/{provider_id}/callback"
        back = await oidc_provider.sign_in(url, "sub-1")
        assert parameters(back)["iss"] == oidc_provider.address
        response = await browser.get(back)
        assert (response.status_code, response.headers["location"]) == (302, TO), response.text
        cookies = response.headers.get_list("set-cookie")
        assert [each.partition("=")[0] for each in cookies] == ["crm_signed_in", "crm_sso"]
        assert "HttpOnly" in cookies[0]
        assert "SameSite=lax" in cookies[0]
        assert "Path=/oauth" in cookies[0]
        assert "crm_sso" not in browser.cookies
        signed_in = await at.signed_in(browser)
        assert signed_in is not None
    member = await at.graph.rows("SELECT name, email, status FROM member WHERE id = $1", signed_in.member_id)
    assert member == [("Ada Byron", "ada@new.example", "ACTIVE")]
    roles = await at.graph.rows("SELECT role FROM member_role WHERE member_id = $1", signed_in.member_id)
    assert roles == [("sales_rep",)]
    events = await at.graph.rows("SELECT type, actor FROM event ORDER BY seq DESC LIMIT 5")
    assert events == [
        (type_, signed_in.member_id)
        for type_ in ("SignedIn", "MemberSignedInWithProvider", "IdentityLinked", "MemberProvisioned", "MemberCreated")
    ]


async def sign_in(at: Desk, oidc: RealIssuer, provider_id: str, account: str) -> Any:
    """Return the answer, and as whom the browser is signed in after it."""
    async with at.browser() as browser:
        response = await browser.get(await oidc.sign_in(await start(browser, provider_id), account))
        return response, await at.signed_in(browser)


async def test_a_subject_is_the_same_member_whatever_its_address(at: Desk, oidc_provider: RealIssuer) -> None:
    provider_id = await prepare(at, oidc_provider, {"s": person("ada@new.example")}, allowSignUp=True)
    _, first = await sign_in(at, oidc_provider, provider_id, "s")
    await oidc_provider.configure(accounts={"s": person(await at.email("admin"), name="Somebody else")})
    _, second = await sign_in(at, oidc_provider, provider_id, "s")
    assert (first.member_id, first.workspace_id) == (second.member_id, second.workspace_id)
    member = await at.graph.rows("SELECT name, email FROM member WHERE id = $1", first.member_id)
    assert member == [("Ada Byron", "ada@new.example")]


async def test_roles_follow_the_claims_where_that_is_asked_for(at: Desk, oidc_provider: RealIssuer) -> None:
    accounts = {"s": person("ada@new.example", "sales")}
    provider_id = await prepare(at, oidc_provider, accounts, rules=RULES, defaultRoles=["analyst"], syncRoles=True)

    async def roles(*groups: str) -> list[str] | tuple[int, str]:
        await oidc_provider.configure(accounts={"s": person("ada@new.example", *groups)})
        response, signed_in = await sign_in(at, oidc_provider, provider_id, "s")
        if signed_in is None:
            return told(response)
        query = "SELECT role FROM member_role WHERE member_id = $1 ORDER BY role"
        return [row[0] for row in await at.graph.rows(query, signed_in.member_id)]

    assert await roles("sales") == ["analyst", "sales_rep"]
    assert await roles("chiefs") == ["admin", "analyst"]
    assert await roles("sales", "chiefs") == ["admin", "analyst", "sales_rep"]
    assert await roles("sales") == ["analyst", "sales_rep"]
    before = await at.written()
    assert await roles() == NOT_ADMITTED
    assert await at.written() == before


async def test_keys_that_rotate(at: Desk, oidc_provider: RealIssuer) -> None:
    provider_id = await prepare(at, oidc_provider, {"s": person("ada@new.example")}, allowSignUp=True)
    assert (await sign_in(at, oidc_provider, provider_id, "s"))[1] is not None
    await oidc_provider.rotate()
    response, signed_in = await sign_in(at, oidc_provider, provider_id, "s")
    assert signed_in is None
    assert told(response) == (400, "The ID token is signed with a key that its issuer does not have.")
    at.issuers._cool_down *= 0
    assert (await sign_in(at, oidc_provider, provider_id, "s"))[1] is not None


async def test_an_answer_is_good_once_and_in_its_own_browser(at: Desk, oidc_provider: RealIssuer) -> None:
    provider_id = await prepare(at, oidc_provider, {"s": person("ada@new.example")}, allowSignUp=True)
    async with at.browser() as browser, at.browser() as thief, at.browser() as attacker:
        back = await oidc_provider.sign_in(await start(browser, provider_id), "s")
        kept = browser.cookies["crm_sso"]
        before = await at.written()
        none = (400, "This browser has begun no sign-in, or too long ago: begin again.")
        assert told(await thief.get(back)) == none
        # An attacker's own sign-in, with the victim's code put into the answer: the code is bound to another verifier.
        own = parameters(await start(attacker, provider_id))["state"]
        stolen = {"code": parameters(back)["code"], "state": own, "iss": oidc_provider.address}
        response = await attacker.get(f"/sso/{provider_id}/callback", params=stolen)
        assert told(response) == (
            400,
            "The provider does not accept this code: it was used, or was not given for this sign-in.",
        )
        assert await at.signed_in(attacker) is None
        assert await at.written() == before
        # oidc-provider revokes a code that was tried with a wrong verifier, or not: a fresh one decides the rest.
        back = await oidc_provider.sign_in(await start(browser, provider_id), "s")
        kept = browser.cookies["crm_sso"]
        assert (await browser.get(back)).status_code == 302
        assert told(await browser.get(back)) == none
        browser.cookies.set("crm_sso", kept, domain="127.0.0.1", path="/sso")
        after = await at.written()
        assert told(await browser.get(back)) == (400, "This sign-in has been answered already: begin again.")
        assert await at.written() == after


async def test_a_program_s_token_of_a_real_issuer(at: Desk, oidc_provider: RealIssuer) -> None:
    accepting = {"acceptTokens": True, "audiences": [AUDIENCE]}
    provider_id = await prepare(at, oidc_provider, {}, **accepting)
    member = await at.graph.value(
        "SELECT id FROM member JOIN member_role ON member_id = id WHERE role = 'analyst' LIMIT 1"
    )
    await at.link(provider_id, "machine", f"mem_{member}")
    for scope, read_only in (("", False), ("crm", False), ("crm.read", True), ("crm crm.read", False)):
        claims = await at.authenticator.authenticate(f"Bearer {await oidc_provider.machine_token(scope)}")
        data = await at.graph.data("{ viewer { roles member { id } } }", claims=claims)
        assert data == {"viewer": {"roles": ["analyst"], "member": {"id": f"mem_{member}"}}}
        viewer = await at.authenticator.viewer(claims, at.graph.database.primary_reader())
        assert viewer.read_only is read_only
