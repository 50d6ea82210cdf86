"""Signed-in sessions and their refresh tokens, which are shown once and change with every use.

A refresh token spells its workspace, session and generation, and an HMAC over them and the session's salt. So one that
is genuine but old is told from a forged one without keeping any. Old and genuine means that somebody has a copy, and
nobody can say who is the thief: the session ends. That holds for two requests at once too. There is no grace for a
client that lost an answer: whoever has a copy would use it. Such a client signs in again.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from crm_graph.db.session import ReadSession, Record, Session
from crm_graph.db.statements import Statement, hold_row
from crm_graph.domains.workspace.accounts.events import (
    RefreshTokenReused,
    SessionRevoked,
    SessionsRevoked,
    SignedIn,
    SignedOut,
)
from crm_graph.domains.workspace.accounts.journal import SYSTEM, By, record
from crm_graph.domains.workspace.accounts.model import MemberSession, RevokedReason, SignInMethod
from crm_graph.identity.origin import Origin
from crm_graph.identity.services import Services
from crm_graph.kernel.errors import Unauthenticated
from crm_graph.kernel.ids import new_id

PREFIX = "crmr_"
MAX_LENGTH = 200
_PURPOSE = "refresh tokens"
_SALT_BYTES = 16
_BODY_BYTES = 16 + 16 + 4
_MAC_BYTES = 32
REFUSED = "The refresh token is not good any more: sign in again."

_COLUMNS = tuple(column.name for column in MemberSession.__table__.columns)
_INSERT = Statement(
    f"INSERT INTO member_session ({', '.join(_COLUMNS)})"  # noqa: S608 - constants
    f" VALUES ({', '.join(f'${number}' for number, _ in enumerate(_COLUMNS, 1))})",
    _COLUMNS,
    {},
)
_FIND = Statement(
    """
    SELECT session.member_id, session.client_id, session.scope, session.generation, session.salt,
           session.revoked_at IS NULL AND session.expires_at > $3 AS lives, member.status = 'ACTIVE' AS welcome
    FROM member_session AS session
    JOIN member ON member.workspace_id = session.workspace_id AND member.id = session.member_id
    WHERE session.workspace_id = $1 AND session.id = $2
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
_REVOKE = Statement(
    """
    UPDATE member_session SET revoked_at = $3, revoked_reason = $4, updated_at = $3
    WHERE workspace_id = $1 AND id = $2 AND revoked_at IS NULL AND ($5::uuid IS NULL OR member_id = $5)
    RETURNING member_id, client_id
    """,
    ("workspace_id", "id", "now", "reason", "member_id"),
    {},
)
_REVOKE_ALL = Statement(
    """
    UPDATE member_session SET revoked_at = $3, revoked_reason = $4, updated_at = $3
    WHERE workspace_id = $1 AND member_id = $2 AND revoked_at IS NULL AND expires_at > $3
      AND ($5::uuid IS NULL OR id <> $5)
    RETURNING id
    """,
    ("workspace_id", "member_id", "now", "reason", "but"),
    {},
)
_REVOKE_OLDEST = Statement(
    """
    UPDATE member_session SET revoked_at = $3, revoked_reason = $4, updated_at = $3
    WHERE workspace_id = $1 AND id IN (
        SELECT id FROM member_session
        WHERE workspace_id = $1 AND member_id = $2 AND revoked_at IS NULL AND expires_at > $3
        ORDER BY last_used_at DESC, id DESC OFFSET $5
    )
    """,
    ("workspace_id", "member_id", "now", "reason", "kept"),
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
    """A refresh token taken apart, and what the database says of its session."""

    workspace_id: str
    session_id: str
    generation: int
    row: Record

    @property
    def is_old(self) -> bool:
        """Whether the session has gone on since this token was given out."""
        return self.generation < int(self.row["generation"])


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
    request_id: str | None = None,
) -> TokenPair:
    """Start a session of a member in the transaction of `session`, with its event, and return its first tokens.

    Whoever calls has made sure that the member is who they say. `client_id` is the OAuth client that alone may refresh
    it. The session that was not used for the longest time is ended where a member would have more than
    `CRM_MAX_SESSIONS`.
    """
    now, session_id, salt = services.clock(), new_id(), os.urandom(_SALT_BYTES)
    method = SignInMethod(method).value
    values = {
        "workspace_id": workspace_id,
        "id": session_id,
        "member_id": member_id,
        "client_id": client_id,
        "scope": None if scope is None else " ".join(sorted(scope)),
        "method": method,
        "last_used_at": now,
        "expires_at": now + timedelta(days=services.settings.session_days),
        "address": origin.address,
        "user_agent": origin.user_agent,
        "revoked_at": None,
        "revoked_reason": None,
        "generation": 1,
        "salt": salt,
        "version": 1,
        "created_at": now,
        "updated_at": now,
    }
    await session.execute(hold_row("member"), {"workspace_id": workspace_id, "id": member_id})  # counts are exact
    await session.execute(_INSERT, values)
    bounds = {"now": now, "reason": RevokedReason.TOO_MANY.value, "kept": services.settings.max_sessions}
    await session.execute(_REVOKE_OLDEST, {"workspace_id": workspace_id, "member_id": member_id, **bounds})
    by = By(member_id, origin, request_id, client_id)
    await record(services, session, workspace_id, member_id, SignedIn(session_id, method), by)
    refresh_token = _spell(services, workspace_id, session_id, 1, salt)
    return _pair(services, workspace_id, member_id, session_id, client_id, scope, refresh_token)


