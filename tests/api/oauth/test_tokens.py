"""Tokens after they were given: refreshed, revoked, introspected, shown to userinfo."""

from __future__ import annotations

import pytest

from tests.api.oauth.site import ISSUER, Site

OPPORTUNITY = 'mutation { createOpportunity(input: {name: "x"}) { opportunity { id } errors { code } } }'


async def test_a_refresh_token_is_good_once(site: Site) -> None:
    await site.sign_in()
    client = await site.client()
    first = await site.tokens(client)
    second = (await site.refresh(client, first["refresh_token"])).json()
    assert second["refresh_token"] != first["refresh_token"]
    assert second["scope"] == "crm openid"
    assert "data" in await site.ask(second["access_token"])
    repeated = await site.refresh(client, first["refresh_token"])
    assert repeated.json() == second, "the answer may have been lost"
    await site.graph.rows("UPDATE member_session SET last_used_at = last_used_at - interval '30 seconds'")
    reused = await site.refresh(client, first["refresh_token"])
    assert (reused.status_code, reused.json()["error"]) == (400, "invalid_grant")
    assert "data" not in await site.ask(second["access_token"]), "the session is over, whoever has the newer token"
    assert (await site.refresh(client, second["refresh_token"])).json()["error"] == "invalid_grant"


async def test_a_refresh_may_ask_for_less_and_never_for_more(site: Site) -> None:
    await site.sign_in()
    client = await site.client()
    first = await site.tokens(client, scope="crm openid email")
    less = (await site.refresh(client, first["refresh_token"], scope="crm.read")).json()
    assert less["error"] == "invalid_scope", "crm.read was not granted by its name"
    less = (await site.refresh(client, first["refresh_token"], scope="openid")).json()
    assert less["scope"] == "openid"
    assert (await site.ask(less["access_token"]))["data"]["viewer"]["member"] is None, "no scope of the API"
    more = await site.refresh(client, less["refresh_token"], scope="crm openid email profile")
    assert (more.status_code, more.json()["error"]) == (400, "invalid_scope")
    again = await site.refresh(client, less["refresh_token"])
    assert again.json()["scope"] == "crm email openid", "a refused request used nothing up"


async def test_read_scope_reads(site: Site) -> None:
    await site.sign_in()
    body = await site.tokens(await site.client(), scope="crm.read")
    assert "errors" not in await site.ask(body["access_token"], "{ opportunities(first: 1) { nodes { id } } }")
    written = await site.ask(body["access_token"], OPPORTUNITY)
    assert written["errors"][0]["extensions"]["code"] == "FORBIDDEN"


async def test_a_refresh_token_is_its_clients_own(site: Site) -> None:
    await site.sign_in()
    client = await site.client()
    others = (await site.client(), await site.client(kind="PUBLIC"), await site.client(workspace="other"))
    first = await site.tokens(client)
    for other in others:
        found = await site.refresh(other, first["refresh_token"])
        assert (found.status_code, found.json()["error"]) == (400, "invalid_grant")
    assert (await site.refresh(client, first["refresh_token"])).status_code == 200, "nothing happened to it"
    for text in ("crmr_forged", "x", first["refresh_token"][:-2] + "AA", first["access_token"]):
        assert (await site.refresh(client, text)).json()["error"] == "invalid_grant"
    missing = await site.post("token", {"grant_type": "refresh_token", **client.credentials()})
    assert missing.json()["error"] == "invalid_request"


@pytest.mark.parametrize("which", ["access_token", "refresh_token"])
@pytest.mark.parametrize("hint", [None, "access_token", "refresh_token"])
async def test_a_revoked_token_ends_its_session(site: Site, which: str, hint: str | None) -> None:
    await site.sign_in()
    client = await site.client()
    body = await site.tokens(client)
    fields = {"token": body[which], "token_type_hint": hint, **client.credentials()}
    assert (await site.post("revoke", fields)).status_code == 200
    assert "data" not in await site.ask(body["access_token"])
    assert (await site.refresh(client, body["refresh_token"])).json()["error"] == "invalid_grant"
    assert (await site.post("revoke", fields)).status_code == 200, "it is as it should be already"


