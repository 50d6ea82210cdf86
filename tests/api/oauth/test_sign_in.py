"""The sign-in page: passwords, second factors and providers; and what is no way in."""

from __future__ import annotations

import re
from urllib.parse import quote

import httpx
import pyotp

from crm_graph.api.oauth import forms
from crm_graph.domains.identity.accounts.credentials import read_credential, set_password
from crm_graph.domains.identity.accounts.journal import SYSTEM
from crm_graph.domains.identity.accounts.second_factor import confirm, offer
from crm_graph.graph.schema.build import BuiltSchema
from crm_graph.identity.services import Services
from crm_graph.identity.tokens import Claims
from crm_graph.kernel.settings import Settings
from tests.api.oauth.site import Pkce, Site, hidden, is_page, redirected, running
from tests.support.database import savepoint

PASSWORD = "correct horse battery staple"


async def with_password(site: Site, role: str = "sales_rep", workspace: str = "demo") -> tuple[Claims, str]:
    """Give a member a password; return who it is, and their address."""
    claims = await site.graph.claims(role, workspace)
    hashed = await site.services.passwords.hash(PASSWORD)
    async with site.services.database.transaction() as session:
        await set_password(site.services, session, claims.workspace_id, claims.member_id, hashed, 0)
    return claims, await site.graph.value("SELECT email FROM member WHERE id = $1", claims.member_id)


async def test_a_password_lets_a_member_in_and_on(site: Site) -> None:
    claims, email = await with_password(site)
    client = await site.client(first_party=True)
    page = await site.authorize(client, Pkce(), scope="openid")
    assert page.status_code == 200
    assert "form-action 'self' https://app.example.com;" in page.headers["content-security-policy"]
    entered = await site.submit(page, email=email, password=PASSWORD)
    assert (entered.status_code, entered.headers["cache-control"]) == (303, "no-store")
    cookie = next(each for each in entered.headers.get_list("set-cookie") if each.startswith(forms.SIGNED_IN))
    assert {"HttpOnly", "Path=/oauth", "SameSite=lax"} <= {each.strip() for each in cookie.split(";")}
    assert PASSWORD not in cookie
    back = redirected(await site.http.get(entered.headers["location"]))
    assert "code" in back
    bound = await site.graph.value("SELECT member_id FROM authorization_code")
    assert bound == claims.member_id


async def test_prompt_login_is_satisfied_by_signing_in(site: Site) -> None:
    _, email = await with_password(site)
    await site.sign_in()
    client = await site.client(first_party=True)
    for changes in ({"prompt": "login"}, {"max_age": "0"}):
        page = await site.authorize(client, Pkce(), scope="openid", **changes)
        entered = await site.submit(page, email=email, password=PASSWORD)
        assert "code" in redirected(await site.http.get(entered.headers["location"]))


async def test_wrong_passwords_unknown_accounts_and_other_workspaces_are_told_alike(site: Site) -> None:
    _, email = await with_password(site)
    _, foreign = await with_password(site, "admin", "other")
    client = await site.client()
    page = await site.authorize(client, Pkce())
    answers = []
    for given in (
        {"email": email, "password": "wrong"},
        {"email": "no@where.example", "password": PASSWORD},
        {"email": foreign, "password": PASSWORD},
    ):
        found = await site.submit(page, **given)
        assert (found.status_code, forms.SIGNED_IN in found.headers.get("set-cookie", "")) == (403, False)
        assert PASSWORD not in found.text
        answers.append(re.sub(r'value="[^"]*@[^"]*"', "", found.text))
    assert len(set(answers)) == 1
    assert "The e-mail address or the password is wrong." in answers[0]


async def test_guesses_are_counted(site: Site) -> None:
    _, email = await with_password(site)
    page = await site.authorize(await site.client(), Pkce())
    limit = site.services.settings.attempts_per_account
    found = [(await site.submit(page, email=email, password="wrong")).status_code for _ in range(limit + 1)]
    assert found == [403] * limit + [429]
    right = await site.submit(page, email=email, password=PASSWORD)
    assert (right.status_code, int(right.headers["retry-after"]) > 0) == (429, True)


async def test_a_second_factor_is_asked_for(site: Site) -> None:
    claims, email = await with_password(site)
    async with site.services.database.transaction() as session:
        held = await read_credential(session, claims.workspace_id, claims.member_id)
        assert held is not None
        secret, _ = await offer(site.services, session, claims.workspace_id, claims.member_id, held)
    async with site.services.database.transaction() as session:
        held = await read_credential(session, claims.workspace_id, claims.member_id)
        assert held is not None
        code = pyotp.TOTP(secret).now()
        await confirm(site.services, session, claims.workspace_id, claims.member_id, held, code, SYSTEM)
    page = await site.authorize(await site.client(first_party=True), Pkce())
    assert 'name="code"' not in page.text
    asked = await site.submit(page, email=email, password=PASSWORD)
    assert (asked.status_code, 'name="code"' in asked.text) == (403, True)
    wrong = await site.submit(asked, email=email, password=PASSWORD, code="000000")
    assert (wrong.status_code, "The code is wrong" in wrong.text) == (403, True)
    later = pyotp.TOTP(secret).at(site.services.clock(), counter_offset=1)
    assert (await site.submit(wrong, email=email, password=PASSWORD, code=later)).status_code == 303


