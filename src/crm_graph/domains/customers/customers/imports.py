"""Customers from files."""

from __future__ import annotations

from collections.abc import Sequence

from crm_graph.domains.customers.customers.events import CustomerCreated, CustomerLifecycleChanged, CustomerUpdated
from crm_graph.domains.customers.customers.model import Customer, CustomerKind, Lifecycle
from crm_graph.domains.customers.customers.operations import LIFECYCLE
from crm_graph.domains.customers.customers.policy import CUSTOMER
from crm_graph.domains.workspace.members.imports import MEMBER_TARGET
from crm_graph.domains.workspace.workspaces.operations import base_currency
from crm_graph.transfer.spec import (
    Changes,
    Draft,
    ImportSpec,
    Target,
    choice,
    currency,
    decimal,
    instant,
    integer,
    refer,
    string,
)
from crm_graph.work import DomainEvent, Work

CUSTOMER_TARGET = Target(Customer, CUSTOMER, "cus", ("external_id", "name"))


async def _currency(work: Work, _: Sequence[Draft]) -> str:
    return await base_currency(work)


def _complete(work: Work, draft: Draft, base: str) -> None:
    """A revenue without currency is in the workspace's; a currency without revenue says nothing and is left out."""
    values = draft.values
    if "annual_revenue" in values or "currency" in values:
        if draft.get("annual_revenue") is None:
            values["currency"] = None
        elif draft.get("currency") is None:
            values["currency"] = base
    if draft.is_new():
        values.setdefault("owner_id", work.viewer.member_id)
        values.setdefault("lifecycle_since", work.now)
    elif draft.changes_to("lifecycle"):
        values.setdefault("lifecycle_since", work.now)


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
        columns=(
            string("external_id"),
            choice("kind", CustomerKind, default=CustomerKind.COMPANY.value),
            string("name", required=True),
            choice("lifecycle", Lifecycle, default=Lifecycle.POTENTIAL.value, verbs={"*": LIFECYCLE}),
            instant("lifecycle_since"),
            string("industry"),
            string("email"),
            string("phone"),
            string("website"),
            string("city"),
            string("country"),
            integer("employees", low=0),
            integer("founded_year", low=1, high=2199),
            decimal("annual_revenue"),
            currency("annualRevenue"),
            string("source"),
            refer("owner", MEMBER_TARGET),
            refer("parent", CUSTOMER_TARGET),
        ),
        matches=(("external_id",), ("name",)),
        unique=(("external_id",),),
        created=lambda _: CustomerCreated(),
        updated=_updated,
        gather=_currency,
        complete=_complete,
    ),
)
