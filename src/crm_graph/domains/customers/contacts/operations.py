"""The only writers of contacts."""

from __future__ import annotations

from crm_graph.domains.customers.contacts.events import ContactCreated, ContactDeleted, ContactUpdated
from crm_graph.domains.customers.contacts.model import Contact
from crm_graph.domains.customers.contacts.policy import CONTACT
from crm_graph.work import DELETE, Sent, Work


async def create_contact(work: Work, sent: Sent) -> str:
    """Add a contact to a customer that the viewer may see."""
    contact = await work.draft(Contact, CONTACT, sent)
    await work.create(contact, CONTACT, ContactCreated(), sent.fields)
    return contact.id


async def update_contact(work: Work, id_: str, sent: Sent, if_version: int | None) -> str:
    """Change a contact's data."""
    contact = await work.revise(Contact, CONTACT, id_, sent, if_version)
    await work.save(contact, CONTACT, ContactUpdated())
    return contact.id


async def delete_contact(work: Work, id_: str, if_version: int | None) -> None:
    """Remove a contact. Raises Refused IN_USE while anything points to it."""
    contact = await work.get(Contact, CONTACT, id_, DELETE, if_version)
    await work.delete(contact, CONTACT, ContactDeleted())
