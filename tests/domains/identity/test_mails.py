"""Invitations, resets and the queue of mails, with a mail server on loopback."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, Envelope
from aiosmtpd.smtp import Session as SmtpSession

from crm_graph.app import make_mailer, make_outbox
from crm_graph.domains.identity.accounts.outbox import Outbox, enqueue_mail
from crm_graph.domains.identity.accounts.texts import Text
from crm_graph.graph.schema.build import BuiltSchema
from crm_graph.identity.mailer import Mailer, MailRefused
from crm_graph.identity.origin import Origin
from crm_graph.kernel.errors import OperatorError
from tests.support.accounts import PASSWORD, REFRESH, WHO, Accounts, real_accounts

REQUEST = """mutation ($email: String!, $workspace: String, $language: MailLanguage! = EN) {
    requestPasswordReset(input: {email: $email, workspace: $workspace, language: $language}) {
        errors { code message } } }"""
RESET = """mutation ($token: String!, $password: String!) {
    resetPassword(input: {token: $token, password: $password}) { errors { code field } } }"""
INVITE = """mutation ($input: InviteMemberInput!) { inviteMember(input: $input) {
    member { id name email } link errors { code field } } }"""
RESEND = """mutation ($id: ID!) { resendInvitation(input: {id: $id}) { member { id } link errors { code } } }"""
ACCEPT = """mutation ($token: String!, $password: String!, $name: String) {
    acceptInvitation(input: {token: $token, password: $password, name: $name}) {
        accessToken refreshToken errors { code field } } }"""
CHANGE = """mutation ($old: String!, $new: String!) {
    changePassword(input: {currentPassword: $old, newPassword: $new}) { errors { code field } } }"""
NEW = "another long password"
NEWCOMER = {"email": "new@example.com", "name": "New", "roles": ["sales_rep"]}
USED = [{"code": "INVALID", "field": ["token"]}]


class MailServer:
    """A real SMTP server that keeps what it is given, and answers as told."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.recipients: list[list[str]] = []
        self.answer = "250 OK"
        self.port = 0
        self.arrived = asyncio.Event()

    async def handle_DATA(self, server: SMTP, session: SmtpSession, envelope: Envelope) -> str:  # noqa: N802
        """Take a mail."""
        if self.answer.startswith("250"):
            assert isinstance(envelope.content, bytes)
            mail = message_from_bytes(envelope.content, policy=policy.default)
            self.mails.append(mail)
            self.recipients.append(envelope.rcpt_tos)
            self.arrived.set()
        return self.answer

    def token(self) -> str:
        """Return the token of the last mail."""
        found = re.search(r"#(crml_\S+)", self.mails[-1].get_content())
        assert found is not None
        return found[1]


@pytest.fixture
async def mail_server() -> AsyncIterator[MailServer]:
    """A mail server on a free port."""
    kept = MailServer()
    server = await asyncio.get_running_loop().create_server(lambda: SMTP(kept), "127.0.0.1", 0)
    kept.port = server.sockets[0].getsockname()[1]
    yield kept
    server.close()
    await server.wait_closed()


@pytest.fixture
async def mailing(accounts_url: str, schema: BuiltSchema, mail_server: MailServer) -> AsyncIterator[Accounts]:
    """Accounts that send mails."""
    url = f"smtp://127.0.0.1:{mail_server.port}"
    options = {"smtp_url": url, "mail_from": "CRM <crm@example.com>", "public_url": "https://crm.example.com"}
    async with real_accounts(schema, accounts_url, **options) as found:
        yield found
        await found.rows("DELETE FROM member_role WHERE member_id IN (SELECT id FROM member WHERE email LIKE 'new%')")
        await found.rows("DELETE FROM member WHERE email LIKE 'new%'")


def outbox_of(accounts: Accounts) -> Outbox:
    """Return the process's sender."""
    mailer = make_mailer(accounts.services.settings)
    assert mailer is not None
    return make_outbox(accounts.services, mailer)


