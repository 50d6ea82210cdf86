"""What members see of the apps that act for them, and how they take it back."""

from __future__ import annotations

from tests.api.oauth.site import Pkce, Site

APPS = "{ viewer { authorizedApps { clientId name firstParty scopes sessions consentedAt } } }"
REVOKE = """mutation Revoke($id: ID!) {
    revokeAuthorizedApp(input: {clientId: $id}) { clientId errors { code field } } }"""


async def test_a_member_sees_and_revokes_their_apps(site: Site) -> None:
    claims = await site.sign_in()
    client, own = await site.client(name="Shop"), await site.client(name="Front end", first_party=True)
    tokens = await site.tokens(client)
    await site.tokens(own, scope="crm")
    waiting = Pkce()
    code = await site.code(client, waiting)
    data = await site.graph.data(APPS, claims=claims)
    apps = data["viewer"]["authorizedApps"]
    assert [each.pop("consentedAt") is not None for each in apps] == [False, True]
    assert apps == [
        {"clientId": own.client_id, "name": "Front end", "firstParty": True, "scopes": ["crm"], "sessions": 1},
        {"clientId": client.client_id, "name": "Shop", "firstParty": False, "scopes": ["crm", "openid"], "sessions": 1},
    ]
    data = await site.graph.data(REVOKE, {"id": client.client_id}, claims=claims)
    assert data == {"revokeAuthorizedApp": {"clientId": client.client_id, "errors": []}}
    assert "data" not in await site.ask(tokens["access_token"])
    assert (await site.refresh(client, tokens["refresh_token"])).json()["error"] == "invalid_grant"
    assert (await site.redeem(client, code, waiting)).json()["error"] == "invalid_grant", (
        "a code on its way is dead too"
    )
    assert (await site.authorize(client, Pkce())).status_code == 200, "it has to ask again"
    data = await site.graph.data(APPS, claims=claims)
    assert [each["name"] for each in data["viewer"]["authorizedApps"]] == ["Front end"]


async def test_nobody_revokes_for_others(site: Site) -> None:
    await site.sign_in()
    client = await site.client()
    tokens = await site.tokens(client)
    manager = await site.graph.claims("sales_manager")
    other = await site.graph.claims("sales_rep", "other")
    for claims in (manager, other):
        data = await site.graph.data(REVOKE, {"id": client.client_id}, claims=claims)
        assert data["revokeAuthorizedApp"]["errors"] == [{"code": "NOT_FOUND", "field": ["clientId"]}]
        assert (await site.graph.data(APPS, claims=claims))["viewer"]["authorizedApps"] == []
    assert "data" in await site.ask(tokens["access_token"])


async def test_a_token_to_read_revokes_nothing(site: Site) -> None:
    await site.sign_in()
    client = await site.client()
    tokens = await site.tokens(client, scope="crm.read")
    source = REVOKE.replace("$id: ID!", f'$id: ID = "{client.client_id}"')
    found = await site.ask(tokens["access_token"], source)
    assert found["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    assert (
        await site.graph.value("SELECT count(*) FROM member_session WHERE revoked_at IS NULL AND kind = 'TOKENS'") == 1
    )


async def test_revoking_an_app_is_done_once(site: Site) -> None:
    """Under a key, a lost answer is answered again, and not that there is no such app."""
    claims = await site.sign_in()
    client = await site.client()
    await site.tokens(client)
    given = {"id": client.client_id}
    for _ in range(2):
        data = await site.graph.data(REVOKE, given, claims=claims, key="k")
        assert data == {"revokeAuthorizedApp": {"clientId": client.client_id, "errors": []}}
    data = await site.graph.data(REVOKE, given, claims=claims)
    assert data["revokeAuthorizedApp"]["errors"] == [{"code": "NOT_FOUND", "field": ["clientId"]}]
