"""The only writers of customers."""

from __future__ import annotations

from crm_graph.domains.customers.customers.events import CustomerCreated, CustomerDeleted, CustomerUpdated
from crm_graph.domains.customers.customers.model import Customer, Lifecycle
from crm_graph.domains.customers.customers.policy import CUSTOMER
from crm_graph.work import DELETE, Sent, Work

LIFECYCLE = "changeLifecycle"


async def create_customer(work: Work, sent: Sent) -> str:
    """Add a customer, owned by its creator unless said otherwise."""
    customer = await work.draft(Customer, CUSTOMER, sent, owner_id=work.viewer.member_id, lifecycle_since=work.now)
    await work.create(customer, CUSTOMER, CustomerCreated(), sent.fields)
    return customer.id


async def update_customer(work: Work, id_: str, sent: Sent, if_version: int | None) -> str:
    """Change a customer's data. Raises Refused INVALID for a parent that leads back to it."""
    customer = await work.revise(Customer, CUSTOMER, id_, sent, if_version)
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
