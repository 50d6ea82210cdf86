"""`roles`: a workspace's roles as a file, for review and for several installations that are to grant the same."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import tomli_w

from crm_graph.api.schema import make_schema
from crm_graph.cli.access.accounts import find_account
from crm_graph.cli.console import console
from crm_graph.cli.place import (
    Place,
    data_option,
    find_place,
    find_workspace,
    opened,
    operator_work,
    run,
    workspace_option,
)
from crm_graph.domains.workspace.members.roles import (
    DefinedRole,
    create_role,
    define_role,
    delete_role,
    differences,
    list_roles,
)
from crm_graph.kernel.errors import OperatorError, Refused
from crm_graph.permissions.definitions import BadDefinition, Vocabulary, format_role, parse_role
from crm_graph.permissions.grants import Role
from crm_graph.permissions.roles import ADMIN
from crm_graph.work import Work

_KEYS = frozenset({"description", "grants"})


@click.group()
def roles() -> None:
    """Write a workspace's roles to a file, and make them what a file says.

    \b
      crm-graph roles export > roles.toml
      crm-graph roles apply roles.toml --dry-run
    """


@roles.command("export")
@click.option("--all", "everything", is_flag=True, help="Built-in roles too that are as they came.")
@workspace_option
@data_option
def export(everything: bool, workspace: str | None, data: Path | None) -> None:
    """Print the roles of a workspace as TOML, always in the same order and form."""

    async def listed() -> list[DefinedRole]:
        async with opened(find_place(data)) as database:
            workspace_id = await find_workspace(database, workspace)
            return await list_roles(database.primary_reader(), workspace_id, make_schema().vocabulary)

    found = {each.name: _entry(each) for each in run(listed()) if everything or each.version > 0}
    click.echo(tomli_w.dumps(found), nl=False)


def _entry(of: DefinedRole) -> dict[str, Any]:
    described = {} if of.description is None else {"description": of.description}
    return {**described, "grants": format_role(of.role)}


@roles.command("apply")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Say what would change, and change nothing.")
@click.option(
    "--prune", is_flag=True, help="Delete roles that are not in FILE; built-in ones go back to how they came."
)
@workspace_option
@data_option
def apply(file: Path, dry_run: bool, prune: bool, workspace: str | None, data: Path | None) -> None:
    """Make the roles of a workspace what FILE says: all of it, or nothing where anything is wrong.

    Prints what changes, a line each. In force with the next request of whoever has the roles.
    """
    vocabulary = make_schema().vocabulary
    wanted = _read(file, vocabulary)
    changed = run(_apply(find_place(data), workspace, wanted, vocabulary, prune=prune, dry_run=dry_run))
    done = "would change" if dry_run else "changed"
    console.print(f"{changed} roles {done}")


def _read(file: Path, vocabulary: Vocabulary) -> dict[str, tuple[str | None, Role]]:
    """Return descriptions and roles by name. Raises OperatorError naming the place in the file that is wrong."""
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        fix = "mend it; `crm-graph roles export` shows the form"
        raise OperatorError(f"{file.name} is not TOML: {error}", fix) from None
    found: dict[str, tuple[str | None, Role]] = {}
    for name, given in content.items():
        if not _is_entry(given):
            raise OperatorError(f"{file.name}: {name} must have `grants`, and may have a `description`", "mend it")
        try:
            found[name] = given.get("description"), parse_role(name, given["grants"], vocabulary)
        except BadDefinition as error:
            where = ".".join((name, "grants", *error.path))
            raise OperatorError(f"{file.name}: {where}: {error.message}", "mend it") from None
    return found


def _is_entry(given: Any) -> bool:
    is_table = isinstance(given, Mapping) and given.keys() <= _KEYS and "grants" in given
    return is_table and isinstance(given.get("description", ""), str)


class _DryRun(Exception):
    """Raised to take back what was tried."""


async def _apply(
    place: Place,
    workspace: str | None,
    wanted: Mapping[str, tuple[str | None, Role]],
    vocabulary: Vocabulary,
    *,
    prune: bool,
    dry_run: bool,
) -> int:
    changed = 0
    async with opened(place) as database:
        workspace_id = await find_workspace(database, workspace)
        present = {each.name: each for each in await list_roles(database.primary_reader(), workspace_id, vocabulary)}
        actor = await find_account(database, workspace_id, None, ADMIN)
        try:
            async with operator_work(database, workspace_id, actor.member_id) as work:
                for name, (description, role) in wanted.items():
                    changed += await _apply_one(work, name, description, role, present.get(name), vocabulary)
                for each in present.values():
                    if prune and each.version > 0 and each.name not in wanted:
                        await delete_role(work, each.name)
                        click.echo(f"{each.name}: deleted")
                        changed += 1
                if dry_run:
                    raise _DryRun
        except _DryRun:
            pass
        except Refused as refused:
            raise OperatorError(refused.message, "mend the file; nothing was changed") from refused
    return changed


async def _apply_one(
    work: Work, name: str, description: str | None, role: Role, before: DefinedRole | None, vocabulary: Vocabulary
) -> bool:
    lines = differences(Role(name, {}) if before is None else before.role, role)
    if before is not None and not lines and before.description == description:
        return False
    if before is None:
        await create_role(work, name, description, format_role(role), vocabulary)
    else:
        await define_role(work, name, description or "", format_role(role), vocabulary)
    for line in lines or ["the description"]:
        click.echo(f"{name}: {line}")
    return True
