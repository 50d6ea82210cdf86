"""The command line answers at once where nothing is to be done, and its list of commands is right."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from crm_graph.cli.main import COMMANDS, commands

HEAVY = ("strawberry", "sqlalchemy", "asyncpg", "graphql", "starlette", "alembic", "crm_graph.api", "crm_graph.app")


@pytest.mark.parametrize("argument", ["--help", "--version", "nonsense"])
def test_nothing_heavy_is_imported(argument: str) -> None:
    program = (
        "import sys; from crm_graph.cli import main; sys.argv = ['crm-graph', sys.argv[1]]\n"
        "try: main()\nexcept SystemExit: pass\n"
        "print(*sys.modules, file=sys.stderr)"
    )
    found = subprocess.run([sys.executable, "-c", program, argument], capture_output=True, text=True, timeout=60)
    loaded = found.stderr.split()
    assert "click" in loaded
    assert [name for name in loaded if name in HEAVY] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_there_and_has_its_own_help(name: str) -> None:
    context = click.Context(commands)
    command = commands.get_command(context, name)
    assert command is not None
    assert command.name == name
    assert command.get_short_help_str()


def test_the_list_names_every_command_with_what_it_does() -> None:
    shown = commands.get_help(click.Context(commands))
    for name, (_, _, about) in COMMANDS.items():
        assert f"  {name} " in shown
        assert about in shown


def test_what_may_be_left_out_is_shown_so() -> None:
    found = CliRunner().invoke(commands, ["client", "on-error", "--help"])
    assert "NAME [VALUE]" in found.stdout
