"""Who may see and change opportunities."""

from __future__ import annotations

from crm_graph.db.base import table_of
from crm_graph.domains.sales.opportunities.events import OpportunityUpdated
from crm_graph.domains.sales.opportunities.model import Opportunity, OpportunityLine, StageMove
from crm_graph.permissions.grants import ALL, HIDDEN, MEASURED, OWN, TEAM, Level, grant
from crm_graph.permissions.policy import Policy, mask_amount, owned_by
from crm_graph.permissions.roles import ANALYST, INTEGRATION, MARKETER, SALES_MANAGER, SALES_REP

OPPORTUNITY = Policy(
    "Opportunity",
    table_of(Opportunity),
    scopes=owned_by("owner_id"),
    masks={"amount": mask_amount},
    transitions=("move", "reopen"),
    defaults={
        SALES_MANAGER: grant(read=ALL, create=ALL, update=TEAM, delete=TEAM),
        SALES_REP: grant(read=TEAM, create=OWN, update=OWN),
        MARKETER: grant(read=ALL, default=Level.READ, fields={"amount": MEASURED, "lostReason": HIDDEN}),
        ANALYST: grant(read=ALL, default=Level.READ),
        INTEGRATION: grant(read=ALL, create=ALL, update=ALL),
    },
)
OPPORTUNITY_LINE = Policy(
    "OpportunityLine",
    table_of(OpportunityLine),
    parent=(OPPORTUNITY, "opportunity_id"),
    in_version=OpportunityUpdated,
    unsaid=True,
    defaults={MARKETER: grant()},  # prices would tell the amount that is hidden from them
)
STAGE_MOVE = Policy(
    "StageMove", table_of(StageMove), parent=(OPPORTUNITY, "opportunity_id"), in_version=False, unsaid=True
)
