"""The directory: from a credential's claims to the viewer of a request, as of now.

A suspended member, a changed role, a moved team, a revoked session or key is in force on the next request in every
process: a viewer that a process remembers is confirmed by a guard on the first statement of each request
(`db/session.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from crm_graph.db.session import Guard, ReadSession
from crm_graph.db.statements import Statement
from crm_graph.identity.tokens import Claims
from crm_graph.identity.viewer import Viewer

FULL_SCOPE, READ_SCOPE = "crm", "crm.read"
"""The OAuth scopes of the API: all that the member may do, and of that what reads."""

_ROLES = "ARRAY(SELECT role FROM member_role WHERE workspace_id = {0} AND member_id = {1} ORDER BY role)"
_DEFINITIONS = """ARRAY(
    SELECT ARRAY[role.name, role.grants::text]
    FROM role JOIN member_role ON member_role.workspace_id = role.workspace_id AND member_role.role = role.name
    WHERE role.workspace_id = {0} AND member_role.member_id = {1} ORDER BY role.name
)"""
_SUBTREE = """
    WITH RECURSIVE subtree AS (
        SELECT team.id FROM team JOIN member ON member.workspace_id = {0} AND member.id = {1}
        WHERE team.workspace_id = {0} AND (team.manager_id = {1} OR team.id = member.team_id)
        UNION
        SELECT team.id FROM team JOIN subtree ON team.parent_id = subtree.id WHERE team.workspace_id = {0}
    )"""
_TEAMS = f"ARRAY({_SUBTREE} SELECT id FROM subtree ORDER BY id)"  # noqa: S608 - constants
_CIRCLE = f"""ARRAY({_SUBTREE}
    SELECT {{1}}::uuid AS id UNION
    SELECT id FROM member WHERE workspace_id = {{0}} AND team_id IN (SELECT id FROM subtree)
    ORDER BY id
)"""  # noqa: S608 - constants
_SESSION_LIVES = """EXISTS (SELECT 1 FROM member_session WHERE workspace_id = {0} AND id = {session} AND member_id = {1}
    AND revoked_at IS NULL AND expires_at > now())"""
_KEY_LIVES = """EXISTS (SELECT 1 FROM api_key WHERE workspace_id = {0} AND id = {key}
    AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now()))"""
_IDENTITY_LIVES = """EXISTS (SELECT 1 FROM member_identity AS identity
    JOIN identity_provider AS provider
        ON provider.workspace_id = identity.workspace_id AND provider.id = identity.provider_id
    WHERE identity.workspace_id = {0} AND identity.id = {identity} AND identity.member_id = {1}
    AND provider.enabled AND provider.accept_tokens)"""
_VERSION = "coalesce((SELECT directory_version FROM workspace_directory WHERE workspace_id = {0}), 0)"
_CLIENT_ROLES = "(SELECT roles FROM api_client WHERE workspace_id = {0} AND id = $3)"
_NOT_SUSPENDED = "({0}not_before IS NULL OR {0}not_before < {1})"
"""Of a credential without a row of its own: no suspension has come since it was made."""
_BINDS = {"session": "$4", "key": "$5", "identity": "$6"}
VIEWER = Statement(
    f"""
    SELECT workspace.time_zone, workspace.fiscal_year_start, workspace.base_currency,
        member.kind = 'SERVICE' AS is_service,
        {_VERSION} AS directory_version, {_CLIENT_ROLES} AS client_roles,
        {_ROLES} AS roles, {_CIRCLE} AS circle, {_TEAMS} AS teams,
        {_DEFINITIONS} AS definitions
    FROM member
    JOIN workspace ON workspace.workspace_id = member.workspace_id AND workspace.id = member.workspace_id
    WHERE member.workspace_id = {{0}} AND member.id = {{1}} AND member.status = 'ACTIVE'
      AND ($3::uuid IS NULL OR EXISTS (SELECT 1 FROM api_client WHERE workspace_id = {{0}} AND id = $3))
      AND ($4::uuid IS NULL OR {_SESSION_LIVES}) AND ($5::uuid IS NULL OR {_KEY_LIVES})
      AND ($6::uuid IS NULL OR {_IDENTITY_LIVES})
      AND ($7::timestamptz IS NULL OR {_NOT_SUSPENDED.format("member.", "$7")})
    """.format("$1", "$2", **_BINDS),  # noqa: S608 - constants
    ("workspace_id", "member_id", "client_id", "session_id", "key_id", "identity_id", "unbound_since"),
    {},
)
_SAME_DIRECTORY = f"{_VERSION} = {{1}}"
_SAME_VIEWER = f"""
EXISTS (SELECT 1 FROM member WHERE workspace_id = {{0}} AND id = {{1}} AND status = 'ACTIVE'{{since}})
AND {_ROLES} = {{2}}::text[]
AND {_SAME_DIRECTORY.format("{0}", "{3}")}"""  # noqa: S608 - constants
_SEPARATOR = chr(31)

_UNCHANGED = f"""
SELECT one.number FROM unnest($3::uuid[], $4::text[], $5::uuid[], $6::uuid[], $7::uuid[], $8::timestamptz[])
    WITH ORDINALITY AS one(member, roles, session, key, identity, since, number)
