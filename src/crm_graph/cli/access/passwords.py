"""Passwords from the command line, and the password of the demo accounts."""

from __future__ import annotations

import secrets
from pathlib import Path

from crm_graph.cli.access.accounts import find_account
from crm_graph.cli.installed import services_of
from crm_graph.cli.opening import find_workspace, opened
from crm_graph.cli.place import Place
from crm_graph.db.statements import Statement
from crm_graph.domains.identity.accounts.credentials import read_credential, replace_password, set_password
from crm_graph.domains.identity.accounts.journal import SYSTEM
from crm_graph.identity.services import Services

DEMO_FILE = "demo-password"
DEMO_SLUG = "demo"
_DEMO_BYTES = 12
_WITHOUT_PASSWORD = Statement(
    """
    SELECT member.id FROM member
    JOIN workspace ON workspace.workspace_id = member.workspace_id AND workspace.id = member.workspace_id
    WHERE member.workspace_id = $1 AND workspace.slug = $2 AND member.email LIKE '%@example.com'
      AND NOT EXISTS (SELECT 1 FROM credential
                      WHERE credential.workspace_id = member.workspace_id AND credential.member_id = member.id)
    ORDER BY member.id
    """,
    ("workspace_id", "slug"),
    {},
)


async def demo_password(services: Services, data: Path | None, workspace_id: str) -> str | None:
    """Return the password of the demo accounts of a data directory, which those get that have none yet.

    It is random and kept in a file of the directory, so that no server anywhere takes a password that is known. None
    without a data directory, and where there are no demo accounts.
    """
    if data is None:
        return None
    file = data / DEMO_FILE
    rows = await services.database.primary_reader().fetch(
        _WITHOUT_PASSWORD, {"workspace_id": workspace_id, "slug": DEMO_SLUG}
    )
    if not rows:
        return file.read_text().strip() if file.exists() else None
    if not file.exists():
        file.touch(0o600)
        file.write_text(secrets.token_urlsafe(_DEMO_BYTES))
    password = file.read_text().strip()
    hashed = await services.passwords.hash(password)
    async with services.database.transaction() as session:
        for row in rows:
            await set_password(services, session, workspace_id, row["id"], hashed, 0)
    return password


async def set_member_password(place: Place, email: str, workspace: str | None, password: str) -> str:
    """Set the password of the member with an e-mail, whose sessions end; returns the address as it is kept. Raises
    OperatorError, and Refused for what may not be a password."""
    async with opened(place) as database:
        services = await services_of(database)
        workspace_id = await find_workspace(database, workspace)
        account = await find_account(database, workspace_id, email, None)
        await services.passwords.check_new(password, account.email)
        hashed = await services.passwords.hash(password)
        async with database.transaction() as session:
            held = await read_credential(session, workspace_id, account.member_id)
            generation = 0 if held is None else held.generation
            await replace_password(services, session, workspace_id, account.member_id, hashed, generation, by=SYSTEM)
    return account.email
