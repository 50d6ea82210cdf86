"""A new password by mail, for who forgot theirs.

A request writes the same one row for every address; whether there is an account of it is found out when the row is
taken from the queue (`answer_request`), where nobody watches the time. A reset does not sign in: a second factor is
asked for afterwards as ever.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from crm_graph.db.session import Session
from crm_graph.db.statements import Statement
from crm_graph.domains.identity.accounts import texts
from crm_graph.domains.identity.accounts.credentials import canonical_email, set_password
from crm_graph.domains.identity.accounts.enums import LinkPurpose, RevokedReason
from crm_graph.domains.identity.accounts.events import PasswordReset, PasswordResetRequested
from crm_graph.domains.identity.accounts.journal import By, record
from crm_graph.domains.identity.accounts.links import Link, find_link, make_link, parse, use_link
from crm_graph.domains.identity.accounts.meter import (
    HOUR_S,
    Kind,
    count_address,
    count_and_check,
    of_account,
    of_link,
    of_member,
    tally,
)
from crm_graph.domains.identity.accounts.outbox import RESET_REQUEST, enqueue, enqueue_mail
from crm_graph.domains.identity.accounts.session_rows import hold_alone
from crm_graph.domains.identity.accounts.sessions import revoke_all
from crm_graph.domains.workspace.members.addresses import workspaces_of
from crm_graph.identity.origin import Origin
from crm_graph.identity.services import Services
from crm_graph.identity.viewer import NOBODY
from crm_graph.kernel.errors import Refused

log = logging.getLogger(__name__)

LINK_REFUSED = "The link is not good any more: it was used, is too old, or the password has changed since."
MAX_MAILS = 10
"""For one request, to the accounts that have stood for longest, as signing in tries them."""
FIND = Statement(
    """
    SELECT member.workspace_id, member.id, member.name, member.email, workspace.name AS workspace_name
    FROM member
    JOIN workspace ON workspace.workspace_id = member.workspace_id AND workspace.id = member.workspace_id
    LEFT JOIN credential ON credential.workspace_id = member.workspace_id AND credential.member_id = member.id
    WHERE lower(member.email) = $1 AND member.workspace_id = ANY($2::uuid[])
      AND member.status = 'ACTIVE' AND member.kind = 'PERSON'
    ORDER BY coalesce(credential.email = $1, false) DESC, credential.email_at, member.workspace_id LIMIT $3
    """,
    ("email", "workspaces", "limit"),
    {},
)


async def request_reset(
    services: Services,
    email: str,
    workspace: str | None,
    language: texts.Language,
    origin: Origin,
    *,
    request_id: str | None = None,
) -> None:
    """Take up that somebody wants a new password for an address: the same for every address. Raises RateLimited."""
    canonical = canonical_email(email)
    counted = await count_address(services, Kind.RESET, origin.address)
    if counted is not None:
        counted.check()
    subject, limit = of_account(workspace, canonical), services.settings.mails_per_hour
    await count_and_check(services, Kind.RESET, subject, limit, HOUR_S)
    if not services.settings.smtp_url:
        log.warning("somebody asks for a new password, and CRM_SMTP_URL is not set: no mail can be sent")
        return
    content = {
        "email": canonical,
        "workspace": workspace,
        "language": language.value,
        "address": origin.address,
        "user_agent": origin.user_agent,
        "request_id": request_id,
    }
    async with services.database.transaction() as session:
        await enqueue(services, session, NOBODY, RESET_REQUEST, content)


async def answer_request(services: Services, session: Session, content: Mapping[str, Any]) -> None:
    """Put mails with links into the queue for the accounts of an address that a reset was requested for: each to
    its own limit, by whichever workspace, or none, the requests were."""
    origin = Origin(content["address"], content["user_agent"])
    by = By(None, origin, content["request_id"])
    workspaces = await workspaces_of(session, content["email"], content["workspace"])
    values = {"email": content["email"], "workspaces": workspaces, "limit": MAX_MAILS}
    for row in await session.fetch(FIND, values):
        workspace_id, member_id = row["workspace_id"], row["id"]
        limit, member = services.settings.mails_per_hour, of_member(workspace_id, member_id)
        (mails,) = await tally(services, session, Kind.MAIL, (member,), limit, HOUR_S)
        if mails.is_over:
            continue
        url = await make_link(services, session, workspace_id, member_id, LinkPurpose.RESET)
        mail = texts.reset(
            texts.Language(content["language"]), row["name"], row["workspace_name"], url, services.settings
        )
        await enqueue_mail(services, session, workspace_id, member_id, row["email"], mail)
        await record(services, session, workspace_id, member_id, PasswordResetRequested(), by)


async def good_link(services: Services, token: str, purpose: LinkPurpose, origin: Origin) -> Link:
    """Return the link of a token. Metered per address and per link. Raises Refused and RateLimited."""
    counted = await count_address(services, Kind.LINK, origin.address)
    if counted is not None:
        counted.check()
    shown = parse(token)
    if shown is None:
        raise Refused("INVALID", LINK_REFUSED, ("token",))
    subject = of_link(shown.workspace_id, shown.id)
    await count_and_check(services, Kind.LINK, subject, services.settings.attempts_per_account)
    async with services.database.transaction() as session:
        link = await find_link(services, session, shown, purpose)
    if link is None:
        raise Refused("INVALID", LINK_REFUSED, ("token",))
    return link


async def spend_link(services: Services, session: Session, link: Link, hashed: str) -> None:
    """Use a link up and set the password that it was for. Raises Refused where another request was first."""
    await hold_alone(session, link.workspace_id, link.member_id)
    if not await use_link(services, session, link):
        raise Refused("INVALID", LINK_REFUSED, ("token",))
    try:
        await set_password(services, session, link.workspace_id, link.member_id, hashed, link.generation)
    except Refused as error:
        raise Refused("INVALID", LINK_REFUSED, ("token",)) from error


async def reset_password(
    services: Services, token: str, password: str, origin: Origin, *, request_id: str | None = None
) -> None:
    """Set a new password with the token of a mailed link, and end all sessions of the member. Raises Refused and
    RateLimited."""
    link = await good_link(services, token, LinkPurpose.RESET, origin)
    await services.passwords.check_new(password, link.email)
    hashed = await services.passwords.hash(password)
    by = By(link.member_id, origin, request_id)
    async with services.database.transaction() as session:
        await spend_link(services, session, link, hashed)
        await record(services, session, link.workspace_id, link.member_id, PasswordReset(), by)
        await revoke_all(services, session, link.workspace_id, link.member_id, RevokedReason.PASSWORD_RESET, by=by)
