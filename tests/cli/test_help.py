"""The list of commands is right, and every command has its own help."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from crm_graph.cli.main import COMMANDS, commands


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_there_and_has_its_own_help(name: str) -> None:
    context = click.Context(commands)
    command = commands.get_command(context, name)
    assert command is not None
    assert command.name == name
    assert command.get_short_help_str()


def test_the_list_names_every_command_with_what_it_does() -> None:
    shown = commands.get_help(click.Context(commands))
    for name, about in COMMANDS.items():
        assert f"  {name} " in shown
        assert about in shown


def test_what_may_be_left_out_is_shown_so() -> None:
    found = CliRunner().invoke(commands, ["client", "on-error", "--help"])
    assert "NAME [VALUE]" in found.stdout
