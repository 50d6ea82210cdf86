"""The only writers of customers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crm_graph.domains.customers.customers.events import CustomerCreated, CustomerDeleted, CustomerUpdated
from crm_graph.domains.customers.customers.model import Customer, Lifecycle
from crm_graph.domains.customers.customers.policy import CUSTOMER
from crm_graph.domains.workspace.members.model import Member
from crm_graph.domains.workspace.members.policy import MEMBER
from crm_graph.kernel.errors import Refused
from crm_graph.work import CREATE, DELETE, UPDATE, Work

LIFECYCLE = "changeLifecycle"


async def create_customer(work: Work, values: Mapping[str, Any], given: tuple[str, ...]) -> str:
    """Add a customer, owned by its creator unless said otherwise. `given` are the GraphQL names of what was sent."""
    work.may(CUSTOMER, CREATE, given)
    customer: Customer = Customer.make(
        **{
            "kind": "COMPANY",
            "lifecycle": Lifecycle.POTENTIAL.value,
            "lifecycle_since": work.now,
            "owner_id": work.viewer.member_id,
            **values,
        }
    )
    await _check_references(work, values)
    await work.create(customer, CUSTOMER, CustomerCreated(), given)
    return customer.id


async def update_customer(
    work: Work, id_: str, values: Mapping[str, Any], given: tuple[str, ...], if_version: int | None
) -> str:
    """Change a customer's data."""
    customer = await work.get(Customer, CUSTOMER, id_, UPDATE, if_version, given=given)
    await _check_references(work, values, customer.id)
    for name, value in values.items():
        setattr(customer, name, value)
    await work.save(customer, CUSTOMER, CustomerUpdated())
    return customer.id


async def change_lifecycle(work: Work, id_: str, to: Lifecycle, if_version: int | None) -> str:
    """Move a customer along its lifecycle."""
    customer = await work.get(Customer, CUSTOMER, id_, LIFECYCLE, if_version)
    await work.save(customer, CUSTOMER, customer.change_lifecycle(to, work.now))
    return customer.id


async def delete_customer(work: Work, id_: str, if_version: int | None) -> None:
    """Remove a customer. Raises Refused IN_USE while anything points to it."""
    customer = await work.get(Customer, CUSTOMER, id_, DELETE, if_version)
    await work.delete(customer, CUSTOMER, CustomerDeleted())


async def _check_references(work: Work, values: Mapping[str, Any], own_id: str | None = None) -> None:
    if values.get("owner_id") is not None:
        await work.refer(Member, MEMBER, values["owner_id"], "ownerId")
    parent = values.get("parent_id")
    if parent is not None:
        if parent == own_id:
            raise Refused("INVALID", "A customer cannot be its own parent.", ("parentId",))
        await work.refer(Customer, CUSTOMER, parent, "parentId")
