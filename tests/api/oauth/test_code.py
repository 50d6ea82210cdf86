"""The authorization code flow: what it gives, and the attacks on codes that it refuses."""

from __future__ import annotations

import pytest
from authlib.oidc.core.util import create_half_hash
from joserfc import jwt
from joserfc.jwk import KeySet

from crm_graph.identity.keys import REGISTRY
from tests.api.oauth.site import CALLBACK, ISSUER, Pkce, Site, redirected


async def test_a_code_becomes_tokens_that_work(site: Site) -> None:
    member = await site.sign_in(ago_s=100)
    client = await site.client()
    pkce = Pkce()
    page = await site.authorize(client, pkce, scope="crm openid profile", nonce="n-1")
    assert page.status_code == 200
    back = redirected(await site.submit(page, decision="allow"))
    assert (back["state"], back["iss"]) == ("state of the client", ISSUER)
    answer = await site.redeem(client, back["code"], pkce)
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    body = answer.json()
    assert (body["token_type"], body["expires_in"], body["scope"]) == ("Bearer", 600, "crm openid profile")
    name = await site.graph.value("SELECT name FROM member WHERE id = $1", member.member_id)
    assert await site.ask(body["access_token"]) == {"data": {"viewer": {"member": {"name": name}}}}

    keys = KeySet.import_key_set((await site.http.get("/oauth/jwks")).json())
    token = jwt.decode(body["id_token"], keys, algorithms=["RS256"])
    claims = token.claims
    assert (claims["iss"], claims["aud"], claims["azp"]) == (ISSUER, [client.client_id], client.client_id)
    assert (claims["sub"], claims["nonce"], claims["name"]) == (member.member_id, "n-1", name)
    assert "email" not in claims
    assert claims["at_hash"] == create_half_hash(body["access_token"], "RS256").decode()
    assert 100 <= claims["iat"] - claims["auth_time"] < 160
    access = jwt.decode(body["access_token"], keys, registry=REGISTRY)
    assert access.claims["iss"] == ISSUER
    assert (access.header["typ"], access.claims["azp"], access.claims["scope"]) == (
        "at+jwt",
        client.id,
        "crm openid profile",
    )


async def test_an_id_token_is_no_access_token(site: Site) -> None:
    await site.sign_in()
    body = await site.tokens(await site.client())
    found = await site.http.get("/oauth/userinfo", headers={"Authorization": f"Bearer {body['id_token']}"})
    assert (found.status_code, found.json()["error"]) == (401, "invalid_token")


async def test_state_comes_back_as_it_was_given(site: Site) -> None:
    await site.sign_in()
    client = await site.client(first_party=True)
    state = "a b&c=d+e%20\u4e2d\u6587\"'<script>"
    assert redirected(await site.authorize(client, Pkce(), state=state))["state"] == state
    assert "state" not in redirected(await site.authorize(client, Pkce(), state=None))


async def test_only_the_hash_of_a_code_is_kept(site: Site) -> None:
    await site.sign_in()
    code = await site.code(await site.client(first_party=True), Pkce())
    (row,) = await site.graph.rows("SELECT authorization_code::text FROM authorization_code")
    assert code not in row[0]


async def test_a_code_is_good_once_and_its_second_use_ends_the_session(site: Site) -> None:
    await site.sign_in()
    client, pkce = await site.client(), Pkce()
    code = await site.code(client, pkce)
    first = (await site.redeem(client, code, pkce)).json()
    again = await site.redeem(client, code, pkce)
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
    assert "data" not in await site.ask(first["access_token"])
    refreshed = await site.refresh(client, first["refresh_token"])
    assert refreshed.json() == {"error": "invalid_grant"}
    events = await site.graph.rows("SELECT type FROM event WHERE type = 'AuthorizationCodeReused'")
    assert len(events) == 1


async def test_a_code_is_over_after_a_minute(site: Site) -> None:
    await site.sign_in()
    client, pkce = await site.client(), Pkce()
    code = await site.code(client, pkce)
    await site.graph.rows("UPDATE authorization_code SET expires_at = expires_at - interval '60 seconds'")
    assert (await site.redeem(client, code, pkce)).json()["error"] == "invalid_grant"


