"""`crm-graph roles`: a workspace's roles written to a file, and made what a file says."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import tomli_w

from crm_graph.api.schema import make_schema
from crm_graph.cli.access.accounts import find_account
from crm_graph.cli.acting import operator_work
from crm_graph.cli.opening import find_workspace, opened
from crm_graph.cli.place import Place
from crm_graph.domains.workspace.members.policy import ROLE
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


async def roles_as_toml(place: Place, workspace: str | None, *, everything: bool) -> str:
    """Return the roles of a workspace as TOML; with `everything` also built-in ones that are as they came. Raises
    OperatorError."""
    async with opened(place) as database:
        workspace_id = await find_workspace(database, workspace)
        defined = await list_roles(database.primary_reader(), workspace_id, make_schema().vocabulary)
    return tomli_w.dumps({role.name: _entry(role) for role in defined if everything or role.version > 0})


def _entry(role: DefinedRole) -> dict[str, Any]:
    described = {} if role.description is None else {"description": role.description}
    return {**described, "grants": format_role(role.role)}


def _read(file: Path, vocabulary: Vocabulary) -> dict[str, tuple[str | None, Role]]:
    """Return descriptions and roles by name. Raises OperatorError naming the place in the file that is wrong."""
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        fix = "mend it; `crm-graph roles export` shows the form"
        raise OperatorError(f"{file.name} is not TOML: {error}", fix) from None
    roles: dict[str, tuple[str | None, Role]] = {}
    for name, given in content.items():
        if not _is_entry(given):
            raise OperatorError(f"{file.name}: {name} must have `grants`, and may have a `description`", "mend it")
        try:
            roles[name] = given.get("description"), parse_role(name, given["grants"], vocabulary)
        except BadDefinition as error:
            where = ".".join((name, "grants", *error.path))
            raise OperatorError(f"{file.name}: {where}: {error.message}", "mend it") from None
    return roles


def _is_entry(given: Any) -> bool:
    is_table = isinstance(given, Mapping) and given.keys() <= _KEYS and "grants" in given
    return is_table and isinstance(given.get("description", ""), str)


class _DryRun(Exception):
    """Raised to take back what was tried."""


async def apply_file(place: Place, workspace: str | None, file: Path, *, prune: bool, dry_run: bool) -> int:
    """Make the roles of a workspace what a file says, or say what would change; returns how many. Raises
    OperatorError, and then nothing is changed."""
    vocabulary = make_schema().vocabulary
    wanted = _read(file, vocabulary)
    changed = 0
    async with opened(place) as database:
        workspace_id = await find_workspace(database, workspace)
        present = {role.name: role for role in await list_roles(database.primary_reader(), workspace_id, vocabulary)}
        actor = await find_account(database, workspace_id, None, ADMIN)
        try:
            async with operator_work(database, workspace_id, actor.member_id, ROLE) as work:
                for name, (description, role) in wanted.items():
                    changed += await _apply_one(work, name, description, role, present.get(name), vocabulary)
                for existing in present.values():
                    if prune and existing.version > 0 and existing.name not in wanted:
                        await delete_role(work, existing.name)
                        click.echo(f"{existing.name}: deleted")
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
