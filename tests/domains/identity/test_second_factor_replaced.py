"""A second factor in place of another one: with proof of that one, however one comes."""

from __future__ import annotations

import asyncio

import pyotp

from crm_graph.domains.identity.accounts.enums import LinkPurpose
from crm_graph.domains.identity.accounts.links import make_link
from tests.domains.identity.test_second_factor import CONFIRM, RENEW, enrol
from tests.support.accounts import PASSWORD, WHO, WRONG, Accounts

START = """mutation ($p: String!, $c: String) { startSecondFactor(input: {password: $p, code: $c}) {
    secret errors { code field } } }"""
RESET = (
    'mutation ($t: String!) { resetPassword(input: {token: $t, password: "a new and long one"}) { errors { code } } }'
)


async def _start(accounts: Accounts, token: str, code: str | None, password: str = PASSWORD) -> dict[str, object]:
    found: dict[str, object] = (await accounts.data(START, {"p": password, "c": code}, token=token))[
        "startSecondFactor"
    ]
    return found


async def test_the_password_alone_does_not_replace_a_second_factor(accounts: Accounts) -> None:
    token, device, _ = await enrol(accounts)
    accounts.clock.turn(seconds=60)
    for code, reason in (
        (None, "REQUIRED"),
        ("", "INVALID"),
        ("000000", "INVALID"),
        ("aaaa-bbbb-cccc-dddd", "INVALID"),
    ):
        started = await _start(accounts, token, code)
        assert started == {"secret": None, "errors": [{"code": reason, "field": ["code"]}]}
    assert (await _start(accounts, token, device.at(accounts.clock()), WRONG))["secret"] is None
    assert await accounts.value("SELECT totp_pending FROM credential WHERE totp_secret IS NOT NULL") is None
    started = await _start(accounts, token, device.at(accounts.clock()))
    assert started["errors"] == []
    assert (await _start(accounts, token, device.at(accounts.clock())))["secret"] is None, "a code is good once"


async def test_a_code_or_a_recovery_code_replaces_it(accounts: Accounts) -> None:
    token, device, recovery = await enrol(accounts)
    for proof in ("a code", "a recovery code"):
        accounts.clock.turn(seconds=60)
        started = await _start(accounts, token, device.at(accounts.clock()) if proof == "a code" else recovery[0])
        other = pyotp.TOTP(str(started["secret"]))
        accounts.clock.turn(seconds=60)
        still = await accounts.sign_in(code=device.at(accounts.clock()))
        assert still["accessToken"], "the old one goes on until the new one is confirmed"
        confirmed = await accounts.data(CONFIRM, {"c": other.at(accounts.clock())}, token=token)
        recovery = confirmed["confirmSecondFactor"]["recoveryCodes"]
        accounts.clock.turn(seconds=60)
        assert (await accounts.sign_in(code=device.at(accounts.clock())))["accessToken"] is None
        assert await accounts.code(WHO, token=still["accessToken"]) == "UNAUTHENTICATED", "it began without the new one"
        assert await accounts.data(WHO, token=token)
        device = other


async def test_wrong_codes_are_counted_as_elsewhere(accounts: Accounts) -> None:
    token, _, _ = await enrol(accounts)
    for _ in range(9):
        await _start(accounts, token, "000000")
    assert await accounts.code(START, {"p": PASSWORD, "c": "000000"}, token=token) == "RATE_LIMITED"
    assert await accounts.code(RENEW, {"p": PASSWORD, "c": "000000"}, token=token) == "RATE_LIMITED"


async def test_a_reset_by_mail_is_no_way_around_it(accounts: Accounts) -> None:
    _, device, _ = await enrol(accounts)
    workspace_id, member_id = await accounts.member("rep@example.com")
    async with accounts.database.transaction() as session:
        url = await make_link(accounts.services, session, workspace_id, member_id, LinkPurpose.RESET)
    await accounts.data(RESET, {"t": url.partition("#")[2]})
    accounts.clock.turn(seconds=60)
    half = await accounts.sign_in(password="a new and long one")
    assert (half["accessToken"], half["secondFactorRequired"]) == (None, True)
    whole = await accounts.sign_in(password="a new and long one", code=device.at(accounts.clock()))
    assert whole["accessToken"]


async def test_what_was_offered_before_a_new_password_is_not_taken(accounts: Accounts) -> None:
    """The attack: whoever has a session and the password has a secret offered, and waits."""
    await accounts.give_password("rep@example.com")
    token = (await accounts.sign_in())["accessToken"]
    secret = str((await _start(accounts, token, None))["secret"])
    change = (
        'mutation ($p: String!) { changePassword(input: {currentPassword: $p, newPassword: "a new and long one"}) {'
    )
    await accounts.data(f"{change} errors {{ code }} }} }}", {"p": PASSWORD}, token=token)
    answer = await accounts.data(CONFIRM, {"c": pyotp.TOTP(secret).at(accounts.clock())}, token=token)
    assert answer["confirmSecondFactor"]["errors"] == [{"code": "INVALID", "field": ["code"]}]


async def test_of_two_first_factors_at_once_neither_replaces_the_other_unasked(real: Accounts) -> None:
    await real.give_password("rep@example.com")
    token = (await real.sign_in())["accessToken"]
    secrets = [str((await _start(real, token, None))["secret"]) for _ in range(2)]
    codes = [pyotp.TOTP(secret).at(real.clock()) for secret in secrets]
    answers = await asyncio.gather(*(real.ask(CONFIRM, {"c": code}, token=token) for code in codes))
    taken = [answer["data"]["confirmSecondFactor"]["recoveryCodes"] is not None for answer in answers]
    assert taken == [False, True], "the secret that was offered last is the one"
    assert (await _start(real, token, None))["errors"] == [{"code": "REQUIRED", "field": ["code"]}]
