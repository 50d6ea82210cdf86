"""The command group: each command is imported when it is asked for."""

from __future__ import annotations

import gc
import sys
from collections.abc import Mapping
from functools import partial
from importlib import import_module
from keyword import iskeyword

import click

from crm_graph import __version__
from crm_graph.cli.failures import code_of

COMMANDS: Mapping[str, str] = {
    "api": "Send an operation as the member who logged in.",
    "audit": "The audit trail: who did and read what, in a hash chain.",
    "backup": "Write a backup of the installation.",
    "client": "Make API clients and their keys, and list them.",
    "dev": "Start everything in one process, with demo data.",
    "distribute": "Place the tables over the workers of a Citus cluster.",
    "doctor": "Say what is wrong with the installation, and how to fix it.",
    "documents": "Trust documents, and hold clients to them.",
    "events": "Archive and prune the event log.",
    "export": "Write rows that a member may see to CSV or NDJSON.",
    "import": "Bring in rows from CSV or NDJSON files.",
    "keys": "The keys that personal data and secrets are encrypted under.",
    "login": "Sign in to the installation at a URL.",
    "logout": "Sign out of the installation at a URL.",
    "migrate": "Bring the database to the schema of this version.",
    "project": "Say how far the kept history is, and make it anew.",
    "provider": "List and test identity providers.",
    "restore": "Bring a backup back, and continue its log.",
    "roles": "Write roles to a file, and make them what a file says.",
    "schema": "Print the GraphQL schema, whole or cut to a role.",
    "seed": "Make a workspace with demo data.",
    "serve": "Serve the API, for production.",
    "token": "Print a bearer token of a member, for scripts.",
    "user": "Create, invite and list members; set passwords.",
    "worker": "Run the background work of an installation.",
}
"""Each command, and what the list of commands says of it. It is the object of its name in the module of its name."""


class _Commands(click.Group):
    """The group of all commands, each of which is imported when it is asked for."""

    def list_commands(self, _: click.Context) -> list[str]:
        """Return the names of the commands."""
        return list(COMMANDS)

    def get_command(self, _: click.Context, name: str) -> click.Command | None:
        """Return a command by its name; None for what is none."""
        if name not in COMMANDS:
            return None
        called = f"{name}_" if iskeyword(name) else name
        command = getattr(import_module(f"crm_graph.cli.commands.{called}"), called)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, _: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands, importing none."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="crm-graph")
def commands() -> None:
    """A headless CRM: one typed GraphQL graph over Postgres.

    \b
    First steps:
      crm-graph dev                        start everything, with demo data, and print a token
      crm-graph token --role sales_rep     print a bearer token, for scripts
      crm-graph import customer FILE.csv   bring in your own data
      crm-graph doctor                     say what is wrong, and how to fix it

    Every command finds its database the same way: --data DIR (or CRM_DATA_DIR), else DATABASE_URL, else ./.crm. While
    `crm-graph dev` runs on a directory, other commands on it join its Postgres.

    Exit codes: 0 done, 1 refused or failed, 2 used or configured wrongly, 130 interrupted.
    """


def main() -> None:
    """Run the command line and exit.

    What is imported stays, so nobody looks for garbage in it, neither meanwhile nor at the end: that would be a third
    of a short command's time. `run` enables the collector for what a command does.
    """
    gc.disable()
    # Not standalone, click returns the code that a command exits with instead of exiting.
    code = code_of(partial(commands.main, standalone_mode=False))
    gc.freeze()
    sys.exit(code)
