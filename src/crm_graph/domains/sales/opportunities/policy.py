"""Who may see and change opportunities."""

from __future__ import annotations

from crm_graph.db.base import table_of
from crm_graph.domains.customers.customers.policy import ACCOUNT, with_accounts
from crm_graph.domains.sales.opportunities.events import OpportunityUpdated
from crm_graph.domains.sales.opportunities.model import Opportunity, OpportunityLine, StageMove
from crm_graph.permissions.grants import ALL, HIDDEN, MEASURED, OWN, TEAM, Level, grant, read_only
from crm_graph.permissions.policy import Policy, mask_amount
from crm_graph.permissions.roles import ANALYST, FINANCE, INTEGRATION, MARKETER, SALES_MANAGER, SALES_REP

OPPORTUNITY = Policy(
    "Opportunity",
    table_of(Opportunity),
    scopes=with_accounts("owner_id"),
    around_own=frozenset({TEAM, ACCOUNT}),
    masks={"amount": mask_amount},
    following=("move",),
    by_name=("win", "reopen"),
    defaults={
        SALES_MANAGER: grant(read=ALL, create=TEAM, update=TEAM, delete=TEAM, export=TEAM, win=TEAM, reopen=TEAM),
        SALES_REP: grant(read=(OWN, TEAM, ACCOUNT), create=OWN, update=OWN),
        MARKETER: grant(read=ALL, default=Level.READ, fields={"amount": MEASURED, "lostReason": HIDDEN}),
        FINANCE: grant(read=ALL, default=Level.READ),
        ANALYST: read_only(),
        INTEGRATION: grant(read=ALL, create=ALL, update=ALL, export=ALL),
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
