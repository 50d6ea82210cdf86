"""The authorization endpoint: whom it redirects where, what it asks, and the attacks on the way."""

from __future__ import annotations

import pytest

from tests.api.oauth.site import CALLBACK, ISSUER, Pkce, Registered, Site, hidden, is_page, redirected, request_of


@pytest.mark.parametrize(
    "uri",
    [
        None,
        "",
        CALLBACK + "/",
        CALLBACK + "x",
        CALLBACK + "?x=1",
        CALLBACK + "#x",
        CALLBACK + "%2f..%2fevil",
        CALLBACK + "/../evil",
        "https://app.example.com/./callback",
        "https://app.example.com/%63allback",
        "https://APP.example.com/callback",
        "HTTPS://app.example.com/callback",
        "http://app.example.com/callback",
        "https://app.example.com:8443/callback",
        "https://app.example.com.evil.example/callback",
        "https://evil.example/callback",
        "https://evil.example@app.example.com/callback",
        "https://app.example.com@evil.example/callback",
        "https://app.example.com\\@evil.example/callback",
        "//app.example.com/callback",
        "javascript:alert(1)",
        "data:text/html,x",
    ],
)
async def test_nobody_is_sent_elsewhere(site: Site, uri: str | None) -> None:
    await site.sign_in()
    client = await site.client(first_party=True)
    for changes in ({}, {"response_type": "token"}, {"scope": "nonsense"}, {"prompt": "none"}):
        found = await site.authorize(client, Pkce(), redirect_uri=uri, **changes)
        assert (found.status_code, "location" in found.headers) == (400, False), changes
        assert "<script" not in found.text


async def test_a_native_app_alone_chooses_its_port(site: Site) -> None:
    await site.sign_in()
    registered = ("http://127.0.0.1/cb",)
    native = await site.client(kind="PUBLIC", redirect_uris=registered, first_party=True)
    web = await site.client(redirect_uris=registered, first_party=True)
    here = "http://127.0.0.1:51004/cb"
    assert "code" in redirected(await site.authorize(native, Pkce(), redirect_uri=here), here)
    assert is_page(await site.authorize(web, Pkce(), redirect_uri=here), "invalid_request")


async def test_an_unknown_client_is_told_to_the_person(site: Site) -> None:
    await site.sign_in()
    for id_ in ("apc_" + "0" * 32, "nonsense", "cus_" + "0" * 32, None, "apc_' OR 1=1", "crm-graph-cli@nowhere"):
        unknown = await site.authorize(await site.client(), Pkce(), client_id=id_)
        assert is_page(unknown, "invalid_"), id_


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": "code id_token"}, "unsupported_response_type"),
        ({"response_type": None}, "unsupported_response_type"),
        ({"scope": "crm admin"}, "invalid_scope"),
        ({"response_mode": "form_post"}, "invalid_request"),
        ({"response_mode": "fragment"}, "invalid_request"),
        ({"request": "eyJhbGciOiJub25lIn0.e30."}, "request_not_supported"),
        ({"request_uri": "https://evil.example/r"}, "request_uri_not_supported"),
        ({"max_age": "-1"}, "invalid_request"),
        ({"max_age": "soon"}, "invalid_request"),
        ({"prompt": "none login"}, "invalid_request"),
        ({"nonce": "n" * 513}, "invalid_request"),
    ],
)
async def test_a_known_client_is_told_with_state_and_issuer(
    site: Site, changes: dict[str, str | None], error: str
) -> None:
    await site.sign_in()
    client = await site.client(first_party=True)
    back = redirected(await site.authorize(client, Pkce(), **changes))
    assert (back["error"], back["state"], back["iss"]) == (error, "state of the client", ISSUER)
    assert "code" not in back


@pytest.mark.parametrize("name", ["client_id", "redirect_uri", "scope", "state", "nonce", "code_challenge", "prompt"])
async def test_a_repeated_parameter_is_refused(site: Site, name: str) -> None:
    await site.sign_in()
    client = await site.client(first_party=True)
    parameters = [*request_of(client, Pkce(), prompt="consent").items()]
    found = await site.http.get("/oauth/authorize", params=[*parameters, (name, dict(parameters)[name])])
    assert is_page(found, "A parameter is repeated")


async def test_huge_and_broken_parameters_are_refused(site: Site) -> None:
    await site.sign_in()
    client = await site.client(first_party=True)
    assert is_page(await site.authorize(client, Pkce(), state="x" * 20_000), "longer than")
    assert is_page(await site.authorize(client, Pkce(), scope="crm\x00"), "invalid_request")
    assert is_page(await site.authorize(client, Pkce(), response_type='co"de\u4e2d'), "invalid_request")
    many = "&".join(f"p{number}=1" for number in range(100))
    assert is_page(await site.http.get(f"/oauth/authorize?{many}"), "too many")
    assert is_page(await site.http.get("/oauth/authorize?state=%ff%fe"), "invalid_request")


async def test_a_head_request_takes_no_code_along(site: Site) -> None:
    await site.sign_in()
    client = await site.client(first_party=True)
    found = await site.http.head("/oauth/authorize", params=request_of(client, Pkce()))
    assert (found.status_code, found.headers["allow"]) == (405, "GET, POST")
    assert await site.graph.value("SELECT count(*) FROM authorization_code") == 0


