"""Who may see and change customers, and the row scopes of what belongs to them.

Decided in D-permissions-09 (ARCHITECTURE.md).
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import ColumnElement, FromClause, or_

from crm_graph.db.aliases import rows_of
from crm_graph.db.base import table_of
from crm_graph.domains.customers.customers.events import CustomerUpdated
from crm_graph.domains.customers.customers.model import AccountTeamMember, Customer
from crm_graph.permissions.grants import (
    ALL,
    ERASE,
    HIDDEN,
    MASKED,
    NONE,
    OWN,
    TEAM,
    FieldGrant,
    Level,
    grant,
    read_only,
)
from crm_graph.permissions.policy import (
    Policy,
    Predicate,
    linked,
    mask_amount,
    mask_email,
    mask_phone,
    mask_text,
    owned_by,
    viewer_id,
    workspace,
)
from crm_graph.permissions.roles import (
    ANALYST,
    FINANCE,
    INTEGRATION,
    MARKETER,
    SALES_MANAGER,
    SALES_REP,
    SERVICE_MANAGER,
    SUPPORT_AGENT,
)

ACCOUNT_TEAM = "ACCOUNT_TEAM"
"""The row scope of the customers that one looks after oneself, or in whose account team one is."""
ACCOUNT = "ACCOUNT"
"""The row scope of what belongs to such a customer, and of what is one's own."""
TEAM_ACCOUNT = "TEAM_ACCOUNT"
"""The row scope of what belongs to a customer of somebody in one's circle."""
_TEAM = table_of(AccountTeamMember)
_WRITE = FieldGrant(Level.WRITE)


def _in_account_team(rows: FromClause, customer: str) -> ColumnElement[bool]:
    entry = rows_of(_TEAM)
    of_viewer = entry.c.workspace_id == workspace(), entry.c.member_id == viewer_id()
    return linked(rows.c[customer], entry, "customer_id", *of_viewer)


def _of_account_team(rows: FromClause) -> ColumnElement[bool]:
    return or_(rows.c.owner_id == viewer_id(), _in_account_team(rows, "id"))


def of_customers(condition: Predicate, rows: FromClause) -> ColumnElement[bool]:
    """Return whether the customer that rows belong to fulfils a condition."""
    customer = rows_of(table_of(Customer))
    return linked(rows.c.customer_id, customer, "id", customer.c.workspace_id == workspace(), condition(customer))


def of_account(rows: FromClause, *owners: str) -> ColumnElement[bool]:
    """Return whether rows are one's own by one of the columns `owners`, or belong to a customer that one looks after,
    or in whose account team one is. Each is a look into an index: no condition lies below another one, so that Postgres
    may also hash what a member has."""
    own = (rows.c[owner] == viewer_id() for owner in owners)
    of_own = of_customers(lambda customer: customer.c.owner_id == viewer_id(), rows)
    return or_(*own, of_own, _in_account_team(rows, "customer_id"))


def with_accounts(owner: str) -> Mapping[str, Predicate]:
    """Return OWN, TEAM and ACCOUNT for a type whose rows have an owner, and belong to a customer."""
    return {**owned_by(owner), ACCOUNT: lambda rows: of_account(rows, owner)}


CUSTOMER = Policy(
    "Customer",
    table_of(Customer),
    scopes={**owned_by("owner_id"), ACCOUNT_TEAM: _of_account_team},
    around_own=frozenset({TEAM, ACCOUNT_TEAM}),
    masks={"email": mask_email, "phone": mask_phone, "name": mask_text, "annualRevenue": mask_amount},
    following=("changeLifecycle",),
    by_name=(ERASE,),
    defaults={
        SALES_MANAGER: grant(read=ALL, create=TEAM, update=TEAM, delete=TEAM, export=TEAM),
        SALES_REP: grant(read=(OWN, TEAM, ACCOUNT_TEAM), create=ALL, update=(OWN, ACCOUNT_TEAM)),
        MARKETER: grant(
            read=ALL,
            update=ALL,
            changeLifecycle=NONE,
            default=Level.READ,
            fields={"industry": _WRITE, "source": _WRITE, "annualRevenue": HIDDEN},
        ),
        SUPPORT_AGENT: grant(
            read=ALL,
            update=ALL,
            changeLifecycle=NONE,
            default=Level.READ,
            fields={"email": _WRITE, "phone": _WRITE, "annualRevenue": HIDDEN},
        ),
        SERVICE_MANAGER: grant(read=ALL, default=Level.READ, fields={"annualRevenue": HIDDEN}),
        FINANCE: grant(read=ALL, default=Level.READ),
        ANALYST: read_only(email=MASKED, phone=MASKED),
        INTEGRATION: grant(read=ALL, create=ALL, update=ALL, export=ALL),
    },
)
ACCOUNT_TEAM_MEMBER = Policy("AccountTeamMember", _TEAM, parent=(CUSTOMER, "customer_id"), in_version=CustomerUpdated)
