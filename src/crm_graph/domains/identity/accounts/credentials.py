"""Members' passwords: read, verified, set. Hashing is never done inside a transaction: no connection waits for it."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Any

from crm_graph.db.session import ReadSession, Session
from crm_graph.db.statements import Statement
from crm_graph.domains.identity.accounts.enums import RevokedReason
from crm_graph.domains.identity.accounts.events import PasswordChanged
from crm_graph.domains.identity.accounts.journal import By, record
from crm_graph.domains.identity.accounts.meter import Kind, count, of_member, take_back
from crm_graph.domains.identity.accounts.session_rows import hold_alone
from crm_graph.domains.identity.accounts.sessions import revoke_all
from crm_graph.identity.services import Services
from crm_graph.kernel.errors import Refused

_READ = Statement(
    """
    SELECT member.email, member.name, credential.password_hash, credential.totp_secret, credential.totp_pending,
           credential.totp_step, coalesce(credential.generation, 0) AS generation,
           (SELECT count(*) FROM recovery_code WHERE workspace_id = $1 AND member_id = $2)::int AS recovery_codes
    FROM member
    LEFT JOIN credential ON credential.workspace_id = member.workspace_id AND credential.member_id = member.id
    WHERE member.workspace_id = $1 AND member.id = $2
    """,
    ("workspace_id", "member_id"),
    {},
)
# As one statement, so that a first password is set once, also by two at once.
_SET = Statement(
    """
    INSERT INTO credential (workspace_id, member_id, generation, password_hash, password_at, email, email_at)
    SELECT workspace_id, id, $5 + 1, $3, $4, lower(email), $4 FROM member WHERE workspace_id = $1 AND id = $2
    ON CONFLICT (workspace_id, member_id) DO UPDATE
    SET generation = credential.generation + 1, password_hash = $3, password_at = $4, email = excluded.email,
        email_at = CASE WHEN credential.email = excluded.email THEN credential.email_at ELSE excluded.email_at END,
        totp_pending = NULL
    WHERE credential.generation = $5
    RETURNING generation
    """,
    ("workspace_id", "member_id", "password_hash", "now", "generation"),
    {},
)
_REHASH = Statement(
    "UPDATE credential SET password_hash = $3 WHERE workspace_id = $1 AND member_id = $2 AND password_hash = $4",
    ("workspace_id", "member_id", "password_hash", "before"),
    {},
)
_NOTE_EMAIL = Statement(
    """
    UPDATE credential SET email = $3, email_at = $4
    WHERE workspace_id = $1 AND member_id = $2 AND email IS DISTINCT FROM $3
    """,
    ("workspace_id", "member_id", "email", "now"),
    {},
)


@dataclass(frozen=True, slots=True)
class Held:
    """What a member has to prove who they are. `totp_secret` and `totp_pending` are sealed."""

    email: str
    name: str
    password_hash: str | None
    totp_secret: str | None
    totp_pending: str | None
    totp_step: int | None
    generation: int
    recovery_codes: int


def canonical_email(email: str) -> str:
    """Return the one spelling by which an account is looked up and its attempts are counted."""
    return unicodedata.normalize("NFKC", email).strip().lower()


async def read_credential(session: ReadSession, workspace_id: str, member_id: str) -> Held | None:
    """Return a member's credential, an empty one where there is none yet; None without such a member."""
    row = await session.fetch_row(_READ, {"workspace_id": workspace_id, "member_id": member_id})
    return None if row is None else Held(**dict(row.items()))


async def check_password(
    services: Services, held: Held, workspace_id: str, member_id: str, password: str, field: str
) -> None:
    """Check the password of a member who is signed in and changes how they sign in. Metered per member.

    Raises RateLimited, and Refused for a wrong one, and for a member who has none.
    """
    member = of_member(workspace_id, member_id)
    counted = await count(services, Kind.PASSWORD, member, services.settings.attempts_per_account)
    counted.check()
    if held.password_hash is None:
        raise Refused("INVALID", "There is no password yet: ask for a link by `requestPasswordReset`.", (field,))
    if not await services.passwords.verify(held.password_hash, password):
        raise Refused("INVALID", "The password is wrong.", (field,))
    await take_back(services, counted)


async def set_password(
    services: Services, session: Session, workspace_id: str, member_id: str, hashed: str, generation: int
) -> None:
    """Put a new password in the place of the one of a generation; older links die with that.

    Raises Refused CONFLICT where it is of another generation by now.
    """
    values: dict[str, Any] = {"workspace_id": workspace_id, "member_id": member_id, "password_hash": hashed}
    values |= {"now": services.clock(), "generation": generation}
    if not await session.execute(_SET, values):
        raise Refused("CONFLICT", "The password was changed at this very moment: try again with the new one.")


async def replace_password(
    services: Services,
    session: Session,
    workspace_id: str,
    member_id: str,
    hashed: str,
    generation: int,
    *,
    by: By,
    but: str | None = None,
) -> None:
    """Set a password in place of an older one, end the member's sessions but the one that did it, and record it."""
    await hold_alone(session, workspace_id, member_id)
    await set_password(services, session, workspace_id, member_id, hashed, generation)
    await record(services, session, workspace_id, member_id, PasswordChanged(), by)
    await revoke_all(services, session, workspace_id, member_id, RevokedReason.PASSWORD_CHANGED, but, by=by)


async def note_email(services: Services, workspace_id: str, member_id: str, email: str) -> None:
    """Keep that a password works under an address from now on: its member was given another one meanwhile."""
    values = {"workspace_id": workspace_id, "member_id": member_id, "email": email, "now": services.clock()}
    async with services.database.transaction() as session:
        await session.execute(_NOTE_EMAIL, values)


async def rehash(services: Services, workspace_id: str, member_id: str, before: str, password: str) -> None:
    """Hash a password, just verified, with today's parameters."""
    hashed = await services.passwords.hash(password)
    values = {"workspace_id": workspace_id, "member_id": member_id, "password_hash": hashed, "before": before}
    async with services.database.transaction() as session:
        await session.execute(_REHASH, values)