async def deliver(accounts: Accounts) -> None:
    """Send what is due: requests become mails, which the second turn sends."""
    outbox = outbox_of(accounts)
    for _ in range(3):
        await outbox.send_once()


async def admin(accounts: Accounts) -> str:
    """Return an administrator's access token."""
    await accounts.give_password("admin@example.com")
    token: str = (await accounts.sign_in("admin@example.com"))["accessToken"]
    return token


async def reset_token(accounts: Accounts, server: MailServer) -> str:
    """Return the token of a reset that was requested for the representative."""
    await accounts.data(REQUEST, {"email": "rep@example.com", "workspace": "demo"})
    await deliver(accounts)
    return server.token()


async def test_a_password_is_reset_by_mail(mailing: Accounts, mail_server: MailServer) -> None:
    await mailing.give_password("rep@example.com")
    session = await mailing.sign_in()
    token = await reset_token(mailing, mail_server)
    (mail,) = mail_server.mails
    assert (mail["To"], mail["From"], mail_server.recipients) == (
        "rep@example.com",
        "CRM <crm@example.com>",
        [["rep@example.com"]],
    )
    assert f"https://crm.example.com/account/reset#{token}" in mail.get_content()
    assert await mailing.rows("SELECT 1 FROM mail") == []
    assert (await mailing.data(RESET, {"token": token, "password": NEW}))["resetPassword"] == {"errors": []}
    assert await mailing.code(WHO, token=session["accessToken"]) == "UNAUTHENTICATED"
    assert await mailing.code(REFRESH, {"token": session["refreshToken"]}) == "UNAUTHENTICATED"
    assert (await mailing.sign_in())["accessToken"] is None
    assert (await mailing.sign_in(password=NEW))["accessToken"]
    assert await mailing.events() == [
        *("SignedIn", "PasswordResetRequested", "PasswordReset", "SessionsRevoked"),
        *("SignInFailed", "SignedIn"),
    ]


async def test_a_link_is_good_once_and_not_for_ever(mailing: Accounts, mail_server: MailServer) -> None:
    await mailing.give_password("rep@example.com")
    token = await reset_token(mailing, mail_server)
    refused = (await mailing.data(RESET, {"token": token, "password": "short"}))["resetPassword"]["errors"]
    assert refused == [{"code": "INVALID", "field": ["password"]}], "a refused password does not use the link up"
    assert (await mailing.data(RESET, {"token": token, "password": NEW}))["resetPassword"]["errors"] == []
    assert (await mailing.data(RESET, {"token": token, "password": PASSWORD}))["resetPassword"]["errors"] == USED
    token = await reset_token(mailing, mail_server)
    mailing.clock.turn(minutes=60)
    assert (await mailing.data(RESET, {"token": token, "password": PASSWORD}))["resetPassword"]["errors"] == USED
    assert (await mailing.sign_in(password=NEW))["accessToken"]


async def test_an_older_link_dies_with_a_newer_password(mailing: Accounts, mail_server: MailServer) -> None:
    await mailing.give_password("rep@example.com")
    first, second = await reset_token(mailing, mail_server), await reset_token(mailing, mail_server)
    session = (await mailing.sign_in())["accessToken"]
    changed = await mailing.data(CHANGE, {"old": PASSWORD, "new": NEW}, token=session)
    assert changed == {"changePassword": {"errors": []}}
    for token in (first, second):
        assert (await mailing.data(RESET, {"token": token, "password": PASSWORD}))["resetPassword"]["errors"] == USED
    first, second = await reset_token(mailing, mail_server), await reset_token(mailing, mail_server)
    assert (await mailing.data(RESET, {"token": first, "password": PASSWORD}))["resetPassword"]["errors"] == []
    assert (await mailing.data(RESET, {"token": second, "password": NEW}))["resetPassword"]["errors"] == USED


