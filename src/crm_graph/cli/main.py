"""The command group, and how its failures look: one line that says what, one that says how to fix it, no traceback."""

from __future__ import annotations

import sys

import click

from crm_graph import __version__
from crm_graph.cli.place import console
from crm_graph.kernel.errors import CrmError, OperatorError, Refused

EXIT_FAILED = 1
EXIT_MISUSED = 2


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
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
    """Run the command line."""
    from crm_graph.cli import admin, auditing, clients, data, events, keys, providers, remote, roles, serving

    for module in (serving, admin, clients, roles, providers, auditing, events, data, keys, remote):
        for command in module.COMMANDS:
            commands.add_command(command)
    try:
        # Not standalone, click returns the code that a command exits with instead of exiting.
        code = commands.main(standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except click.exceptions.Abort:
        sys.exit(130)
    except KeyboardInterrupt:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except OperatorError as error:
        console.print("[red]error:[/red]", error.what, markup=True, soft_wrap=True)
        console.print("  [green]fix:[/green]", error.fix, soft_wrap=True)
        sys.exit(error.exit_code)
    except Refused as error:
        where = f" ({'.'.join(error.field)})" if error.field else ""
        console.print("[red]refused:[/red]", f"{error.message}{where}", soft_wrap=True)
        sys.exit(EXIT_FAILED)
    except CrmError as error:
        console.print("[red]error:[/red]", str(error), soft_wrap=True)
        sys.exit(EXIT_FAILED)
