"""Signed-in sessions and their refresh tokens, which are shown once and change with every use.

A refresh token spells its session and generation (`spelling.py`), so one that is genuine but old is told from a forged
one. Old and genuine means that somebody has a copy, and nobody can say who is the thief: the session ends.

For `CRM_REFRESH_LEEWAY_SECONDS` after a refresh, the token that was used answers once more, with the very pair that it
answered then: two tabs refresh at once, and answers get lost. The trade: whoever has a copy of a token, and shows it
within that time after its owner did, shares the session until the next refresh, where one of the two comes too late
and ends it for both. Without the leeway that thief is found at once, and so is everybody whose network failed; both
are signed out, which teaches people to keep tokens for long. No second line begins: there is one pair for a
generation, and once the newer token of it was used, the older one is a copy again, however soon it comes.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from crm_graph.db.session import ReadSession, Record, Session
from crm_graph.db.statements import Statement
from crm_graph.domains.identity.accounts import session_rows
from crm_graph.domains.identity.accounts.enums import RevokedReason, SessionKind, SignInMethod
from crm_graph.domains.identity.accounts.events import RefreshTokenReused, SessionRevoked, SessionsRevoked, SignedOut
from crm_graph.domains.identity.accounts.journal import SYSTEM, By, record
from crm_graph.domains.identity.accounts.session_rows import UNBOUND, NewSession, Source, begin
from crm_graph.domains.identity.accounts.spelling import REFRESH_TOKEN
from crm_graph.identity.origin import Origin
from crm_graph.identity.services import Services
from crm_graph.kernel.errors import Unauthenticated

COMMAND_LINE = Origin(None, "crm-graph, on the command line")
REFUSED = "The refresh token is not good any more: sign in again."
_TAKEN_BACK = frozenset({RevokedReason.BY_MEMBER, RevokedReason.BY_ADMINISTRATOR})
"""Reasons that are about who holds the session. Whoever signs out leaves a desk; whoever revokes takes something back
from somebody who must not have it, and with it whatever was made through it."""

_FIND = Statement(
    """
    SELECT session.member_id, session.client_id, session.scope, session.generation, session.salt, session.last_used_at,
           session.revoked_at IS NULL AND session.expires_at > $3 AS lives, member.status = 'ACTIVE' AS welcome
    FROM member_session AS session
    JOIN member ON member.workspace_id = session.workspace_id AND member.id = session.member_id
    WHERE session.workspace_id = $1 AND session.id = $2 AND session.kind = 'TOKENS'
    """,
    ("workspace_id", "id", "now"),
    {},
)
_ROTATE = Statement(
    """
    UPDATE member_session
    SET generation = generation + 1, last_used_at = $4, expires_at = $5, address = $6, user_agent = $7, updated_at = $4
    WHERE workspace_id = $1 AND id = $2 AND generation = $3 AND revoked_at IS NULL AND expires_at > $4
    RETURNING generation
    """,
    ("workspace_id", "id", "generation", "now", "expires_at", "address", "user_agent"),
    {},
)


@dataclass(frozen=True, slots=True)
class TokenPair:
    """What a client gets: `expires_at` is the access token's; the refresh token is good once."""

    access_token: str
    refresh_token: str
    expires_at: datetime
    session_id: str
    workspace_id: str
    member_id: str
    scope: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class _Shown:
    """A genuine refresh token taken apart, and what the database says of its session."""

    workspace_id: str
    session_id: str
    generation: int
    row: Record

    @property
    def is_old(self) -> bool:
        """Whether the session has gone on since this token was given out."""
        return self.generation < int(self.row["generation"])

    @property
    def scope(self) -> frozenset[str] | None:
        """What the session may."""
        scope = self.row["scope"]
        return None if scope is None else frozenset(scope.split())

    def may_repeat(self, services: Services) -> bool:
        """Return whether this is the token of the last refresh, and that is so short ago that its answer may have been
        lost."""
        leeway = timedelta(seconds=services.settings.refresh_leeway_seconds)
        since = services.clock() - datetime.fromisoformat(self.row["last_used_at"])
        return self.generation + 1 == int(self.row["generation"]) and since < leeway


@dataclass(frozen=True, slots=True)
class ShownRefreshToken:
    """A genuine refresh token and what became of its session. `is_old`: a newer one has taken its place."""

    workspace_id: str
    session_id: str
    member_id: str
    client_id: str | None
    scope: frozenset[str] | None
    lives: bool
    is_old: bool


@dataclass(frozen=True, slots=True)
class _Holder:
    """Whose tokens are made, and under which name of ours."""

    workspace_id: str
    member_id: str
    session_id: str
    client_id: str | None
    scope: frozenset[str] | None
    issuer: str | None