WHERE {_SAME_VIEWER}
  AND (one.session IS NULL OR {_SESSION_LIVES}) AND (one.key IS NULL OR {_KEY_LIVES})
  AND (one.identity IS NULL OR {_IDENTITY_LIVES})"""  # noqa: S608 - constants
_ROLES_OF_ONE = "string_to_array(one.roles, chr(31))"
UNCHANGED = Statement(
    _UNCHANGED.format(
        *("$1", "one.member", _ROLES_OF_ONE, "$2"),
        session="one.session",
        key="one.key",
        identity="one.identity",
        since=f" AND (one.since IS NULL OR {_NOT_SUSPENDED.format('member.', 'one.since')})",
    ),
    ("workspace_id", "version", "members", "roles", "sessions", "keys", "identities", "since"),
    {},
)


class MemberDirectory:
    """Reads viewers, and says what holds while they are what they were. Implements `identity.Directory`."""

    async def find(self, session: ReadSession, claims: Claims) -> Viewer | None:
        """Return the viewer of claims. None when there is no such member, they are suspended, their client is gone, or
        the session or key of the claims is revoked or over."""
        binds = {
            "workspace_id": claims.workspace_id,
            "member_id": claims.member_id,
            "client_id": claims.client_id,
            "session_id": claims.session_id,
            "key_id": claims.key_id,
            "identity_id": claims.identity_id,
            "unbound_since": claims.unbound_since,
        }
        row = await session.fetch_row(VIEWER, binds)
        if row is None:
            return None
        held = tuple(row["roles"])
        return Viewer(
            claims.workspace_id,
            claims.member_id,
            _effective(held, row["client_roles"], claims.scope),
            tuple(row["circle"]),
            row["time_zone"],
            row["directory_version"],
            tuple(row["teams"]),
            held,
            tuple((name, grants) for name, grants in row["definitions"]),
            claims.client_id,
            claims.session_id,
            claims.key_id,
            claims.identity_id,
            claims.unbound_since,
            read_only=claims.scope is not None and FULL_SCOPE not in claims.scope,
            fiscal_year_start=row["fiscal_year_start"],
            base_currency=row["base_currency"],
            is_service=row["is_service"],
        )

    def guard(self, viewer: Viewer) -> Guard:
        """Return the condition that a viewer is what it was.

        Status, roles, session and key are compared as they are, so that they hold whoever changed them; the circle,
        the definitions of the roles and the client by the version that every operation on them moves on.
        """
        arguments: tuple[Any, ...] = (
            viewer.workspace_id,
            viewer.member_id,
            viewer.held_roles,
            viewer.version,
        )
        since = ""
        if viewer.unbound_since is not None:
            since = f" AND {_NOT_SUSPENDED.format('member.', f'{{{len(arguments)}}}')}"
            arguments = (*arguments, viewer.unbound_since)
        condition = _SAME_VIEWER.replace("{since}", since)
        if viewer.session_id is not None:
            condition += f" AND {_SESSION_LIVES.replace('{session}', f'{{{len(arguments)}}}')}"
            arguments = (*arguments, viewer.session_id)
        if viewer.key_id is not None:
            condition += f" AND {_KEY_LIVES.replace('{key}', f'{{{len(arguments)}}}')}"
            arguments = (*arguments, viewer.key_id)
        if viewer.identity_id is not None:
            condition += f" AND {_IDENTITY_LIVES.replace('{identity}', f'{{{len(arguments)}}}')}"
            arguments = (*arguments, viewer.identity_id)
        return Guard(condition, arguments)

    def stands(self, viewer: Viewer) -> Guard:
        """Return the condition that the directory of a viewer's workspace has not moved."""
        return Guard(_SAME_DIRECTORY, (viewer.workspace_id, viewer.version))

    async def unchanged(self, session: ReadSession, viewers: Sequence[Viewer]) -> list[Viewer]:
        """Return those who are what they were: viewers of one workspace, read at one version of its directory."""
        first = viewers[0]
        binds = {
            "workspace_id": first.workspace_id,
            "version": first.version,
            "members": [each.member_id for each in viewers],
            "roles": [_SEPARATOR.join(each.held_roles) for each in viewers],
            "sessions": [each.session_id for each in viewers],
            "keys": [each.key_id for each in viewers],
            "identities": [each.identity_id for each in viewers],
            "since": [each.unbound_since for each in viewers],
        }
        return [viewers[row[0] - 1] for row in await session.fetch(UNCHANGED, binds)]


def _effective(held: tuple[str, ...], of_client: list[str] | None, scope: frozenset[str] | None) -> tuple[str, ...]:
    """Return the roles that count: those held, of these the client's, and none without a scope of the API."""
    if scope is not None and not scope & {FULL_SCOPE, READ_SCOPE}:
        return ()
    return held if of_client is None else tuple(role for role in held if role in of_client)
