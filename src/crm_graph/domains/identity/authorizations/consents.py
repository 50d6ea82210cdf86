"""What members let apps do for them: remembered, listed, taken back."""

from __future__ import annotations

from dataclasses import dataclass

from crm_graph.db.session import ReadSession, Session
from crm_graph.db.statements import Statement
from crm_graph.domains.identity.accounts.enums import RevokedReason
from crm_graph.domains.identity.accounts.journal import By, record
from crm_graph.domains.identity.accounts.session_rows import hold_alone
from crm_graph.domains.identity.authorizations.events import AppAuthorized, AppRevoked
from crm_graph.identity.origin import Origin
from crm_graph.identity.services import Services
from crm_graph.kernel.ids import new_id

_FIND = Statement(
    "SELECT scope FROM consent WHERE workspace_id = $1 AND member_id = $2 AND client_id = $3",
    ("workspace_id", "member_id", "client_id"),
    {},
)
_SAVE = Statement(
    """
    INSERT INTO consent (workspace_id, id, member_id, client_id, scope, version, created_at, updated_at)
    VALUES ($1, $2, $3, $4, $5, 1, $6, $6)
    ON CONFLICT (workspace_id, member_id, client_id)
    DO UPDATE SET scope = $5, version = consent.version + 1, updated_at = $6
    """,
    ("workspace_id", "id", "member_id", "client_id", "scope", "now"),
    {},
)
_DROP = Statement(
    "DELETE FROM consent WHERE workspace_id = $1 AND member_id = $2 AND client_id = $3 RETURNING id",
    ("workspace_id", "member_id", "client_id"),
    {},
)
_END_SESSIONS = Statement(
    """
    UPDATE member_session SET revoked_at = $4, revoked_reason = $5, updated_at = $4
    WHERE workspace_id = $1 AND member_id = $2 AND client_id = $3 AND revoked_at IS NULL AND expires_at > $4
    RETURNING id
    """,
    ("workspace_id", "member_id", "client_id", "now", "reason"),
    {},
)
_DROP_CODES = Statement(
    "DELETE FROM authorization_code WHERE workspace_id = $1 AND member_id = $2 AND client_id = $3 AND used_at IS NULL",
    ("workspace_id", "member_id", "client_id"),
    {},
)
_DROP_DEVICES = Statement(
    "DELETE FROM device_code WHERE workspace_id = $1 AND member_id = $2 AND client_id = $3 AND used_at IS NULL",
    ("workspace_id", "member_id", "client_id"),
    {},
)
_LIST = Statement(
    """
    SELECT client.id, client.name, client.first_party, consent.scope, consent.updated_at AS consented_at,
           living.sessions, living.scopes, living.last_used_at
    FROM api_client AS client
    LEFT JOIN consent ON consent.workspace_id = client.workspace_id AND consent.client_id = client.id
        AND consent.member_id = $2
    LEFT JOIN LATERAL (
        SELECT count(*) AS sessions, max(last_used_at) AS last_used_at, string_agg(scope, ' ') AS scopes
        FROM member_session
        WHERE member_session.workspace_id = $1 AND client_id = client.id AND member_id = $2
          AND revoked_at IS NULL AND expires_at > $3
    ) AS living ON true
    WHERE client.workspace_id = $1 AND (consent.id IS NOT NULL OR living.sessions > 0)
    ORDER BY client.name, client.id
    """,
    ("workspace_id", "member_id", "now"),
    {},
)


@dataclass(frozen=True, slots=True)
class AuthorizedApp:
    """An app that may act for a member, or does. Times as the database spells them."""

    client_id: str
    name: str
    first_party: bool
    scopes: tuple[str, ...]
    consented_at: str | None
    last_used_at: str | None
    sessions: int


async def consented_scopes(reader: ReadSession, workspace_id: str, member_id: str, client_id: str) -> frozenset[str]:
    """Return the scopes that a member let a client have already."""
    values = {"workspace_id": workspace_id, "member_id": member_id, "client_id": client_id}
    row = await reader.fetch_row(_FIND, values)
    return frozenset() if row is None else frozenset(row["scope"].split())


async def remember_consent(
    services: Services,
    session: Session,
    workspace_id: str,
    member_id: str,
    client_id: str,
    scopes: frozenset[str],
    origin: Origin,
) -> None:
    """Keep that a member lets a client have these scopes, beside those it had, with the event."""
    known = await consented_scopes(session, workspace_id, member_id, client_id)
    if scopes <= known:
        return
    values = {"workspace_id": workspace_id, "member_id": member_id, "client_id": client_id, "now": services.clock()}
    scope = " ".join(sorted(known | scopes))
    await session.execute(_SAVE, {**values, "id": new_id(), "scope": scope})
    by = By(member_id, origin, None, client_id)
    await record(services, session, workspace_id, member_id, AppAuthorized(client_id, scope), by)


async def revoke_app(
    services: Services, session: Session, workspace_id: str, member_id: str, client_id: str, by: By
) -> int | None:
    """Forget a member's consent and end the client's sessions for them, its codes on their way too, with the event.

    Return how many sessions were ended; None where the client neither had consent nor a session.
    """
    values = {"workspace_id": workspace_id, "member_id": member_id, "client_id": client_id}
    known = bool(await session.execute(_DROP, values))
    # The codes first: who redeems one holds it, and starts the session that is among those then.
    await session.execute(_DROP_CODES, values)
    await session.execute(_DROP_DEVICES, values)
    await hold_alone(session, workspace_id, member_id)
    bounds = {"now": services.clock(), "reason": RevokedReason.BY_MEMBER.value}
    sessions = len(await session.execute(_END_SESSIONS, {**values, **bounds}))
    if not known and not sessions:
        return None
    await record(services, session, workspace_id, member_id, AppRevoked(client_id, sessions), by)
    return sessions


async def list_apps(services: Services, reader: ReadSession, workspace_id: str, member_id: str) -> list[AuthorizedApp]:
    """Return the apps that a member let act for them, and those that do."""
    values = {"workspace_id": workspace_id, "member_id": member_id, "now": services.clock()}
    return [
        AuthorizedApp(
            row["id"],
            row["name"],
            row["first_party"],
            tuple(sorted({*(row["scope"] or "").split(), *(row["scopes"] or "").split()})),
            row["consented_at"],
            row["last_used_at"],
            row["sessions"],
        )
        for row in await reader.fetch(_LIST, values)
    ]
