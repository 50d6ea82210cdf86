"""The command line answers at once: held by what a command imports, which is where the time goes, not by a clock."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess, run

import click
import pytest

from crm_graph.cli.main import COMMANDS, commands
from tests.support.database import clone
from tests.support.server import environment

GRAPH = ("strawberry", "graphql", "starlette", "uvicorn", "crm_graph.app", "crm_graph.api", "crm_graph.graph")
MAPPER = ("sqlalchemy", "alembic", "crm_graph.db.base", "crm_graph.work")
LIBRARIES = ("asyncpg", "asyncio", "cryptography", "joserfc", "httpx", "jinja2", "authlib", "prometheus_client")
SLOW = (*GRAPH, *MAPPER, *LIBRARIES)
PROGRAM = """
import atexit, pathlib, sys
atexit.register(lambda: pathlib.Path(file).write_text(" ".join(sys.modules)))
_, file, *sys.argv[1:] = sys.argv
sys.argv[0] = "crm-graph"
from crm_graph.cli import main
main()
"""
PASSWORD = "correct horse battery staple 7\n"


def execute(folder: Path, *arguments: str, said: str = "", **more: str) -> tuple[CompletedProcess[str], set[str]]:
    """Run a command as its own process; returns what it did, and the names of the modules that it had in the end."""
    file = folder / "modules"
    command = [sys.executable, "-c", PROGRAM, str(file), *arguments]
    done = run(command, input=said, env=environment(**more), capture_output=True, text=True, timeout=120)
    modules = set(file.read_text().split())
    assert "crm_graph.cli.main" in modules
    return done, modules


def paths(group: click.Group, *path: str) -> Iterator[tuple[str, ...]]:
    """Yield the words that lead to each command, groups and their commands alike."""
    context = click.Context(group)
    for name in group.list_commands(context):
        yield (*path, name)
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from paths(command, *path, name)


EVERY = tuple(paths(commands))


def test_there_are_commands_of_commands() -> None:
    assert {path[0] for path in EVERY} == set(COMMANDS)
    assert ("client", "on-error") in EVERY


@pytest.mark.parametrize("argument", ["--help", "--version", "nonsense", "--nonsense"])
def test_the_list_of_commands_imports_none(tmp_path: Path, argument: str) -> None:
    done, modules = execute(tmp_path, argument)
    assert done.returncode == (2 if argument.endswith("nonsense") else 0), done.stderr
    assert not modules & {*SLOW, "rich"}
    assert not [name for name in modules if name.startswith("crm_graph.cli.commands.")]


@pytest.mark.parametrize("path", EVERY, ids=" ".join)
def test_help_imports_nothing_that_is_slow(tmp_path: Path, path: tuple[str, ...]) -> None:
    done, modules = execute(tmp_path, *path, "--help")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"Usage: crm-graph {' '.join(path)} ")
    assert not modules & {*SLOW}


MISUSED = (
    ("token",),
    ("token", "--role", "admin", "--email", "a@example.com"),
    ("token", "--minutes", "0"),
    ("user", "create"),
    ("user", "create", "--email", "nobody", "--role", "admin"),
    ("user", "create", "--email", "a@example.com", "--role", "analyst", "--new-workspace", "acme"),
    ("migrate", "--nonsense"),
    ("client", "create", "web", "--mode", "nonsense"),
    ("client", "revoke", "nonsense"),
    ("export", "customer", "--email", "a@example.com", "--role", "admin"),
    ("import", "--fix"),
    ("schema", "--role", "nonsense"),
    ("serve", "--port", "0"),
    ("api", "{ __typename }", "--variables", "["),
    ("audit", "nonsense"),
)


@pytest.mark.parametrize("arguments", MISUSED, ids=" ".join)
def test_misuse_is_told_before_anything_is_imported(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done, modules = execute(tmp_path, *arguments)
    assert done.returncode == 2, done.stderr
    assert not modules & {*SLOW}


def test_a_place_without_a_database_is_told_before_the_graph_is_imported(tmp_path: Path) -> None:
    done, modules = execute(tmp_path, "token", "--role", "admin", "--data", str(tmp_path / "nowhere"))
    assert (done.returncode, "there is no database" in done.stderr) == (2, True)
    assert not modules & {*GRAPH, *MAPPER}


@pytest.fixture
async def url(postgres: str, database_url: str) -> str:
    """The address of a database of its own: the commands commit."""
    return await clone(postgres, "crm_imports")


WITHOUT_A_MAPPER = {
    "token": ("token", "--role", "admin"),
    "user list": ("user", "list"),
    "user password": ("user", "password", "--email", "{admin}"),
    "migrate": ("migrate",),
    "audit verify": ("audit", "verify"),
    "events export": ("events", "export", "--before", "2000-01-01", "{folder}/events.ndjson"),
}
WITH_A_MAPPER = {
    "user create": ("user", "create", "--email", "new@example.com", "--role", "analyst"),
    "user create, in a workspace": (
        *("user", "create", "--email", "new@example.com", "--role", "admin", "--new-workspace", "acme"),
    ),
    "user invite": ("user", "invite", "--email", "new@example.com", "--role", "analyst"),
    "client create": ("client", "create", "web", "--key"),
    "client list": ("client", "list"),
    "documents list": ("documents", "list"),
    "provider list": ("provider", "list"),
}


@pytest.mark.parametrize("name", [*WITHOUT_A_MAPPER, *WITH_A_MAPPER])
async def test_a_command_imports_what_it_uses(url: str, tmp_path: Path, name: str) -> None:
    """Those that only send statements go without SQLAlchemy, and none of them knows the graph."""
    given = {**WITHOUT_A_MAPPER, **WITH_A_MAPPER}[name]
    arguments = [word.format(admin="admin@example.com", folder=tmp_path) for word in given]
    if "--new-workspace" not in arguments and given[0] not in {"migrate", "audit", "events"}:
        arguments += ["--workspace", "demo"]
    done, modules = execute(tmp_path, *arguments, said=PASSWORD, DATABASE_URL=url)
    assert done.returncode == 0, done.stderr
    assert "asyncpg" in modules
    assert not modules & {*GRAPH}
    assert not modules & ({*MAPPER} if name in WITHOUT_A_MAPPER else {"alembic"})
