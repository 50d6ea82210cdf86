"""What clients read first, and whom the server takes itself for."""

from __future__ import annotations

import pytest

from crm_graph.graph.schema.build import BuiltSchema
from crm_graph.kernel.settings import Settings
from tests.api.oauth.site import ISSUER, Pkce, Site, redirected, running
from tests.support.database import savepoint

DOCUMENTS = ("oauth-authorization-server", "openid-configuration")


@pytest.mark.parametrize("document", DOCUMENTS)
async def test_the_metadata_says_what_there_is(site: Site, document: str) -> None:
    found = await site.http.get(f"/.well-known/{document}")
    body = found.json()
    assert found.headers["cache-control"] == "public, max-age=300"
    assert body["issuer"] == ISSUER
    assert body["code_challenge_methods_supported"] == ["S256"]
    assert body["response_types_supported"] == ["code"]
    assert body["authorization_response_iss_parameter_supported"] is True
    assert set(body["grant_types_supported"]).isdisjoint({"implicit", "password"})
    endpoints = {value for name, value in body.items() if name.endswith(("_endpoint", "_uri"))}
    assert len(endpoints) == 8
    assert "RS256" in body["id_token_signing_alg_values_supported"]
    for address in endpoints:
        answer = await site.http.get(address)
        assert answer.status_code in {200, 400, 401, 405}, address


async def test_the_keys_are_public_and_may_be_kept(site: Site) -> None:
    found = await site.http.get("/oauth/jwks")
    assert found.headers["cache-control"] == "public, max-age=3600"
    keys = found.json()["keys"]
    for key in keys:
        public = {"crv", "x"} if key["kty"] == "OKP" else {"n", "e"}
        assert key.keys() == {"kty", "use", "alg", "kid", *public}
    assert [key["alg"] for key in keys] == ["EdDSA"] * 3 + ["RS256"] * 2


async def test_no_host_header_makes_an_issuer(site: Site) -> None:
    for host in ("evil.example", "127.0.0.1.evil.example", "127.0.0.1@evil.example", "", "[::1"):
        for path in ("/.well-known/openid-configuration", "/oauth/authorize?client_id=x"):
            found = await site.http.get(path, headers={"Host": host})
            assert (found.status_code, "CRM_PUBLIC_URL" in found.text) == (400, True), host
        posted = await site.http.post("/oauth/token", data={"grant_type": "x"}, headers={"Host": host})
        assert posted.json()["error"] == "invalid_request"


async def test_a_public_address_is_the_issuer_whatever_is_asked(database_url: str, schema: BuiltSchema) -> None:
    settings = Settings(public_url="https://crm.example.com/")
    async with savepoint(database_url) as database, running(schema, database, settings) as site:
        body = (await site.http.get("/.well-known/openid-configuration", headers={"Host": "evil.example"})).json()
        assert body["issuer"] == "https://crm.example.com"
        await site.sign_in()
        client = await site.client()
        page = await site.authorize(client, Pkce())
        assert "Secure" in page.headers["set-cookie"]
        site.http.cookies.set("crm_form", _cookie(page.headers["set-cookie"]), domain="127.0.0.1", path="/oauth")
        assert redirected(await site.submit(page, decision="allow"))["iss"] == "https://crm.example.com"


async def test_tokens_travel_encrypted(database_url: str, schema: BuiltSchema) -> None:
    settings = Settings(public_url="http://crm.example.com")
    async with savepoint(database_url) as database, running(schema, database, settings) as site:
        client = await site.client(acts_as="admin")
        found = await site.post("token", {"grant_type": "client_credentials", **client.credentials()})
        assert (found.status_code, found.json()["error"]) == (400, "insecure_transport")


async def test_requests_are_bounded(database_url: str, schema: BuiltSchema) -> None:
    settings = Settings(oauth_requests_per_minute=3)
    async with savepoint(database_url) as database, running(schema, database, settings) as site:
        found = [await site.post("token", {"grant_type": "x"}) for _ in range(8)]
        assert found[-1].status_code == 429
        assert (found[-1].json()["error"], int(found[-1].headers["retry-after"]) > 0) == (
            "temporarily_unavailable",
            True,
        )
        assert found[0].status_code == 400
        pages = [await site.http.get("/oauth/authorize") for _ in range(8)]
        assert pages[-1].status_code == 429


def _cookie(header: str) -> str:
    return header.partition("=")[2].partition(";")[0]
