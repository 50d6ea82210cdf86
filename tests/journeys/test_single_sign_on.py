"""A company connects its own identity provider: over HTTP, with a real server, a real issuer and the command line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import plain
from tests.support.issuers import AUDIENCE, PRIVATE, SECRET, RealIssuer, real_issuer
from tests.support.packages import install_packages, needs_node
from tests.support.server import RunningServer, crm_graph, running_server
from tests.support.sign_on import CREATE, LINK, parameters, told

pytestmark = needs_node
VIEWER = "{ viewer { roles member { email } } }"


@pytest.fixture(scope="module")
def issuer() -> Iterator[RealIssuer]:
    install_packages()
    with real_issuer() as made:
        yield made


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    data: Path = tmp_path_factory.mktemp("sso") / "data"
    with running_server(data, "--no-demo", CRM_PROVIDER_PRIVATE=PRIVATE, CRM_PROVIDER_CACHE_MS="1") as running:
        yield running


async def graphql(server: RunningServer, query: str, variables: Any = None, token: str | None = None) -> Any:
    headers = {"Authorization": f"Bearer {token or server.token}"}
    async with plain.async_client() as client:
        response = await client.post(server.address, json={"query": query, "variables": variables}, headers=headers)
        return response.json()


async def test_a_company_connects_its_provider(server: RunningServer, issuer: RealIssuer) -> None:
    rule = {"claim": "groups", "operator": "CONTAINS", "value": "sales", "roles": ["sales_rep"]}
    given = {
        "name": "Acme",
        "issuer": issuer.address,
        "clientId": "crm",
        "clientSecret": SECRET,
        "rules": [rule],
        "acceptTokens": True,
        "audiences": [AUDIENCE],
    }
    created = (await graphql(server, CREATE, {"input": given}))["data"]["createIdentityProvider"]
    assert created["errors"] == []
    provider_id = created["identityProvider"]["id"]
    base = f"http://127.0.0.1:{server.port}"
    person = {"email": "ada@acme.example", "email_verified": True, "name": "Ada", "groups": ["sales"]}
    redirect = f"{base}/sso/{provider_id}/callback"
    await issuer.configure(redirectUris=[redirect], accounts={"ada": person})

    async with plain.async_client(base_url=base) as browser:
        response = await browser.get(f"/sso/{provider_id}/start", params={"continue": "/oauth/authorize?a=b"})
        assert response.status_code == 302, response.text
        assert parameters(response.headers["location"])["redirect_uri"] == redirect
        back = await issuer.sign_in(response.headers["location"], "ada")
        response = await browser.get(back)
        assert (response.status_code, response.headers["location"]) == (302, "/oauth/authorize?a=b"), response.text
        assert "crm_signed_in" in browser.cookies
        assert told(await browser.get(back))[0] == 400
        assert told(await browser.get("/sso/idp_x/start")) == (404, "There is no such provider.")

    member = (await graphql(server, '{ members(where: {email: {eq: "ada@acme.example"}}) { nodes { id name } } }'))[
        "data"
    ]
    (ada,) = member["members"]["nodes"]
    token = await issuer.machine_token()
    refused = await graphql(server, VIEWER, token=token)
    assert refused["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    assert "data" not in refused
    linked = {"providerId": provider_id, "subject": "machine", "memberId": ada["id"]}
    payload = (await graphql(server, LINK, {"input": linked}))["data"]["linkMemberIdentity"]
    assert payload["errors"][0]["code"] == "TAKEN", "Ada has an account there already"
    create = 'mutation { createMember(input: {name: "M", email: "m@x.example", roles: ["analyst"]}) { member { id } } }'
    machine = (await graphql(server, create))["data"]["createMember"]["member"]["id"]
    payload = await graphql(server, LINK, {"input": {**linked, "memberId": machine}})
    assert payload["data"]["linkMemberIdentity"]["errors"] == []
    answer = await graphql(server, VIEWER, token=token)
    assert answer["data"] == {"viewer": {"roles": ["analyst"], "member": {"email": "m***@x.example"}}}

    found = crm_graph("provider", "list", "--data", str(server.data))
    assert (found.returncode, issuer.address in found.stdout) == (0, True), found.stdout + found.stderr
    tested = crm_graph("provider", "test", "Acme", "--data", str(server.data), CRM_PROVIDER_PRIVATE=PRIVATE)
    assert tested.returncode == 0, tested.stderr
    assert "3 keys that can sign" in tested.stderr
    tested = crm_graph("provider", "test", "Acme", "--data", str(server.data))
    assert tested.returncode == 2
    assert "its address is not a public one" in tested.stderr
    assert "fix: set CRM_PROVIDER_PRIVATE" in tested.stderr
    tested = crm_graph("provider", "test", "Nobody", "--data", str(server.data))
    assert (tested.returncode, "there are: Acme" in tested.stderr) == (2, True)