async def test_whose_tokens_may_be_revoked(site: Site) -> None:
    await site.sign_in()
    client, other = await site.client(), await site.client(acts_as="sales_rep")
    body = await site.tokens(client)
    for which in ("access_token", "refresh_token"):
        found = await site.post("revoke", {"token": body[which], **other.credentials()})
        assert (found.status_code, found.json()["error"]) == (400, "invalid_grant")
        bare = await site.post("revoke", {"token": body[which], "client_id": client.client_id})
        assert (bare.status_code, bare.json()["error"]) == (401, "invalid_client")
    assert "data" in await site.ask(body["access_token"])
    assert (await site.post("revoke", {"token": "unknown", **client.credentials()})).status_code == 200
    assert (await site.post("revoke", client.credentials())).json()["error"] == "invalid_request"
    own = await site.post("token", {"grant_type": "client_credentials", **other.credentials()})
    found = await site.post("revoke", {"token": own.json()["access_token"], **other.credentials()})
    assert (found.status_code, found.json()["error"]) == (400, "unsupported_token_type")


async def test_a_confidential_client_asks_about_its_own_tokens(site: Site) -> None:
    claims = await site.sign_in()
    client, other, public = await site.client(), await site.client(), await site.client(kind="PUBLIC")
    body = await site.tokens(client)
    own = (await site.post("introspect", {"token": body["access_token"], **client.credentials()})).json()
    assert own["exp"] - own["iat"] == 600
    del own["exp"], own["iat"]
    assert own == {
        "active": True,
        "iss": ISSUER,
        "aud": "crm-graph",
        "sub": claims.member_id,
        "client_id": client.client_id,
        "scope": "crm openid",
        "token_type": "Bearer",
    }
    refresh = (await site.post("introspect", {"token": body["refresh_token"], **client.credentials()})).json()
    assert (refresh["active"], refresh["client_id"]) == (True, client.client_id)
    foreign = await site.client(workspace="other")
    for asker in (other, foreign):
        for token in (body["access_token"], body["refresh_token"], "unknown"):
            found = await site.post("introspect", {"token": token, **asker.credentials()})
            assert (found.status_code, found.json()) == (200, {"active": False})
    for credentials in (public.credentials(), {"client_id": client.client_id}, {}):
        found = await site.post("introspect", {"token": body["access_token"], **credentials})
        assert (found.status_code, found.json()["error"]) == (401, "invalid_client")
    of_public = await site.tokens(public)
    found = await site.post("introspect", {"token": of_public["access_token"], **client.credentials()})
    assert found.json() == {"active": False}


async def test_a_dead_token_is_inactive(site: Site) -> None:
    claims = await site.sign_in()
    client = await site.client()
    first = await site.tokens(client)
    second = (await site.refresh(client, first["refresh_token"])).json()
    asking = client.credentials()
    old = await site.post("introspect", {"token": first["refresh_token"], **asking})
    assert old.json() == {"active": False}
    await site.graph.rows("UPDATE member SET status = 'SUSPENDED' WHERE id = $1", claims.member_id)
    for token in (second["access_token"], second["refresh_token"]):
        assert (await site.post("introspect", {"token": token, **asking})).json() == {"active": False}


async def test_userinfo(site: Site) -> None:
    claims = await site.sign_in()
    client = await site.client()
    (row,) = await site.graph.rows("SELECT name, email FROM member WHERE id = $1", claims.member_id)
    for scope, wanted in (
        ("openid", {"sub": claims.member_id}),
        ("openid profile", {"sub": claims.member_id, "name": row["name"]}),
        ("openid email crm", {"sub": claims.member_id, "email": row["email"]}),
    ):
        token = (await site.tokens(client, scope=scope))["access_token"]
        for method in ("GET", "POST"):
            found = await site.http.request(method, "/oauth/userinfo", headers={"Authorization": f"Bearer {token}"})
            assert (found.status_code, found.json()) == (200, wanted)
    without = (await site.tokens(client, scope="crm"))["access_token"]
    refused = await site.http.get("/oauth/userinfo", headers={"Authorization": f"Bearer {without}"})
    assert (refused.status_code, refused.json()["error"]) == (403, "insufficient_scope")
    for header in ("", "Bearer", "Bearer x", "Basic eDp5", f"Bearer {without}x"):
        found = await site.http.get("/oauth/userinfo", headers={"Authorization": header})
        assert found.status_code == 401, header
    revoked = await site.tokens(client, scope="openid")
    await site.post("revoke", {"token": revoked["access_token"], **client.credentials()})
    headers = {"Authorization": f"Bearer {revoked['access_token']}"}
    assert (await site.http.get("/oauth/userinfo", headers=headers)).json()["error"] == "invalid_token"