async def test_of_two_resets_at_once_one_is_done(mailing: Accounts, mail_server: MailServer) -> None:
    await mailing.give_password("rep@example.com")
    tokens = [await reset_token(mailing, mail_server) for _ in range(2)]
    answers = await asyncio.gather(
        *(mailing.data(RESET, {"token": token, "password": NEW}) for token in tokens for _ in range(2))
    )
    assert sorted(each["resetPassword"]["errors"] == [] for each in answers) == [False, False, False, True]
    assert await mailing.value("SELECT generation FROM credential") == 2


async def test_a_link_is_for_one_purpose_one_member_and_one_workspace(
    mailing: Accounts, mail_server: MailServer
) -> None:
    await mailing.give_password("rep@example.com")
    token = await reset_token(mailing, mail_server)
    variables = {"token": token, "password": NEW}
    assert (await mailing.data(ACCEPT, variables))["acceptInvitation"]["errors"] == USED
    for bad in ("", "crml_", "crml_" + "A" * 86, "crml_" + "é" * 86, f"{token}A", token[:-2] + "AA", "x" * 5_000):
        assert (await mailing.data(RESET, {"token": bad, "password": NEW}))["resetPassword"]["errors"] == USED
    await mailing.rows("UPDATE member SET status = 'SUSPENDED' WHERE email = 'rep@example.com'")
    assert (await mailing.data(RESET, variables))["resetPassword"]["errors"] == USED
    await mailing.rows("UPDATE member SET status = 'ACTIVE' WHERE email = 'rep@example.com'")
    assert (await mailing.data(RESET, variables))["resetPassword"]["errors"] == []


async def test_requests_tell_nothing(mailing: Accounts, mail_server: MailServer) -> None:
    """The same answer and the same row, whoever asks for whom; who is there is found out later."""
    await mailing.give_password("rep@example.com")
    await mailing.rows("UPDATE member SET status = 'SUSPENDED' WHERE email = 'rep3@example.com'")
    cases = ["rep@example.com", "nobody@example.com", "rep3@example.com", "not an address", ""]
    answers = [await mailing.ask(REQUEST, {"email": each, "workspace": "demo"}) for each in cases]
    assert all(each == answers[0] for each in answers)
    rows = await mailing.rows("SELECT workspace_id, kind, attempts FROM mail")
    assert [tuple(row) for row in rows] == [("0" * 32, "reset request", 0)] * len(cases)
    await deliver(mailing)
    assert mail_server.recipients == [["rep@example.com"]]
    await mailing.rows("UPDATE member SET status = 'ACTIVE' WHERE email = 'rep3@example.com'")


async def test_an_address_of_two_workspaces_gets_two_mails(mailing: Accounts, mail_server: MailServer) -> None:
    await mailing.data(REQUEST, {"email": " REP@example.com", "language": "ZH"})
    await deliver(mailing)
    assert sorted(mail["Subject"] for mail in mail_server.mails) == ["重设您在Demo的密码", "重设您在Other的密码"]
    assert "您好" in mail_server.mails[0].get_content()


async def test_requests_are_metered(mailing: Accounts, mail_server: MailServer) -> None:
    """Per account, so that nobody's mailbox is flooded, and per address."""
    spellings = ["rep@example.com", "REP@example.com", "ｒｅｐ@example.com", " rep@example.com ", "Rep@Example.com"]
    for number, email in enumerate(spellings):
        origin = Origin(f"198.51.100.{number}")
        assert await mailing.data(REQUEST, {"email": email, "workspace": "demo"}, origin=origin)
    variables = {"email": "rep@example.com", "workspace": "demo"}
    assert await mailing.code(REQUEST, variables, origin=Origin("203.0.113.1")) == "RATE_LIMITED"
    await deliver(mailing)
    assert len(mail_server.mails) == 5
    for number in range(100):
        await mailing.data(REQUEST, {"email": f"x{number}@example.com"})
    assert await mailing.code(REQUEST, {"email": "y@example.com"}) == "RATE_LIMITED"


