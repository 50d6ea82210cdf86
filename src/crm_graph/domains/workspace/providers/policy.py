"""Who may see and change identity providers and the links to them: administrators."""

from __future__ import annotations

from crm_graph.db.base import table_of
from crm_graph.domains.workspace.providers.events import IdentityProviderUpdated
from crm_graph.domains.workspace.providers.model import IdentityProvider, MemberIdentity, ProviderSecret
from crm_graph.permissions.policy import Policy

IDENTITY_PROVIDER = Policy("IdentityProvider", table_of(IdentityProvider), directory=True)
MEMBER_IDENTITY = Policy("MemberIdentity", table_of(MemberIdentity), directory=True)
PROVIDER_SECRET = Policy(
    "IdentityProviderSecret",
    table_of(ProviderSecret),
    parent=(IDENTITY_PROVIDER, "id"),
    in_version=IdentityProviderUpdated,
)
"""Not a type of the schema: nothing reads it but the sign-in itself."""
