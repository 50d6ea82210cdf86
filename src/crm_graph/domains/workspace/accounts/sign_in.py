"""Signing in with e-mail and password: the same answer, and the same work, for who is there and who is not.

In this order: the attempt is counted, at the address and at the account, and committed; then one statement looks the
account up; then exactly one password is verified, that of a member who may come in or a decoy; a failure writes one
event. Unknown, suspended, without a password, of another workspace, in two workspaces: all of them are that one case.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

from crm_graph.db.session import Record
from crm_graph.db.statements import Statement
from crm_graph.domains.workspace.accounts.credentials import canonical_email, rehash
from crm_graph.domains.workspace.accounts.events import SignInFailed
from crm_graph.domains.workspace.accounts.journal import By, record
from crm_graph.domains.workspace.accounts.meter import Counted, Kind, count, count_address, network_of, take_back
from crm_graph.domains.workspace.accounts.model import SignInMethod
from crm_graph.domains.workspace.accounts.second_factor import check_code
from crm_graph.domains.workspace.accounts.session_rows import Source
from crm_graph.domains.workspace.accounts.sessions import TokenPair, start_session
from crm_graph.identity.origin import Origin
from crm_graph.identity.services import Services
from crm_graph.identity.tokens import NOBODY
from crm_graph.kernel.errors import CrmError, RateLimited, Unauthenticated

FAILED = (
    "The e-mail address, the password or the workspace is not right. An address that is used in several workspaces"
    " needs the short name of one."
)
CODE_NEEDED = "This account has a second factor: send its code too."
CODE_WRONG = "The code is wrong, or was used before."
_ACCOUNT_PURPOSE = "accounts in the log"

# `familiar`: whether this account was signed in to before from the network that asks now.
_FIND = Statement(
    """
    SELECT member.workspace_id, member.id, credential.password_hash, credential.totp_secret, credential.generation,
           member.status = 'ACTIVE' AND member.kind = 'PERSON' AS welcome,
           EXISTS (SELECT 1 FROM member_session AS session
                   WHERE session.workspace_id = member.workspace_id AND session.member_id = member.id
                     AND session.address::inet <<= $3::text::inet
                     AND session.revoked_reason IS DISTINCT FROM 'REUSED') AS familiar
    FROM member
    JOIN workspace ON workspace.workspace_id = member.workspace_id AND workspace.id = member.workspace_id
    LEFT JOIN credential ON credential.workspace_id = member.workspace_id AND credential.member_id = member.id
    WHERE lower(member.email) = $1 AND ($2::text IS NULL OR workspace.slug = $2)
    LIMIT 2
    """,
    ("email", "workspace", "network"),
    {},
)


class SignInFailure(CrmError):
    """Raised for a wrong password and for an account that is not there: nothing tells which."""

    def __init__(self) -> None:
        super().__init__(FAILED)


class SecondFactorRequired(CrmError):
    """Raised after the right password of a member with a second factor, without a code or with a wrong one."""

    def __init__(self, *, wrong: bool) -> None:
        super().__init__(CODE_WRONG if wrong else CODE_NEEDED)
        self.wrong = wrong


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
        await _check(services, at_address, None, canonical, by)
    found, familiar = await _find(services, canonical, workspace, origin)
    place = f" at {network_of(origin.address)}" if familiar else ""
    settings = services.settings
    at_account = await count(services, Kind.SIGN_IN, f"account {canonical}{place}", settings.attempts_per_account)
    await _check(services, at_account, found, canonical, by)
    hashed = found["password_hash"] if found is not None and found["welcome"] else None
    if not await services.passwords.verify(hashed, password):
        await _record_failure(services, found, canonical, "PASSWORD", by)
        raise SignInFailure
    assert found is not None
    identified = Identified(found["workspace_id"], found["id"], found["generation"])
    if found["totp_secret"] is not None:
        await _check_second(services, found, canonical, code, by, (at_address, at_account))
    await take_back(services, at_address, at_account)
    if services.passwords.is_outdated(found["password_hash"]):
        await rehash(services, identified.workspace_id, identified.member_id, found["password_hash"], password)
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


async def _find(
    services: Services, canonical: str, workspace: str | None, origin: Origin
) -> tuple[Record | None, bool]:
    """Return the one account of an address, or None, and whether its member was here before."""
    values = {"email": canonical, "workspace": workspace, "network": network_of(origin.address)}
    rows = await services.database.primary_reader().fetch(_FIND, values)
    if len(rows) != 1:
        return None, False
    return rows[0], bool(rows[0]["familiar"])


async def _check_second(
    services: Services,
    found: Record,
    canonical: str,
    code: str | None,
    by: By,
    counted: tuple[Counted | None, ...],
) -> None:
    """Check the second factor. A right password without a code yet is no failed attempt: clients ask for it so."""
    if not code:
        await take_back(services, *counted)
        raise SecondFactorRequired(wrong=False)
    workspace_id, member_id = found["workspace_id"], found["id"]
    try:
        right = await check_code(services, workspace_id, member_id, found["totp_secret"], code, by)
    except RateLimited:
        await _record_failure(services, found, canonical, "TOO_MANY_CODES", by)
        raise
    if not right:
        await _record_failure(services, found, canonical, "SECOND_FACTOR", by)
        raise SecondFactorRequired(wrong=True)


async def _check(services: Services, counted: Counted, found: Record | None, canonical: str, by: By) -> None:
    """Raise RateLimited over the limit. The first attempt over it is recorded, those behind it are not: the log is
    not what an attacker fills."""
    if counted.is_first_over:
        await _record_failure(services, found, canonical, "TOO_MANY_ATTEMPTS", by)
    counted.check()


async def _record_failure(services: Services, found: Record | None, canonical: str, reason: str, by: By) -> None:
    """Record a failure: in the member's workspace, or under the nil id where there is none. One event either way."""
    key = services.keys(_ACCOUNT_PURPOSE)[0]
    event = SignInFailed(reason, hmac.digest(key, canonical.encode(), hashlib.sha256).hex()[:16])
    workspace_id, account_id = (NOBODY, NOBODY) if found is None else (found["workspace_id"], found["id"])
    async with services.database.transaction() as session:
        await record(services, session, workspace_id, account_id, event, by)
