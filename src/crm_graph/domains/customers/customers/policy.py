"""Who may see and change customers."""

from __future__ import annotations

from sqlalchemy import ColumnElement, FromClause, or_, select

from crm_graph.db.base import table_of
from crm_graph.domains.customers.customers.events import CustomerUpdated
from crm_graph.domains.customers.customers.model import AccountTeamMember, Customer
from crm_graph.permissions.grants import ALL, HIDDEN, MASKED, OWN, TEAM, FieldGrant, Level, grant
from crm_graph.permissions.policy import (
    Policy,
    mask_amount,
    mask_email,
    mask_phone,
    mask_text,
    owned_by,
    viewer_id,
    workspace,
)
from crm_graph.permissions.roles import ANALYST, INTEGRATION, MARKETER, SALES_MANAGER, SALES_REP, SUPPORT_AGENT

ACCOUNT_TEAM = "ACCOUNT_TEAM"
"""The row scope of the customers that one looks after oneself, or in whose account team one is."""
_TEAM = table_of(AccountTeamMember)


def _of_account_team(rows: FromClause) -> ColumnElement[bool]:
    entry = _TEAM.alias()
    of_viewer = entry.c.workspace_id == workspace(), entry.c.customer_id == rows.c.id, entry.c.member_id == viewer_id()
    return or_(rows.c.owner_id == viewer_id(), select(1).select_from(entry).where(*of_viewer).correlate(rows).exists())


CUSTOMER = Policy(
    "Customer",
    table_of(Customer),
    scopes={**owned_by("owner_id"), ACCOUNT_TEAM: _of_account_team},
    around_own=frozenset({TEAM, ACCOUNT_TEAM}),
    masks={"email": mask_email, "phone": mask_phone, "name": mask_text, "annualRevenue": mask_amount},
    transitions=("changeLifecycle",),
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
ACCOUNT_TEAM_MEMBER = Policy("AccountTeamMember", _TEAM, parent=(CUSTOMER, "customer_id"), in_version=CustomerUpdated)