async def start_session(
    services: Services,
    session: Session,
    workspace_id: str,
    member_id: str,
    *,
    method: SignInMethod | str,
    origin: Origin,
    client_id: str | None = None,
    scope: frozenset[str] | None = None,
    source: Source = UNBOUND,
    issuer: str | None = None,
    request_id: str | None = None,
) -> TokenPair:
    """Start a session of a member in the transaction of `session`, with its event, and return its first tokens.

    Whoever calls has made sure that the member is who they say. `client_id` is the OAuth client that alone may refresh
    it. Raises Unauthenticated as `session_rows.begin` does.
    """
    lifetime = timedelta(days=services.settings.session_days)
    new = NewSession(
        workspace_id,
        member_id,
        SignInMethod(method),
        lifetime,
        origin,
        client_id=client_id,
        scope=scope,
        source=source,
        request_id=request_id,
    )
    at = services.clock()
    started = await begin(services, session, new)
    holder = _Holder(workspace_id, member_id, started.id, client_id, scope, issuer)
    return _pair(services, holder, scope, 1, started.salt, at)


async def start_operator_session(
    services: Services,
    session: Session,
    workspace_id: str,
    member_id: str,
    lifetime: timedelta,
    client_id: str | None = None,
) -> str:
    """Start the session of an access token that the operator makes by themselves, and return its id. It has no
    refresh token. Raises Unauthenticated as `session_rows.begin` does."""
    new = NewSession(workspace_id, member_id, SignInMethod.OPERATOR, lifetime, COMMAND_LINE, client_id=client_id)
    return (await begin(services, session, new)).id


async def find_refresh_token(services: Services, session: ReadSession, text: str) -> ShownRefreshToken | None:
    """Return a genuine refresh token, the current or an older one, without using it; None for any other text."""
    shown = await _examine(services, session, text)
    if shown is None:
        return None
    row = shown.row
    lives = bool(row["lives"] and row["welcome"])
    return ShownRefreshToken(
        shown.workspace_id, shown.session_id, row["member_id"], row["client_id"], shown.scope, lives, shown.is_old
    )


async def refresh_session(
    services: Services,
    refresh_token: str,
    origin: Origin,
    client_id: str | None = None,
    *,
    scope: frozenset[str] | None = None,
    issuer: str | None = None,
    request_id: str | None = None,
) -> TokenPair:
    """Return the next tokens of a session, in a transaction of its own; of which `scope`, where it is given, is all
    that the access token may. Within the leeway a token that was used answers what it answered then.

    Raises Unauthenticated, in the same words, for a token that is malformed, forged or another client's (nothing
    happens then), for a session that is revoked or over, for a suspended member, and for a token that was used before:
    that ends the session, with an event, before this raises.
    """
    async with services.database.transaction() as session:
        shown = await _examine(services, session, refresh_token)
        shown = _usable(shown, client_id)
        at = await _rotate(services, session, shown, origin)
        if at is None and not shown.is_old:  # another request was quicker: what it left decides
            shown = _usable(await _examine(services, session, refresh_token), client_id)
        if at is None and shown.may_repeat(services):
            at = datetime.fromisoformat(shown.row["last_used_at"])
        if at is None:
            await _end_reused(services, session, shown, By(None, origin, request_id, client_id))
    if at is None:
        raise Unauthenticated(REFUSED)
    row = shown.row
    holder = _Holder(shown.workspace_id, row["member_id"], shown.session_id, client_id, shown.scope, issuer)
    return _pair(services, holder, scope or shown.scope, shown.generation + 1, bytes(row["salt"]), at)


async def revoke_session(
    services: Services,
    session: Session,
    workspace_id: str,
    session_id: str,
    reason: RevokedReason | str,
    *,
    member_id: str | None = None,
    by: By = SYSTEM,
) -> bool:
    """End a session, with its event; `member_id` bounds it to that member's. Return whether there was one to end.

    With a browser's sign-in that is taken back go the sessions of apps that were made through it.
    """
    reason = RevokedReason(reason)
    found = await _revoke(services, session, workspace_id, session_id, reason.value, member_id)
    if found is None:
        return False
    member_id = found["member_id"]
    assert member_id is not None
    await record(services, session, workspace_id, member_id, SessionRevoked(session_id, reason.value), by)
    if found["kind"] == SessionKind.BROWSER.value and reason in _TAKEN_BACK:
        values = {"workspace_id": workspace_id, "id": session_id, "now": services.clock(), "reason": reason.value}
        ended = len(await session.execute(session_rows.REVOKE_THROUGH, {**values, "member_id": member_id}))
        if ended:
            await record(services, session, workspace_id, member_id, SessionsRevoked(ended, reason.value), by)
    return True


async def revoke_by_refresh_token(
    services: Services,
    refresh_token: str,
    origin: Origin,
    client_id: str | None = None,
    *,
    request_id: str | None = None,
) -> bool:
    """End the session of a genuine refresh token, the current or an older one, in a transaction of its own.

    Return whether there was one to end: none for a token that is forged or another client's.
    """
    async with services.database.transaction() as session:
        shown = await _examine(services, session, refresh_token)
        if shown is None or shown.row["client_id"] != client_id:
            return False
        by = By(shown.row["member_id"], origin, request_id, client_id)
        return await sign_out(services, session, shown.workspace_id, shown.session_id, by)


