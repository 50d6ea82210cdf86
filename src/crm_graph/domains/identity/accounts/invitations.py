"""Invitations: a new member, and a link by which they choose their password.

Where no mail can be sent the link is given to whoever invites, to be passed on. It is given to nobody else: who has it
is the new member.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from crm_graph.db.session import Session
from crm_graph.db.statements import Statement
from crm_graph.domains.identity.accounts import texts
from crm_graph.domains.identity.accounts.credentials import read_credential
from crm_graph.domains.identity.accounts.enums import LinkPurpose, SignInMethod
from crm_graph.domains.identity.accounts.events import InvitationAccepted, MemberInvited
from crm_graph.domains.identity.accounts.journal import By, record
from crm_graph.domains.identity.accounts.links import Link, make_link
from crm_graph.domains.identity.accounts.outbox import enqueue_mail
from crm_graph.domains.identity.accounts.resets import good_link, spend_link
from crm_graph.domains.identity.accounts.sessions import TokenPair, start_session
from crm_graph.domains.workspace.members.events import MemberUpdated
from crm_graph.domains.workspace.members.operations import create_member, member_to_act_on
from crm_graph.domains.workspace.members.policy import MEMBER
from crm_graph.identity.origin import Origin
from crm_graph.identity.services import Services
from crm_graph.kernel.errors import Refused
from crm_graph.work import CREATE, Work

_WORKSPACE = Statement("SELECT name FROM workspace WHERE workspace_id = $1 AND id = $1", ("workspace_id",), {})
_RENAME = Statement(
    """
    UPDATE member SET name = $3, version = version + 1, updated_at = $4
    WHERE workspace_id = $1 AND id = $2 AND name <> $3 RETURNING id
    """,
    ("workspace_id", "member_id", "name", "now"),
    {},
)


async def invite_member(
    work: Work,
    services: Services,
    values: Mapping[str, Any],
    roles: Iterable[str],
    language: texts.Language,
    given: tuple[str, ...],
) -> tuple[str, str | None]:
    """Add a member and invite them. Return their id, and the link where no mail is sent.

    For whoever may create members and write the GraphQL fields `given` of them: as `create_member`, which it is. Raises
    Refused: INVALID for an address that is none, TAKEN for one in use.
    """
    work.may(MEMBER, CREATE, given)
    member_id = await create_member(work, values, roles, given)
    return member_id, await _invite(work, services, member_id, values["name"], values["email"], language)


async def resend_invitation(work: Work, services: Services, member_id: str, language: texts.Language) -> str | None:
    """Invite a member again who has no password yet. Return the link where no mail is sent.

    For whoever may create members, sees this one, and holds all roles of theirs: the link lets in as them. Raises
    Refused.
    """
    work.may(MEMBER, CREATE)
    member = await member_to_act_on(work, member_id, CREATE)
    held = await read_credential(work.session, work.viewer.workspace_id, member_id)
    if held is None or held.password_hash is not None:
        raise Refused("ILLEGAL_TRANSITION", "This member has a password already: they can ask for a reset.", ("id",))
    if member.status != "ACTIVE" or member.kind != "PERSON":
        raise Refused("ILLEGAL_TRANSITION", "This member cannot sign in.", ("id",))
    return await _invite(work, services, member_id, member.name, member.email, language)


async def _invite(
    work: Work, services: Services, member_id: str, name: str, email: str, language: texts.Language
) -> str | None:
    workspace_id, session = work.viewer.workspace_id, work.session
    url = await make_link(services, session, workspace_id, member_id, LinkPurpose.INVITATION)
    mailed = bool(services.settings.smtp_url)
    if mailed:
        (workspace,) = await session.fetch(_WORKSPACE, {"workspace_id": workspace_id})
        text = texts.invitation(language, name, workspace["name"], url, services.settings)
        await enqueue_mail(services, session, workspace_id, member_id, email, text)
    by = By(work.viewer.member_id, work.origin, work.request_id, work.viewer.client_id)
    await record(services, session, workspace_id, member_id, MemberInvited(mailed), by)
    return None if mailed else url


async def accept_invitation(
    services: Services,
    token: str,
    name: str | None,
    password: str,
    origin: Origin,
    *,
    request_id: str | None = None,
) -> TokenPair:
    """Choose a name and a password with the token of an invitation, and sign in. Raises Refused and RateLimited."""
    link = await good_link(services, token, LinkPurpose.INVITATION, origin)
    if name is not None and not name.strip():
        raise Refused("INVALID", "A name cannot be blank.", ("name",))
    await services.passwords.check_new(password, link.email)
    hashed = await services.passwords.hash(password)
    by = By(link.member_id, origin, request_id)
    async with services.database.transaction() as session:
        await spend_link(services, session, link, hashed)
        if name is not None:
            await _rename(services, session, link, name.strip(), by)
        await record(services, session, link.workspace_id, link.member_id, InvitationAccepted(), by)
        return await start_session(
            services,
            session,
            link.workspace_id,
            link.member_id,
            method=SignInMethod.INVITATION,
            origin=origin,
            request_id=request_id,
        )


async def _rename(services: Services, session: Session, link: Link, name: str, by: By) -> None:
    """Give the member the name that they say is theirs, with the event that any change of a member has."""
    values = {"workspace_id": link.workspace_id, "member_id": link.member_id, "name": name, "now": services.clock()}
    if await session.execute(_RENAME, values):
        changes = {"name": (link.name, name)}
        await record(
            services,
            session,
            link.workspace_id,
            link.member_id,
            MemberUpdated(),
            by,
            entity=MEMBER.type,
            changes=changes,
        )