async def test_the_form_is_bound_to_its_browser_and_goes_to_our_pages_alone(site: Site) -> None:
    _, email = await with_password(site)
    client = await site.client(first_party=True)
    page = await site.authorize(client, Pkce())
    fields = {**hidden(page), "email": email, "password": PASSWORD}
    for elsewhere in (
        "https://evil.example/oauth/authorize",
        "//evil.example/oauth/authorize",
        "/\\evil.example/oauth/authorize",
        "https:/oauth/authorize",
        "javascript:alert(1)",
        "/graphql",
        "/oauth/authorize/../../graphql",
        "/oauth/authorize#x",
        "/oauth/authorize?client_id=nobody",
        "",
    ):
        found = await site.http.post("/oauth/sign-in", data={**fields, "continue": elsewhere})
        assert is_page(found, "invalid_request"), elsewhere
    other = await site.client(first_party=True)
    changed = fields["continue"].replace(client.client_id, other.client_id)
    assert (await site.http.post("/oauth/sign-in", data={**fields, "continue": changed})).status_code == 403
    assert (await site.http.post("/oauth/sign-in", data={**fields, "form_token": "x" * 43})).status_code == 403
    site.http.cookies.clear()
    assert (await site.http.post("/oauth/sign-in", data=fields)).status_code == 403
    assert (await site.http.get("/oauth/sign-in")).status_code == 405


async def test_cookies_of_others_are_none(site: Site) -> None:
    client = await site.client(first_party=True)
    await site.sign_in(ago_s=site.services.settings.browser_sign_in_minutes * 60 + 10)
    assert 'name="password"' in (await site.authorize(client, Pkce())).text
    site.http.cookies.set(forms.SIGNED_IN, "forged", domain="127.0.0.1", path="/oauth")
    assert 'name="password"' in (await site.authorize(client, Pkce())).text


async def test_providers_are_linked_to(database_url: str, schema: BuiltSchema) -> None:
    async def providers(_: Services, workspace_id: str) -> list[tuple[str, str]]:
        return [(f"idp_{workspace_id}", "Key & Cloak")]

    async with savepoint(database_url) as database, running(schema, database, Settings(), providers) as site:
        client = await site.client()
        page = await site.authorize(client, Pkce())
        continue_ = quote(hidden(page)["continue"], safe="")
        assert f'href="/sso/idp_{client.workspace_id}/start?continue={continue_}"' in page.text
        assert "Sign in with Key &amp; Cloak" in page.text


async def test_a_page_that_knows_no_workspace_asks_for_one(site: Site) -> None:
    """At `/oauth/device` an account signs in by its password, whoever else has the address, or by its workspace's name;
    an app's page is of the app's workspace, whatever a form says."""
    accounts = {}
    for slug, password in (("demo", PASSWORD), ("other", "another horse battery staple")):
        claims = await site.graph.claims("sales_rep", slug)
        await site.graph.rows("UPDATE member SET email = 'both@example.com' WHERE id = $1", claims.member_id)
        known = "INSERT INTO member_address (workspace_id, email) VALUES ($1, 'both@example.com')"
        await site.graph.rows(known, claims.workspace_id)
        hashed = await site.services.passwords.hash(password)
        async with site.services.database.transaction() as session:
            await set_password(site.services, session, claims.workspace_id, claims.member_id, hashed, 0)
        accounts[slug] = password

    async def enter(workspace: str, password: str, link: str = "/oauth/device") -> httpx.Response:
        site.http.cookies.clear()
        page = await site.http.get(link)
        found = await site.submit(page, email="both@example.com", password=password, workspace=workspace)
        if found.status_code == 303:
            found = await site.http.get(found.headers["location"])
        return found

    for slug, password in accounts.items():
        other = next(each for each in accounts if each != slug)
        assert 'name="user_code"' in (await enter("", password)).text
        assert 'name="user_code"' in (await enter(f" {slug} ", password)).text
        refused = [await enter(name, password) for name in (other, "nowhere")]
        assert [each.status_code for each in refused] == [403, 403]
        pages = [blank(page.text, name) for page, name in zip(refused, (other, "nowhere"), strict=True)]
        assert pages[0] == pages[1]
        link = f"/oauth/device?workspace={slug}&user_code=BCDF-GHJK"
        site.http.cookies.clear()
        assert 'name="workspace"' in (await site.http.get(link)).text
        assert f'value="{slug}"' in (await site.http.get(link)).text
        assert "BCDF-GHJK" in (await enter(slug, password, link)).text
    client = await site.client(first_party=True)
    page = await site.authorize(client, Pkce())
    assert 'name="workspace"' not in page.text
    given = {"email": "both@example.com", "password": accounts["other"], "workspace": "other"}
    assert (await site.submit(page, **given)).status_code == 403


def blank(text: str, workspace: str) -> str:
    """Return a page without what it was given and what differs for each browser."""
    text = re.sub(r'name="form_token" value="[^"]*"', "", text)
    return text.replace(f'value="{workspace}"', "")
