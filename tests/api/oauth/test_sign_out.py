"""Signing out of the pages: by the member alone, of everything that was on its way, and on to nowhere but the app."""

from __future__ import annotations

from urllib.parse import parse_qs, urlencode, urlsplit

from crm_graph.api.oauth import forms
from tests.api.oauth.site import CALLBACK, Pkce, Site, is_page, redirected

PATH = "/oauth/sign-out"


async def _is_signed_in(site: Site) -> bool:
    return 'name="user_code"' in (await site.http.get("/oauth/device")).text


async def test_a_member_signs_out(site: Site) -> None:
    await site.sign_in()
    client, pkce = await site.client(first_party=True), Pkce()
    tokens = await site.tokens(client)
    code = await site.code(client, pkce)
    cookie = site.http.cookies[forms.SIGNED_IN]
    page = await site.http.get(PATH)
    assert (page.status_code, await _is_signed_in(site)) == (200, True), "a link signs nobody out"
    done = await site.submit(page)
    assert (done.status_code, "signed out here" in done.text) == (200, True)
    assert forms.SIGNED_IN not in site.http.cookies
    site.http.cookies.set(forms.SIGNED_IN, cookie, domain="127.0.0.1", path="/oauth")
    assert not await _is_signed_in(site), "the cookie alone is worth nothing"
    assert (await site.redeem(client, code, pkce)).json()["error"] == "invalid_grant"
    assert "data" in await site.ask(tokens["access_token"]), "apps go on, each for itself"
    assert (await site.refresh(client, tokens["refresh_token"])).status_code == 200
    ended = await site.graph.rows("SELECT type FROM event WHERE type IN ('SignedIn', 'SignedOut') ORDER BY seq")
    assert [row["type"] for row in ended] == ["SignedIn", "SignedIn", "SignedOut"]
    again = await site.http.get(PATH)
    assert "signed out here" in again.text


async def test_somebody_elses_form_signs_nobody_out(site: Site) -> None:
    await site.sign_in()
    page = await site.http.get(PATH)
    for token in ("", "x" * 43):
        assert (await site.http.post(PATH, data={"form_token": token or "y"})).status_code == 403
    elsewhere = await site.authorize(await site.client(), Pkce())
    assert "form_token" in elsewhere.text
    other = elsewhere.text.partition('name="form_token" value="')[2].partition('"')[0]
    assert (await site.http.post(PATH, data={"form_token": other})).status_code == 403
    crossing = await site.http.post(PATH, data={"state": "s"})
    assert (crossing.status_code, crossing.headers["location"]) == (303, f"{PATH}?state=s"), "it is asked as a link is"
    assert await _is_signed_in(site)
    assert (await site.submit(page)).status_code == 200


async def test_an_app_asks_for_it_and_is_gone_back_to(site: Site) -> None:
    await site.sign_in()
    client = await site.client(name="The app")
    tokens = await site.tokens(client)
    for who in ({"client_id": client.client_id}, {"id_token_hint": tokens["id_token"]}):
        asked = {**who, "post_logout_redirect_uri": CALLBACK, "state": "a b&c"}
        page = await site.http.get(PATH, params=asked)
        assert "The app asks to sign you out" in page.text
        assert "form-action 'self' https://app.example.com;" in page.headers["content-security-policy"]
        gone = await site.submit(page)
        assert (gone.status_code, gone.headers["location"].partition("?")[0]) == (303, CALLBACK)
        assert parse_qs(urlsplit(gone.headers["location"]).query) == {"state": ["a b&c"]}
        at_once = await site.http.get(PATH, params=asked)
        assert at_once.status_code == 303, "nobody is signed in: there is nothing to ask"
        await site.sign_in()


async def test_it_leads_nowhere_else(site: Site) -> None:
    await site.sign_in()
    client, other = await site.client(), await site.client(redirect_uris=("https://evil.example/",))
    tokens = await site.tokens(client)
    named = {"client_id": client.client_id}
    for uri in (
        "https://evil.example/",
        f"{CALLBACK}/",
        f"{CALLBACK}?x=1",
        "javascript:alert(1)",
        "//evil.example",
        "/x",
    ):
        assert is_page(
            await site.http.get(PATH, params={**named, "post_logout_redirect_uri": uri}), "invalid_request"
        ), uri
    back = {"post_logout_redirect_uri": CALLBACK}
    assert is_page(await site.http.get(PATH, params=back), "invalid_request"), "of nobody"
    mixed = {**back, "client_id": other.client_id, "id_token_hint": tokens["id_token"]}
    assert is_page(await site.http.get(PATH, params=mixed), "invalid_request")
    for hint in (tokens["access_token"], "x.y.z", "", tokens["id_token"][:-6] + "AAAAAA"):
        found = await site.http.get(f"{PATH}?{urlencode({**back, 'id_token_hint': hint})}")
        assert is_page(found, "invalid_request"), hint
    assert await _is_signed_in(site)


async def test_what_was_revoked_gives_no_code(site: Site) -> None:
    """The member's other session ends the browser's: between its page and its form, too."""
    await site.sign_in()
    client = await site.client()
    page = await site.authorize(client, Pkce())
    await site.graph.rows("UPDATE member_session SET revoked_at = now()")
    refused = await site.submit(page, decision="allow")
    assert 'name="password"' in refused.text
    await site.sign_in()
    assert "code" in redirected(await site.submit(await site.authorize(client, Pkce()), decision="allow"))
