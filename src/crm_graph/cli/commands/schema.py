"""`crm-graph schema`."""

from __future__ import annotations

import click

from crm_graph.kernel.errors import OperatorError
from crm_graph.permissions.roles import BUILT_IN


@click.command()
@click.option("--role", help="Only what this role can reach.")
def schema(role: str | None) -> None:
    """Print the GraphQL schema, whole or cut to a role."""
    if role is not None and role not in BUILT_IN:
        raise OperatorError(f"there is no role {role!r}", f"there are: {', '.join(BUILT_IN)}")
    from crm_graph.api.schema import make_schema
    from crm_graph.graph.schema.cut import cut_to_role

    built = make_schema()
    click.echo(built.strawberry.as_str() if role is None else cut_to_role(built, role))
