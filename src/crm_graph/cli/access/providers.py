"""`crm-graph provider`: what it finds out about identity providers."""

from __future__ import annotations

from collections.abc import Sequence

from crm_graph.cli.installed import services_of
from crm_graph.cli.opening import find_workspace, opened
from crm_graph.cli.place import Place, settings
from crm_graph.db.pool import Database
from crm_graph.db.session import Record
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


async def providers_of(place: Place, workspace: str | None) -> Sequence[Record]:
    """Return the identity providers of a workspace: name, issuer, enabled, accept_tokens, id. Raises OperatorError."""
    async with opened(place) as database:
        workspace_id = await find_workspace(database, workspace)
        return await database.primary_reader().fetch(_LIST, {"workspace_id": workspace_id})


async def examine_provider(place: Place, name: str, workspace: str | None) -> Sequence[str]:
    """Ask a provider what it says of itself, and return what is right, a line each. Raises OperatorError for what is
    wrong."""
    async with opened(place) as database:
        workspace_id = await find_workspace(database, workspace)
        reader = database.primary_reader()
        provider = await provider_named(reader, workspace_id, name)
        if provider is None:
            rows = await reader.fetch(_LIST, {"workspace_id": workspace_id})
            known = ", ".join(row["name"] for row in rows) or "none"
            raise OperatorError(f"there is no identity provider {name!r}", f"there are: {known}")
        return await _examined(database, provider)


async def _examined(database: Database, provider: Provider) -> Sequence[str]:
    services = await services_of(database)
    open_secret(services, provider.workspace_id, provider.sealed_secret)  # OperatorError where it cannot be opened
    issuers = Issuers.of(settings())
    try:
        metadata, ring = await issuers.examine(provider.issuer)
    except IssuerFault as fault:
        raise OperatorError(fault.message, _fix(provider, fault)) from None
    finally:
        await issuers.aclose()
    secret = "no client secret" if provider.sealed_secret is None else "a client secret"
    named = ", ".join(key.kid or "without an id" for key in ring.keys)
    return (
        f"ok    {well_known(provider.issuer)} answers, and is of this issuer",
        f"ok    ID tokens may be signed by {', '.join(metadata.algorithms)}",
        f"ok    {len(ring.keys)} keys that can sign: {named}",
        f"ok    {secret}; the provider takes {', '.join(sorted(metadata.auth_methods))}",
        f"{'ok   ' if metadata.sends_issuer else 'note '} answers "
        f"{'name' if metadata.sends_issuer else 'do not name'} the issuer (RFC 9207)",
        f"check the redirect URI that is registered there ends in /sso/{provider.api_id}/callback",
    )


def _fix(provider: Provider, fault: IssuerFault) -> str:
    if "CRM_PROVIDER_PRIVATE" in fault.message:
        return "set CRM_PROVIDER_PRIVATE to the provider's network, for example `10.1.0.0/16`, if it is to be reached"
    if "to the letter" in fault.message:
        return "delete the provider and make it anew with the issuer that it names"
    if fault.temporary:
        return f"open {well_known(provider.issuer)} from this machine: name, firewall, certificate"
    return "tell whoever runs the provider; until then nobody can sign in with it"
