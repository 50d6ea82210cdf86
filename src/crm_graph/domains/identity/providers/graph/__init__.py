"""Identity providers in the schema."""

from __future__ import annotations

from crm_graph.domains.identity.providers import events
from crm_graph.domains.identity.providers.graph.mutations import Mutations
from crm_graph.domains.identity.providers.graph.types import IdentityProvider, MemberIdentity, OfMember, Queries
from crm_graph.domains.workspace.members.graph.types import Member
from crm_graph.graph.records.record import extend
from crm_graph.graph.schema.build import Slice

SLICE = Slice(
    "providers",
    records=(IdentityProvider, MemberIdentity),
    queries=(Queries,),
    mutations=(Mutations,),
    extensions=(extend(Member, OfMember),),
    events=events.EVENTS,
)

__all__ = ["SLICE", "IdentityProvider", "MemberIdentity"]
