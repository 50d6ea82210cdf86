"""From a provider's word about somebody to a member: found by their subject, linked by an address, or made.

Who somebody is, is the subject at the provider and nothing else: an address that changes there changes nothing here,
the same address at another provider, or under another subject, is somebody else until an administrator says otherwise.
A member who is there already is linked by their address only if the provider says that it verified it, and is trusted
with its domain. Addresses are plain ASCII here: what only looks alike, or folds to the same, is not the same.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from crm_graph.db.session import Record, Session
from crm_graph.db.statements import Statement
from crm_graph.domains.identity.providers.directory import Provider
from crm_graph.domains.identity.providers.events import IdentityLinked, MemberProvisioned
from crm_graph.domains.identity.providers.model import MemberIdentity
from crm_graph.domains.identity.providers.policy import IDENTITY_PROVIDER, MEMBER_IDENTITY
from crm_graph.domains.identity.providers.rules import Grants, evaluate
from crm_graph.domains.workspace.members.events import MemberUpdated
from crm_graph.domains.workspace.members.model import Member
from crm_graph.domains.workspace.members.operations import create_member, set_member_roles
from crm_graph.domains.workspace.members.policy import MEMBER, TEAM
from crm_graph.identity.origin import Origin
from crm_graph.identity.viewer import Viewer
from crm_graph.kernel.clock import Clock
from crm_graph.kernel.errors import CrmError, Refused
from crm_graph.kernel.ids import new_id
from crm_graph.permissions.access import Access
from crm_graph.permissions.compiler import administrator
from crm_graph.permissions.roles import ADMIN
from crm_graph.work import UPDATE, Work

MAX_NAME_LENGTH = 200
_EMAIL = re.compile(r"[a-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[a-z0-9.-]{3,253}\Z")
_POLICIES = (MEMBER, TEAM, IDENTITY_PROVIDER, MEMBER_IDENTITY)
_ACTIVE, _PERSON = "ACTIVE", "PERSON"
_BY_SUBJECT = Statement(
    """SELECT identity.id, member.id AS member_id, member.status, member.kind
    FROM member_identity AS identity
    JOIN member ON member.workspace_id = identity.workspace_id AND member.id = identity.member_id
    WHERE identity.workspace_id = $1 AND identity.provider_id = $2 AND identity.subject = $3""",
    ("workspace_id", "provider_id", "subject"),
    {},
)
_BY_EMAIL = Statement(
    """SELECT member.id AS member_id, email, status, kind,
        EXISTS (SELECT 1 FROM member_identity AS identity WHERE identity.workspace_id = $1
                AND identity.provider_id = $2 AND identity.member_id = member.id) AS is_linked
    FROM member WHERE workspace_id = $1 AND lower(email) = $3""",
    ("workspace_id", "provider_id", "email"),
    {},
)
_IS_ADMIN = Statement(
    "SELECT 1 FROM member_role WHERE workspace_id = $1 AND member_id = $2 AND role = $3",
    ("workspace_id", "viewer_id", "role"),
    {},
)
_TEAM = Statement("SELECT id FROM team WHERE workspace_id = $1 AND name = $2", ("workspace_id", "name"), {})


class NotAdmitted(CrmError):
    """Raised when somebody whom a provider vouches for may not come in. `reason` is a word for logs, without any value
    of theirs; they themselves are told no more than that."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Admitted:
    """The member, and the link by which they came."""

    member_id: str
    identity_id: str


def make_work(
    session: Session, provider: Provider, clock: Clock, origin: Origin, request_id: str, member_id: str
) -> Work:
    """Return a unit of work in which a sign-in writes what the rules say: as an administrator would, in the name of
    the member who signs in."""
    now = clock()
    viewer = Viewer(provider.workspace_id, member_id, (ADMIN,), (member_id,))
    return Work(session, viewer, _access(), lambda: now, origin, request_id)


async def admit(
    session: Session,
    provider: Provider,
    subject: str,
    claims: Mapping[str, Any],
    clock: Clock,
    origin: Origin,
    request_id: str,
) -> Admitted:
    """Return the member that a provider's subject is, linked or made where the provider's rules allow it.

    Raises NotAdmitted, and Refused where a rule cannot be followed; in both cases the transaction must be rolled back.
    """
    if not provider.requires(claims):
        raise NotAdmitted("REQUIRED_CLAIMS")
    grants = evaluate(provider.rules, claims, provider.default_roles, allow_sign_up=provider.allow_sign_up)
    binds = {"workspace_id": provider.workspace_id, "provider_id": provider.id, "subject": subject}
    known = await session.fetch_row(_BY_SUBJECT, binds)
    if known is not None:
        _check_member(known)
        work = make_work(session, provider, clock, origin, request_id, known["member_id"])
        await _sync(work, provider, known["member_id"], grants)
        return Admitted(known["member_id"], known["id"])
    email = verified_email(claims)
    found = await session.fetch_row(_BY_EMAIL, {**binds, "email": email})
    trusted = email.partition("@")[2] in provider.email_domains
    if found is not None:
        _check_link(found, email, trusted=trusted)
        work = make_work(session, provider, clock, origin, request_id, found["member_id"])
        identity_id = await _link(work, provider, subject, found["member_id"], "EMAIL")
        await _sync(work, provider, found["member_id"], grants)
        return Admitted(found["member_id"], identity_id)
    if provider.email_domains and not trusted:
        raise NotAdmitted("DOMAIN_NOT_ALLOWED")
    if grants is None:
        raise NotAdmitted("NO_RULE_MATCHES")
    return await _make(session, provider, subject, claims, email, grants, clock, origin, request_id)


