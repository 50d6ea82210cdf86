"""Customers from files."""

from __future__ import annotations

from crm_graph.domains.customers.customers.events import CustomerCreated, CustomerLifecycleChanged, CustomerUpdated
from crm_graph.domains.customers.customers.model import Customer
from crm_graph.domains.customers.customers.operations import LIFECYCLE
from crm_graph.domains.customers.customers.policy import CUSTOMER
from crm_graph.domains.workspace.members.imports import MEMBER_TARGET
from crm_graph.domains.workspace.workspaces.imports import gather_currency
from crm_graph.transfer.spec import Changes, Draft, ImportSpec, Target, columns_of, settle_currencies
from crm_graph.work import DomainEvent, Work

CUSTOMER_TARGET = Target(Customer, CUSTOMER, "cus", ("external_id", "name"))


def _complete(work: Work, draft: Draft, base: str) -> None:
    settle_currencies(Customer, draft, base)
    if draft.is_new():
        draft.values.setdefault("owner_id", work.viewer.member_id)
        draft.values.setdefault("lifecycle_since", work.now)
    elif draft.changes_to("lifecycle"):
        draft.values.setdefault("lifecycle_since", work.now)


def _updated(_: Draft, changes: Changes) -> DomainEvent:
    if "lifecycle" in changes:
        return CustomerLifecycleChanged(*changes["lifecycle"])
    return CustomerUpdated()


IMPORTS = (
    ImportSpec(
        entity="customer",
        model=Customer,
        policy=CUSTOMER,
        prefix="cus",
        columns=columns_of(
            Customer,
            *(MEMBER_TARGET, CUSTOMER_TARGET),
            required=("name",),
            money={"currency": "annualRevenue"},
            verbs={"lifecycle": {"*": LIFECYCLE}},
        ),
        matches=(("external_id",), ("name",)),
        unique=(("external_id",),),
        created=lambda _: CustomerCreated(),
        updated=_updated,
        gather=gather_currency,
        complete=_complete,
    ),
)
