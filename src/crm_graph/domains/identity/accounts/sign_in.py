"""Signing in with e-mail and password: the same answer, and the same work, for who is there and who is not.

In this order: the attempt is counted, at the address, and committed; one statement looks the accounts up; the attempt
is counted at each of them; then the passwords are verified, those of members who may come in or decoys; a failure
writes its events. Unknown, suspended, without a password, of another workspace: all of them are that one case.

Who names a workspace is looked for there: one account, one verification. Who names none is looked for in all of them,
and so many accounts are tried as `CRM_SIGN_IN_CANDIDATES` says, as there are workspaces at most: always so many
verifications, and the first account whose password fits is the one. Which ones, and in which order, nobody can change
who administers another workspace: first those whose password was chosen under the very address, the longest-standing
before the others. A member who was invited and has no password yet is not tried at all. Of two accounts with the same
password the older one is signed in to, and the other by its workspace's name: asking which one is meant would let the
later account change what the earlier one is answered.

Decided in D-domains-10 (ARCHITECTURE.md).
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from crm_graph.db.session import Record
from crm_graph.db.statements import Statement
from crm_graph.domains.identity.accounts.credentials import canonical_email, note_email, rehash
from crm_graph.domains.identity.accounts.enums import SignInMethod
from crm_graph.domains.identity.accounts.events import SignInFailed
from crm_graph.domains.identity.accounts.journal import By, record
from crm_graph.domains.identity.accounts.meter import (
    Counted,
    Kind,
    Subject,
    count_address,
    count_each,
    network_of,
    of_account,
    of_nobody,
    take_back,
)
from crm_graph.domains.identity.accounts.second_factor import check_code
from crm_graph.domains.identity.accounts.session_rows import Source
from crm_graph.domains.identity.accounts.sessions import TokenPair, start_session
from crm_graph.domains.workspace.members.addresses import workspaces_of
from crm_graph.identity.origin import Origin
from crm_graph.identity.services import Services
from crm_graph.identity.viewer import NOBODY
from crm_graph.kernel.errors import CrmError, RateLimited, Unauthenticated

FAILED = (
    "The e-mail address, the password or the workspace is not right. Where the address is used in several workspaces,"
    " give the short name of one."
)
CODE_NEEDED = "This account has a second factor: send its code too."
CODE_WRONG = "The code is wrong, or was used before: wait for the next one."
_ACCOUNT_PURPOSE = "accounts in the log"

# `familiar`: whether this account was signed in to before from the network that asks now.
FIND = Statement(
    """
    SELECT member.workspace_id, member.id, workspace.slug, credential.password_hash, credential.totp_secret,
           credential.generation,
           credential.email AS email_known,
           member.status = 'ACTIVE' AND member.kind = 'PERSON' AND credential.password_hash IS NOT NULL AS welcome,
           EXISTS (SELECT 1 FROM member_session AS session
                   WHERE session.workspace_id = member.workspace_id AND session.member_id = member.id
                     AND session.address::inet <<= $3::text::inet
                     AND session.revoked_reason IS DISTINCT FROM 'REUSED') AS familiar
    FROM member
    JOIN workspace ON workspace.workspace_id = member.workspace_id AND workspace.id = member.workspace_id
    LEFT JOIN credential ON credential.workspace_id = member.workspace_id AND credential.member_id = member.id
    WHERE lower(member.email) = $1 AND member.workspace_id = ANY($2::uuid[])
    ORDER BY member.status = 'ACTIVE' AND member.kind = 'PERSON' AND credential.password_hash IS NOT NULL DESC,
             coalesce(credential.email = $1, false) DESC, credential.email_at, member.workspace_id
    LIMIT $4
    """,
    ("email", "workspaces", "network", "limit"),
    {},
)
_WORKSPACES = Statement("SELECT count(*) AS found FROM (SELECT 1 FROM workspace LIMIT $1) AS workspace", ("limit",), {})


class SignInFailure(CrmError):
    """Raised for a wrong password and for an account that is not there: nothing tells which."""

    def __init__(self) -> None:
        super().__init__(FAILED)


class SecondFactorRequired(CrmError):
    """Raised after the right password of a member with a second factor, without a code or with a wrong one."""

    def __init__(self, *, wrong: bool) -> None:
        super().__init__(CODE_WRONG if wrong else CODE_NEEDED)
        self.wrong = wrong


_Failure: TypeAlias = "tuple[Record | None, str]"
"""Of which account, and why."""


@dataclass(frozen=True, slots=True)
class _Candidate:
    """An account whose password is tried, or None in the place of one, and how often it was tried lately."""

    account: Record | None
    counted: Counted

    @property
    def password_hash(self) -> str | None:
        """What the password must fit; None where nothing fits: nobody may come in, or it was tried too often."""
        if self.account is None or not self.account["welcome"] or self.counted.is_over:
            return None
        hashed: str = self.account["password_hash"]
        return hashed

    @property
    def was_shut(self) -> bool:
        """Whether this attempt is the one that shut an account."""
        return self.account is not None and self.counted.is_first_over

    @property
    def failure(self) -> _Failure:
        """What is recorded of it; of an account that has been shut for longer, as much as of nobody."""
        if self.was_shut:
            return self.account, "TOO_MANY_ATTEMPTS"
        return None if self.counted.is_over else self.account, "PASSWORD"


@dataclass(frozen=True, slots=True)
class Identified:
    """The member that somebody has proved to be, by a credential of a generation."""

    workspace_id: str
    member_id: str
    generation: int


async def authenticate(
    services: Services,
    email: str,
    password: str,
    code: str | None,
    workspace: str | None,
    origin: Origin,
    *,
    request_id: str | None = None,
) -> Identified:
    """Return the member of an e-mail address and a password, and of a code where they have a second factor.

    Commits what it counts and what it records by itself: nothing that happens later takes an attempt back. Raises
    SignInFailure, SecondFactorRequired and RateLimited.
    """
    canonical, by = canonical_email(email), By(None, origin, request_id)
    at_address = await count_address(services, Kind.SIGN_IN, origin.address)
    if at_address is not None:
        await _check(services, at_address, (), canonical, by)
    accounts = await _find(services, canonical, workspace, origin)
    at_door, candidates = await _count(services, accounts, canonical, workspace, origin)
    await _check(services, at_door, candidates, canonical, by)
    fits = await services.passwords.verify_each([each.password_hash for each in candidates], password)
    if not any(fits):
        await _record_failures(services, [each.failure for each in candidates], canonical, by)
        raise SignInFailure
    right = candidates[fits.index(True)]
    account = right.account
    assert account is not None
    identified = Identified(account["workspace_id"], account["id"], account["generation"])
    own = tuple(dict.fromkeys((at_address, at_door, right.counted)))
    if account["totp_secret"] is not None:
        await _check_second(services, account, canonical, code, by, own)
    await take_back(services, *own)
    # Whoever signs in here can have been guessing at the others, whose attempts are not taken back.
    await _record_failures(services, [each.failure for each in candidates if each.was_shut], canonical, by)
    if account["email_known"] != canonical:
        await note_email(services, identified.workspace_id, identified.member_id, canonical)
    if services.passwords.is_outdated(account["password_hash"]):
        await rehash(services, identified.workspace_id, identified.member_id, account["password_hash"], password)
    return identified


async def sign_in(
    services: Services,
    email: str,
    password: str,
    code: str | None,
    workspace: str | None,
    origin: Origin,
    *,
    request_id: str | None = None,
) -> TokenPair:
    """Start a session of whoever can prove who they are; see `authenticate` for what it raises."""
    who = await authenticate(services, email, password, code, workspace, origin, request_id=request_id)
    try:
        async with services.database.transaction() as session:
            return await start_session(
                services,
                session,
                who.workspace_id,
                who.member_id,
                method=SignInMethod.PASSWORD,
                origin=origin,
                source=Source(generation=who.generation),
                request_id=request_id,
            )
    except Unauthenticated:  # the password was changed, or they were suspended, at this very moment
        raise SignInFailure from None


async def _find(services: Services, canonical: str, workspace: str | None, origin: Origin) -> list[Record | None]:
    """Return the accounts whose passwords are tried, in order; None in the place of each that is not there."""
    reader, limit = services.database.primary_reader(), 1
    if workspace is None:
        (row,) = await reader.fetch(_WORKSPACES, {"limit": services.settings.sign_in_candidates})
        limit = max(1, row["found"])
    workspaces = await workspaces_of(reader, canonical, workspace)
    values = {"email": canonical, "workspaces": workspaces, "network": network_of(origin.address), "limit": limit}
    rows: list[Record | None] = [*await reader.fetch(FIND, values)]  # none is asked for as well, or time would tell
    return rows + [None] * (limit - len(rows))


async def _count(
    services: Services, accounts: Sequence[Record | None], canonical: str, workspace: str | None, origin: Origin
) -> tuple[Counted, list[_Candidate]]:
    """Count the attempt at the door, which is that of the workspace or of those who name none, and at each account.

    An account has one counter, whichever door leads to it, and each its own: the attempts at it in one workspace say
    nothing of another, and who guesses without naming one has no more guesses at each than who does.
    """

    def subject(account: Record | None, slug: str | None) -> Subject:
        familiar = account is not None and account["familiar"]
        return of_account(slug, canonical, network_of(origin.address) if familiar else None)

    subjects = [subject(accounts[0], workspace)]
    if workspace is None:
        subjects += [
            of_nobody(number, canonical) if account is None else subject(account, account["slug"])
            for number, account in enumerate(accounts)
        ]
    counted = await count_each(services, Kind.SIGN_IN, subjects, services.settings.attempts_per_account)
    return counted[0], [_Candidate(*pair) for pair in zip(accounts, counted[-len(accounts) :], strict=True)]


async def _check_second(
    services: Services,
    account: Record,
    canonical: str,
    code: str | None,
    by: By,
    counted: tuple[Counted | None, ...],
) -> None:
    """Check the second factor. A right password without a code yet is no failed attempt: clients ask for it so."""
    if not code:
        await take_back(services, *counted)
        raise SecondFactorRequired(wrong=False)
    workspace_id, member_id = account["workspace_id"], account["id"]
    try:
        right = await check_code(services, workspace_id, member_id, account["totp_secret"], code, by)
    except RateLimited:
        await _record_failures(services, [(account, "TOO_MANY_CODES")], canonical, by)
        raise
    if not right:
        await _record_failures(services, [(account, "SECOND_FACTOR")], canonical, by)
        raise SecondFactorRequired(wrong=True)


async def _check(
    services: Services, counted: Counted, candidates: Sequence[_Candidate], canonical: str, by: By
) -> None:
    """Raise RateLimited over the limit. The first attempt over it is recorded, those behind it are not: the log is
    not what an attacker fills."""
    if counted.is_first_over:
        accounts = [each.account for each in candidates] or [None]
        await _record_failures(services, [(account, "TOO_MANY_ATTEMPTS") for account in accounts], canonical, by)
    counted.check()


async def _record_failures(services: Services, failures: Sequence[_Failure], canonical: str, by: By) -> None:
    """Record failures: in the member's workspace, or under the nil id where there is none. One event each either
    way."""
    if not failures:
        return
    account_hash = hmac.digest(services.keys(_ACCOUNT_PURPOSE)[0], canonical.encode(), hashlib.sha256).hex()[:16]
    async with services.database.transaction() as session:
        for account, reason in failures:
            workspace_id = NOBODY if account is None else account["workspace_id"]
            account_id = NOBODY if account is None else account["id"]
            await record(services, session, workspace_id, account_id, SignInFailed(reason, account_hash), by)
