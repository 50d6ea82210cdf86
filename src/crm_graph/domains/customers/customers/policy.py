"""Who may see and change customers."""

from __future__ import annotations

from crm_graph.db.base import table_of
from crm_graph.domains.customers.customers.model import Customer
from crm_graph.permissions.grants import ALL, HIDDEN, MASKED, OWN, TEAM, FieldGrant, Level, grant
from crm_graph.permissions.policy import Policy, mask_email, mask_phone, mask_text, owned_by
from crm_graph.permissions.roles import ANALYST, INTEGRATION, MARKETER, SALES_MANAGER, SALES_REP, SUPPORT_AGENT

CUSTOMER = Policy(
    "Customer",
    table_of(Customer),
    scopes=owned_by("owner_id"),
    masks={"email": mask_email, "phone": mask_phone, "name": mask_text},
    defaults={
        SALES_MANAGER: grant(read=ALL, create=ALL, update=ALL, delete=TEAM),
        SALES_REP: grant(
            read=ALL,
            create=ALL,
            update=TEAM,
            fields={"annualRevenue": FieldGrant(Level.WRITE, TEAM), "phone": (FieldGrant(Level.WRITE, TEAM), MASKED)},
        ),
        MARKETER: grant(read=ALL, create=ALL, update=OWN, fields={"annualRevenue": HIDDEN}),
        SUPPORT_AGENT: grant(read=ALL, update=ALL, default=Level.READ, fields={"annualRevenue": HIDDEN}),
        ANALYST: grant(read=ALL, default=Level.READ, fields={"email": MASKED, "phone": MASKED}),
        INTEGRATION: grant(read=ALL, create=ALL, update=ALL),
    },
)
