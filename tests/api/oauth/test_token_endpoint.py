"""The token endpoint and its siblings: how they are asked, and who by."""

from __future__ import annotations

import base64

import pytest

from tests.api.oauth.site import Site

FORM_ENDPOINTS = ("token", "revoke", "introspect", "device_authorization")


def basic(name: str, secret: str) -> dict[str, str]:
    """Return the header of a client that authenticates by HTTP Basic."""
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{secret}".encode()).decode()}


@pytest.mark.parametrize("endpoint", FORM_ENDPOINTS)
async def test_forms_are_posted(site: Site, endpoint: str) -> None:
    client = await site.client(acts_as="sales_rep")
    query = {"grant_type": "client_credentials", **client.credentials()}
    for method in ("GET", "HEAD", "PUT", "DELETE"):
        found = await site.http.request(method, f"/oauth/{endpoint}", params=query)
        assert (found.status_code, set(found.headers["allow"].split(", "))) == (405, {"POST", "OPTIONS"})
    for media in ("application/json", "text/plain", "multipart/form-data; boundary=x", ""):
        content = await site.http.post(f"/oauth/{endpoint}", content=b"{}", headers={"Content-Type": media})
        assert (content.status_code, content.json()["error"]) == (400, "invalid_request"), media
    in_query = await site.http.post(f"/oauth/{endpoint}", params=query, data={"token": "x"})
    assert "access_token" not in in_query.text, "parameters of the query do not count"
    assert in_query.status_code in {400, 401}


@pytest.mark.parametrize("name", ["grant_type", "client_id", "client_secret", "code", "code_verifier", "scope", "x"])
async def test_a_repeated_parameter_is_refused(site: Site, name: str) -> None:
    client = await site.client(acts_as="sales_rep")
    fields = {"grant_type": "client_credentials", "code": "1", "code_verifier": "2", "scope": "crm", "x": "y"}
    body = "&".join(f"{key}={value}" for key, value in {**fields, **client.credentials()}.items())
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    found = await site.http.post("/oauth/token", content=f"{body}&{name}=again", headers=headers)
    assert (found.status_code, found.json()["error"]) == (400, "invalid_request")
    assert (await site.http.post("/oauth/token", content=body, headers=headers)).status_code == 200


async def test_huge_and_broken_bodies_are_refused(site: Site) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    for body, status in (
        (b"grant_type=" + b"x" * 20_000, 413),
        (b"&".join(b"p%d=1" % number for number in range(200)), 400),
        (b"grant_type=%ff%fe", 400),
        (b"grant_type=\xff\xfe", 400),
        (b"grant_type=a%00b", 400),
        (b"grant_type=a%22b", 400),
        (b"", 400),
        (b"=", 400),
    ):
        found = await site.http.post("/oauth/token", content=body, headers=headers)
        assert (found.status_code, found.json()["error"]) == (status, "invalid_request"), body[:40]


@pytest.mark.parametrize("grant_type", ["password", "implicit", "urn:ietf:params:oauth:grant-type:jwt-bearer", "x"])
async def test_there_are_no_other_grants(site: Site, grant_type: str) -> None:
    client = await site.client(acts_as="sales_rep")
    fields = {"grant_type": grant_type, "username": "a", "password": "b", **client.credentials()}
    found = await site.post("token", fields)
    assert (found.status_code, found.json()["error"]) == (400, "unsupported_grant_type")


async def test_client_credentials_act_as_the_service_member(site: Site) -> None:
    client = await site.client(acts_as="sales_rep")
    assert client.secret is not None
    fields = {"grant_type": "client_credentials"}
    posted = (await site.post("token", {**fields, **client.credentials()})).json()
    assert {"refresh_token", "id_token"} & posted.keys() == set()
    assert (posted["scope"], posted["token_type"]) == ("crm", "Bearer")
    by_header = await site.http.post("/oauth/token", data=fields, headers=basic(client.client_id, client.secret))
    member = await site.graph.claims("sales_rep")
    name = await site.graph.value("SELECT name FROM member WHERE id = $1", member.member_id)
    for body in (posted, by_header.json()):
        assert await site.ask(body["access_token"]) == {"data": {"viewer": {"member": {"name": name}}}}
    assert await site.graph.value("SELECT last_used_at IS NOT NULL FROM api_key WHERE client_id = $1", client.id)
    await site.graph.rows("UPDATE member SET status = 'SUSPENDED' WHERE id = $1", member.member_id)
    assert "data" not in await site.ask(posted["access_token"])
    assert (await site.post("token", {**fields, **client.credentials()})).json()["error"] == "invalid_client"


