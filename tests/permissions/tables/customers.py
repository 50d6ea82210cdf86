"""Customers and contacts."""

from __future__ import annotations

from tests.permissions.tables.table import (
    NOBODY,
    OWN_WORKSPACE,
    ROW,
    Id,
    Table,
    Without,
    Write,
    no_such,
    no_verb,
    not_this,
)

CUSTOMERS = Table(
    "Customer",
    reads=("customer", "customers", "customersAggregate"),
    watches=("customerChanged", "timelineChanged"),
    seen_by="sales_rep",
    unseen_by=[(NOBODY, "own"), ("sales_rep", "outside")],
    writes=[
        Write(
            "createCustomer",
            "create",
            {"id": ROW, "name": "Zebra"},
            right="sales_rep",
            without=[
                Without(NOBODY, no_verb("create", "customers")),
                Without("support_agent", no_verb("create", "customers")),
                Without("analyst", no_verb("create", "customers")),
            ],
            stranger=OWN_WORKSPACE,
            events=["CustomerCreated"],
            tables=["customer", "person_key"],
        ),
        Write(
            "updateCustomer",
            "update",
            {"id": ROW, "name": "Zebra"},
            right="sales_rep",
            without=[
                Without(NOBODY, no_verb("update", "customers")),
                Without("analyst", no_verb("update", "customers")),
                Without("sales_rep", not_this("update", "customer"), place="team"),
                Without("sales_rep", no_such("customer"), place="outside"),
                Without("sales_manager", not_this("update", "customer"), place="outside"),
            ],
            stranger=no_such("customer"),
            events=["CustomerUpdated"],
            tables=["customer", "person_key"],
        ),
        Write(
            "changeCustomerLifecycle",
            "changeLifecycle",
            {"id": ROW, "to": "CHURNED"},
            right="sales_rep",
            without=[
                Without(NOBODY, no_verb("changeLifecycle", "customers")),
                Without("analyst", no_verb("changeLifecycle", "customers")),
                Without("sales_rep", not_this("changeLifecycle", "customer"), place="team"),
                Without("sales_rep", no_such("customer"), place="outside"),
            ],
            stranger=no_such("customer"),
            events=["CustomerLifecycleChanged"],
            tables=["customer"],
        ),
        Write(
            "deleteCustomer",
            "delete",
            {"id": ROW},
            right="sales_manager",
            without=[
                Without(NOBODY, no_verb("delete", "customers")),
                Without("sales_rep", no_verb("delete", "customers")),
                Without("sales_manager", not_this("delete", "customer"), place="outside"),
            ],
            stranger=no_such("customer"),
            events=["CustomerDeleted"],
            tables=["customer", "person_key"],
            fresh=True,
        ),
        Write(
            "eraseCustomer",
            "erase",
            {"id": ROW},
            right="admin",
            without=[Without(role, no_verb("erase", "customers")) for role in (NOBODY, "sales_manager", "integration")],
            stranger=no_such("customer"),
            events=["CustomerErased"],
            tables=["customer", "webhook_delivery"],
            fresh=True,
            given={"kind": "PERSON"},
        ),
    ],
)

CONTACTS = Table(
    "Contact",
    reads=("contact", "contacts", "contactsAggregate"),
    watches=("contactChanged",),
    seen_by="sales_rep",
    unseen_by=[(NOBODY, "own"), ("sales_rep", "outside")],
    writes=[
        Write(
            "createContact",
            "create",
            {"customerId": Id("Customer"), "name": "Zebra"},
            right="sales_rep",
            without=[Without(role, no_verb("create", "contacts")) for role in (NOBODY, "analyst")],
            stranger=no_such("customer", "customerId"),
            events=["ContactCreated"],
            tables=["contact", "person_key"],
        ),
        Write(
            "updateContact",
            "update",
            {"id": ROW, "name": "Zebra"},
            right="sales_rep",
            without=[
                Without(NOBODY, no_verb("update", "contacts")),
                Without("analyst", no_verb("update", "contacts")),
                Without("sales_rep", not_this("update", "contact"), place="team"),
                Without("sales_rep", no_such("contact"), place="outside"),
            ],
            stranger=no_such("contact"),
            events=["ContactUpdated"],
            tables=["contact", "person_key"],
        ),
        Write(
            "deleteContact",
            "delete",
            {"id": ROW},
            right="sales_manager",
            without=[
                Without(NOBODY, no_verb("delete", "contacts")),
                Without("sales_rep", no_verb("delete", "contacts")),
                Without("sales_manager", not_this("delete", "contact"), place="outside"),
            ],
            stranger=no_such("contact"),
            events=["ContactDeleted"],
            tables=["contact", "person_key"],
            fresh=True,
        ),
        Write(
            "eraseContact",
            "erase",
            {"id": ROW},
            right="admin",
            without=[Without(role, no_verb("erase", "contacts")) for role in (NOBODY, "sales_manager", "integration")],
            stranger=no_such("contact"),
            events=["ContactErased"],
            tables=["contact", "webhook_delivery"],
            fresh=True,
        ),
    ],
)

_WITHOUT_TEAMS = [
    *(Without(role, no_verb("update", "account team members")) for role in (NOBODY, "analyst")),
    Without("sales_manager", not_this("update", "account team member"), place="outside"),
    Without("sales_rep", not_this("update", "account team member"), place="team"),
    Without("sales_rep", no_such("account team member"), place="outside"),
]
ACCOUNT_TEAMS = Table(
    "AccountTeamMember",
    reads=("accountTeamMember", "accountTeamMembers", "accountTeamMembersAggregate"),
    seen_by="sales_rep",
    unseen_by=[(NOBODY, "own"), ("sales_rep", "outside")],
    writes=[
        Write(
            "addAccountTeamMember",
            "update",
            {"customerId": Id("Customer"), "memberId": Id("Member", "outside"), "duty": "Zebra"},
            right="sales_rep",
            without=[Without(role, no_verb("update", "account team members")) for role in (NOBODY, "analyst")],
            stranger=no_such("customer", "customerId"),
            events=["AccountTeamMemberAdded", "CustomerUpdated"],
            tables=["account_team_member", "customer"],
        ),
        Write(
            "removeAccountTeamMember",
            "update",
            {"id": ROW},
            right="sales_rep",
            without=_WITHOUT_TEAMS,
            stranger=no_such("account team member"),
            events=["AccountTeamMemberRemoved", "CustomerUpdated"],
            tables=["account_team_member", "customer"],
        ),
    ],
)

TABLES = (CUSTOMERS, CONTACTS, ACCOUNT_TEAMS)
