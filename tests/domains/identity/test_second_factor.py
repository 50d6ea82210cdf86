"""The second factor: codes that are good once, recovery codes, and how often one may guess."""

from __future__ import annotations

import asyncio

import pyotp
import pytest

from crm_graph.identity.origin import Origin
from tests.support.accounts import ELSEWHERE, PASSWORD, WHO, WRONG, Accounts, limited

START = "mutation ($p: String!) { startSecondFactor(input: {password: $p}) { secret otpauthUrl errors { code } } }"
CONFIRM = "mutation ($c: String!) { confirmSecondFactor(input: {code: $c}) { recoveryCodes errors { code field } } }"
DISABLE = (
    "mutation ($p: String!, $c: String!) { disableSecondFactor(input: {password: $p, code: $c}) { errors { code } } }"
)
RENEW = """mutation ($p: String!, $c: String!) {
    renewRecoveryCodes(input: {password: $p, code: $c}) { recoveryCodes errors { code } } }"""
REMOVE = (
    """mutation ($id: ID!) { removeSecondFactorOfMember(input: {memberId: $id}) { member { id } errors { code } } }"""
)


async def enrol(accounts: Accounts, email: str = "rep@example.com") -> tuple[str, pyotp.TOTP, list[str]]:
    """Let a member have a second factor; return an access token, the device, and the recovery codes."""
    await accounts.give_password(email)
    token = (await accounts.sign_in(email))["accessToken"]
    started = (await accounts.data(START, {"p": PASSWORD}, token=token))["startSecondFactor"]
    device = pyotp.parse_uri(started["otpauthUrl"])
    assert isinstance(device, pyotp.TOTP)
    assert device.secret == started["secret"]
    assert (device.name, device.issuer) == (email, "crm-graph")
    confirmed = (await accounts.data(CONFIRM, {"c": device.at(accounts.clock())}, token=token))["confirmSecondFactor"]
    assert confirmed["errors"] == []
    return token, device, confirmed["recoveryCodes"]


async def test_a_second_factor_is_asked_for(accounts: Accounts) -> None:
    _, device, _ = await enrol(accounts)
    payload = await accounts.sign_in()
    assert payload["accessToken"] is None
    assert payload["secondFactorRequired"] is True
    assert payload["errors"] == [{"code": "REQUIRED", "message": payload["errors"][0]["message"], "field": ["code"]}]
    accounts.clock.turn(seconds=30)
    code = device.at(accounts.clock())
    assert (await accounts.sign_in(code=f" {code[:3]} {code[3:]} "))["accessToken"]
    wrong = await accounts.sign_in(password=WRONG, code=code)
    assert (wrong["secondFactorRequired"], wrong["errors"][0]["field"]) == (False, [])


async def test_a_code_is_good_once(accounts: Accounts) -> None:
    _, device, _ = await enrol(accounts)
    assert (await accounts.sign_in(code=device.at(accounts.clock())))["accessToken"] is None, "it confirmed already"
    accounts.clock.turn(seconds=30)
    code = device.at(accounts.clock())
    assert (await accounts.sign_in(code=code))["accessToken"]
    again = await accounts.sign_in(code=code)
    assert (again["accessToken"], again["secondFactorRequired"]) == (None, True)
    assert (await accounts.sign_in(code=device.at(accounts.clock(), counter_offset=-1)))["accessToken"] is None
    assert (await accounts.sign_in(code=device.at(accounts.clock(), counter_offset=1)))["accessToken"]
    assert (await accounts.sign_in(code=device.at(accounts.clock(), counter_offset=2)))["accessToken"] is None


async def test_of_two_at_once_with_one_code_one_gets_in(real: Accounts) -> None:
    _, device, recovery = await enrol(real)
    real.clock.turn(seconds=30)
    for code in (device.at(real.clock()), recovery[0]):
        payloads = await asyncio.gather(*(real.sign_in(code=code) for _ in range(4)))
        assert sum(each["accessToken"] is not None for each in payloads) == 1


async def test_recovery_codes_are_good_once(accounts: Accounts) -> None:
    token, _, codes = await enrol(accounts)
    assert len(set(codes)) == 10
    assert (await accounts.sign_in(code=codes[0].upper()))["accessToken"]
    assert (await accounts.sign_in(code=codes[0]))["accessToken"] is None
    assert (await accounts.sign_in(code=codes[1].replace("-", "")))["accessToken"]
    account = "{ viewer { account { hasPassword secondFactor recoveryCodesLeft } } }"
    assert (await accounts.data(account, token=token))["viewer"]["account"] == {
        "hasPassword": True,
        "secondFactor": True,
        "recoveryCodesLeft": 8,
    }
    assert await accounts.events("RecoveryCodeUsed") == ["RecoveryCodeUsed"] * 2
    kept = str(await accounts.rows("SELECT credential::text, recovery_code::text FROM credential, recovery_code"))
    assert not any(code in kept or code.replace("-", "") in kept for code in codes)