async def test_tokens_are_metered(mailing: Accounts, mail_server: MailServer) -> None:
    await mailing.give_password("rep@example.com")
    token = await reset_token(mailing, mail_server)
    guess = token[:-8] + "AAAAAAAA"
    for number in range(10):
        origin = Origin(f"198.51.100.{number}")
        assert await mailing.data(RESET, {"token": guess, "password": NEW}, origin=origin)
    variables = {"token": guess, "password": NEW}
    assert await mailing.code(RESET, variables, origin=Origin("203.0.113.1")) == "RATE_LIMITED"
    for _ in range(100):
        await mailing.data(RESET, {"token": "x", "password": NEW})
    assert await mailing.code(RESET, {"token": "x", "password": NEW}) == "RATE_LIMITED"
    assert await mailing.code(ACCEPT, {"token": "x", "password": NEW}) == "RATE_LIMITED"


async def test_a_reset_leaves_the_second_factor(mailing: Accounts, mail_server: MailServer) -> None:
    from tests.domains.identity.test_second_factor import enrol

    await enrol(mailing)
    token = await reset_token(mailing, mail_server)
    assert (await mailing.data(RESET, {"token": token, "password": NEW}))["resetPassword"]["errors"] == []
    assert (await mailing.sign_in(password=NEW))["secondFactorRequired"] is True


async def test_without_a_mail_server_nobody_is_told_otherwise(
    accounts: Accounts, caplog: pytest.LogCaptureFixture
) -> None:
    answers = [await accounts.ask(REQUEST, {"email": each}) for each in ("rep@example.com", "nobody@example.com")]
    assert answers[0] == answers[1] == {"data": {"requestPasswordReset": {"errors": []}}}
    assert await accounts.rows("SELECT 1 FROM mail") == []
    assert "CRM_SMTP_URL" in caplog.text
    assert "@" not in caplog.text


# Invitations


async def test_a_member_is_invited(mailing: Accounts, mail_server: MailServer) -> None:
    token = await admin(mailing)
    invited = (await mailing.data(INVITE, {"input": {**NEWCOMER, "language": "ZH"}}, token=token))["inviteMember"]
    assert (invited["link"], invited["errors"]) == (None, [])
    assert invited["member"] == {"id": invited["member"]["id"], "name": "New", "email": "new@example.com"}
    await deliver(mailing)
    assert mail_server.recipients == [["new@example.com"]]
    assert mail_server.mails[0]["Subject"] == "邀请您加入Demo"
    assert f"https://crm.example.com/account/invitation#{mail_server.token()}" in mail_server.mails[0].get_content()
    assert (await mailing.sign_in("new@example.com"))["accessToken"] is None
    variables = {"token": mail_server.token(), "password": PASSWORD, "name": " 李 New "}
    accepted = (await mailing.data(ACCEPT, variables))["acceptInvitation"]
    assert accepted["errors"] == []
    viewer = "{ viewer { roles member { name } sessions { method } } }"
    assert (await mailing.data(viewer, token=accepted["accessToken"]))["viewer"] == {
        "roles": ["sales_rep"],
        "member": {"name": "李 New"},
        "sessions": [{"method": "INVITATION"}],
    }
    assert (await mailing.data(ACCEPT, variables))["acceptInvitation"]["errors"] == USED
    assert (await mailing.sign_in("new@example.com"))["accessToken"]
    changes = await mailing.value("SELECT changes FROM event WHERE type = 'MemberUpdated' ORDER BY seq DESC LIMIT 1")
    assert changes == {"name": ["New", "李 New"]}


async def test_who_invites_gets_the_link_where_no_mail_is_sent(accounts: Accounts) -> None:
    token = await admin(accounts)
    invited = (await accounts.data(INVITE, {"input": NEWCOMER}, token=token))["inviteMember"]
    link = invited["link"]
    assert link.startswith("http://127.0.0.1:8000/account/invitation#crml_")
    resent = (await accounts.data(RESEND, {"id": invited["member"]["id"]}, token=token))["resendInvitation"]
    assert resent["link"] != link
    for each in (link, resent["link"]):
        variables = {"token": each.partition("#")[2], "password": PASSWORD}
        payload = (await accounts.data(ACCEPT, variables))["acceptInvitation"]
        assert (payload["errors"] == []) is (each is link), "the second dies with the first"
    again = (await accounts.data(RESEND, {"id": invited["member"]["id"]}, token=token))["resendInvitation"]
    assert (again["link"], again["errors"]) == (None, [{"code": "ILLEGAL_TRANSITION"}])


