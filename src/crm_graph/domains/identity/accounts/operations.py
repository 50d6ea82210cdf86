"""What members do with their own account, and administrators with others'.

Changing how one signs in takes the password again, and a token of a member's own session: an API key and an OAuth
client act for a member, and are not to become them.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from crm_graph.db.session import ReadSession, Record
from crm_graph.db.statements import Statement
from crm_graph.domains.identity.accounts import second_factor
from crm_graph.domains.identity.accounts.credentials import (
    Held,
    check_password,
    read_credential,
    replace_password,
)
from crm_graph.domains.identity.accounts.enums import RevokedReason
from crm_graph.domains.identity.accounts.journal import By
from crm_graph.domains.identity.accounts.meter import Kind, count_and_check, of_member
from crm_graph.domains.identity.accounts.session_rows import hold_alone
from crm_graph.domains.identity.accounts.sessions import revoke_all, revoke_session
from crm_graph.domains.workspace.members.operations import member_to_act_on
from crm_graph.identity.services import Services
from crm_graph.identity.viewer import Viewer
from crm_graph.kernel.errors import Forbidden, Refused, Unauthenticated
from crm_graph.work import Work

_SESSIONS = Statement(
    """
    SELECT session.id, session.kind, session.method, session.address, session.user_agent, session.created_at,
           session.last_used_at, session.expires_at, client.name AS client_name
    FROM member_session AS session
    LEFT JOIN api_client AS client ON client.workspace_id = session.workspace_id AND client.id = session.client_id
    WHERE session.workspace_id = $1 AND session.member_id = $2 AND session.revoked_at IS NULL
      AND session.expires_at > $3
    ORDER BY session.last_used_at DESC, session.id DESC LIMIT $4
    """,
    ("workspace_id", "member_id", "now", "limit"),
    {},
)


@dataclass(frozen=True, slots=True)
class Me:
    """A member at work on their own account. `begin` opens their unit of work; `rest` gives back what `reader` has
    borrowed, so that no connection is held while a password is hashed."""

    services: Services
    viewer: Viewer
    reader: ReadSession
    begin: Callable[[], AbstractAsyncContextManager[Work]]
    rest: Callable[[], None]
    by: By

    def check(self) -> None:
        """Raise Forbidden unless the member is here themselves."""
        if self.viewer.key_id is not None or self.viewer.client_id is not None or self.viewer.read_only:
            raise Forbidden("This is for a member's own session: API keys and clients cannot do it.")

    async def held(self) -> Held:
        """Return what I have to prove who I am. Raises Forbidden and Unauthenticated."""
        self.check()
        found = await read_credential(self.reader, self.viewer.workspace_id, self.viewer.member_id)
        self.rest()
        if found is None:
            raise Unauthenticated("The credential was revoked, or its member cannot sign in here any more.")
        return found

    async def proved(self, password: str) -> Held:
        """Return the same after my password was checked once more. Raises Refused and RateLimited."""
        held = await self.held()
        await check_password(self.services, held, self.viewer.workspace_id, self.viewer.member_id, password, "password")
        return held


async def sessions(me: Me) -> list[Record]:
    """Return my live sessions, the one last used first."""
    me.check()
    values = {"workspace_id": me.viewer.workspace_id, "member_id": me.viewer.member_id, "now": me.services.clock()}
    return await me.reader.fetch(_SESSIONS, {**values, "limit": me.services.settings.max_sessions})


async def change_password(me: Me, current: str, new: str) -> None:
    """Change my password; all my other sessions end. Raises Refused and RateLimited."""
    held = await me.held()
    await check_password(me.services, held, me.viewer.workspace_id, me.viewer.member_id, current, "currentPassword")
    await me.services.passwords.check_new(new, held.email, "newPassword")
    hashed = await me.services.passwords.hash(new)
    async with me.begin() as work:
        await replace_password(
            me.services,
            work.session,
            me.viewer.workspace_id,
            me.viewer.member_id,
            hashed,
            held.generation,
            by=me.by,
            but=me.viewer.session_id,
        )


async def start_second_factor(me: Me, password: str, code: str | None) -> tuple[str, str]:
    """Return a secret for my device, in base32 and as an `otpauth://` URL, to be confirmed. Where I have a second
    factor, a code of it or a recovery code says that it is me who replaces it."""
    held = await me.proved(password)
    if held.totp_secret is not None:
        if code is None:
            raise Refused("REQUIRED", "There is a second factor: send a code of it, or a recovery code.", ("code",))
        await _prove_code(me, held.totp_secret, code)
    async with me.begin() as work:
        return await second_factor.offer(me.services, work.session, me.viewer.workspace_id, me.viewer.member_id, held)


async def confirm_second_factor(me: Me, code: str) -> list[str]:
    """Take the second factor into use, and return recovery codes. All my other sessions end: they were begun without
    it."""
    held = await me.held()
    limit = me.services.settings.attempts_per_account
    member = of_member(me.viewer.workspace_id, me.viewer.member_id)
    await count_and_check(me.services, Kind.SECOND_FACTOR, member, limit)
    async with me.begin() as work:
        await hold_alone(work.session, me.viewer.workspace_id, me.viewer.member_id)
        codes = await second_factor.confirm(
            me.services, work.session, me.viewer.workspace_id, me.viewer.member_id, held, code, me.by
        )
        await _end_others(me, work, RevokedReason.SECOND_FACTOR)
        return codes


async def disable_second_factor(me: Me, password: str, code: str) -> None:
    """Give up my second factor, shown by a code of it or a recovery code. All my other sessions end."""
    await _prove_both(me, password, code)
    async with me.begin() as work:
        await hold_alone(work.session, me.viewer.workspace_id, me.viewer.member_id)
        await second_factor.disable(me.services, work.session, me.viewer.workspace_id, me.viewer.member_id, me.by)
        await _end_others(me, work, RevokedReason.SECOND_FACTOR)


async def renew_recovery_codes(me: Me, password: str, code: str) -> list[str]:
    """Return new recovery codes; those before are void."""
    await _prove_both(me, password, code)
    async with me.begin() as work:
        return await second_factor.renew_recovery_codes(
            me.services, work.session, me.viewer.workspace_id, me.viewer.member_id, me.by
        )


async def _prove_both(me: Me, password: str, code: str) -> None:
    held = await me.proved(password)
    if held.totp_secret is None:
        raise Refused("ILLEGAL_TRANSITION", "You have no second factor.")
    await _prove_code(me, held.totp_secret, code)


async def _prove_code(me: Me, totp_secret: str, code: str) -> None:
    workspace_id, member_id = me.viewer.workspace_id, me.viewer.member_id
    if not await second_factor.check_code(me.services, workspace_id, member_id, totp_secret, code, me.by):
        raise Refused("INVALID", "The code is wrong, or was used before: wait for the next one.", ("code",))


async def end_session(me: Me, work: Work, session_id: str) -> None:
    """End one of my sessions. Raises Refused NOT_FOUND for what is none of mine, or over."""
    me.check()
    found = await revoke_session(
        me.services,
        work.session,
        me.viewer.workspace_id,
        session_id,
        RevokedReason.BY_MEMBER,
        member_id=me.viewer.member_id,
        by=me.by,
    )
    if not found:
        raise Refused("NOT_FOUND", "There is no such session.", ("id",))


async def end_other_sessions(me: Me, work: Work) -> int:
    """End all of my sessions but the one that asks; return how many."""
    me.check()
    return await _end_others(me, work, RevokedReason.BY_MEMBER)


async def _end_others(me: Me, work: Work, reason: RevokedReason) -> int:
    own = me.viewer
    return await revoke_all(
        me.services, work.session, own.workspace_id, own.member_id, reason, own.session_id, by=me.by
    )


def by_viewer(work: Work) -> By:
    """Return by whom a unit of work is done."""
    return By(work.viewer.member_id, work.origin, work.request_id, work.viewer.client_id)


async def end_sessions_of(work: Work, services: Services, member_id: str) -> str:
    """End all sessions of a member, for whoever may change them and holds all of their roles."""
    await member_to_act_on(work, member_id, path="memberId")
    reason = RevokedReason.BY_ADMINISTRATOR
    await revoke_all(services, work.session, work.viewer.workspace_id, member_id, reason, by=by_viewer(work))
    return member_id


async def remove_second_factor_of(work: Work, services: Services, member_id: str) -> str:
    """Remove the second factor of a member who lost it, and end their sessions, for whoever may change them and holds
    all of their roles: without it a password is enough to be them."""
    await member_to_act_on(work, member_id, path="memberId")
    by = by_viewer(work)
    if not await second_factor.disable(services, work.session, work.viewer.workspace_id, member_id, by):
        raise Refused("ILLEGAL_TRANSITION", "This member has no second factor.", ("memberId",))
    reason = RevokedReason.BY_ADMINISTRATOR
    await revoke_all(services, work.session, work.viewer.workspace_id, member_id, reason, by=by)
    return member_id
