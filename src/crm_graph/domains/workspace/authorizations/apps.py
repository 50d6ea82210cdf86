"""Clients and members as the authorization server finds them, before anybody has permissions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from crm_graph.db.session import ReadSession, Record, Session
from crm_graph.db.statements import Statement
from crm_graph.domains.workspace.clients.events import ApiClientCreated
from crm_graph.domains.workspace.clients.model import ClientKind
from crm_graph.events.log import append
from crm_graph.identity.origin import Origin
from crm_graph.kernel.ids import new_id

COMMAND_LINE = "crm-graph-cli"
"""The client id and the name of the command line, which has a client in each workspace that it signs in to."""

_COLUMNS = "client.workspace_id, client.id, client.name, kind, client.member_id, redirect_uris, first_party, slug"
_FIND = Statement(
    f"""
    SELECT {_COLUMNS} FROM api_client AS client JOIN workspace ON workspace.workspace_id = client.workspace_id
    WHERE client.id = $1 ORDER BY client.created_at, client.workspace_id LIMIT 1
    """,  # noqa: S608 - constants
    ("id",),
    {},
)
"""Across workspaces: a client id is all that a request brings. An id is made once; where somebody made a client of
another workspace under the same one, the older client keeps it."""
_FIND_NAMED = Statement(
    f"""
    SELECT {_COLUMNS} FROM api_client AS client JOIN workspace ON workspace.workspace_id = client.workspace_id
    WHERE client.workspace_id = $1 AND client.name = $2 AND kind = 'PUBLIC'
    """,  # noqa: S608 - constants
    ("workspace_id", "name"),
    {},
)
_WORKSPACES = Statement("SELECT workspace_id FROM workspace WHERE $1::text IS NULL OR slug = $1 LIMIT 2", ("slug",), {})
_ADD = Statement(
    """
    INSERT INTO api_client (workspace_id, id, name, kind, first_party, redirect_uris, version, created_at, updated_at)
    VALUES ($1, $2, $3, 'PUBLIC', true, '{}', 1, $4, $4) ON CONFLICT DO NOTHING RETURNING id
    """,
    ("workspace_id", "id", "name", "now"),
    {},
)
_MEMBER = Statement(
    "SELECT name, email FROM member WHERE workspace_id = $1 AND id = $2 AND status = 'ACTIVE'",
    ("workspace_id", "id"),
    {},
)


@dataclass(frozen=True, slots=True)
class App:
    """A client as OAuth sees it. `member_id`: as whom it acts by itself."""

    workspace_id: str
    id: str
    name: str
    kind: ClientKind
    member_id: str | None
    redirect_uris: tuple[str, ...]
    first_party: bool
    workspace: str
    """The workspace's short name."""


@dataclass(frozen=True, slots=True)
class Person:
    """An active member."""

    workspace_id: str
    member_id: str
    name: str
    email: str


async def find_app(reader: ReadSession, client_id: str) -> App | None:
    """Return a client of any workspace by its inner id, or None."""
    row = await reader.fetch_row(_FIND, {"id": client_id})
    return None if row is None else _app(row)


async def find_named_app(reader: ReadSession, workspace_id: str, name: str) -> App | None:
    """Return the public client of a workspace by its name, or None."""
    row = await reader.fetch_row(_FIND_NAMED, {"workspace_id": workspace_id, "name": name})
    return None if row is None else _app(row)


async def find_one_workspace(reader: ReadSession, slug: str | None) -> str | None:
    """Return the workspace of a short name, or the only one there is; None where that is not one."""
    rows = await reader.fetch(_WORKSPACES, {"slug": slug})
    return rows[0]["workspace_id"] if len(rows) == 1 else None


async def add_command_line(session: Session, workspace_id: str, origin: Origin, now: datetime) -> None:
    """Make the client of the command line in a workspace, where there is none of its name."""
    id_ = new_id()
    values = {"workspace_id": workspace_id, "id": id_, "name": COMMAND_LINE, "now": now}
    if not await session.execute(_ADD, values):
        return
    event = {
        "workspace_id": workspace_id,
        "type": ApiClientCreated.__name__,
        "entity": "ApiClient",
        "entity_id": id_,
        "actor": None,
        "at": now,
        "changes": {"name": (None, COMMAND_LINE), "kind": (None, ClientKind.PUBLIC.value)},
        "data": {},
        "client_id": None,
        "address": origin.address,
        "request_id": None,
    }
    await append(session, event)


async def find_person(reader: ReadSession, workspace_id: str, member_id: str) -> Person | None:
    """Return a member who may come in, as of now, or None."""
    row = await reader.fetch_row(_MEMBER, {"workspace_id": workspace_id, "id": member_id})
    return None if row is None else Person(workspace_id, member_id, row["name"], row["email"])


def _app(row: Record) -> App:
    return App(
        row["workspace_id"],
        row["id"],
        row["name"],
        ClientKind(row["kind"]),
        row["member_id"],
        tuple(row["redirect_uris"]),
        row["first_party"],
        row["slug"],
    )