@pytest.mark.parametrize("code", ["000000", "", "1" * 100, "abcd-efgh-ijkl-mnop", "１２３４５６", "%%%%%%"])
async def test_a_wrong_code(accounts: Accounts, code: str) -> None:
    await enrol(accounts)
    assert (await accounts.sign_in(code=code))["accessToken"] is None


async def test_codes_are_metered(accounts: Accounts) -> None:
    """Per account by the window, from wherever; and by the day, as a million codes are few."""
    _, device, _ = await enrol(accounts)
    accounts.clock.turn_to_noon()  # windows are those of the calendar: half an hour from here is the same day
    tried = 0
    for day in range(6):
        for _ in range(10):
            if await limited(accounts, Origin(f"198.51.100.{day}"), password=PASSWORD, code="000000") is None:
                tried += 1
        accounts.clock.turn(minutes=5)
    assert tried == 50
    code = device.at(accounts.clock())
    assert await limited(accounts, Origin("203.0.113.1"), password=PASSWORD, code=code) is not None
    accounts.clock.turn(days=1)
    assert (await accounts.sign_in(code=device.at(accounts.clock()), origin=ELSEWHERE))["accessToken"]


async def test_the_second_factor_changes_hands_with_proof_only(accounts: Accounts) -> None:
    token, device, codes = await enrol(accounts)
    accounts.clock.turn(seconds=60)
    for source in (DISABLE, RENEW):
        (name,) = (await accounts.data(source, {"p": WRONG, "c": device.at(accounts.clock())}, token=token)).values()
        assert name["errors"] == [{"code": "INVALID"}]
        (name,) = (await accounts.data(source, {"p": PASSWORD, "c": "000000"}, token=token)).values()
        assert name["errors"] == [{"code": "INVALID"}]
    renewed = (await accounts.data(RENEW, {"p": PASSWORD, "c": codes[0]}, token=token))["renewRecoveryCodes"]
    assert not set(renewed["recoveryCodes"]) & set(codes)
    assert (await accounts.sign_in(code=codes[1]))["accessToken"] is None
    disabled = await accounts.data(DISABLE, {"p": PASSWORD, "c": device.at(accounts.clock())}, token=token)
    assert disabled["disableSecondFactor"] == {"errors": []}
    assert (await accounts.sign_in())["accessToken"]
    assert await accounts.rows("SELECT 1 FROM recovery_code") == []


async def test_a_secret_that_is_not_confirmed_counts_for_nothing(accounts: Accounts) -> None:
    await accounts.give_password("rep@example.com")
    token = (await accounts.sign_in())["accessToken"]
    assert (await accounts.data(CONFIRM, {"c": "000000"}, token=token))["confirmSecondFactor"]["errors"] == [
        {"code": "INVALID", "field": ["code"]}
    ]
    refused = (await accounts.data(START, {"p": WRONG}, token=token))["startSecondFactor"]
    assert (refused["secret"], refused["errors"]) == (None, [{"code": "INVALID"}])
    await accounts.data(START, {"p": PASSWORD}, token=token)
    assert (await accounts.sign_in())["accessToken"]


async def test_an_administrator_removes_a_lost_second_factor(accounts: Accounts) -> None:
    token, _, _ = await enrol(accounts)
    _, member_id = await accounts.member("rep@example.com")
    await accounts.give_password("admin@example.com")
    admin = (await accounts.sign_in("admin@example.com"))["accessToken"]
    variables = {"id": f"mem_{member_id}"}
    assert await accounts.code(REMOVE, variables, token=token) == "FORBIDDEN"
    payload = (await accounts.data(REMOVE, variables, token=admin))["removeSecondFactorOfMember"]
    assert payload == {"member": variables, "errors": []}
    assert await accounts.code(WHO, token=token) == "UNAUTHENTICATED"
    assert (await accounts.sign_in())["accessToken"]
    again = (await accounts.data(REMOVE, variables, token=admin))["removeSecondFactorOfMember"]
    assert again["errors"] == [{"code": "ILLEGAL_TRANSITION"}]