async def test_a_link_is_given_again_only_by_who_holds_the_roles_of_the_invited(accounts: Accounts) -> None:
    token = await admin(accounts)
    grants = [
        {"type": "Member", "default": "READ", "verbs": [{"verb": each, "scope": "ALL"} for each in ("read", "create")]}
    ]
    clerk = {"input": {"name": "clerk", "grants": grants}}
    made = """mutation ($input: CreateRoleInput!) { createRole(input: $input) { errors { code message field } } }"""
    assert (await accounts.data(made, clerk, token=token))["createRole"]["errors"] == []
    invited = [
        (
            await accounts.data(
                INVITE, {"input": NEWCOMER | {"email": f"{role}2@example.com", "roles": [role]}}, token=token
            )
        )
        for role in ("admin", "clerk")
    ]
    _, rep = await accounts.member("rep@example.com")
    roles = """mutation ($id: ID!) { setMemberRoles(input: {id: $id, roles: ["clerk"]}) { errors { code message } } }"""
    assert (await accounts.data(roles, {"id": f"mem_{rep}"}, token=token))["setMemberRoles"]["errors"] == []
    await accounts.give_password("rep@example.com")
    theirs = (await accounts.sign_in("rep@example.com"))["accessToken"]
    above, alike = [
        (await accounts.data(RESEND, {"id": each["inviteMember"]["member"]["id"]}, token=theirs))["resendInvitation"]
        for each in invited
    ]
    assert (above["link"], above["errors"]) == (None, [{"code": "FORBIDDEN"}])
    assert alike["link"]
    assert alike["errors"] == []


@pytest.mark.parametrize("role", ["manager", "rep", "marketer", "support", "analyst", "integration"])
async def test_only_who_may_create_members_invites(accounts: Accounts, role: str) -> None:
    await accounts.give_password(f"{role}@example.com")
    token = (await accounts.sign_in(f"{role}@example.com"))["accessToken"]
    _, other = await accounts.member("rep2@example.com")
    assert await accounts.code(INVITE, {"input": NEWCOMER}, token=token) == "FORBIDDEN"
    assert await accounts.code(RESEND, {"id": f"mem_{other}"}, token=token) == "FORBIDDEN"
    assert await accounts.rows("SELECT 1 FROM member_link") == []
    assert await accounts.rows("SELECT 1 FROM member WHERE email = 'new@example.com'") == []


BAD: list[tuple[dict[str, Any], str, str]] = [
    ({"email": "rep@example.com"}, "TAKEN", "email"),
    ({"email": "nobody"}, "INVALID", "email"),
    ({"email": "a@b.example, c@d.example"}, "INVALID", "email"),
    ({"email": "a@b.example\r\nBcc: c@d.example"}, "INVALID", "email"),
    ({"email": "A <a@b.example>"}, "INVALID", "email"),
    ({"roles": ["king"]}, "INVALID", "roles"),
    ({"name": " "}, "INVALID", "name"),
]


@pytest.mark.parametrize(("change", "code", "field"), BAD)
async def test_a_bad_invitation(accounts: Accounts, change: dict[str, Any], code: str, field: str) -> None:
    token = await admin(accounts)
    payload = (await accounts.data(INVITE, {"input": {**NEWCOMER, **change}}, token=token))["inviteMember"]
    assert payload == {"member": None, "link": None, "errors": [{"code": code, "field": [field]}]}
    assert await accounts.rows("SELECT 1 FROM member_link") == []


async def test_another_workspace_s_member_is_not_invited(accounts: Accounts) -> None:
    token = await admin(accounts)
    _, alien = await accounts.member("rep@example.com", "other")
    payload = (await accounts.data(RESEND, {"id": f"mem_{alien}"}, token=token))["resendInvitation"]
    assert payload["errors"] == [{"code": "NOT_FOUND"}]