async def test_a_code_of_another_client_is_nothing_and_stays_good(site: Site) -> None:
    await site.sign_in()
    client, other, pkce = await site.client(), await site.client(), Pkce()
    foreign = await site.client(workspace="other")
    code = await site.code(client, pkce)
    for thief in (other, foreign):
        found = await site.redeem(thief, code, pkce)
        assert (found.status_code, found.json()["error"]) == (400, "invalid_grant")
    assert (await site.redeem(client, code, pkce)).status_code == 200


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"code": None}, "invalid_request"),
        ({"code": "made-up"}, "invalid_grant"),
        ({"redirect_uri": None}, "invalid_grant"),
        ({"redirect_uri": CALLBACK + "/"}, "invalid_grant"),
        ({"code_verifier": None}, "invalid_request"),
        ({"code_verifier": "x" * 43}, "invalid_grant"),
        ({"code_verifier": "short"}, "invalid_request"),
    ],
)
async def test_a_code_is_bound(site: Site, changes: dict[str, str | None], error: str) -> None:
    await site.sign_in()
    client, pkce = await site.client(), Pkce()
    code = await site.code(client, pkce)
    found = await site.redeem(client, code, pkce, **changes)
    assert (found.status_code, found.json()["error"]) == (400, error)
    assert await site.graph.value("SELECT count(*) FROM member_session WHERE kind = 'TOKENS'") == 0


async def test_the_challenge_itself_is_no_verifier(site: Site) -> None:
    """The downgrade to `plain`: whoever read the request knows the challenge."""
    await site.sign_in()
    client, pkce = await site.client(), Pkce()
    code = await site.code(client, pkce)
    found = await site.redeem(client, code, pkce, code_verifier=pkce.challenge)
    assert found.json()["error"] == "invalid_grant"


@pytest.mark.parametrize(
    "changes",
    [
        {"code_challenge": None},
        {"code_challenge": None, "code_challenge_method": None},
        {"code_challenge_method": None},
        {"code_challenge_method": "plain"},
        {"code_challenge_method": "s256"},
        {"code_challenge": "short"},
    ],
)
@pytest.mark.parametrize("kind", ["PUBLIC", "CONFIDENTIAL"])
async def test_there_is_no_request_without_a_challenge(site: Site, kind: str, changes: dict[str, str | None]) -> None:
    await site.sign_in()
    client = await site.client(kind=kind, first_party=True)
    back = redirected(await site.authorize(client, Pkce(), **changes))
    assert (back["error"], back["state"], back["iss"]) == ("invalid_request", "state of the client", ISSUER)
    assert "code" not in back


async def test_a_nonce_is_taken_once(site: Site) -> None:
    await site.sign_in()
    client = await site.client(first_party=True)
    assert "code" in redirected(await site.authorize(client, Pkce(), nonce="n-1"))
    assert redirected(await site.authorize(client, Pkce(), nonce="n-1"))["error"] == "invalid_request"
    other = await site.client(first_party=True)
    assert "code" in redirected(await site.authorize(other, Pkce(), nonce="n-1"))
    assert "code" in redirected(await site.authorize(client, Pkce(), nonce=None)), "the code flow needs none"


async def test_a_public_client_gets_refresh_tokens_and_no_secret_helps_it(site: Site) -> None:
    await site.sign_in()
    public = await site.client(kind="PUBLIC")
    first = await site.tokens(public)
    assert (await site.refresh(public, first["refresh_token"])).status_code == 200
    key = await site.key(public.workspace_id, public.id)
    pkce = Pkce()
    code = await site.code(public, pkce)
    found = await site.redeem(public, code, pkce, client_secret=key)
    assert (found.status_code, found.json()["error"]) == (401, "invalid_client")


async def test_a_confidential_client_shows_its_secret(site: Site) -> None:
    await site.sign_in()
    client, other, pkce = await site.client(), await site.client(), Pkce()
    code = await site.code(client, pkce)
    for secret in (None, "wrong", other.secret):
        found = await site.redeem(client, code, pkce, client_secret=secret)
        assert (found.status_code, found.json()["error"]) == (401, "invalid_client"), secret
        assert found.headers["www-authenticate"].startswith("Basic")
    await site.graph.rows("UPDATE api_key SET revoked_at = now() WHERE client_id = $1", client.id)
    assert (await site.redeem(client, code, pkce)).status_code == 401


async def test_a_suspended_member_gets_nothing(site: Site) -> None:
    claims = await site.sign_in()
    client, pkce = await site.client(first_party=True), Pkce()
    code = await site.code(client, pkce)
    await site.graph.rows("UPDATE member SET status = 'SUSPENDED' WHERE id = $1", claims.member_id)
    assert (await site.redeem(client, code, pkce)).json()["error"] == "invalid_grant"
    assert 'name="password"' in (await site.authorize(client, pkce)).text
