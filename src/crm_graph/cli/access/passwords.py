"""Passwords and invitations from the command line, and the password of the demo accounts."""

from __future__ import annotations

import secrets
import sys
from pathlib import Path

import click

from crm_graph.app import make_services
from crm_graph.cli.access.accounts import find_account
from crm_graph.cli.console import console
from crm_graph.cli.place import (
    Place,
    data_option,
    find_place,
    find_workspace,
    installation,
    opened,
    operator_work,
    run,
    settings,
    workspace_option,
)
from crm_graph.db.pool import Database
from crm_graph.db.statements import Statement
from crm_graph.domains.identity.accounts.credentials import read_credential, replace_password, set_password
from crm_graph.domains.identity.accounts.invitations import invite_member
from crm_graph.domains.identity.accounts.journal import SYSTEM
from crm_graph.domains.identity.accounts.texts import Language
from crm_graph.identity.services import Services
from crm_graph.permissions.roles import ADMIN, BUILT_IN

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


async def _services(database: Database) -> Services:
    options = settings()
    made = await installation(database)
    return make_services(made, options, database)


@click.command("password")
@click.option("--email", required=True, help="The member's e-mail address.")
@workspace_option
@data_option
def set_member_password(email: str, workspace: str | None, data: Path | None) -> None:
    """Set a member's password, asked for here or read from stdin; their sessions end.

    \b
      openssl rand -base64 18 | tee /dev/tty | crm-graph user password --email admin@example.com
    """
    if sys.stdin.isatty():
        password = click.prompt("New password", hide_input=True, confirmation_prompt=True)
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    run(_set_password(find_place(data), email, workspace, password))


async def _set_password(place: Place, email: str, workspace: str | None, password: str) -> None:
    async with opened(place) as database:
        services = await _services(database)
        workspace_id = await find_workspace(database, workspace)
        account = await find_account(database, workspace_id, email, None)
        await services.passwords.check_new(password, account.email)
        hashed = await services.passwords.hash(password)
        async with database.transaction() as session:
            held = await read_credential(session, workspace_id, account.member_id)
            generation = 0 if held is None else held.generation
            await replace_password(services, session, workspace_id, account.member_id, hashed, generation, by=SYSTEM)
    console.print(f"{account.email} has a new password; their sessions ended")


@click.command("invite")
@click.option("--email", required=True, help="The new member's e-mail address.")
@click.option("--name", help="The member's name; the e-mail's first part unless given.")
@click.option(
    "--role", "roles", multiple=True, required=True, help=f"A role, any number of times: {', '.join(BUILT_IN)}."
)
@click.option("--language", type=click.Choice(["en", "zh"]), default="en", show_default=True, help="Of the mail.")
@workspace_option
@data_option
def invite(
    email: str, name: str | None, roles: tuple[str, ...], language: str, workspace: str | None, data: Path | None
) -> None:
    """Create a member and invite them: by mail with CRM_SMTP_URL, else the link is printed, to be passed on."""
    shown = name or email.partition("@")[0]
    link = run(_invite(find_place(data), email, shown, roles, Language[language.upper()], workspace))
    if link is None:
        console.print(f"the invitation is on its way to {email}")
    else:
        click.echo(link)


async def _invite(
    place: Place, email: str, name: str, roles: tuple[str, ...], language: Language, workspace: str | None
) -> str | None:
    async with opened(place) as database:
        services = await _services(database)
        workspace_id = await find_workspace(database, workspace)
        actor = await find_account(database, workspace_id, None, ADMIN)
        async with operator_work(database, workspace_id, actor.member_id) as work:
            _, link = await invite_member(work, services, {"name": name, "email": email}, roles, language, ())
    return link
