"""Devices without a browser: they wait, their member answers, they get in."""

from __future__ import annotations

import json
from typing import Any

import pytest

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


COMMAND_LINES = ("crm-graph-cli", "crm-graph-cli@demo", "crm-graph-cli@other", "crm-graph-cli@nowhere")


class CommandLine(Registered):
    """The command line, which is registered nowhere: it has a name, and asks for a workspace at most."""

    __slots__ = ()

    def credentials(self) -> dict[str, str]:
        return {"client_id": self.id}


def command_line(name: str = "crm-graph-cli") -> Registered:
    return CommandLine(name, "", None)


async def written(site: Site) -> dict[str, str]:
    """Return a digest of each table that holds rows of workspaces."""
    tables = await site.graph.rows(
        "SELECT table_name FROM information_schema.columns WHERE table_schema = 'public'"
        " AND column_name = 'workspace_id' AND is_nullable = 'NO' ORDER BY 1"
    )
    digest = "SELECT md5(coalesce(string_agg(t::text, '|' ORDER BY t::text), '')) FROM {} t"
    return {row[0]: await site.graph.value(digest.format(row[0])) for row in tables}


def masked(text: str, *secrets: str) -> str:
    for number, secret in enumerate(secrets):
        text = text.replace(secret, f"<{number}>")
    return text


async def test_the_command_line_learns_and_writes_nothing_before_somebody_answers(site: Site) -> None:
    """Whether there is a workspace of the name, whether the command line was let in there before: answered alike, and
    not a row of any workspace is written."""
    await site.sign_in()
    device = await start(site, command_line())
    assert "your device is connected" in await answer(site, device, "allow")
    site.http.cookies.clear()
    before, sent, answers = await written(site), [], []
    for name in COMMAND_LINES:
        site.graph.database.one.sent.clear()
        fields = {"scope": "crm openid", "client_id": name}
        found = await site.post("device_authorization", fields)
        device = found.json()
        page = await site.http.get("/oauth/device", params={"user_code": device["user_code"], "workspace": "demo"})
        asked = await poll(site, command_line(name), device)
        told = [found.status_code, found.text, page.status_code, page.text, asked, sorted(found.headers)]
        text = masked(json.dumps(told), device["user_code"], device["device_code"], hidden(page)["form_token"])
        answers.append(text.replace(f"device?workspace={name.partition('@')[2]}", "device").replace("&user", "?user"))
        sent.append(list(site.graph.database.one.sent))
    assert all(each == answers[0] for each in answers)
    assert all(each == sent[0] for each in sent)
    assert await written(site) == before
    for method in (site.http.get, site.http.post):
        pages = [(await method("/oauth/authorize", params={"client_id": name})).text for name in COMMAND_LINES]
        assert all(each == pages[0] for each in pages)


@pytest.mark.parametrize("name", ["crm-graph-cli", "crm-graph-cli@demo"])
async def test_the_command_line_has_a_client_where_it_was_let_in(site: Site, name: str) -> None:
    claims = await site.sign_in()
    for turn in range(2):
        device = await start(site, command_line(name))
        made = "SELECT kind, first_party, redirect_uris, workspace_id FROM api_client WHERE name = 'crm-graph-cli'"
        assert len(await site.graph.rows(made)) == turn, "not before somebody answers"
        assert (await poll(site, command_line(name), device))["error"] == "authorization_pending"
        assert "your device is connected" in await answer(site, device, "allow")
        body = await poll(site, command_line(name), device)
        assert "data" in await site.ask(body["access_token"])
        assert [tuple(row) for row in await site.graph.rows(made)] == [("PUBLIC", True, [], claims.workspace_id)]
        fields = {"grant_type": "refresh_token", "refresh_token": body["refresh_token"], "client_id": name}
        again = (await site.post("token", fields)).json()
        assert "data" in await site.ask(again["access_token"])
        elsewhere = {**fields, "refresh_token": again["refresh_token"], "client_id": "crm-graph-cli@other"}
        assert (await site.post("token", elsewhere)).json()["error"] == "invalid_grant"
        over = await site.post("revoke", {"token": again["refresh_token"], "client_id": name})
        assert over.status_code == 200
        (error,) = (await site.ask(again["access_token"]))["errors"]
        assert error["extensions"]["code"] == "UNAUTHENTICATED"
    events = await site.graph.rows(
        "SELECT type, actor FROM event WHERE type IN ('ApiClientCreated', 'DeviceAnswered') ORDER BY seq"
    )
    assert [tuple(row) for row in events] == [
        (type_, claims.member_id) for type_ in ("ApiClientCreated", "DeviceAnswered", "DeviceAnswered")
    ]


async def test_a_command_line_that_asks_for_a_workspace_waits_for_its_members_alone(site: Site) -> None:
    device = await start(site, command_line("crm-graph-cli@other"))
    assert device["verification_uri"] == f"{ISSUER}/oauth/device?workspace=other"
    await site.sign_in()
    form = await site.http.get("/oauth/device")
    assert (await site.submit(form, user_code=device["user_code"])).status_code == 404
    other = await site.sign_in(workspace="other")
    await answer(site, device, "allow")
    assert (await poll(site, command_line(), device))["error"] == "invalid_request", "that is another name"
    body = await poll(site, command_line("crm-graph-cli@other"), device)
    claims = await site.graph.engine.authenticator.authenticate(f"Bearer {body['access_token']}")
    assert (claims.workspace_id, claims.member_id) == (other.workspace_id, other.member_id)


async def test_a_command_line_that_was_refused_has_no_client(site: Site) -> None:
    await site.sign_in()
    before = await written(site)
    device = await start(site, command_line())
    assert "was not connected" in await answer(site, device, "deny")
    assert (await poll(site, command_line(), device))["error"] == "access_denied"
    after = await written(site)
    # The browser by which a member answered was used, which its row says.
    assert {name for name in after if after[name] != before[name]} == {"event", "member_session"}
    await site.sign_in(workspace="other")
    form = await site.http.get("/oauth/device")
    assert (await site.submit(form, user_code=device["user_code"])).status_code == 404, "it has its answer"


async def test_an_app_of_another_kind_is_not_the_command_line(site: Site) -> None:
    """The attack: what calls itself so, and a client whose name a workspace has given to its own."""
    await site.sign_in()
    await site.client(name="crm-graph-cli")
    device = await start(site, command_line())
    form = await site.http.get("/oauth/device")
    asked = await site.submit(form, user_code=device["user_code"])
    assert (await site.submit(asked, decision="allow")).status_code == 404
    assert (await poll(site, command_line(), device))["error"] == "authorization_pending"
    app = await site.client(kind="PUBLIC", name="Another")
    tokens = await site.tokens(app, scope="crm offline_access")
    fields = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"], "client_id": "crm-graph-cli"}
    assert (await site.post("token", fields)).json()["error"] == "invalid_grant"
    assert "access_token" in (await site.refresh(app, tokens["refresh_token"])).json()


async def test_a_name_that_is_too_long_is_no_client(site: Site) -> None:
    found = await site.post("device_authorization", {"client_id": f"crm-graph-cli@{'x' * 200}"})
    assert found.json()["error"] == "invalid_client"
