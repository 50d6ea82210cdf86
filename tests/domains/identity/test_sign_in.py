"""Signing in: who gets in, what nobody learns, and how often one may try."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from crm_graph.graph.schema.build import BuiltSchema
from crm_graph.identity.origin import Origin
from tests.support.accounts import (
    ELSEWHERE,
    HOME,
    PASSWORD,
    REFRESH,
    SIGN_IN,
    WHO,
    WRONG,
    Accounts,
    limited,
    real_accounts,
)


async def test_a_member_signs_in(accounts: Accounts) -> None:
    _, member_id = await accounts.give_password("rep@example.com")
    for email in ("rep@example.com", " REP@Example.com ", "ｒｅｐ@example.com"):
        payload = await accounts.sign_in(email)
        assert payload["errors"] == []
        assert payload["secondFactorRequired"] is False
        claims = accounts.services.authority.check(payload["accessToken"])
        assert claims.member_id == member_id
        assert claims.expires_at.isoformat() == payload["expiresAt"].replace("Z", "+00:00")
    assert await accounts.events() == ["SignedIn"] * 3
    ((address, request_id, actor),) = await accounts.rows(
        "SELECT DISTINCT address, request_id IS NOT NULL, actor FROM event WHERE entity = 'Account'"
    )
    assert (address, request_id, actor) == ("192.0.2.1", True, member_id)


async def test_without_a_workspace_where_the_address_is_unique(accounts: Accounts) -> None:
    await accounts.rows(
        "UPDATE member SET email = 'only@example.com' WHERE email = 'rep@example.com' AND workspace_id ="
        " (SELECT id FROM workspace WHERE slug = 'demo')"
    )
    await accounts.rows(
        "INSERT INTO member_address (workspace_id, email) SELECT id, 'only@example.com' FROM workspace"
        " WHERE slug = 'demo'"
    )
    await accounts.give_password("only@example.com")
    assert (await accounts.sign_in("only@example.com", workspace=None))["accessToken"]


async def test_a_password_is_the_same_however_it_is_composed(accounts: Accounts) -> None:
    await accounts.give_password("rep@example.com", "Zürich im Frühling 2026")
    assert (await accounts.sign_in(password="Zu\u0308rich im Fru\u0308hling ２０２６"))["accessToken"]


CASES: dict[str, dict[str, Any]] = {
    "a wrong password": {"email": "rep@example.com"},
    "an unknown address": {"email": "nobody@example.com"},
    "no password": {"email": "rep2@example.com"},
    "a suspended member": {"email": "rep3@example.com", "password": PASSWORD},
    "a service": {"email": "rep4@example.com", "password": PASSWORD},
    "another workspace": {"email": "rep@example.com", "password": PASSWORD, "workspace": "other"},
    "an unknown workspace": {"email": "rep@example.com", "password": PASSWORD, "workspace": "nowhere"},
    "no address": {"email": ""},
    "an empty password": {"email": "rep@example.com", "password": ""},
    "a very long password": {"email": "rep@example.com", "password": "x" * 10_000},
    "the hash as password": {"email": "rep@example.com", "password": "$argon2id$v=19$m=64,t=1,p=1$c2FsdA$aGFzaA"},
}
NOWHERE = {
    "of two workspaces, both with a password": {"email": "rep5@example.com"},
    "of two workspaces, one with a password": {"email": "rep@example.com"},
    "of two workspaces, none with a password": {"email": "rep2@example.com"},
    "a suspended member": {"email": "rep3@example.com", "password": PASSWORD},
    "a service": {"email": "rep4@example.com", "password": PASSWORD},
    "an unknown address": {"email": "nobody@example.com"},
    "no address": {"email": ""},
    "an empty password": {"email": "rep@example.com", "password": ""},
}
"""Without a workspace."""


@pytest.mark.parametrize(
    ("cases", "workspace", "verifications"), [(CASES, "demo", 1), (NOWHERE, None, 2)], ids=["named", "nowhere"]
)
async def test_nobody_learns_who_is_there(
    accounts: Accounts, cases: dict[str, dict[str, Any]], workspace: str | None, verifications: int
) -> None:
    """The same bytes, verifications and statements, for every reason why somebody cannot come in: one verification in a
    workspace, without one as many as there are workspaces."""
    await accounts.give_password("rep@example.com")
    for slug in ("demo", "other"):
        await accounts.give_password("rep5@example.com", workspace=slug)
    for email in ("rep3@example.com", "rep4@example.com"):
        await accounts.give_password(email)
    await accounts.rows("UPDATE member SET status = 'SUSPENDED' WHERE email = 'rep3@example.com'")
    await accounts.rows("UPDATE member SET kind = 'SERVICE' WHERE email = 'rep4@example.com'")
    payloads, statements = [], []
    for name, given in cases.items():
        before = accounts.services.passwords.verifications
        accounts.database.one.sent.clear()  # type: ignore[attr-defined]
        payloads.append(await accounts.sign_in(**{"password": WRONG, "workspace": workspace, **given}))
        statements.append(list(accounts.database.one.sent))  # type: ignore[attr-defined]
        assert accounts.services.passwords.verifications == before + verifications, name
    assert all(each == payloads[0] for each in payloads)
    assert payloads[0]["errors"][0]["code"] == "INVALID"
    assert all(each == statements[0] for each in statements)
    assert await accounts.events() == ["SignInFailed"] * len(cases) * verifications


async def test_the_log_keeps_no_address_and_no_password(accounts: Accounts, caplog: pytest.LogCaptureFixture) -> None:
    await accounts.give_password("rep@example.com")
    with caplog.at_level(logging.DEBUG):
        await accounts.sign_in("stranger@example.net", "a secret of mine")
        await accounts.sign_in(password="a secret of mine")
        pair = await accounts.sign_in()
    kept = await accounts.rows("SELECT event::text FROM event WHERE entity = 'Account'")
    shown = "".join(row[0] for row in kept) + caplog.text
    for secret in ("stranger", "a secret", PASSWORD, "argon2id", pair["refreshToken"], pair["accessToken"]):
        assert secret not in shown
    (unknown,) = await accounts.rows("SELECT workspace_id, entity_id FROM event WHERE entity_id = $1", "0" * 32)
    assert tuple(unknown) == ("0" * 32, "0" * 32)


async def test_an_account_is_tried_ten_times(accounts: Accounts) -> None:
    await accounts.give_password("rep@example.com")
    for _ in range(10):
        assert await limited(accounts) is None
    before = accounts.services.passwords.verifications
    error = await limited(accounts, password=PASSWORD)
    assert error is not None
    assert 1 <= error["extensions"]["retryAfterSeconds"] <= 300
    assert accounts.services.passwords.verifications == before, "over the limit nothing is verified"
    assert await accounts.events("SignInFailed") == ["SignInFailed"] * 11
    await limited(accounts)
    assert await accounts.events("SignInFailed") == ["SignInFailed"] * 11, "the log is not what an attacker fills"
    accounts.clock.turn(seconds=error["extensions"]["retryAfterSeconds"])
    assert (await accounts.sign_in(origin=ELSEWHERE))["accessToken"]


async def test_unknown_accounts_are_limited_alike(accounts: Accounts) -> None:
    for _ in range(10):
        assert await limited(accounts, email="nobody@example.com") is None
    known = await limited(accounts, email="nobody@example.com")
    assert known is not None
    for _ in range(10):
        assert await limited(accounts) is None
    other = await limited(accounts)
    assert other is not None
    for error in (known, other):
        del error["extensions"]["requestId"]
    assert known == other


async def test_aliases_are_counted_one_by_one(accounts: Accounts) -> None:
    await accounts.give_password("rep@example.com")
    words = [WRONG] * 14 + [PASSWORD]
    fields = " ".join(
        f'a{index}: signIn(input: {{email: "rep@example.com", password: "{word}", workspace: "demo"}})'
        " { accessToken errors { code } }"
        for index, word in enumerate(words)
    )
    body = await accounts.ask(f"mutation {{ {fields} }}", origin=ELSEWHERE)
    answered = [value for value in (body["data"] or {}).values() if value is not None]
    assert not any(each["accessToken"] for each in answered)
    assert accounts.services.passwords.verifications == 10
    assert {error["extensions"]["code"] for error in body["errors"]} == {"RATE_LIMITED"}


@pytest.mark.parametrize("email", ["REP@example.com", "rep@EXAMPLE.com", " rep@example.com", "ＲＥＰ@example.com"])
async def test_spellings_of_an_address_are_one_account(accounts: Accounts, email: str) -> None:
    for _ in range(5):
        assert await limited(accounts) is None
        assert await limited(accounts, email=email, workspace=None) is None
    assert await limited(accounts, email=email) is not None


async def test_requests_at_once_are_counted_one_by_one(real: Accounts) -> None:
    await real.give_password("rep@example.com")
    found = await asyncio.gather(*(limited(real) for _ in range(40)))
    assert sum(each is None for each in found) == 10
    assert real.services.passwords.verifications == 10


async def test_another_address_does_not_help(accounts: Accounts) -> None:
    for number in range(10):
        assert await limited(accounts, Origin(f"198.51.100.{number}")) is None
    assert await limited(accounts, Origin("198.51.100.200")) is not None


async def test_another_account_does_not_help(accounts: Accounts) -> None:
    for number in range(100):
        assert await limited(accounts, email=f"guess{number}@example.com") is None
    assert await limited(accounts, email="guess100@example.com") is not None
    assert await limited(accounts, Origin("203.0.113.1"), email="guess100@example.com") is None


async def test_an_ipv6_network_is_one_address(accounts: Accounts) -> None:
    for number in range(100):
        assert await limited(accounts, Origin(f"2001:db8:1:2::{number:x}"), email=f"g{number}@example.com") is None
    assert await limited(accounts, Origin("2001:db8:1:2:ffff::1"), email="g100@example.com") is not None
    assert await limited(accounts, Origin("2001:db8:1:3::1"), email="g100@example.com") is None


async def test_an_address_that_is_shut_out_shuts_no_account(accounts: Accounts) -> None:
    """One machine that goes on and on would keep its victim out for ever."""
    for number in range(100):
        await limited(accounts, email=f"guess{number}@example.com")
    await accounts.give_password("rep@example.com")
    for _ in range(30):
        assert await limited(accounts) is not None
    assert (await accounts.sign_in(origin=Origin("203.0.113.1")))["accessToken"]


async def test_a_crowd_elsewhere_does_not_lock_the_owner_out(accounts: Accounts) -> None:
    """Where a member signed in before, they are counted apart; their sessions go on in any case."""
    await accounts.give_password("rep@example.com")
    session = await accounts.sign_in()
    for number in range(12):
        await limited(accounts, Origin(f"198.51.100.{number}"))
    assert await limited(accounts, Origin("203.0.113.1"), password=PASSWORD) is not None
    assert await accounts.data(WHO, token=session["accessToken"])
    assert await accounts.data(REFRESH, {"token": session["refreshToken"]})
    assert (await accounts.sign_in())["accessToken"]
    for _ in range(10):
        assert await limited(accounts, HOME) is None
    assert await limited(accounts, HOME, password=PASSWORD) is not None, "counted apart, and counted"


async def test_signing_in_rightly_is_not_counted(accounts: Accounts) -> None:
    await accounts.give_password("rep@example.com")
    for _ in range(30):
        assert (await accounts.sign_in(origin=ELSEWHERE))["accessToken"]
    assert await accounts.rows("SELECT 1 FROM attempt WHERE attempts > 0") == []


async def test_a_counter_outlives_a_failed_operation(accounts: Accounts) -> None:
    """What is counted is committed apart: a later field that fails takes nothing back."""
    source = """mutation { signIn(input: {email: "rep@example.com", password: "x", workspace: "demo"}) { accessToken }
        refreshSession(input: {refreshToken: "x"}) { accessToken } }"""
    body = await accounts.ask(source)
    assert body["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    assert await accounts.value("SELECT sum(attempts)::int FROM attempt") == 2


async def test_more_than_the_threads_take_are_sent_away(
    accounts_url: str, schema: BuiltSchema, caplog: pytest.LogCaptureFixture
) -> None:
    bounds = {"argon2_threads": 1, "argon2_queue_size": 1, "attempts_per_account": 1_000}
    async with real_accounts(schema, accounts_url, **bounds, argon2_iterations=20, argon2_memory_kib=8192) as real:
        found = await asyncio.gather(*(limited(real) for _ in range(8)))
        assert any(each is not None and each["extensions"]["retryAfterSeconds"] == 1 for each in found)
        assert any(each is None for each in found)
        assert await limited(real) is None, "the queue is empty again"


async def test_hashes_follow_the_parameters(accounts: Accounts, schema: BuiltSchema) -> None:
    await accounts.give_password("rep@example.com")
    stronger = Accounts(schema, accounts.database, argon2_iterations=3)
    assert (await stronger.sign_in())["accessToken"]
    assert "t=3" in await accounts.value("SELECT password_hash FROM credential")
    assert (await stronger.sign_in())["accessToken"]


async def test_parallel_sign_ins_hold_no_connection_while_they_wait(real: Accounts) -> None:
    """More at once than the pool has connections, each with a token that makes its request read first."""
    await real.give_password("rep@example.com")
    token = (await real.sign_in())["accessToken"]
    given = {"input": {"email": "rep@example.com", "password": PASSWORD, "workspace": "demo"}}
    async with asyncio.timeout(60):
        answers = await asyncio.gather(*(real.ask(SIGN_IN, given, token=token) for _ in range(8)))
        me = "mutation ($p: String!) { startSecondFactor(input: {password: $p}) { secret errors { code } } }"
        answers += await asyncio.gather(*(real.ask(me, {"p": PASSWORD}, token=token) for _ in range(8)))
    assert all("errors" not in each for each in answers), answers