# Passwords


async def test_a_password_is_changed(accounts: Accounts) -> None:
    await accounts.give_password("rep@example.com")
    other, mine = await accounts.sign_in(), await accounts.sign_in()
    token = mine["accessToken"]
    wrong = await accounts.data(CHANGE, {"old": "wrong", "new": NEW}, token=token)
    assert wrong["changePassword"]["errors"] == [{"code": "INVALID", "field": ["currentPassword"]}]
    assert (await accounts.data(CHANGE, {"old": PASSWORD, "new": NEW}, token=token))["changePassword"]["errors"] == []
    assert await accounts.data(WHO, token=token)
    assert await accounts.code(WHO, token=other["accessToken"]) == "UNAUTHENTICATED"
    assert (await accounts.sign_in())["accessToken"] is None
    assert (await accounts.sign_in(password=NEW))["accessToken"]


async def test_the_current_password_is_not_guessed_with_a_stolen_token(accounts: Accounts) -> None:
    await accounts.give_password("rep@example.com")
    token = (await accounts.sign_in())["accessToken"]
    for number in range(10):
        assert await accounts.data(CHANGE, {"old": f"guess {number}", "new": NEW}, token=token)
    assert await accounts.code(CHANGE, {"old": PASSWORD, "new": NEW}, token=token) == "RATE_LIMITED"
    assert (await accounts.sign_in())["accessToken"]


@pytest.mark.parametrize("new", ["short", "eleven char", "x" * 201, "REP@example.com", "ﬀ" * 101, ""])
async def test_a_bad_password_is_refused(accounts: Accounts, new: str) -> None:
    await accounts.rows("UPDATE member SET email = 'rep@example.com' WHERE email = 'rep@example.com'")
    await accounts.give_password("rep@example.com")
    token = (await accounts.sign_in())["accessToken"]
    payload = (await accounts.data(CHANGE, {"old": PASSWORD, "new": new}, token=token))["changePassword"]
    assert payload["errors"] == [{"code": "INVALID", "field": ["newPassword"]}]
    assert (await accounts.sign_in())["accessToken"]


# The queue


async def _queue(accounts: Accounts, recipient: str = "rep@example.com", body: str = "Hello") -> None:
    workspace_id, member_id = await accounts.member("rep@example.com")
    async with accounts.database.transaction() as session:
        text = Text("test", "Subject", body)
        await enqueue_mail(accounts.services, session, workspace_id, member_id, recipient, text)


async def test_what_waits_is_sealed(mailing: Accounts) -> None:
    await _queue(mailing, body="a secret link")
    ((content,),) = await mailing.rows("SELECT mail::text FROM mail")
    assert "secret" not in content
    assert "rep@" not in content


async def test_a_mail_is_tried_again_and_given_up(
    mailing: Accounts, mail_server: MailServer, caplog: pytest.LogCaptureFixture
) -> None:
    mail_server.answer = "451 later, rep@example.com"
    await _queue(mailing)
    outbox = outbox_of(mailing)
    tries = 0
    for _ in range(26 * 4):
        tries += await outbox.send_once()
        mailing.clock.turn(minutes=15, seconds=1)
        if not await mailing.rows("SELECT 1 FROM mail"):
            break
    assert 24 <= tries <= 40
    assert await mailing.rows("SELECT data FROM event WHERE type = 'MailGivenUp'") == [
        ({"kind": "test", "reason": "the server answered 451"},)
    ]
    assert "rep@" not in caplog.text


async def test_a_server_that_is_back_gets_the_mail(mailing: Accounts, mail_server: MailServer) -> None:
    mail_server.answer = "421 closing"
    await _queue(mailing)
    outbox = outbox_of(mailing)
    assert await outbox.send_once() == 1
    assert await outbox.send_once() == 0, "not at once"
    mail_server.answer = "250 OK"
    mailing.clock.turn(seconds=31)
    assert await outbox.send_once() == 1
    assert len(mail_server.mails) == 1