def verified_email(claims: Mapping[str, Any]) -> str:
    """Return the address that a provider says it verified, in small letters. Raises NotAdmitted."""
    email = claims.get("email")
    if not isinstance(email, str):
        raise NotAdmitted("NO_EMAIL")
    if claims.get("email_verified") is not True:
        raise NotAdmitted("EMAIL_NOT_VERIFIED")
    if not email.isascii() or not _EMAIL.match(email.lower()):
        raise NotAdmitted("EMAIL_NOT_PLAIN")
    return email.lower()


def _check_member(found: Record) -> None:
    if found["status"] != _ACTIVE:
        raise NotAdmitted("SUSPENDED")
    if found["kind"] != _PERSON:
        raise NotAdmitted("NOT_A_PERSON")


def _check_link(found: Record, email: str, *, trusted: bool) -> None:
    """Raise NotAdmitted where an address alone does not make somebody the member who has it."""
    if found["email"].lower() != email or not found["email"].isascii():
        raise NotAdmitted("EMAIL_LOOKS_ALIKE")  # Postgres folds `K` (Kelvin) to `k`
    if not trusted:
        raise NotAdmitted("DOMAIN_NOT_TRUSTED")
    if found["is_linked"]:
        raise NotAdmitted("LINKED_TO_ANOTHER_SUBJECT")
    _check_member(found)


async def _make(
    session: Session,
    provider: Provider,
    subject: str,
    claims: Mapping[str, Any],
    email: str,
    grants: Grants,
    clock: Clock,
    origin: Origin,
    request_id: str,
) -> Admitted:
    member_id = new_id()
    work = make_work(session, provider, clock, origin, request_id, member_id)
    values: dict[str, Any] = {"id": member_id, "name": _name(claims, email), "email": email}
    team_id = await _team_id(work, grants.team)
    if team_id is not None:
        values["team_id"] = team_id
    await create_member(work, values, grants.roles)
    await work.record(MEMBER, member_id, MemberProvisioned(provider.id, grants.roles), {})
    return Admitted(member_id, await _link(work, provider, subject, member_id, "SIGN_UP"))


async def _link(work: Work, provider: Provider, subject: str, member_id: str, by: str) -> str:
    identity: MemberIdentity = MemberIdentity.make(provider_id=provider.id, subject=subject, member_id=member_id)
    await work.create(identity, MEMBER_IDENTITY, IdentityLinked(member_id, by))
    return identity.id


async def _sync(work: Work, provider: Provider, member_id: str, grants: Grants | None) -> None:
    """Give a member the roles and the team of today's claims. The last administrator stays one, whatever they say."""
    if not provider.sync_roles:
        return
    if grants is None:
        raise NotAdmitted("NO_RULE_MATCHES")
    try:
        await set_member_roles(work, member_id, grants.roles)
    except Refused:
        # Whatever it was refused for: nobody gets by the second try what they did not have.
        if not await work.session.fetch(_IS_ADMIN, {**work.viewer.binds, "role": ADMIN}):
            raise
        await set_member_roles(work, member_id, {*grants.roles, ADMIN})
    team_id = await _team_id(work, grants.team)
    if team_id is not None:
        member = await work.get(Member, MEMBER, member_id, UPDATE)
        member.team_id = team_id
        await work.save(member, MEMBER, MemberUpdated())


async def _team_id(work: Work, name: str | None) -> str | None:
    """Return the team of a name; None for one that was renamed since: a member without a team sees less, not more."""
    if name is None:
        return None
    row = await work.session.fetch_row(_TEAM, {**work.viewer.binds, "name": name})
    return None if row is None else row["id"]


def _name(claims: Mapping[str, Any], email: str) -> str:
    """Return a name to show: as the provider has it, without what is not to be seen, or the address' first part."""
    whole = " ".join(each for part in ("given_name", "family_name") if isinstance(each := claims.get(part), str))
    for each in (claims.get("name"), whole, claims.get("preferred_username")):
        if isinstance(each, str):
            seen = "".join(" " if unicodedata.category(letter)[0] in "CZ" else letter for letter in each[:1_000])
            shown = " ".join(seen.split())[:MAX_NAME_LENGTH].strip()
            if shown:
                return shown
    return email.partition("@")[0]


def _access() -> Access:
    global _compiled
    if _compiled is None:
        _compiled = administrator(*_POLICIES)
    return _compiled


_compiled: Access | None = None
