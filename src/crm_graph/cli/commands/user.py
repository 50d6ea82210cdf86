"""`crm-graph user`: the members of a workspace."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from crm_graph.cli.place import data_option, find_place, run, workspace_option
from crm_graph.permissions.roles import ADMIN, BUILT_IN

role_option = click.option(
    "--role", "roles", multiple=True, required=True, help=f"A role, any number of times: {', '.join(BUILT_IN)}."
)


@click.group()
def user() -> None:
    """Create, invite and list the members of a workspace, and set their passwords."""


@user.command("create")
@click.option("--email", required=True, help="The member's e-mail address.")
@click.option("--name", help="The member's name; the e-mail's first part unless given.")
@role_option
@workspace_option
@click.option(
    "--new-workspace", help="Make a workspace of this short name first; the member becomes its administrator."
)
@click.option("--currency", default="USD", show_default=True, help="The base currency of a new workspace.")
@click.option("--time-zone", default="UTC", show_default=True, help="The time zone of a new workspace.")
@data_option
def create(
    email: str,
    name: str | None,
    roles: tuple[str, ...],
    workspace: str | None,
    new_workspace: str | None,
    currency: str,
    time_zone: str,
    data: Path | None,
) -> None:
    """Create a member, in a new workspace if asked."""
    shown = name or email.partition("@")[0]
    if "@" not in email[1:-1]:
        raise click.BadParameter(f"{email!r} is no e-mail address", param_hint="--email")
    place = find_place(data)
    if new_workspace is None:
        from crm_graph.cli.access.members import create_user

        run(create_user(place, email, shown, roles, workspace))
    elif ADMIN not in roles:
        raise click.UsageError("the first member of a workspace needs --role admin")
    else:
        from crm_graph.cli.operating.bootstrap import create_first_user

        run(create_first_user(place, email, shown, new_workspace, currency, time_zone))
    click.echo(f"created {shown} <{email}>: {', '.join(roles)}", err=True)


@user.command("list")
@workspace_option
@data_option
def list_(workspace: str | None, data: Path | None) -> None:
    """List the members of a workspace with their roles."""
    from rich.console import Console
    from rich.table import Table

    from crm_graph.cli.access.accounts import accounts_of

    table = Table("e-mail", "name", "roles", "status", box=None)
    for account in run(accounts_of(find_place(data), workspace)):
        table.add_row(account.email, account.name, ", ".join(account.roles), account.status)
    Console().print(table)


@user.command("password")
@click.option("--email", required=True, help="The member's e-mail address.")
@workspace_option
@data_option
def password(email: str, workspace: str | None, data: Path | None) -> None:
    """Set a member's password, asked for here or read from stdin; their sessions end.

    \b
      openssl rand -base64 18 | tee /dev/tty | crm-graph user password --email admin@example.com
    """
    if sys.stdin.isatty():
        chosen = click.prompt("New password", hide_input=True, confirmation_prompt=True)
    else:
        chosen = sys.stdin.readline().rstrip("\r\n")
    from crm_graph.cli.access.passwords import set_member_password

    address = run(set_member_password(find_place(data), email, workspace, chosen))
    click.echo(f"{address} has a new password; their sessions ended", err=True)


@user.command("invite")
@click.option("--email", required=True, help="The new member's e-mail address.")
@click.option("--name", help="The member's name; the e-mail's first part unless given.")
@role_option
@click.option("--language", type=click.Choice(["en", "zh"]), default="en", show_default=True, help="Of the mail.")
@workspace_option
@data_option
def invite(
    email: str, name: str | None, roles: tuple[str, ...], language: str, workspace: str | None, data: Path | None
) -> None:
    """Create a member and invite them: by mail with CRM_SMTP_URL, else the link is printed, to be passed on."""
    from crm_graph.cli.access.invitations import invite_user

    shown = name or email.partition("@")[0]
    link = run(invite_user(find_place(data), email, shown, roles, language, workspace))
    if link is None:
        click.echo(f"the invitation is on its way to {email}", err=True)
    else:
        click.echo(link)
