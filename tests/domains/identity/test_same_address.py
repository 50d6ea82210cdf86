"""One address, an account in each of two workspaces: neither is in the other's way."""

from __future__ import annotations

from typing import Any

import pytest

from crm_graph.domains.identity.accounts.meter import Kind, count, of_link, of_member
from crm_graph.graph.schema.build import BuiltSchema
from crm_graph.identity.origin import Origin
from tests.domains.identity.test_mails import REQUEST, MailServer, deliver, mail_server, mailing
from tests.domains.identity.test_second_factor import enrol
from tests.support.accounts import ELSEWHERE, PASSWORD, SIGN_IN, WRONG, Accounts, limited

__all__ = ["mail_server", "mailing"]
OTHER = "another horse battery staple"
REP = "rep@example.com"


async def account(accounts: Accounts, workspace: str, password: str, email: str = REP) -> str:
    """Give a member a password, a minute after whoever came before; return their id."""
    accounts.clock.turn(minutes=1)
    return (await accounts.give_password(email, password, workspace))[1]


async def whose(accounts: Accounts, password: str, **given: Any) -> str | None:
    """Return as which member a password signs in; without a workspace unless told."""
    payload = await accounts.sign_in(**{"password": password, "workspace": None, **given})
    token = payload["accessToken"]
    return None if token is None else accounts.services.authority.check(token).member_id


async def test_the_password_says_which_account(accounts: Accounts) -> None:
    theirs = await account(accounts, "demo", PASSWORD)
    assert await whose(accounts, PASSWORD) == theirs
    others = await account(accounts, "other", OTHER)
    assert await whose(accounts, PASSWORD) == theirs
    assert await whose(accounts, OTHER) == others
    assert await whose(accounts, WRONG) is None


@pytest.mark.parametrize(("first", "second"), [("demo", "other"), ("other", "demo")])
async def test_of_two_with_one_password_it_is_the_older(accounts: Accounts, first: str, second: str) -> None:
    """Whatever the later one's workspace does, the earlier one is answered what it was answered before."""
    older, younger = await account(accounts, first, PASSWORD), await account(accounts, second, PASSWORD)
    assert await whose(accounts, PASSWORD) == older
    assert await whose(accounts, PASSWORD, workspace=second) == younger
    for password, member_id in ((OTHER, younger), (PASSWORD, older)):
        await accounts.rows("UPDATE credential SET generation = 0 WHERE member_id = $1", older)
        await account(accounts, first, password)
        assert await whose(accounts, PASSWORD) == member_id, "a new password makes no account younger"


async def test_who_was_invited_only_is_not_tried(accounts: Accounts, schema: BuiltSchema) -> None:
    alone = Accounts(schema, accounts.database, sign_in_candidates=1)
    theirs = await account(alone, "demo", PASSWORD)
    assert await alone.value("SELECT count(*) FROM member WHERE email = $1", REP) == 2
    assert await whose(alone, PASSWORD) == theirs


async def test_a_crowd_of_later_accounts_does_not_push_one_out(accounts: Accounts, schema: BuiltSchema) -> None:
    """The attack: accounts of the victim's address, one in each workspace that one can get, and more of them than are
    tried. One of them is older, of another address, and was given the victim's afterwards."""
    alone = Accounts(schema, accounts.database, sign_in_candidates=1)
    aged = await account(alone, "other", OTHER, "rep2@example.com")
    theirs = await account(alone, "demo", PASSWORD)
    await alone.rows("UPDATE member SET email = 'x@example.com' WHERE email = $1 AND id <> $2", REP, theirs)
    await alone.rows("UPDATE member SET email = $1 WHERE id = $2", REP, aged)
    before = alone.services.passwords.verifications
    assert await whose(alone, PASSWORD) == theirs
    assert await whose(alone, OTHER) is None
    assert alone.services.passwords.verifications == before + 2
    assert await whose(alone, OTHER, workspace="other") == aged
    assert await alone.value("SELECT email FROM credential WHERE member_id = $1", aged) == REP
    assert await whose(alone, PASSWORD) == theirs, "from now on the address is the other's too, and the younger one"


async def test_so_many_accounts_are_tried_as_there_are_workspaces_at_most(
    accounts: Accounts, schema: BuiltSchema
) -> None:
    for most, tried in ((1, 1), (2, 2), (50, 2)):
        some = Accounts(schema, accounts.database, sign_in_candidates=most)
        await whose(some, PASSWORD, email=f"{most}@example.com")
        assert some.services.passwords.verifications == tried


async def test_attempts_in_one_workspace_shut_no_account_of_another(accounts: Accounts) -> None:
    theirs = await account(accounts, "demo", PASSWORD)
    await account(accounts, "other", OTHER)
    for _ in range(12):
        await limited(accounts, workspace="other")
    assert await limited(accounts, workspace="other") is not None
    assert await whose(accounts, PASSWORD, origin=ELSEWHERE) == theirs
    assert await whose(accounts, PASSWORD, workspace="demo", origin=ELSEWHERE) == theirs
    assert await whose(accounts, OTHER, origin=ELSEWHERE) is None, "which is shut, by whichever door"


