"""Clients and members as the authorization server finds them, before anybody has permissions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from crm_graph.db.session import ReadSession, Record, Session
from crm_graph.db.statements import Statement
from crm_graph.domains.identity.accounts.journal import By
from crm_graph.domains.identity.clients.enums import ClientKind
from crm_graph.domains.identity.clients.events import ApiClientCreated
from crm_graph.events.log import append, entry
from crm_graph.identity.viewer import NOBODY
from crm_graph.kernel.ids import new_id

COMMAND_LINE = "crm-graph-cli"
"""The name of the command line's client, which each workspace has that it signed in to, and the client id by which it
asks: alone, or with the short name of a workspace behind an `@`. That names no row, so that it says, and makes, nothing
of a workspace before a member of it lets the command line in."""
MAX_ASKED_LENGTH = 200

_COLUMNS = "client.workspace_id, client.id, client.name, kind, client.member_id, redirect_uris, first_party, slug"
_FIND = Statement(
    f"""
    SELECT {_COLUMNS} FROM api_client AS client JOIN workspace ON workspace.workspace_id = client.workspace_id
    WHERE client.id = $1 ORDER BY client.created_at, client.workspace_id LIMIT 1
    """,  # noqa: S608 - constants
    ("id",),
    {},
)
"""Across workspaces: a client id is all that a request brings. Ids are made here, so nobody gets one that was another
workspace's; clients of before, when they could be given, keep theirs by age."""
_FIND_IN = Statement(
    f"""
    SELECT {_COLUMNS} FROM api_client AS client JOIN workspace ON workspace.workspace_id = client.workspace_id
    WHERE client.workspace_id = $1 AND client.id = $2
    """,  # noqa: S608 - constants
    ("workspace_id", "id"),
    {},
)
_FIND_NAMED = Statement(
    """
    SELECT id FROM api_client WHERE workspace_id = $1 AND name = $2 AND kind = 'PUBLIC'
    """,
    ("workspace_id", "name"),
    {},
)
_ADD = Statement(
    """
    INSERT INTO api_client (workspace_id, id, name, kind, first_party, redirect_uris, version, created_at, updated_at)
    VALUES ($1, $2, $3, 'PUBLIC', true, '{}', 1, $4, $4) ON CONFLICT DO NOTHING RETURNING id
    """,
    ("workspace_id", "id", "name", "now"),
    {},
)
_MEMBER = Statement(
    """
    SELECT member.name, email, slug FROM member
    JOIN workspace ON workspace.workspace_id = member.workspace_id AND workspace.id = member.workspace_id
    WHERE member.workspace_id = $1 AND member.id = $2 AND status = 'ACTIVE'
    """,
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
    """The workspace's short name; of the command line while it waits, the one that it asks for, or none."""

    @property
    def asked_as(self) -> str | None:
        """As what the command line asks, while it waits for a member of whichever workspace; None for any other."""
        if self.workspace_id != NOBODY:
            return None
        return f"{COMMAND_LINE}@{self.workspace}" if self.workspace else COMMAND_LINE

    def is_settled(self, app: App) -> bool:
        """Return whether a client of a workspace is the command line, and in the workspace that this one asks for."""
        is_command_line = (app.name, app.kind) == (COMMAND_LINE, ClientKind.PUBLIC)
        return is_command_line and self.asked_as in {COMMAND_LINE, f"{COMMAND_LINE}@{app.workspace}"}


@dataclass(frozen=True, slots=True)
class Person:
    """An active member."""

    workspace_id: str
    member_id: str
    name: str
    email: str
    workspace: str
    """The workspace's short name."""


def command_line(asked_as: str) -> App | None:
    """Return the command line as it waits, whatever workspace it asks for; None for another client id."""
    name, _, slug = asked_as.partition("@")
    if name != COMMAND_LINE or len(asked_as) > MAX_ASKED_LENGTH:
        return None
    return App(NOBODY, NOBODY, COMMAND_LINE, ClientKind.PUBLIC, None, (), True, slug)


async def find_app(reader: ReadSession, client_id: str) -> App | None:
    """Return a client of any workspace by its inner id, or None."""
    row = await reader.fetch_row(_FIND, {"id": client_id})
    return None if row is None else _app(row)


async def find_app_in(reader: ReadSession, workspace_id: str, client_id: str) -> App | None:
    """Return the client of a workspace by its inner id, or None."""
    row = await reader.fetch_row(_FIND_IN, {"workspace_id": workspace_id, "id": client_id})
    return None if row is None else _app(row)


async def find_command_line(reader: ReadSession, workspace_id: str) -> str | None:
    """Return the inner id of the client that the command line has in a workspace, or None."""
    row = await reader.fetch_row(_FIND_NAMED, {"workspace_id": workspace_id, "name": COMMAND_LINE})
    return None if row is None else row["id"]


async def add_command_line(session: Session, workspace_id: str, by: By, now: datetime) -> str | None:
    """Make the client of the command line in a workspace, where there is none yet, and return its inner id; None where
    the name is that of another kind of client."""
    id_ = new_id()
    values = {"workspace_id": workspace_id, "id": id_, "name": COMMAND_LINE, "now": now}
    if not await session.execute(_ADD, values):
        return await find_command_line(session, workspace_id)
    told = entry(
        ApiClientCreated(),
        workspace_id=workspace_id,
        entity="ApiClient",
        entity_id=id_,
        at=now,
        by=replace(by.as_actor, client_id=None),
        changes={"name": (None, COMMAND_LINE), "kind": (None, ClientKind.PUBLIC.value)},
        address=by.origin.address,
        request_id=by.request_id,
    )
    await append(session, told)
    return id_


async def find_person(reader: ReadSession, workspace_id: str, member_id: str) -> Person | None:
    """Return a member who may come in, as of now, or None."""
    row = await reader.fetch_row(_MEMBER, {"workspace_id": workspace_id, "id": member_id})
    return None if row is None else Person(workspace_id, member_id, row["name"], row["email"], row["slug"])


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
