"""`crm-graph api`."""

from __future__ import annotations

import sys

import click
import orjson

MAX_VARIABLES_BYTES = 1_000_000


@click.command()
@click.argument("query")
@click.option("--variables", "-v", metavar="JSON", help="The operation's variables, a JSON object; `-` reads stdin.")
@click.option("--url", help="The installation; the last one that was logged in to unless given.")
def api(query: str, variables: str | None, url: str | None) -> None:
    """Send QUERY, a GraphQL operation, as the member who logged in, and print the answer.

    \b
      crm-graph api '{ viewer { member { name } } }'

    Exits with 1 where the answer has errors.
    """
    given = sys.stdin.read(MAX_VARIABLES_BYTES) if variables == "-" else variables
    try:
        values = orjson.loads(given) if given else {}
    except orjson.JSONDecodeError as error:
        raise click.UsageError(f"--variables is not JSON: {error}") from None
    if not isinstance(values, dict):
        raise click.UsageError("--variables must be a JSON object")
    from crm_graph.cli.access.remote import send

    answer, is_good = send(query, values, url)
    click.echo(answer)
    if not is_good:
        raise click.exceptions.Exit(1)