async def sign_out(services: Services, session: Session, workspace_id: str, session_id: str, by: By) -> bool:
    """End a session at the wish of whoever holds it; return whether there was one to end."""
    found = await _revoke(services, session, workspace_id, session_id, RevokedReason.SIGNED_OUT.value)
    if found is None:
        return False
    await record(services, session, workspace_id, found["member_id"], SignedOut(session_id), by)
    return True


async def revoke_all(
    services: Services,
    session: Session,
    workspace_id: str,
    member_id: str,
    reason: RevokedReason | str,
    but: str | None = None,
    *,
    by: By = SYSTEM,
) -> int:
    """End all live sessions of a member, or all but one, with one event; return how many. The member's row is held:
    a session that starts at this moment is among them, or finds its source ended."""
    reason = RevokedReason(reason).value
    values = {"workspace_id": workspace_id, "member_id": member_id, "now": services.clock(), "reason": reason}
    await session_rows.hold_alone(session, workspace_id, member_id)
    ended = len(await session.execute(session_rows.REVOKE_ALL, {**values, "but": but}))
    if ended:
        await record(services, session, workspace_id, member_id, SessionsRevoked(ended, reason), by)
    return ended


def _usable(shown: _Shown | None, client_id: str | None) -> _Shown:
    """Return a token of this client, of a session that lives. Raises Unauthenticated."""
    if shown is None or shown.row["client_id"] != client_id or not shown.row["lives"] or not shown.row["welcome"]:
        raise Unauthenticated(REFUSED)
    if shown.generation > shown.row["generation"]:  # the database was restored: nobody has copied anything
        raise Unauthenticated(REFUSED)
    return shown


async def _rotate(services: Services, session: Session, shown: _Shown, origin: Origin) -> datetime | None:
    """Go on to the next generation and return when; None for an old token, and when another request just did."""
    if shown.generation != shown.row["generation"]:
        return None
    now = services.clock()
    values = {
        "workspace_id": shown.workspace_id,
        "id": shown.session_id,
        "generation": shown.generation,
        "now": now,
        "expires_at": now + timedelta(days=services.settings.session_days),
        "address": origin.address,
        "user_agent": origin.user_agent,
    }
    return now if await session.execute(_ROTATE, values) else None


async def _end_reused(services: Services, session: Session, shown: _Shown, by: By) -> None:
    """End the session of a token that was used before. Where it was revoked meanwhile, there is nothing to end."""
    found = await _revoke(services, session, shown.workspace_id, shown.session_id, RevokedReason.REUSED.value)
    if found is not None:
        event = RefreshTokenReused(shown.session_id, shown.generation)
        await record(services, session, shown.workspace_id, found["member_id"], event, replace(by, actor=None))


async def _revoke(
    services: Services,
    session: Session,
    workspace_id: str,
    session_id: str,
    reason: str,
    member_id: str | None = None,
) -> Record | None:
    values = {"workspace_id": workspace_id, "id": session_id, "now": services.clock(), "reason": reason}
    rows = await session.execute(session_rows.REVOKE, {**values, "member_id": member_id})
    return rows[0] if rows else None


def _pair(
    services: Services, holder: _Holder, scope: frozenset[str] | None, generation: int, salt: bytes, at: datetime
) -> TokenPair:
    """Return the tokens of a generation, which began `at` a time: the same ones, however often they are asked for."""
    lifetime = timedelta(seconds=services.settings.access_token_seconds)
    of_scope = " ".join(sorted(scope or ()))
    token_id = hashlib.sha256(f"{holder.session_id} {generation} {of_scope}".encode()).hexdigest()[:32]
    access_token = services.authority.issue(
        holder.workspace_id,
        holder.member_id,
        lifetime,
        holder.client_id,
        session_id=holder.session_id,
        scope=scope,
        issuer=holder.issuer,
        at=at,
        token_id=token_id,
    )
    refresh_token = REFRESH_TOKEN.spell(services, holder.workspace_id, holder.session_id, generation, salt)
    expires_at = (at + lifetime).replace(microsecond=0)
    return TokenPair(
        access_token, refresh_token, expires_at, holder.session_id, holder.workspace_id, holder.member_id, holder.scope
    )


async def _examine(services: Services, session: ReadSession, text: str) -> _Shown | None:
    """Take a refresh token apart and find its session; None for one that is not genuine."""
    spelled = REFRESH_TOKEN.parse(text)
    if spelled is None:
        return None
    workspace_id, session_id = spelled.workspace_id, spelled.session_id
    values = {"workspace_id": workspace_id, "id": session_id, "now": services.clock()}
    row = await session.fetch_row(_FIND, values)
    if row is None or not spelled.is_genuine(services, bytes(row["salt"])):
        return None
    return _Shown(workspace_id, session_id, spelled.number, row)