async def test_all_doors_together_are_ten_guesses(accounts: Accounts) -> None:
    theirs = await account(accounts, "demo", PASSWORD)
    for number in range(10):
        assert await limited(accounts, Origin(f"198.51.100.{number}"), workspace=("demo", None)[number % 2]) is None
    assert await limited(accounts, workspace="demo", password=PASSWORD) is not None
    assert await whose(accounts, PASSWORD, origin=ELSEWHERE) is None, "not verified any more"
    for _ in range(4):
        assert await whose(accounts, WRONG, origin=ELSEWHERE) is None
    assert await limited(accounts, workspace=None) is not None
    accounts.clock.turn(minutes=5)
    assert await whose(accounts, PASSWORD, origin=ELSEWHERE) == theirs


async def test_an_account_of_ones_own_is_no_way_to_guess_at_another(accounts: Accounts) -> None:
    """The attack: an account of the victim's address whose password one sets to each guess in turn. Signing in is right
    each time, which takes attempts back, at that account."""
    theirs = await account(accounts, "demo", PASSWORD)
    own = await account(accounts, "other", OTHER)
    for _ in range(11):
        assert await whose(accounts, OTHER, origin=ELSEWHERE) == own
    hashed = await accounts.services.passwords.hash(PASSWORD)
    await accounts.rows("UPDATE credential SET password_hash = $1 WHERE member_id = $2", hashed, own)
    assert await whose(accounts, PASSWORD, origin=ELSEWHERE) == own, "the victim's is not tried any more"
    assert (
        await accounts.value(
            "SELECT data ->> 'reason' FROM event WHERE type = 'SignInFailed' AND entity_id = $1", theirs
        )
        == "TOO_MANY_ATTEMPTS"
    )
    await accounts.rows("UPDATE credential SET password_hash = $1 WHERE member_id = $2", "x", own)
    await accounts.rows("DELETE FROM attempt")
    assert await whose(accounts, PASSWORD) == theirs
    for _ in range(12):
        await limited(accounts, workspace=None)
    assert await whose(accounts, PASSWORD) == theirs, "at their usual place"


async def test_ids_that_another_workspace_uses_too_are_counted_apart(accounts: Accounts) -> None:
    """Ids of members may be chosen, and are unique in a workspace only."""
    demo, id_ = await accounts.member(REP)
    other, _ = await accounts.member(REP, "other")
    for subject in (of_member, of_link):
        for _ in range(3):
            assert (await count(accounts.services, Kind.SECOND_FACTOR_DAY, subject(other, id_), 5)).attempts
        assert (await count(accounts.services, Kind.SECOND_FACTOR_DAY, subject(demo, id_), 5)).attempts == 1


async def test_the_second_factor_is_that_of_the_account_that_fits(accounts: Accounts) -> None:
    _, device, _ = await enrol(accounts)
    others = await account(accounts, "other", OTHER)
    assert (await accounts.sign_in(workspace=None))["secondFactorRequired"] is True
    assert await whose(accounts, OTHER) == others
    accounts.clock.turn(minutes=1)
    assert (await accounts.sign_in(workspace=None, code=device.at(accounts.clock())))["accessToken"]


async def test_resets_asked_for_in_one_workspace_use_up_none_of_another(
    mailing: Accounts, mail_server: MailServer
) -> None:
    """Neither at the door nor in the queue, where each account has its own number of mails."""
    await mailing.give_password(REP)
    await mailing.give_password(REP, workspace="other")
    for number in range(7):
        await mailing.ask(REQUEST, {"email": REP, "workspace": "other"}, origin=Origin(f"198.51.100.{number}"))
    assert await mailing.code(REQUEST, {"email": REP, "workspace": "other"}) == "RATE_LIMITED"
    assert await mailing.data(REQUEST, {"email": REP, "workspace": "demo"})
    assert await mailing.data(REQUEST, {"email": REP})
    await deliver(mailing)
    assert len(mail_server.mails) == 5 + 1 + 1, "five for the one, one for each request for the other"


async def test_the_answers_hold_no_trace_of_the_other(accounts: Accounts) -> None:
    await account(accounts, "demo", PASSWORD)

    async def answers() -> list[Any]:
        found = []
        for email, workspace in ((REP, None), (REP, "demo"), ("nobody@example.com", None)):
            given = {"email": email, "password": WRONG, "workspace": workspace}
            found.append((await accounts.ask(SIGN_IN, {"input": given}))["data"])
        return found

    before = await answers()
    await account(accounts, "other", OTHER)
    assert await answers() == before
