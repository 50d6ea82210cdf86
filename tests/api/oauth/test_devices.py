"""Devices without a browser: they wait, their member answers, they get in."""

from __future__ import annotations

from typing import Any

from tests.api.oauth.site import ISSUER, Registered, Site, hidden

GRANT = "urn:ietf:params:oauth:grant-type:device_code"


async def start(site: Site, client: Registered, scope: str = "crm openid") -> dict[str, Any]:
    """Return what a device is told."""
    found = await site.post("device_authorization", {"scope": scope, **client.credentials()})
    assert found.status_code == 200, found.text
    body: dict[str, Any] = found.json()
    return body


async def poll(site: Site, client: Registered, device: dict[str, Any]) -> dict[str, Any]:
    """Ask once, after the time that the server wants between two questions."""
    await site.graph.rows("UPDATE device_code SET polled_at = polled_at - interval '1 hour'")
    fields = {"grant_type": GRANT, "device_code": device["device_code"], **client.credentials()}
    body: dict[str, Any] = (await site.post("token", fields)).json()
    return body


async def answer(site: Site, device: dict[str, Any], decision: str) -> str:
    """Let the signed-in member answer; return what they are told."""
    form = await site.http.get("/oauth/device", params={"user_code": device["user_code"]})
    asked = await site.submit(form, user_code=device["user_code"])
    assert device["user_code"] in asked.text
    return (await site.submit(asked, decision=decision)).text


async def test_a_device_gets_in(site: Site) -> None:
    await site.sign_in()
    client = await site.client(kind="PUBLIC", redirect_uris=(), name="Wall display")
    device = await start(site, client)
    assert (device["interval"], device["expires_in"]) == (5, 600)
    assert device["verification_uri"] == f"{ISSUER}/oauth/device"
    assert device["verification_uri_complete"] == f"{ISSUER}/oauth/device?user_code={device['user_code']}"
    assert (await poll(site, client, device))["error"] == "authorization_pending"
    assert "your device is connected" in await answer(site, device, "allow")
    body = await poll(site, client, device)
    assert (body["scope"], "id_token" in body, "refresh_token" in body) == ("crm openid", True, True)
    assert "data" in await site.ask(body["access_token"])
    assert "access_token" not in await poll(site, client, device), "the code was used"
    methods = await site.graph.rows("SELECT method FROM member_session WHERE kind = 'TOKENS'")
    assert [row["method"] for row in methods] == ["DEVICE"]


async def test_a_device_that_was_refused(site: Site) -> None:
    await site.sign_in()
    client = await site.client(kind="PUBLIC")
    device = await start(site, client)
    assert "was not connected" in await answer(site, device, "deny")
    assert (await poll(site, client, device))["error"] == "access_denied"


async def test_impatience_makes_a_device_wait_longer(site: Site) -> None:
    client = await site.client(kind="PUBLIC")
    device = await start(site, client)
    fields = {"grant_type": GRANT, "device_code": device["device_code"], **client.credentials()}
    errors = [(await site.post("token", fields)).json()["error"] for _ in range(3)]
    assert errors == ["authorization_pending", "slow_down", "slow_down"]
    assert await site.graph.value("SELECT interval_seconds FROM device_code") == 15


async def test_a_device_does_not_wait_for_ever(site: Site) -> None:
    await site.sign_in()
    client = await site.client(kind="PUBLIC")
    device = await start(site, client)
    await site.graph.rows("UPDATE device_code SET expires_at = now() - interval '1 second'")
    assert (await poll(site, client, device))["error"] == "expired_token"
    form = await site.http.get("/oauth/device")
    found = await site.submit(form, user_code=device["user_code"])
    assert (found.status_code, "No device waits" in found.text) == (404, True)


async def test_a_device_code_is_its_clients_own(site: Site) -> None:
    await site.sign_in()
    client, other = await site.client(kind="PUBLIC"), await site.client(kind="PUBLIC")
    device = await start(site, client)
    await answer(site, device, "allow")
    assert (await poll(site, other, device))["error"] == "unauthorized_client"
    foreign = await site.client(kind="PUBLIC", workspace="other")
    assert (await poll(site, foreign, device))["error"] == "invalid_request"
    confidential = await site.client()
    bare = await site.post("device_authorization", {"client_id": confidential.client_id})
    assert (bare.status_code, bare.json()["error"]) == (401, "invalid_client")
    wrong = await site.post("device_authorization", {"scope": "admin", **client.credentials()})
    assert wrong.json()["error"] == "invalid_scope"
    assert "access_token" in await poll(site, client, device)


async def test_only_the_hash_of_a_device_code_is_kept(site: Site) -> None:
    device = await start(site, await site.client(kind="PUBLIC"))
    (row,) = await site.graph.rows("SELECT device_code::text FROM device_code")
    assert device["device_code"] not in row[0]


async def test_a_member_of_another_workspace_finds_no_device(site: Site) -> None:
    device = await start(site, await site.client(kind="PUBLIC"))
    await site.sign_in(workspace="other")
    form = await site.http.get("/oauth/device")
    assert (await site.submit(form, user_code=device["user_code"])).status_code == 404


async def test_guesses_at_user_codes_are_counted(site: Site) -> None:
    await site.sign_in()
    device = await start(site, await site.client(kind="PUBLIC"))
    form = await site.http.get("/oauth/device")
    limit = site.services.settings.attempts_per_account
    found = [(await site.submit(form, user_code="BCDF-GHJK")).status_code for _ in range(limit + 1)]
    assert found == [404] * limit + [429]
    assert (await site.submit(form, user_code=device["user_code"])).status_code == 429


async def test_a_user_code_may_be_typed_as_people_do(site: Site) -> None:
    await site.sign_in()
    device = await start(site, await site.client(kind="PUBLIC"))
    form = await site.http.get("/oauth/device")
    typed = device["user_code"].lower().replace("-", " ")
    assert (await site.submit(form, user_code=typed)).status_code == 200


async def test_a_link_alone_lets_nobody_in(site: Site) -> None:
    """The attack: a link with the code of the attacker's device, and a form that a foreign page posts."""
    device = await start(site, await site.client(kind="PUBLIC"))
    link = device["verification_uri_complete"].removeprefix(ISSUER)
    assert 'name="password"' in (await site.http.get(link)).text
    await site.sign_in()
    form = await site.http.get(link)
    posts: list[dict[str, str]] = [
        {"user_code": device["user_code"], "decision": "allow"},
        {"user_code": device["user_code"], "decision": "allow", "form_token": hidden(form)["form_token"]},
    ]
    for fields in posts:
        assert (await site.http.post("/oauth/device", data=fields)).status_code == 403
    assert await site.graph.value("SELECT approved FROM device_code") is None
    assert (await site.http.head(link)).status_code == 405


async def test_the_command_line_has_a_client_of_its_own(site: Site) -> None:
    asked = await site.post("device_authorization", {"client_id": "crm-graph-cli"})
    assert asked.json()["error"] == "invalid_client", "there are two workspaces"
    for _ in range(2):
        named = await site.post("device_authorization", {"client_id": "crm-graph-cli@demo"})
        assert named.status_code == 200
    made = await site.graph.rows("SELECT kind, first_party, redirect_uris FROM api_client WHERE name = 'crm-graph-cli'")
    assert [tuple(row) for row in made] == [("PUBLIC", True, [])]