async def test_consent_is_asked_once_and_again_for_more(site: Site) -> None:
    await site.sign_in()
    client = await site.client(name="<b>Shop & Co</b> {0}")
    page = await site.authorize(client, Pkce(), scope="crm.read openid")
    assert "&lt;b&gt;Shop &amp; Co&lt;/b&gt; {0}" in page.text
    assert "read everything that you may read" in page.text
    redirected(await site.submit(page, decision="allow"))
    assert "code" in redirected(await site.authorize(client, Pkce(), scope="openid"))
    assert (await site.authorize(client, Pkce(), scope="crm")).status_code == 200
    assert (await site.authorize(client, Pkce(), scope="openid", prompt="consent")).status_code == 200
    assert redirected(await site.authorize(client, Pkce(), scope="crm", prompt="none"))["error"] == "consent_required"
    await site.sign_in("sales_manager")
    assert (await site.authorize(client, Pkce(), scope="openid")).status_code == 200, "another member was not asked"


async def test_saying_no_is_told(site: Site) -> None:
    await site.sign_in()
    client = await site.client()
    for decision in ("deny", "nonsense"):
        back = redirected(await site.submit(await site.authorize(client, Pkce()), decision=decision))
        assert (back["error"], back["state"], back["iss"]) == ("access_denied", "state of the client", ISSUER)
    assert await site.graph.value("SELECT count(*) FROM consent") == 0


async def test_a_first_party_client_is_not_asked_for(site: Site) -> None:
    await site.sign_in()
    client = await site.client(first_party=True)
    assert "code" in redirected(await site.authorize(client, Pkce()))
    assert (await site.authorize(client, Pkce(), prompt="consent")).status_code == 200


async def test_prompts_and_age(site: Site) -> None:
    client = await site.client(first_party=True)
    assert redirected(await site.authorize(client, Pkce(), prompt="none"))["error"] == "login_required"
    await site.sign_in(ago_s=100)
    assert "code" in redirected(await site.authorize(client, Pkce(), prompt="none"))
    assert "code" in redirected(await site.authorize(client, Pkce(), max_age="200"))
    assert redirected(await site.authorize(client, Pkce(), max_age="50", prompt="none"))["error"] == "login_required"
    for changes in ({"prompt": "login"}, {"prompt": "select_account"}, {"max_age": "50"}, {"max_age": "0"}):
        page = await site.authorize(client, Pkce(), login_hint="who@example.com", **changes)
        assert (page.status_code, 'value="who@example.com"' in page.text) == (200, True), changes
        assert "prompt" not in hidden(page)["continue"]
    without_openid = await site.authorize(client, Pkce(), scope="crm", prompt="login")
    assert 'name="password"' in without_openid.text


async def test_who_signed_in_elsewhere_has_not_signed_in_here(site: Site) -> None:
    await site.sign_in(workspace="other")
    page = await site.authorize(await site.client(first_party=True), Pkce())
    assert (page.status_code, 'name="password"' in page.text) == (200, True)
    foreign = await site.client(first_party=True, workspace="other")
    assert "code" in redirected(await site.authorize(foreign, Pkce()))


async def _consent_page(site: Site) -> tuple[Registered, str, dict[str, str]]:
    await site.sign_in()
    client = await site.client()
    page = await site.authorize(client, Pkce())
    return client, str(page.request.url.raw_path.decode()), hidden(page)


async def test_consent_takes_the_forms_of_its_own_page_alone(site: Site) -> None:
    client, action, fields = await _consent_page(site)
    for forged in ({}, {"form_token": ""}, {"form_token": "x" * 43}):
        found = await site.http.post(action, data={**forged, "decision": "allow"})
        assert (found.status_code, "location" in found.headers) == (403, False), forged
    other = await site.authorize(client, Pkce(), scope="crm.read")
    found = await site.http.post(action, data={**hidden(other), "decision": "allow"})
    assert found.status_code == 403, "a token of the consent to less approves no more"
    cookie = site.http.cookies.get("crm_form")
    site.http.cookies.delete("crm_form")
    assert (await site.http.post(action, data={**fields, "decision": "allow"})).status_code == 403
    site.http.cookies.set("crm_form", str(cookie), domain="127.0.0.1", path="/oauth")
    await site.sign_in("sales_manager")
    found = await site.http.post(action, data={**fields, "decision": "allow"})
    assert found.status_code == 403, "a token of one member is none of another"
    assert await site.graph.value("SELECT count(*) FROM authorization_code") == 0


async def test_pages_cannot_be_framed_kept_or_scripted(site: Site) -> None:
    await site.sign_in()
    client = await site.client()
    consent = await site.authorize(client, Pkce())
    sign_in = await site.authorize(client, Pkce(), prompt="login")
    problem = await site.authorize(client, Pkce(), client_id="nobody")
    for page in (consent, sign_in, problem):
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "base-uri 'none'" in policy
        assert "script-src" not in policy
        assert page.headers["x-frame-options"] == "DENY"
        assert page.headers["cache-control"] == "no-store"
        assert page.headers["referrer-policy"] == "no-referrer"
        assert "<script" not in page.text
        assert "src=" not in page.text
        assert "http" not in page.text.partition("<style>")[2].partition("</style>")[0]
    assert "form-action 'self' https://app.example.com;" in consent.headers["content-security-policy"]
    assert "form-action 'self';" in problem.headers["content-security-policy"]
    cookie = consent.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert "Path=/oauth" in cookie


async def test_pages_speak_the_language_of_the_browser(site: Site) -> None:
    client = await site.client()
    parameters = request_of(client, Pkce())
    for header, wanted in (("zh-CN,zh;q=0.9,en;q=0.8", "登录"), ("fr, en;q=0.5, zh;q=0.4", "Sign in"), ("", "Sign in")):
        page = await site.http.get("/oauth/authorize", params=parameters, headers={"Accept-Language": header})
        assert wanted in page.text, header
