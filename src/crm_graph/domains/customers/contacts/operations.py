"""The only writers of contacts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crm_graph.domains.customers.contacts.events import ContactCreated, ContactDeleted, ContactUpdated
from crm_graph.domains.customers.contacts.model import Contact
from crm_graph.domains.customers.contacts.policy import CONTACT
from crm_graph.domains.customers.customers.model import Customer
from crm_graph.domains.customers.customers.policy import CUSTOMER
from crm_graph.work import CREATE, DELETE, UPDATE, Work


async def create_contact(work: Work, values: Mapping[str, Any], given: tuple[str, ...]) -> str:
    """Add a contact to a customer that the viewer may see."""
    work.may(CONTACT, CREATE, given)
    await work.refer(Customer, CUSTOMER, values["customer_id"], "customerId")
    contact: Contact = Contact.make(**values)
    await work.create(contact, CONTACT, ContactCreated(), given)
    return contact.id


async def update_contact(
    work: Work, id_: str, values: Mapping[str, Any], given: tuple[str, ...], if_version: int | None
) -> str:
    """Change a contact's data."""
    contact = await work.get(Contact, CONTACT, id_, UPDATE, if_version, given=given)
    if values.get("customer_id") is not None:
        await work.refer(Customer, CUSTOMER, values["customer_id"], "customerId")
    for name, value in values.items():
        setattr(contact, name, value)
    await work.save(contact, CONTACT, ContactUpdated())
    return contact.id


async def delete_contact(work: Work, id_: str, if_version: int | None) -> None:
    """Remove a contact. Raises Refused IN_USE while anything points to it."""
    contact = await work.get(Contact, CONTACT, id_, DELETE, if_version)
    await work.delete(contact, CONTACT, ContactDeleted())
