"""Accounts in the schema: signing in, and what members do with their own account."""

from __future__ import annotations

from crm_graph.domains.identity.accounts import events, model
from crm_graph.domains.identity.accounts.graph.invitations import InvitationMutations
from crm_graph.domains.identity.accounts.graph.own import OwnMutations
from crm_graph.domains.identity.accounts.graph.public import PublicMutations
from crm_graph.domains.identity.accounts.graph.viewer import ViewerAccount
from crm_graph.domains.workspace.members.graph.types import Viewer
from crm_graph.graph.records.record import extend
from crm_graph.graph.schema.build import Slice

SLICE = Slice(
    "accounts",
    mutations=(PublicMutations, OwnMutations, InvitationMutations),
    extensions=(extend(Viewer, ViewerAccount),),
    events=events.EVENTS,
    keyless=("changePassword", "startSecondFactor", "confirmSecondFactor", "disableSecondFactor", "renewRecoveryCodes"),
    public=("signIn", "refreshSession", "signOut", "requestPasswordReset", "resetPassword", "acceptInvitation"),
)

__all__ = ["SLICE", "model"]
