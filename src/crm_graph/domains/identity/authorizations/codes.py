"""Authorization codes: given to a browser, taken from a client, once."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from crm_graph.db.session import ReadSession, Session
from crm_graph.db.statements import Statement
from crm_graph.domains.identity.accounts.browsers import use_browser
from crm_graph.domains.identity.accounts.enums import RevokedReason
from crm_graph.domains.identity.accounts.journal import By, record
from crm_graph.domains.identity.accounts.sessions import revoke_session
from crm_graph.domains.identity.authorizations.events import AuthorizationCodeReused
from crm_graph.identity.origin import Origin
from crm_graph.identity.services import Services
from crm_graph.kernel.errors import Unauthenticated
from crm_graph.kernel.ids import new_id

KEPT = timedelta(days=1)
"""How long a code stays after its time, so that a second use is noticed."""

_COLUMNS = (
    "workspace_id",
    "id",
    "client_id",
    "member_id",
    "sha256",
    "redirect_uri",
    "scope",
    "nonce",
    "code_challenge",
    "auth_time",
    "expires_at",
    "signed_in_id",
    "version",
    "created_at",
    "updated_at",
)
_ADD = Statement(
    f"INSERT INTO authorization_code ({', '.join(_COLUMNS)})"  # noqa: S608 - constants
    f" VALUES ({', '.join(f'${number}' for number, _ in enumerate(_COLUMNS, 1))})",
    _COLUMNS,
    {},
)
_DROP = Statement(
    "DELETE FROM authorization_code WHERE workspace_id = $1 AND expires_at < $2", ("workspace_id", "before"), {}
)
_TAKE = Statement(
    """
    SELECT id, member_id, redirect_uri, scope, nonce, code_challenge, auth_time, used_at, session_id,
           expires_at > $4 AS lives, signed_in_id
    FROM authorization_code WHERE workspace_id = $1 AND client_id = $2 AND sha256 = $3 FOR UPDATE
    """,
    ("workspace_id", "client_id", "sha256", "now"),
    {},
)
_USE = Statement(
    """
    UPDATE authorization_code SET used_at = $3, session_id = $4, version = version + 1, updated_at = $3
    WHERE workspace_id = $1 AND id = $2
    """,
    ("workspace_id", "id", "now", "session_id"),
    {},
)
_NONCE = Statement(
    "SELECT 1 FROM authorization_code WHERE workspace_id = $1 AND client_id = $2 AND nonce = $3 LIMIT 1",
    ("workspace_id", "client_id", "nonce"),
    {},
)


@dataclass(frozen=True, slots=True)
class NewCode:
    """What a code is bound to."""

    workspace_id: str
    client_id: str
    member_id: str
    redirect_uri: str
    scope: str
    nonce: str | None
    code_challenge: str
    auth_time: datetime
    signed_in_id: str
    """The browser's sign-in that it comes from."""


@dataclass(frozen=True, slots=True)
class FoundCode:
    """A code that was shown, good and locked."""

    id: str
    bound: NewCode


async def save_code(services: Services, session: Session, text: str, code: NewCode) -> None:
    """Keep the hash of a code with what it is bound to; drop what is long over. Raises Unauthenticated where the
    browser's sign-in has ended meanwhile."""
    now = services.clock()
    await session.execute(_DROP, {"workspace_id": code.workspace_id, "before": now - KEPT})
    values = {name: getattr(code, name) for name in NewCode.__slots__}
    values |= {"id": new_id(), "sha256": hash_code(text), "version": 1, "created_at": now, "updated_at": now}
    values["expires_at"] = now + timedelta(seconds=services.settings.authorization_code_seconds)
    await session.execute(_ADD, values)
    if not await use_browser(services, session, code.workspace_id, code.signed_in_id, code.member_id):
        raise Unauthenticated("The sign-in in the browser has ended: start again.")


async def take_code(
    services: Services, session: Session, workspace_id: str, client_id: str, text: str, origin: Origin
) -> FoundCode | None:
    """Return a code of a client, locked until the transaction ends; None for one that is unknown, another client's or
    over. One that was used before ends the session that was made from it."""
    values = {"workspace_id": workspace_id, "client_id": client_id, "sha256": hash_code(text), "now": services.clock()}
    row = await session.fetch_row(_TAKE, values)
    if row is None:
        return None
    if row["used_at"] is not None:
        await _end_reused(services, session, workspace_id, client_id, row["session_id"], row["member_id"], origin)
        return None
    if not row["lives"] or row["signed_in_id"] is None:  # None: of a version that did not know where codes come from
        return None
    bound = NewCode(
        workspace_id,
        client_id,
        row["member_id"],
        row["redirect_uri"],
        row["scope"],
        row["nonce"],
        row["code_challenge"],
        datetime.fromisoformat(row["auth_time"]),
        row["signed_in_id"],
    )
    return FoundCode(row["id"], bound)


async def use_code(services: Services, session: Session, code: FoundCode, session_id: str) -> None:
    """Note that a code was used, and the session that was made from it."""
    values = {"workspace_id": code.bound.workspace_id, "id": code.id, "now": services.clock(), "session_id": session_id}
    await session.execute(_USE, values)


async def has_nonce(session: ReadSession, workspace_id: str, client_id: str, nonce: str) -> bool:
    """Return whether a client sent this nonce before, as far as codes are kept."""
    values = {"workspace_id": workspace_id, "client_id": client_id, "nonce": nonce}
    return await session.fetch_row(_NONCE, values) is not None


def hash_code(text: str) -> str:
    """Return what is kept of a code: it is random, so nothing slower would make it harder to guess."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


async def _end_reused(
    services: Services,
    session: Session,
    workspace_id: str,
    client_id: str,
    session_id: str | None,
    member_id: str,
    origin: Origin,
) -> None:
    by = By(None, origin, None, client_id)
    if session_id is not None and await revoke_session(
        services, session, workspace_id, session_id, RevokedReason.REUSED, by=by
    ):
        event = AuthorizationCodeReused(client_id, session_id)
        await record(services, session, workspace_id, member_id, event, by)