async def test_a_suspension_ends_client_credentials_for_good(site: Site) -> None:
    """And not the key, by which the client gets others once its member is back."""
    client = await site.client(acts_as="sales_rep")
    fields = {"grant_type": "client_credentials", **client.credentials()}
    token = (await site.post("token", fields)).json()["access_token"]
    assert "data" in await site.ask(token)
    member = {"id": f"mem_{(await site.graph.claims('sales_rep')).member_id}"}
    for name in ("suspendMember", "reactivateMember"):
        source = f"mutation ($id: ID!) {{ {name}(input: {{id: $id}}) {{ errors {{ code }} }} }}"
        assert (await site.graph.data(source, member))[name]["errors"] == []
    assert "data" not in await site.ask(token)
    await site.graph.rows(
        "UPDATE member SET not_before = not_before - interval '1 second'"
    )  # times of tokens are whole
    assert "data" in await site.ask((await site.post("token", fields)).json()["access_token"])


async def test_client_credentials_scopes(site: Site) -> None:
    client = await site.client(acts_as="sales_rep")
    fields = {"grant_type": "client_credentials", **client.credentials()}
    assert (await site.post("token", {**fields, "scope": "crm.read"})).json()["scope"] == "crm.read"
    for scope in ("openid", "crm email", "admin", "crm offline_access"):
        found = await site.post("token", {**fields, "scope": scope})
        assert (found.status_code, found.json()["error"]) == (400, "invalid_scope"), scope


async def test_who_gets_no_client_credentials(site: Site) -> None:
    without_member = await site.client()
    public = await site.client(kind="PUBLIC", acts_as="sales_rep")
    key = await site.key(public.workspace_id, public.id)
    fields = {"grant_type": "client_credentials"}
    found = await site.post("token", {**fields, **without_member.credentials()})
    assert (found.status_code, found.json()["error"]) == (400, "unauthorized_client")
    for credentials in (public.credentials(), {**public.credentials(), "client_secret": key}):
        found = await site.post("token", {**fields, **credentials})
        assert (found.status_code, found.json()["error"]) == (401, "invalid_client")


async def test_secrets_are_their_clients_own(site: Site) -> None:
    client, other = await site.client(acts_as="admin"), await site.client(acts_as="sales_rep")
    foreign = await site.client(acts_as="admin", workspace="other")
    fields = {"grant_type": "client_credentials"}
    for secret in (other.secret, foreign.secret, "", "crmk_", "x" * 200, "\u4e2d"):
        found = await site.post("token", {**fields, "client_id": client.client_id, "client_secret": secret or ""})
        assert found.json()["error"] in {"invalid_client", "invalid_request"}, secret
    assert client.secret is not None
    header = basic(client.client_id, client.secret)
    twice = await site.http.post("/oauth/token", data={**fields, **client.credentials()}, headers=header)
    assert (twice.status_code, twice.json()["error"]) == (400, "invalid_request")
    named = await site.http.post("/oauth/token", data={**fields, "client_id": other.client_id}, headers=header)
    assert (named.status_code, named.json()["error"]) == (401, "invalid_client")
    for broken in ("Basic", "Basic !!!", "Basic //79/A==", "Basic " + base64.b64encode(b"no colon").decode()):
        found = await site.http.post("/oauth/token", data=fields, headers={"Authorization": broken})
        assert (found.status_code, found.json()["error"]) == (401, "invalid_client"), broken


async def test_errors_leak_nothing(site: Site) -> None:
    client = await site.client(acts_as="sales_rep")
    assert client.secret is not None
    found = await site.post(
        "token", {"grant_type": "authorization_code", "code": "sec'ret", "redirect_uri": "x", **client.credentials()}
    )
    assert found.json().keys() <= {"error", "error_description"}
    assert client.secret not in found.text
    assert "sec'ret" not in found.text
    assert "SELECT" not in found.text


async def test_wrong_secrets_are_counted(site: Site) -> None:
    client = await site.client(acts_as="sales_rep")
    fields = {"grant_type": "client_credentials", "client_id": client.client_id, "client_secret": "wrong"}
    limit = site.services.settings.attempts_per_address
    found = [(await site.post("token", fields)).status_code for _ in range(limit + 1)]
    assert found == [401] * limit + [429]
    last = await site.post("token", fields)
    assert last.json()["error"] == "temporarily_unavailable"
    assert int(last.headers["retry-after"]) > 0
    assert (await site.post("token", {**fields, **client.credentials()})).status_code == 200, "the right one goes on"


async def test_a_browser_of_another_origin_may_ask(site: Site) -> None:
    preflight = await site.http.options("/oauth/userinfo", headers={"Origin": "https://app.example.com"})
    assert (preflight.status_code, preflight.headers["access-control-allow-origin"]) == (204, "*")
    assert "access-control-allow-credentials" not in preflight.headers
    for path in ("token", "authorize", "device"):
        found = await site.http.post(f"/oauth/{path}", data={"x": "y"})
        assert found.headers.get("access-control-allow-origin") == ("*" if path == "token" else None), path