async def test_a_mail_that_is_refused_for_good_is_not_tried_again(mailing: Accounts, mail_server: MailServer) -> None:
    mail_server.answer = "550 no"
    await _queue(mailing)
    await _queue(mailing, recipient="a@b.example, c@d.example")
    assert await outbox_of(mailing).send_once() == 2
    assert await mailing.rows("SELECT 1 FROM mail") == []
    assert await mailing.events("MailGivenUp") == ["MailGivenUp"] * 2
    assert mail_server.recipients == []


async def test_many_processes_send_each_mail_once(mailing: Accounts, mail_server: MailServer) -> None:
    for _ in range(25):
        await _queue(mailing)
    outbox = outbox_of(mailing)
    taken = await asyncio.gather(*(outbox.send_once() for _ in range(4)))
    assert sum(taken) == 25
    assert len(mail_server.mails) == 25


async def test_a_process_that_died_leaves_its_mail(mailing: Accounts, mail_server: MailServer) -> None:
    await _queue(mailing)
    mailer = Mailer.of("smtp://127.0.0.1:9", "crm@example.com")

    class Dies(Exception):
        pass

    class Dying(Mailer):
        async def send(self, recipient: str, subject: str, body: str) -> None:
            raise Dies

    dying = Dying(**{name: getattr(mailer, name) for name in Mailer.__slots__})
    with pytest.raises(Dies):
        await Outbox(mailing.services, dying, {}).send_once()
    outbox = outbox_of(mailing)
    assert await outbox.send_once() == 0
    mailing.clock.turn(minutes=6)
    assert await outbox.send_once() == 1
    assert len(mail_server.mails) == 1


async def test_the_task_sends(mailing: Accounts, mail_server: MailServer) -> None:
    task = asyncio.create_task(outbox_of(mailing).run())
    await _queue(mailing)
    try:
        async with asyncio.timeout(20):
            await mail_server.arrived.wait()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize(
    ("url", "sender"),
    [
        ("http://mail.example.com", "crm@example.com"),
        ("smtp://", "crm@example.com"),
        ("smtp://mail.example.com:x", "crm@example.com"),
        ("smtp://mail.example.com?starttls=maybe", "crm@example.com"),
        ("smtp://user:hidden@mail.example.com", ""),
        ("smtp://user:hidden@mail.example.com", "crm"),
    ],
)
def test_a_bad_configuration_is_explained(url: str, sender: str) -> None:
    with pytest.raises(OperatorError) as raised:
        Mailer.of(url, sender)
    assert "CRM_" in str(raised.value)
    assert "hidden" not in str(raised.value)


def test_addresses_of_servers() -> None:
    mailer = Mailer.of("smtps://us%40er:p%2Fw@mail.example.com", "CRM <crm@example.com>")
    assert (mailer.host, mailer.port, mailer.use_tls, mailer.start_tls) == ("mail.example.com", 465, True, False)
    assert (mailer.user, mailer.password) == ("us@er", "p/w")
    assert "p/w" not in repr(mailer)
    plain = Mailer.of("smtp://mail.example.com?starttls=required", "crm@example.com")
    assert (plain.port, plain.use_tls, plain.start_tls) == (587, False, True)


async def test_no_mail_without_encryption_where_it_is_required(mail_server: MailServer) -> None:
    """The server offers none, as one in the middle would make it."""
    mailer = Mailer.of(f"smtp://127.0.0.1:{mail_server.port}?starttls=required", "crm@example.com")
    with pytest.raises(MailRefused) as raised:
        await mailer.send("rep@example.com", "Subject", "Body")
    assert not raised.value.for_good
    assert mail_server.mails == []


async def test_a_server_that_is_not_there() -> None:
    mailer = Mailer.of("smtp://127.0.0.1:9", "crm@example.com")
    with pytest.raises(MailRefused) as raised:
        await mailer.send("rep@example.com", "Subject", "Body")
    assert not raised.value.for_good
