"""`provider list` and `provider test`: identity providers as the operator sees them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
from rich.table import Table

from crm_graph.app import make_services
from crm_graph.cli.console import console
from crm_graph.cli.place import (
    data_option,
    find_place,
    find_workspace,
    installation,
    opened,
    run,
    settings,
    workspace_option,
)
from crm_graph.db.pool import Database
from crm_graph.db.statements import Statement
from crm_graph.domains.identity.providers.directory import Provider, provider_named
from crm_graph.domains.identity.providers.secret import open_secret
from crm_graph.identity.oidc.discovery import well_known
from crm_graph.identity.oidc.issuers import Issuers
from crm_graph.kernel.errors import IssuerFault, OperatorError

_LIST = Statement(
    "SELECT name, issuer, enabled, accept_tokens, id FROM identity_provider WHERE workspace_id = $1 ORDER BY name",
    ("workspace_id",),
    {},
)


@click.group()
def provider() -> None:
    """List and test the identity providers of a workspace."""


@provider.command("list")
@workspace_option
@data_option
def list_providers(workspace: str | None, data: Path | None) -> None:
    """List the identity providers of a workspace."""

    async def found() -> Table:
        async with opened(find_place(data)) as database:
            binds = {"workspace_id": await find_workspace(database, workspace)}
            rows = await database.primary_reader().fetch(_LIST, binds)
        table = Table("name", "issuer", "sign-in", "tokens", "redirect URI", box=None)
        for row in rows:
            tokens = "accepted" if row["enabled"] and row["accept_tokens"] else "-"
            uri = f"{settings().public_url or 'http://127.0.0.1:8000'}/sso/idp_{row['id']}/callback"
            table.add_row(row["name"], row["issuer"], "on" if row["enabled"] else "off", tokens, uri)
        return table

    from rich.console import Console

    Console(width=200).print(run(found()))


@provider.command("test")
@click.argument("name")
@workspace_option
@data_option
def test_provider(name: str, workspace: str | None, data: Path | None) -> None:
    """Fetch what a provider says of itself and its keys, past all caches; say what is wrong and how to fix it.

    Exit code 2 if anything is. Nobody is signed in, and nothing is written.
    """
    for line in run(_test(data, name, workspace)):
        console.print(line, soft_wrap=True)


async def _test(data: Path | None, name: str, workspace: str | None) -> Sequence[str]:
    async with opened(find_place(data)) as database:
        workspace_id = await find_workspace(database, workspace)
        reader = database.primary_reader()
        found = await provider_named(reader, workspace_id, name)
        if found is None:
            rows = await reader.fetch(_LIST, {"workspace_id": workspace_id})
            known = ", ".join(row["name"] for row in rows) or "none"
            raise OperatorError(f"there is no identity provider {name!r}", f"there are: {known}")
        return await _examined(database, found)


async def _examined(database: Database, found: Provider) -> Sequence[str]:
    options = settings()
    made = await installation(database)
    services = make_services(made, options, database)
    open_secret(services, found.workspace_id, found.sealed_secret)  # OperatorError where it cannot be opened
    issuers = Issuers.of(options)
    try:
        metadata, ring = await issuers.examine(found.issuer)
    except IssuerFault as fault:
        raise OperatorError(fault.message, _fix(found, fault)) from None
    finally:
        await issuers.aclose()
    secret = "no client secret" if found.sealed_secret is None else "a client secret"
    named = ", ".join(key.kid or "without an id" for key in ring.keys)
    return (
        f"ok    {well_known(found.issuer)} answers, and is of this issuer",
        f"ok    ID tokens may be signed by {', '.join(metadata.algorithms)}",
        f"ok    {len(ring.keys)} keys that can sign: {named}",
        f"ok    {secret}; the provider takes {', '.join(sorted(metadata.auth_methods))}",
        f"{'ok   ' if metadata.sends_issuer else 'note '} answers "
        f"{'name' if metadata.sends_issuer else 'do not name'} the issuer (RFC 9207)",
        f"check the redirect URI that is registered there ends in /sso/{found.api_id}/callback",
    )


def _fix(found: Provider, fault: IssuerFault) -> str:
    if "CRM_PROVIDER_PRIVATE" in fault.message:
        return "set CRM_PROVIDER_PRIVATE to the provider's network, for example `10.1.0.0/16`, if it is to be reached"
    if "to the letter" in fault.message:
        return "delete the provider and make it anew with the issuer that it names"
    if fault.temporary:
        return f"open {well_known(found.issuer)} from this machine: name, firewall, certificate"
    return "tell whoever runs the provider; until then nobody can sign in with it"