async def find_refresh_token(services: Services, session: ReadSession, text: str) -> ShownRefreshToken | None:
    """Return a genuine refresh token, the current or an older one, without using it; None for any other text."""
    shown = await _examine(services, session, text)
    if shown is None:
        return None
    row = shown.row
    scope = None if row["scope"] is None else frozenset(row["scope"].split())
    lives = bool(row["lives"] and row["welcome"])
    return ShownRefreshToken(
        shown.workspace_id, shown.session_id, row["member_id"], row["client_id"], scope, lives, shown.is_old
    )


async def refresh_session(
    services: Services,
    refresh_token: str,
    origin: Origin,
    client_id: str | None = None,
    *,
    request_id: str | None = None,
) -> TokenPair:
    """Return the next tokens of a session, in a transaction of its own.

    Raises Unauthenticated, in the same words, for a token that is malformed, forged or another client's (nothing
    happens then), for a session that is revoked or over, for a suspended member, and for a token that was used before:
    that ends the session, with an event, before this raises.
    """
    async with services.database.transaction() as session:
        shown = await _examine(services, session, refresh_token)
        if shown is None or shown.row["client_id"] != client_id or not shown.row["lives"]:
            raise Unauthenticated(REFUSED)
        by = By(None, origin, request_id, client_id)
        found = None if shown.is_old else await _rotate(services, session, shown, origin)
        if found is None:
            await _end_reused(services, session, shown, by)
    if found is None:
        raise Unauthenticated(REFUSED)
    return found


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
    """End a session, with its event; `member_id` bounds it to that member's. Return whether there was one to end."""
    reason = RevokedReason(reason).value
    found = await _revoke(services, session, workspace_id, session_id, reason, member_id)
    if found is None:
        return False
    await record(services, session, workspace_id, found["member_id"], SessionRevoked(session_id, reason), by)
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
        reason = RevokedReason.SIGNED_OUT.value
        found = await _revoke(services, session, shown.workspace_id, shown.session_id, reason)
        if found is None:
            return False
        by = By(found["member_id"], origin, request_id, client_id)
        await record(services, session, shown.workspace_id, found["member_id"], SignedOut(shown.session_id), by)
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
    """End all live sessions of a member, or all but one, with one event; return how many."""
    reason = RevokedReason(reason).value
    values = {"workspace_id": workspace_id, "member_id": member_id, "now": services.clock(), "reason": reason}
    ended = len(await session.execute(_REVOKE_ALL, {**values, "but": but}))
    if ended:
        await record(services, session, workspace_id, member_id, SessionsRevoked(ended, reason), by)
    return ended


async def _rotate(services: Services, session: Session, shown: _Shown, origin: Origin) -> TokenPair | None:
    """Go on to the next generation; None when another request just did. Raises Unauthenticated."""
    row, now = shown.row, services.clock()
    if shown.generation != row["generation"] or not row["welcome"]:
        raise Unauthenticated(REFUSED)
    values = {
        "workspace_id": shown.workspace_id,
        "id": shown.session_id,
        "generation": shown.generation,
        "now": now,
        "expires_at": now + timedelta(days=services.settings.session_days),
        "address": origin.address,
        "user_agent": origin.user_agent,
    }
    moved = await session.execute(_ROTATE, values)
    if not moved:
        return None
    salt, next_generation = bytes(row["salt"]), shown.generation + 1
    refresh_token = _spell(services, shown.workspace_id, shown.session_id, next_generation, salt)
    scope = None if row["scope"] is None else frozenset(row["scope"].split())
    member_id, client_id = row["member_id"], row["client_id"]
    return _pair(services, shown.workspace_id, member_id, shown.session_id, client_id, scope, refresh_token)


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
    rows = await session.execute(_REVOKE, {**values, "member_id": member_id})
    return rows[0] if rows else None


def _pair(
    services: Services,
    workspace_id: str,
    member_id: str,
    session_id: str,
    client_id: str | None,
    scope: frozenset[str] | None,
    refresh_token: str,
) -> TokenPair:
    lifetime = timedelta(seconds=services.settings.access_token_seconds)
    access_token = services.authority.issue(
        workspace_id, member_id, lifetime, client_id, session_id=session_id, scope=scope
    )
    expires_at = (services.clock() + lifetime).replace(microsecond=0)
    return TokenPair(access_token, refresh_token, expires_at, session_id, workspace_id, member_id, scope)


def _spell(services: Services, workspace_id: str, session_id: str, generation: int, salt: bytes) -> str:
    body = bytes.fromhex(workspace_id) + bytes.fromhex(session_id) + generation.to_bytes(4)
    mac = _mac(services.keys(_PURPOSE)[0], body, salt)
    return PREFIX + base64.urlsafe_b64encode(body + mac).rstrip(b"=").decode()


async def _examine(services: Services, session: ReadSession, text: str) -> _Shown | None:
    """Take a refresh token apart and find its session; None for one that is not genuine."""
    if not text.startswith(PREFIX) or len(text) > MAX_LENGTH:
        return None
    encoded = text.removeprefix(PREFIX)
    try:
        given = base64.b64decode(encoded + "=" * (-len(encoded) % 4), b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    if len(given) != _BODY_BYTES + _MAC_BYTES:
        return None
    body, mac = given[:_BODY_BYTES], given[_BODY_BYTES:]
    workspace_id, session_id = body[:16].hex(), body[16:32].hex()
    values = {"workspace_id": workspace_id, "id": session_id, "now": services.clock()}
    row = await session.fetch_row(_FIND, values)
    if row is None:
        return None
    salt = bytes(row["salt"])
    if not any(hmac.compare_digest(mac, _mac(key, body, salt)) for key in services.keys(_PURPOSE)):
        return None
    return _Shown(workspace_id, session_id, int.from_bytes(body[32:]), row)


def _mac(key: bytes, body: bytes, salt: bytes) -> bytes:
    return hmac.digest(key, body + salt, hashlib.sha256)
