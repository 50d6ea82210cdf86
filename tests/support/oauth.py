"""Clients and a member with a password in a running installation, for other people's OAuth clients."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from crm_graph.db import embedded
from crm_graph.db.pool import Database
from crm_graph.db.session import Session
from crm_graph.db.statements import Statement
from crm_graph.domains.identity.accounts.credentials import set_password
from crm_graph.domains.identity.clients.keys import make_key
from crm_graph.identity.tokens import TokenAuthority
from crm_graph.kernel.ids import encode_id, new_id
from tests.support.services import make_services

PASSWORD = "correct horse battery staple"
CALLBACK = "http://127.0.0.1/callback"
_MEMBER = Statement(
    "SELECT workspace_id, id, email, name FROM member WHERE status = 'ACTIVE' ORDER BY id LIMIT 1", (), {}
)
_CLIENT = Statement(
    """
    INSERT INTO api_client (workspace_id, id, name, kind, redirect_uris, member_id, version, created_at, updated_at)
    VALUES ($1, $2, $3, $4, $5, $6, 1, now(), now())
    """,
    ("workspace_id", "id", "name", "kind", "redirect_uris", "member_id"),
    {},
)
_KEY = Statement(
    """
    INSERT INTO api_key (workspace_id, id, client_id, name, prefix, sha256, version, created_at, updated_at)
    VALUES ($1, $2, $3, 'key', $4, $5, 1, now(), now())
    """,
    ("workspace_id", "id", "client_id", "prefix", "sha256"),
    {},
)


@dataclass(frozen=True, slots=True)
class Provisioned:
    """What a client of an installation needs to know."""

    public_id: str
    confidential_id: str
    secret: str
    email: str
    name: str
    confidential_callback: str


def provision(data: Path, port: int) -> Provisioned:
    """Make a public and a confidential client, which may be called back on a port, and give the first member a
    password."""
    return asyncio.run(_provision(data, f"http://127.0.0.1:{port}/callback"))


async def _provision(data: Path, callback: str) -> Provisioned:
    with embedded.running(data) as server:
        database = await Database.open(server.url)
        try:
            async with database.transaction() as session:
                return await _write(database, session, callback)
        finally:
            await database.close()


async def _write(database: Database, session: Session, callback: str) -> Provisioned:
    (member,) = await session.fetch(_MEMBER, {})
    services = make_services(TokenAuthority([b"x" * 32], "x", "x"), database)
    hashed = await services.passwords.hash(PASSWORD)
    await set_password(services, session, member["workspace_id"], member["id"], hashed, 0)
    workspace_id, ids = member["workspace_id"], {"PUBLIC": new_id(), "CONFIDENTIAL": new_id()}
    for kind, id_ in ids.items():
        values = {"workspace_id": workspace_id, "id": id_, "name": f"A {kind.lower()} app", "kind": kind}
        redirect_uris = [CALLBACK if kind == "PUBLIC" else callback]
        await session.execute(_CLIENT, {**values, "redirect_uris": redirect_uris, "member_id": member["id"]})
    key = make_key(workspace_id, key_id := new_id())
    values = {"workspace_id": workspace_id, "id": key_id, "client_id": ids["CONFIDENTIAL"]}
    await session.execute(_KEY, {**values, "prefix": key.prefix, "sha256": key.sha256})
    return Provisioned(
        encode_id("apc", ids["PUBLIC"]),
        encode_id("apc", ids["CONFIDENTIAL"]),
        key.text,
        member["email"],
        member["name"],
        callback,
    )
