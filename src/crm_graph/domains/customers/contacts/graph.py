"""Contacts in the schema."""

from __future__ import annotations

import strawberry

from crm_graph.domains.customers.contacts import events, model, operations, policy
from crm_graph.domains.customers.customers.graph import Customer
from crm_graph.domains.workspace.members.graph import AS_IT_IS, THAT_MATCH, MemberChange
from crm_graph.graph import writes
from crm_graph.graph.records import roots
from crm_graph.graph.records.record import SENT, Node, by_key, column, record, reverse, sent, to_one, watch
from crm_graph.graph.records.types import AggregateOf, Connection
from crm_graph.graph.schema.build import Slice
from crm_graph.graph.writes import Written


@record("con", model.Contact, policy.CONTACT)
class Contact(Node):
    """A person at a customer."""

    customer: Customer | None = to_one("customer_id", "The customer that the person belongs to.", SENT)
    name: str | None = column("The person's name.", sent(required=True))
    title: str | None = column("What the person does there.", SENT)
    email: str | None = column("The person's e-mail address.", SENT)
    phone: str | None = column("The person's phone number.", SENT)
    national_id: str | None = column(
        "The number of the person's identity document, such as a 身份证号. Encrypted where it is stored: it can be "
        "compared for equality, and nothing else.",
        SENT,
    )
    external_id: str | None = column("The contact's id in the system it came from, unique in the workspace.", SENT)


class Queries:
    """Fields of Query."""

    contact: Contact | None = roots.one("A contact by id.")
    contacts: Connection[Contact] = roots.many("The contacts that you may see.")
    contacts_aggregate: AggregateOf[Contact] = roots.aggregate("Measures over contacts.")


class Mutations:
    """Fields of Mutation."""

    create_contact: Written[Contact] = writes.create("Adds a contact to a customer.", operations.create_contact)
    update_contact: Written[Contact] = writes.update("Changes a contact's data.", operations.update_contact)
    delete_contact: Written[Contact] = writes.delete("Deletes a contact.", operations.delete_contact)


@strawberry.type(description="Something that happened to a contact that you may see.")
class ContactChange(MemberChange):
    """One event of the log with the current record."""

    contact: Contact | None = by_key("key", f"The contact {AS_IT_IS}")


class Subscriptions:
    """Fields of Subscription."""

    contact_changed: ContactChange = watch(Contact, f"Every change of the contacts {THAT_MATCH}")


SLICE = Slice(
    "contacts",
    records=(Contact,),
    queries=(Queries,),
    mutations=(Mutations,),
    subscriptions=(Subscriptions,),
    extensions=(reverse(Customer, "contacts", Connection[Contact], "customer_id", "The people at the customer."),),
    events=events.EVENTS,
)
