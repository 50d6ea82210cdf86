"""Who is signed in with a browser at the pages of the authorization server: a session like any other.

It has a row, is listed and revoked with the others, ends with all that ends sessions, and after
`CRM_BROWSER_SIGN_IN_MINUTES` by itself. Its cookie is no credential for the API: nothing but the pages under `/oauth`
reads it. What comes from it, codes and answers to devices, is good while it lives.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from crm_graph.db.session import ReadSession, Session
from crm_graph.db.statements import Statement
from crm_graph.domains.identity.accounts.enums import SessionKind, SignInMethod
from crm_graph.domains.identity.accounts.session_rows import NewSession, Source, begin
from crm_graph.domains.identity.accounts.spelling import BROWSER
from crm_graph.identity.origin import Origin
from crm_graph.identity.services import Services

_FIND = Statement(
    """
    SELECT session.member_id, session.salt, session.created_at, member.name, member.email, workspace.slug
    FROM member_session AS session
    JOIN member ON member.workspace_id = session.workspace_id AND member.id = session.member_id
    JOIN workspace ON workspace.workspace_id = session.workspace_id AND workspace.id = session.workspace_id
    WHERE session.workspace_id = $1 AND session.id = $2 AND session.kind = 'BROWSER'
      AND session.revoked_at IS NULL AND session.expires_at > $3 AND member.status = 'ACTIVE'
    """,
    ("workspace_id", "id", "now"),
    {},
)
_USE = Statement(
    """
    UPDATE member_session SET last_used_at = $4, updated_at = $4
    WHERE workspace_id = $1 AND id = $2 AND member_id = $3 AND kind = 'BROWSER'
      AND revoked_at IS NULL AND expires_at > $4
    RETURNING id
    """,
    ("workspace_id", "id", "member_id", "now"),
    {},
)


@dataclass(frozen=True, slots=True)
class SignedInBrowser:
    """A browser's sign-in that lives: of which member, and when they proved who they are."""

    workspace_id: str
    session_id: str
    member_id: str
    name: str
    email: str
    workspace: str
    """The workspace's short name."""
    at: datetime


async def start_browser(
    services: Services,
    session: Session,
    workspace_id: str,
    member_id: str,
    *,
    method: SignInMethod,
    origin: Origin,
    source: Source,
    request_id: str | None = None,
) -> str:
    """Sign a member in with a browser, in the transaction of `session`, with the event of it, and return the cookie's
    value. Raises Unauthenticated as `session_rows.begin` does."""
    lifetime = timedelta(minutes=services.settings.browser_sign_in_minutes)
    kind = SessionKind.BROWSER
    new = NewSession(workspace_id, member_id, method, lifetime, origin, kind=kind, source=source, request_id=request_id)
    started = await begin(services, session, new)
    return BROWSER.spell(services, workspace_id, started.id, 0, started.salt)


async def find_browser(services: Services, reader: ReadSession, cookie: str | None) -> SignedInBrowser | None:
    """Return who is signed in by a cookie, as of now; None for one that is not ours, is over or was revoked, and for a
    member who may not come in any more."""
    spelled = None if cookie is None else BROWSER.parse(cookie)
    if spelled is None:
        return None
    values = {"workspace_id": spelled.workspace_id, "id": spelled.session_id, "now": services.clock()}
    row = await reader.fetch_row(_FIND, values)
    if row is None or not spelled.is_genuine(services, bytes(row["salt"])):
        return None
    return SignedInBrowser(
        spelled.workspace_id,
        spelled.session_id,
        row["member_id"],
        row["name"],
        row["email"],
        row["slug"],
        datetime.fromisoformat(row["created_at"]),
    )


async def use_browser(services: Services, session: Session, workspace_id: str, id_: str, member_id: str) -> bool:
    """Note that something comes from a browser's sign-in; return whether that lives, which holds until the transaction
    ends: who revokes it waits, and then finds what came from it."""
    values = {"workspace_id": workspace_id, "id": id_, "member_id": member_id, "now": services.clock()}
    return bool(await session.execute(_USE, values))
