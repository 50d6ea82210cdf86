"""Who may see and change identity providers and the links to them: administrators."""

from __future__ import annotations

from crm_graph.db.base import HOUSEKEEPING, columns_of, table_of
from crm_graph.domains.identity.providers.events import IdentityProviderUpdated
from crm_graph.domains.identity.providers.model import IdentityProvider, MemberIdentity, ProviderSecret
from crm_graph.permissions.policy import Policy
from crm_graph.permissions.rights import administrators_only

_RULE = administrators_only("Only administrators configure identity providers: who does can sign in as anybody.")
"""The attack: a provider of one's own that is trusted with the administrators' domain, a rule that gives `admin`, a
link to an administrator; or the one that keeps the others out, removed."""

IDENTITY_PROVIDER = Policy(
    "IdentityProvider",
    table_of(IdentityProvider),
    directory=True,
    decides={name: _RULE for name in columns_of(IdentityProvider) if name not in HOUSEKEEPING},
)
MEMBER_IDENTITY = Policy(
    "MemberIdentity",
    table_of(MemberIdentity),
    directory=True,
    decides={name: _RULE for name in columns_of(MemberIdentity) if name not in HOUSEKEEPING},
)
PROVIDER_SECRET = Policy(
    "IdentityProviderSecret",
    table_of(ProviderSecret),
    parent=(IDENTITY_PROVIDER, "id"),
    in_version=IdentityProviderUpdated,
)
"""Not a type of the schema: nothing reads it but the sign-in itself."""
