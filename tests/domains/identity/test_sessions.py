"""Sessions: tokens that rotate, reuse that ends them, and revocation that is in force at once."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest

from crm_graph.domains.identity.accounts.enums import SignInMethod
from crm_graph.domains.identity.accounts.sessions import (
    refresh_session,
    revoke_by_refresh_token,
    start_session,
)
from crm_graph.identity.origin import Origin
from crm_graph.kernel.errors import Unauthenticated
from crm_graph.kernel.ids import new_id
from tests.support.accounts import HOME, PASSWORD, REFRESH, WHO, Accounts

SESSIONS = """{ viewer { sessions {
    sessionId kind method address userAgent current clientName createdAt lastUsedAt expiresAt } } }"""
REVOKE = "mutation ($id: ID!) { revokeSession(input: {id: $id}) { errors { code field } } }"
REVOKE_OTHERS = "mutation { revokeOtherSessions { revoked errors { code } } }"
REVOKE_OF = """mutation ($id: ID!) {
    revokeSessionsOfMember(input: {memberId: $id}) { member { id } errors { code } } }"""
SIGN_OUT = "mutation ($token: String!) { signOut(input: {refreshToken: $token}) { errors { code } } }"


async def test_tokens_rotate(accounts: Accounts) -> None:
    await accounts.give_password("rep@example.com")
    first = await accounts.sign_in()
    assert first["errors"] == []
    second = (await accounts.data(REFRESH, {"token": first["refreshToken"]}))["refreshSession"]
    assert second["refreshToken"] != first["refreshToken"]
    third = (await accounts.data(REFRESH, {"token": second["refreshToken"]}))["refreshSession"]
    for pair in (first, second, third):
        assert (await accounts.data(WHO, token=pair["accessToken"]))["viewer"]["member"]["email"] == "rep@example.com"
    assert await accounts.rows("SELECT generation, revoked_at FROM member_session") == [(3, None)]


async def test_a_refresh_token_is_good_once(accounts: Accounts) -> None:
    """Who shows it a second time, when no answer can have been lost any more, may be the thief, and so may who showed
    it first: the session is over for both."""
    await accounts.give_password("rep@example.com")
    other = await accounts.sign_in()
    first = await accounts.sign_in()
    second = (await accounts.data(REFRESH, {"token": first["refreshToken"]}))["refreshSession"]
    accounts.clock.turn(seconds=30)
    assert await accounts.code(REFRESH, {"token": first["refreshToken"]}) == "UNAUTHENTICATED"
    assert await accounts.code(REFRESH, {"token": second["refreshToken"]}) == "UNAUTHENTICATED"
    assert await accounts.code(WHO, token=second["accessToken"]) == "UNAUTHENTICATED"
    assert await accounts.data(WHO, token=other["accessToken"])
    assert await accounts.events("RefreshTokenReused") == ["RefreshTokenReused"]
    assert await accounts.value("SELECT revoked_reason FROM member_session WHERE generation = 2") == "REUSED"


async def test_of_many_at_once_all_get_the_same_pair(real: Accounts) -> None:
    await real.give_password("rep@example.com")
    for _ in range(5):
        pair = await real.sign_in()
        answers = await asyncio.gather(*(real.data(REFRESH, {"token": pair["refreshToken"]}) for _ in range(20)))
        assert all(answer == answers[0] for answer in answers), "to the byte"
        token = answers[0]["refreshSession"]["refreshToken"]
        assert (await real.data(REFRESH, {"token": token}))["refreshSession"]["refreshToken"] != token
    assert await real.rows("SELECT DISTINCT generation, revoked_at FROM member_session") == [(3, None)]
    assert await real.events("RefreshTokenReused") == []


def _altered(token: str) -> list[str]:
    body = bytearray(base64.urlsafe_b64decode(token.removeprefix("crmr_") + "=" * (-(len(token) - 5) % 4)))
    found = []
    for place in (0, 16, 35, 36, 67):  # workspace, session, generation, HMAC
        changed = bytearray(body)
        changed[place] ^= 1
        found.append("crmr_" + base64.urlsafe_b64encode(changed).rstrip(b"=").decode())
    return found


async def test_a_forged_token_changes_nothing(accounts: Accounts) -> None:
    await accounts.give_password("rep@example.com")
    pair = await accounts.sign_in()
    token = pair["refreshToken"]
    forged = [*_altered(token), "", "crmr_", "crmr_x", "crmr_" + "A" * 91, "crmr_" + "é" * 91, "x" * 100, token[:-4]]
    forged += [token.replace("crmr_", "crml_"), token + "A" * 200, pair["accessToken"]]
    for each in forged:
        assert await accounts.code(REFRESH, {"token": each}) == "UNAUTHENTICATED"
        assert await accounts.data(SIGN_OUT, {"token": each}) == {"signOut": {"errors": []}}
    assert await accounts.events() == ["SignedIn"]
    assert await accounts.data(REFRESH, {"token": token})


async def test_answers_to_bad_tokens_are_equal(accounts: Accounts) -> None:
    _, member_id = await accounts.give_password("rep@example.com")
    used, ended, alien = [await accounts.sign_in() for _ in range(3)]
    await accounts.data(REFRESH, {"token": used["refreshToken"]})
    await accounts.data(SIGN_OUT, {"token": ended["refreshToken"]})
    tokens = [used["refreshToken"], ended["refreshToken"], _altered(alien["refreshToken"])[4]]
    await accounts.rows("UPDATE member SET status = 'SUSPENDED' WHERE id = $1", member_id)
    tokens.append(alien["refreshToken"])
    messages = {(await accounts.ask(REFRESH, {"token": each}))["errors"][0]["message"] for each in tokens}
    assert len(messages) == 1


async def test_a_suspended_member_gets_no_tokens(accounts: Accounts) -> None:
    _, member_id = await accounts.give_password("rep@example.com")
    pair = await accounts.sign_in()
    await accounts.rows("UPDATE member SET status = 'SUSPENDED' WHERE id = $1", member_id)
    assert await accounts.code(REFRESH, {"token": pair["refreshToken"]}) == "UNAUTHENTICATED"
    assert await accounts.value("SELECT generation FROM member_session") == 1


async def test_a_session_ends_when_it_is_not_used(accounts: Accounts) -> None:
    await accounts.give_password("rep@example.com")
    pair = await accounts.sign_in()
    accounts.clock.turn(days=29)
    pair = (await accounts.data(REFRESH, {"token": pair["refreshToken"]}))["refreshSession"]
    accounts.clock.turn(days=29)
    pair = (await accounts.data(REFRESH, {"token": pair["refreshToken"]}))["refreshSession"]
    accounts.clock.turn(days=30)
    assert await accounts.code(REFRESH, {"token": pair["refreshToken"]}) == "UNAUTHENTICATED"


async def test_an_access_token_expires(accounts: Accounts) -> None:
    await accounts.give_password("rep@example.com")
    pair = await accounts.sign_in()
    accounts.clock.turn(seconds=600 + 29)
    assert await accounts.data(WHO, token=pair["accessToken"])
    accounts.clock.turn(seconds=2)
    assert await accounts.code(WHO, token=pair["accessToken"]) == "UNAUTHENTICATED"
    assert await accounts.data(REFRESH, {"token": pair["refreshToken"]}, token=pair["accessToken"])


async def _client(accounts: Accounts, workspace_id: str, name: str) -> str:
    id_ = new_id()
    await accounts.rows(
        "INSERT INTO api_client (workspace_id, id, name, version, created_at, updated_at)"
        " VALUES ($1, $2, $3, 1, now(), now())",
        workspace_id,
        id_,
        name,
    )
    return id_


async def test_a_session_of_a_client_is_refreshed_by_that_client_only(accounts: Accounts) -> None:
    workspace_id, member_id = await accounts.member("rep@example.com")
    mine, theirs = [await _client(accounts, workspace_id, name) for name in ("mine", "theirs")]
    services = accounts.services
    async with accounts.database.transaction() as session:
        pair = await start_session(
            services,
            session,
            workspace_id,
            member_id,
            method=SignInMethod.OAUTH,
            origin=HOME,
            client_id=mine,
            scope=frozenset({"crm.read", "openid"}),
        )
    for client_id in (None, theirs):
        with pytest.raises(Unauthenticated):
            await refresh_session(services, pair.refresh_token, HOME, client_id)
        assert not await revoke_by_refresh_token(services, pair.refresh_token, HOME, client_id)
    again = await refresh_session(services, pair.refresh_token, HOME, mine)
    assert again.scope == frozenset({"crm.read", "openid"})
    claims = accounts.services.authority.check(again.access_token)
    assert (claims.client_id, claims.session_id, claims.scope) == (mine, pair.session_id, again.scope)
    assert await revoke_by_refresh_token(services, again.refresh_token, HOME, mine)
    with pytest.raises(Unauthenticated):
        await refresh_session(services, again.refresh_token, HOME, mine)


async def test_no_more_sessions_than_allowed(accounts: Accounts) -> None:
    await accounts.give_password("rep@example.com")
    pairs = []
    for _ in range(102):
        accounts.clock.turn(seconds=1)
        pairs.append(await accounts.sign_in())
    assert await accounts.value("SELECT count(*) FROM member_session WHERE revoked_at IS NULL") == 100
    assert await accounts.code(WHO, token=pairs[1]["accessToken"]) == "UNAUTHENTICATED"
    assert await accounts.data(WHO, token=pairs[2]["accessToken"])


async def _listed(accounts: Accounts, token: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await accounts.data(SESSIONS, token=token))["viewer"]["sessions"]
    return found


@pytest.mark.parametrize("executor", ["planned", "reference"])
async def test_sessions_are_listed(accounts: Accounts, executor: str) -> None:
    from crm_graph.graph.running.execution import make_executor

    accounts.engine.execution.executor = make_executor(executor, accounts.engine.schema)
    await accounts.give_password("rep@example.com")
    await accounts.give_password("admin@example.com")
    await accounts.sign_in("admin@example.com")
    first = await accounts.sign_in(origin=Origin("2001:db8::1", "phone"))
    accounts.clock.turn(minutes=1)
    second = await accounts.sign_in()
    listed = await _listed(accounts, second["accessToken"])
    assert [(each["address"], each["userAgent"], each["current"], each["method"]) for each in listed] == [
        ("192.0.2.1", "test", True, "PASSWORD"),
        ("2001:db8::1", "phone", False, "PASSWORD"),
    ]
    assert await accounts.data(REVOKE, {"id": listed[1]["sessionId"]}, token=second["accessToken"]) == {
        "revokeSession": {"errors": []}
    }
    assert await accounts.code(WHO, token=first["accessToken"]) == "UNAUTHENTICATED"
    assert await accounts.code(REFRESH, {"token": first["refreshToken"]}) == "UNAUTHENTICATED"
    assert len(await _listed(accounts, second["accessToken"])) == 1


async def test_nobody_ends_another_s_session(accounts: Accounts) -> None:
    await accounts.give_password("rep@example.com")
    await accounts.give_password("admin@example.com")
    rep, admin = await accounts.sign_in(), await accounts.sign_in("admin@example.com")
    (session,) = await _listed(accounts, rep["accessToken"])
    for id_ in (session["sessionId"], f"ses_{new_id()}", "ses_x", "cus_1"):
        payload = (await accounts.data(REVOKE, {"id": id_}, token=admin["accessToken"]))["revokeSession"]
        assert payload["errors"] == [{"code": "NOT_FOUND", "field": ["id"]}]
    assert await accounts.data(WHO, token=rep["accessToken"])


async def test_other_sessions_end(accounts: Accounts) -> None:
    await accounts.give_password("rep@example.com")
    pairs = [await accounts.sign_in() for _ in range(3)]
    payload = (await accounts.data(REVOKE_OTHERS, token=pairs[1]["accessToken"]))["revokeOtherSessions"]
    assert payload == {"revoked": 2, "errors": []}
    assert await accounts.data(WHO, token=pairs[1]["accessToken"])
    for ended in (pairs[0], pairs[2]):
        assert await accounts.code(WHO, token=ended["accessToken"]) == "UNAUTHENTICATED"


async def test_signing_out_ends_the_session(accounts: Accounts) -> None:
    await accounts.give_password("rep@example.com")
    pair = await accounts.sign_in()
    newer = (await accounts.data(REFRESH, {"token": pair["refreshToken"]}))["refreshSession"]
    assert await accounts.data(SIGN_OUT, {"token": newer["refreshToken"]}) == {"signOut": {"errors": []}}
    assert await accounts.code(WHO, token=newer["accessToken"]) == "UNAUTHENTICATED"
    assert await accounts.events() == ["SignedIn", "SignedOut"]


async def test_an_administrator_ends_all_sessions_of_a_member(accounts: Accounts) -> None:
    _, member_id = await accounts.give_password("rep@example.com")
    await accounts.give_password("admin@example.com")
    rep, admin = await accounts.sign_in(), await accounts.sign_in("admin@example.com")
    variables = {"id": f"mem_{member_id}"}
    assert await accounts.code(REVOKE_OF, variables, token=rep["accessToken"]) == "FORBIDDEN"
    assert await accounts.data(WHO, token=rep["accessToken"])
    payload = (await accounts.data(REVOKE_OF, variables, token=admin["accessToken"]))["revokeSessionsOfMember"]
    assert payload == {"member": {"id": variables["id"]}, "errors": []}
    assert await accounts.code(WHO, token=rep["accessToken"]) == "UNAUTHENTICATED"
    assert await accounts.data(WHO, token=admin["accessToken"])


async def test_another_workspace_s_administrator_cannot(accounts: Accounts) -> None:
    _, member_id = await accounts.give_password("rep@example.com")
    await accounts.give_password("admin@example.com", workspace="other")
    rep, alien = await accounts.sign_in(), await accounts.sign_in("admin@example.com", workspace="other")
    payload = await accounts.data(REVOKE_OF, {"id": f"mem_{member_id}"}, token=alien["accessToken"])
    assert payload["revokeSessionsOfMember"]["errors"] == [{"code": "NOT_FOUND"}]
    assert await accounts.data(WHO, token=rep["accessToken"])


async def test_keys_and_clients_do_not_change_how_one_signs_in(accounts: Accounts) -> None:
    workspace_id, member_id = await accounts.give_password("rep@example.com")
    client_id = await _client(accounts, workspace_id, "app")
    async with accounts.database.transaction() as session:
        pair = await start_session(
            accounts.services, session, workspace_id, member_id, method="OAUTH", origin=HOME, client_id=client_id
        )
    change = (
        'mutation ($old: String!) { changePassword(input: {currentPassword: $old, newPassword: "a new long one"}) {'
    )
    for source in (SESSIONS, REVOKE_OTHERS, change + " errors { code } } }", "{ viewer { account { hasPassword } } }"):
        assert await accounts.code(source, {"old": PASSWORD}, token=pair.access_token) == "FORBIDDEN"
