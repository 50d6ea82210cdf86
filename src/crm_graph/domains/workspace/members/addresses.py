"""In which workspaces an e-mail address is a member's: kept beside the members, for whoever names no workspace."""

from __future__ import annotations

from collections.abc import Iterable

from crm_graph.db.session import ReadSession, Session
from crm_graph.db.statements import Statement

_ADD = Statement(
    "INSERT INTO member_address (workspace_id, email) SELECT DISTINCT $1::uuid, lower(one.email)"
    " FROM unnest($2::text[]) AS one (email) ON CONFLICT DO NOTHING",
    ("workspace_id", "emails"),
    {},
)
_REMOVE = Statement(
    "DELETE FROM member_address WHERE workspace_id = $1"
    " AND email IN (SELECT lower(one.email) FROM unnest($2::text[]) AS one (email))",
    ("workspace_id", "emails"),
    {},
)
_WORKSPACES = Statement(
    "SELECT address.workspace_id FROM member_address AS address"
    " JOIN workspace ON workspace.workspace_id = address.workspace_id AND workspace.id = address.workspace_id"
    " WHERE address.email = $1 AND ($2::text IS NULL OR workspace.slug = $2) ORDER BY 1",
    ("email", "slug"),
    {},
)


async def move_addresses(session: Session, workspace_id: str, gone: Iterable[str], come: Iterable[str]) -> None:
    """Take note that members of a workspace have other e-mail addresses, in the transaction that changes theirs."""
    for statement, emails in ((_REMOVE, list(gone)), (_ADD, list(come))):
        if emails:
            await session.execute(statement, {"workspace_id": workspace_id, "emails": emails})


async def workspaces_of(session: ReadSession, email: str, slug: str | None) -> list[str]:
    """Return the workspaces, or the one of a short name, in which somebody has a canonical e-mail address."""
    rows = await session.fetch(_WORKSPACES, {"email": email, "slug": slug})
    return [row["workspace_id"] for row in rows]
