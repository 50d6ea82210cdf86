"""`migrate`, `token`, `user`, `schema` and `doctor`."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import click
from rich.table import Table

from crm_graph.api.schema import make_schema
from crm_graph.app import make_services
from crm_graph.cli.access.accounts import find_account, list_accounts
from crm_graph.cli.access.clients import find_client_id
from crm_graph.cli.access.passwords import invite, set_member_password
from crm_graph.cli.console import console
from crm_graph.cli.operating.bootstrap import make_workspace
from crm_graph.cli.operating.doctor import examine
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
from crm_graph.db.migrate import downgrade, state, upgrade
from crm_graph.domains.identity.accounts.sessions import start_operator_session
from crm_graph.domains.workspace.members.operations import create_member
from crm_graph.graph.schema.build import BuiltSchema
from crm_graph.kernel.errors import OperatorError
from crm_graph.permissions.roles import ADMIN, BUILT_IN


@click.command()
@data_option
@click.option(
    "--to", "revision", default="head", show_default=True, help="The revision to go to; `base` empties the database."
)
def migrate(data: Path | None, revision: str) -> None:
    """Bring the database to the schema of this version."""
    run(_migrate(find_place(data, makes=True), revision))


async def _migrate(place: Place, revision: str) -> None:
    with place.database_url() as url:
        async with opened(Place(None, url), check=False):
            before = await state(url)
        if not before.known:
            raise OperatorError(
                f"the database is at revision {before.current}, which this version does not know",
                "run the version of crm-graph that made it, or a newer one",
            )
        await (downgrade(url, revision) if revision == "base" else upgrade(url, revision))
        after = await state(url)
    console.print(f"the database is at revision {after.current or 'base'} (was {before.current or 'base'})")


@click.command()
@click.option("--email", help="The member by e-mail.")
@click.option("--role", help=f"The first member with a role: {', '.join(BUILT_IN)}.")
@click.option("--client", help="The API client that the token is for: which documents it may run depends on that.")
@workspace_option
@click.option(
    "--minutes", type=click.IntRange(1, 60 * 24 * 30), help="How long it is valid; CRM_TOKEN_MINUTES unless given."
)
@data_option
def token(
    email: str | None,
    role: str | None,
    client: str | None,
    workspace: str | None,
    minutes: int | None,
    data: Path | None,
) -> None:
    """Print a bearer token of a member, and nothing else, for scripts.

    It is a session of that member, whose method is OPERATOR: they see it, and can end it.

    \b
      curl -H "Authorization: Bearer $(crm-graph token --role admin)" ...
    """
    if (email is None) == (role is None):
        raise click.UsageError("give either --email or --role")
    click.echo(run(_token(find_place(data), email, role, client, workspace, minutes)))


async def _token(
    place: Place, email: str | None, role: str | None, client: str | None, workspace: str | None, minutes: int | None
) -> str:
    options = settings()
    async with opened(place) as database:
        workspace_id = await find_workspace(database, workspace)
        account = await find_account(database, workspace_id, email, role)
        client_id = None if client is None else await find_client_id(database, workspace_id, client)
        services = make_services(await installation(database), options, database)
        lifetime = timedelta(minutes=minutes or options.token_minutes)
        async with database.transaction() as session:
            session_id = await start_operator_session(
                services, session, workspace_id, account.member_id, lifetime, client_id
            )
    return services.authority.issue(workspace_id, account.member_id, lifetime, client_id, session_id=session_id)


@click.group()
def user() -> None:
    """Create, invite and list the members of a workspace, and set their passwords."""


@user.command("create")
@click.option("--email", required=True, help="The member's e-mail address.")
@click.option("--name", help="The member's name; the e-mail's first part unless given.")
@click.option(
    "--role", "roles", multiple=True, required=True, help=f"A role, any number of times: {', '.join(BUILT_IN)}."
)
@workspace_option
@click.option(
    "--new-workspace", help="Make a workspace of this short name first; the member becomes its administrator."
)
@click.option("--currency", default="USD", show_default=True, help="The base currency of a new workspace.")
@click.option("--time-zone", default="UTC", show_default=True, help="The time zone of a new workspace.")
@data_option
def create_user(
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
    if new_workspace is not None and ADMIN not in roles:
        raise click.UsageError("the first member of a workspace needs --role admin")
    run(_create_user(find_place(data), email, shown, roles, workspace, new_workspace, currency, time_zone))


async def _create_user(
    place: Place,
    email: str,
    name: str,
    roles: tuple[str, ...],
    workspace: str | None,
    new_workspace: str | None,
    currency: str,
    time_zone: str,
) -> None:
    async with opened(place) as database:
        if new_workspace is not None:
            await make_workspace(database, new_workspace, new_workspace, name, email, currency, time_zone)
        else:
            workspace_id = await find_workspace(database, workspace)
            actor = await find_account(database, workspace_id, None, ADMIN)
            async with operator_work(database, workspace_id, actor.member_id) as work:
                await create_member(work, {"name": name, "email": email}, roles)
    console.print(f"created {name} <{email}>: {', '.join(roles)}")


@user.command("list")
@workspace_option
@data_option
def list_users(workspace: str | None, data: Path | None) -> None:
    """List the members of a workspace with their roles."""

    async def accounts() -> Table:
        async with opened(find_place(data)) as database:
            found = await list_accounts(database, await find_workspace(database, workspace))
        table = Table("e-mail", "name", "roles", "status", box=None)
        for each in found:
            table.add_row(each.email, each.name, ", ".join(each.roles), each.status)
        return table

    from rich.console import Console

    Console().print(run(accounts()))


user.add_command(set_member_password)
user.add_command(invite)


@click.command()
@click.option("--role", help="Only what this role can reach.")
def schema(role: str | None) -> None:
    """Print the GraphQL schema, whole or cut to a role."""
    from crm_graph.graph.schema.cut import cut_to_role

    built: BuiltSchema = make_schema()
    if role is not None and role not in BUILT_IN:
        raise OperatorError(f"there is no role {role!r}", f"there are: {', '.join(BUILT_IN)}")
    click.echo(built.strawberry.as_str() if role is None else cut_to_role(built, role))


@click.command()
@data_option
def doctor(data: Path | None) -> None:
    """Check configuration, database, locale and schema; say what is wrong and how to fix it. Exit code 1 if anything
    is."""
    findings = run(examine(find_place(data)))
    for finding in findings:
        mark = (
            "[green]ok[/green]  " if finding.ok else ("[yellow]warn[/yellow]" if finding.warning else "[red]bad[/red] ")
        )
        console.print(f"{mark} {finding.what}", soft_wrap=True)
        if finding.fix:
            console.print(f"       fix: {finding.fix}", soft_wrap=True)
    if any(not finding.ok and not finding.warning for finding in findings):
        raise click.exceptions.Exit(1)
