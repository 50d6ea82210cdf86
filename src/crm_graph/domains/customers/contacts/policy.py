"""Who may see and change contacts: their own rows and fields, since they are persons."""

from __future__ import annotations

from functools import partial

from sqlalchemy import ColumnElement, FromClause, select

from crm_graph.db.base import table_of
from crm_graph.domains.customers.contacts.model import Contact
from crm_graph.domains.customers.customers.model import Customer
from crm_graph.domains.customers.customers.policy import ACCOUNT_TEAM, CUSTOMER
from crm_graph.permissions.grants import ALL, HIDDEN, MASKED, OWN, TEAM, FieldGrant, Level, grant
from crm_graph.permissions.policy import (
    MaskDecrypted,
    Policy,
    last_letters,
    mask_email,
    mask_phone,
    mask_text,
    workspace,
)
from crm_graph.permissions.roles import ANALYST, INTEGRATION, MARKETER, SALES_MANAGER, SALES_REP, SUPPORT_AGENT


def _of_customers(scope: str, rows: FromClause) -> ColumnElement[bool]:
    """Return whether a contact's customer lies in a scope of its own owner."""
    customer = table_of(Customer).alias()
    inner = CUSTOMER.predicate(scope, customer)
    assert inner is not None
    joined = customer.c.workspace_id == workspace(), customer.c.id == rows.c.customer_id
    return select(1).select_from(customer).where(*joined, inner).correlate(rows).exists()


CONTACT = Policy(
    "Contact",
    table_of(Contact),
    scopes={scope: partial(_of_customers, scope) for scope in (OWN, TEAM, ACCOUNT_TEAM)},
    around_own=frozenset({TEAM, ACCOUNT_TEAM}),
    masks={"name": mask_text, "email": mask_email, "phone": mask_phone, "nationalId": MaskDecrypted(last_letters(4))},
    defaults={
        SALES_MANAGER: grant(
            read=ALL,
            create=ALL,
            update=ALL,
            delete=TEAM,
            fields={"nationalId": FieldGrant(Level.WRITE, TEAM)},
        ),
        SALES_REP: grant(
            read=ALL,
            create=ALL,
            update=TEAM,
            fields={
                "email": (FieldGrant(Level.WRITE, TEAM), MASKED),
                "phone": (FieldGrant(Level.WRITE, TEAM), MASKED),
                "nationalId": FieldGrant(Level.MASKED, TEAM),
            },
        ),
        MARKETER: grant(read=ALL, create=ALL, update=ALL, fields={"phone": MASKED, "nationalId": HIDDEN}),
        SUPPORT_AGENT: grant(read=ALL, create=ALL, update=ALL, fields={"nationalId": HIDDEN}),
        ANALYST: grant(
            read=ALL,
            default=Level.READ,
            fields={"name": MASKED, "email": MASKED, "phone": MASKED, "nationalId": HIDDEN},
        ),
        INTEGRATION: grant(read=ALL, create=ALL, update=ALL, fields={"nationalId": HIDDEN}),
    },
)
