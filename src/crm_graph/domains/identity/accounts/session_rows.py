"""The rows of sessions: how one begins, whatever holds it, and the statements by which all of them end."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta

from crm_graph.db.session import Session
from crm_graph.db.statements import Statement
from crm_graph.domains.identity.accounts.enums import RevokedReason, SessionKind, SignInMethod
from crm_graph.domains.identity.accounts.events import SignedIn
from crm_graph.domains.identity.accounts.journal import By, record
from crm_graph.domains.identity.accounts.spelling import SALT_BYTES
from crm_graph.identity.origin import Origin
from crm_graph.identity.services import Services
from crm_graph.kernel.errors import Unauthenticated
from crm_graph.kernel.ids import new_id

_COLUMNS = (
    *("workspace_id", "id", "member_id", "kind", "client_id", "signed_in_id", "identity_id", "scope", "method"),
    *("last_used_at", "expires_at", "address", "user_agent", "revoked_at", "revoked_reason", "generation", "salt"),
    *("version", "created_at", "updated_at"),
)
_INSERT = Statement(
    f"INSERT INTO member_session ({', '.join(_COLUMNS)})"  # noqa: S608 - constants
    f" VALUES ({', '.join(f'${number}' for number, _ in enumerate(_COLUMNS, 1))})",
    _COLUMNS,
    {},
)
# Alone, as whoever suspends the member or ends all of their sessions does: so either they see the new session, or its
# start sees what they did; and a member's sessions are counted one after the other.
_HOLD = Statement(
    "SELECT id FROM member WHERE workspace_id = $1 AND id = $2 AND status = 'ACTIVE' FOR NO KEY UPDATE",
    ("workspace_id", "member_id"),
    {},
)
_HOLD_ALONE = Statement(
    "SELECT id FROM member WHERE workspace_id = $1 AND id = $2 FOR NO KEY UPDATE", ("workspace_id", "member_id"), {}
)
_SAME_PASSWORD = Statement(
    "SELECT 1 FROM credential WHERE workspace_id = $1 AND member_id = $2 AND generation = $3",
    ("workspace_id", "member_id", "generation"),
    {},
)
_STILL_SIGNED_IN = Statement(
    """
    SELECT identity_id FROM member_session
    WHERE workspace_id = $1 AND member_id = $2 AND id = $3 AND kind = 'BROWSER' AND revoked_at IS NULL FOR SHARE
    """,
    ("workspace_id", "member_id", "signed_in_id"),
    {},
)
_REVOKE_OLDEST = Statement(
    """
    UPDATE member_session SET revoked_at = $3, revoked_reason = $4, updated_at = $3
    WHERE workspace_id = $1 AND id IN (
        SELECT id FROM member_session
        WHERE workspace_id = $1 AND member_id = $2 AND revoked_at IS NULL AND expires_at > $3 AND method <> 'OPERATOR'
        ORDER BY last_used_at DESC, id DESC OFFSET $5
    )
    """,
    ("workspace_id", "member_id", "now", "reason", "kept"),
    {},
)
REVOKE = Statement(
    """
    UPDATE member_session SET revoked_at = $3, revoked_reason = $4, updated_at = $3
    WHERE workspace_id = $1 AND id = $2 AND revoked_at IS NULL AND ($5::uuid IS NULL OR member_id = $5)
    RETURNING member_id, client_id, kind
    """,
    ("workspace_id", "id", "now", "reason", "member_id"),
    {},
)
REVOKE_THROUGH = Statement(
    """
    UPDATE member_session SET revoked_at = $3, revoked_reason = $4, updated_at = $3
    WHERE workspace_id = $1 AND member_id = $5 AND signed_in_id = $2 AND revoked_at IS NULL AND expires_at > $3
    RETURNING id
    """,
    ("workspace_id", "id", "now", "reason", "member_id"),
    {},
)
REVOKE_ALL = Statement(
    """
    UPDATE member_session SET revoked_at = $3, revoked_reason = $4, updated_at = $3
    WHERE workspace_id = $1 AND member_id = $2 AND revoked_at IS NULL AND expires_at > $3
      AND ($5::uuid IS NULL OR id <> $5)
    RETURNING id
    """,
    ("workspace_id", "member_id", "now", "reason", "but"),
    {},
)


@dataclass(frozen=True, slots=True)
class Source:
    """What a session comes from, which must be what it was at the moment when the session starts.

    `generation` is of the credential whose password and codes were checked; `signed_in_id` the browser's sign-in whose
    code or answer is redeemed; `identity_id` the link of a provider's account, which what is made through the browser
    inherits.
    """

    generation: int | None = None
    signed_in_id: str | None = None
    identity_id: str | None = None


UNBOUND = Source()
"""Of a session that comes from nothing that could end meanwhile."""


@dataclass(frozen=True, slots=True)
class NewSession:
    """A session that is to start. `client_id` is the OAuth client that alone may go on with it."""

    workspace_id: str
    member_id: str
    method: SignInMethod
    lifetime: timedelta
    origin: Origin
    kind: SessionKind = SessionKind.TOKENS
    client_id: str | None = None
    scope: frozenset[str] | None = None
    source: Source = UNBOUND
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Started:
    """A session that has started, and the salt of its secrets."""

    id: str
    salt: bytes


async def begin(services: Services, session: Session, new: NewSession) -> Started:
    """Start a session in the transaction of `session`, with its event. The one that was not used for the longest time
    ends where a member would have more than `CRM_MAX_SESSIONS`; those of the operator's tokens are not counted.

    Raises Unauthenticated where the member may not come in, or the source is not what it was.
    """
    now = services.clock()
    started = Started(new_id(), os.urandom(SALT_BYTES))
    identity_id = await _confirm(session, new)
    values = {
        "workspace_id": new.workspace_id,
        "id": started.id,
        "member_id": new.member_id,
        "kind": new.kind.value,
        "client_id": new.client_id,
        "signed_in_id": new.source.signed_in_id,
        "identity_id": identity_id,
        "scope": None if new.scope is None else " ".join(sorted(new.scope)),
        "method": new.method.value,
        "last_used_at": now,
        "expires_at": now + new.lifetime,
        "address": new.origin.address,
        "user_agent": new.origin.user_agent,
        "revoked_at": None,
        "revoked_reason": None,
        "generation": 1,
        "salt": started.salt,
        "version": 1,
        "created_at": now,
        "updated_at": now,
    }
    await session.execute(_INSERT, values)
    bounds = {"now": now, "reason": RevokedReason.TOO_MANY.value, "kept": services.settings.max_sessions}
    await session.execute(_REVOKE_OLDEST, {"workspace_id": new.workspace_id, "member_id": new.member_id, **bounds})
    actor = None if new.method is SignInMethod.OPERATOR else new.member_id
    by = By(actor, new.origin, new.request_id, new.client_id)
    event = SignedIn(started.id, new.method.value, new.kind.value)
    await record(services, session, new.workspace_id, new.member_id, event, by)
    return started


async def hold_alone(session: Session, workspace_id: str, member_id: str) -> None:
    """Hold a member's row, before anything else of theirs, until the transaction ends: no session of theirs starts
    meanwhile. In this order everywhere, so that nobody waits in a circle."""
    await session.fetch(_HOLD_ALONE, {"workspace_id": workspace_id, "member_id": member_id})


async def _confirm(session: Session, new: NewSession) -> str | None:
    """Hold the member, then ask whether what the session comes from is what it was; return the link by which they
    came, if they came by one. Raises Unauthenticated."""
    values = {"workspace_id": new.workspace_id, "member_id": new.member_id}
    source, identity_id = new.source, new.source.identity_id
    good = bool(await session.fetch(_HOLD, values))
    if good and source.generation is not None:
        good = bool(await session.fetch(_SAME_PASSWORD, {**values, "generation": source.generation}))
    if good and source.signed_in_id is not None:
        row = await session.fetch_row(_STILL_SIGNED_IN, {**values, "signed_in_id": source.signed_in_id})
        good, identity_id = row is not None, None if row is None else row["identity_id"]
    if not good:
        raise Unauthenticated("The session that this sign-in came from has ended: sign in again.")
    return identity_id
