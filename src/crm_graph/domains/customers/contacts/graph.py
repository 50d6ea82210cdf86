"""Contacts in the schema."""

from __future__ import annotations

from datetime import datetime

import strawberry

from crm_graph.domains.customers.contacts import events, model, operations, policy
from crm_graph.domains.customers.customers.graph import Customer
from crm_graph.domains.workspace.members.graph import AS_IT_IS, THAT_MATCH, MemberChange
from crm_graph.graph.context import Info
from crm_graph.graph.payloads import (
    DeletePayload,
    Payload,
    field_names,
    given,
    key_of,
    new_key,
    perform,
    perform_delete,
    refer,
)
from crm_graph.graph.reading.sizes import sized
from crm_graph.graph.records import roots
from crm_graph.graph.records.record import Node, by_key, column, extend, record, to_many, to_one, watch
from crm_graph.graph.records.types import AggregateOf, Connection
from crm_graph.graph.schema.build import Slice
from crm_graph.work import Work

NATIONAL_ID = (
    "The number of the person's identity document, such as a 身份证号. Encrypted where it is stored: it can be compared"
    " for equality, and nothing else."
)


@record("con", model.Contact, policy.CONTACT)
class Contact(Node):
    """A person at a customer."""

    name: str | None = column("The person's name.")
    title: str | None = column("What the person does there.")
    email: str | None = column("The person's e-mail address.")
    phone: str | None = column("The person's phone number.")
    national_id: str | None = column(NATIONAL_ID)
    customer: Customer | None = to_one("customer_id", "The customer that the person belongs to.")
    external_id: str | None = column("The contact's id in the system it came from, unique in the workspace.")
    version: int = column("Counts the changes; give it as `ifVersion`.")
    created_at: datetime = column("When the record was made.")
    updated_at: datetime = column("When the record last changed.")


class Queries:
    """Fields of Query."""

    contact: Contact | None = roots.one("A contact by id.")
    contacts: Connection[Contact] = roots.many("The contacts that you may see.")
    contacts_aggregate: AggregateOf[Contact] = roots.aggregate("Measures over contacts.")


@sized(model.Contact)
@strawberry.input(description="A new contact.")
class CreateContactInput:
    """See `operations.create_contact`."""

    id: strawberry.ID | None = strawberry.field(
        description="An id made by the client, `con_` and a UUIDv7.", default=None
    )
    customer_id: strawberry.ID = strawberry.field(description="The customer that the person belongs to.")
    name: str = strawberry.field(description="The person's name.")
    title: str | None = strawberry.field(description="What the person does there.", default=None)
    email: str | None = strawberry.field(description="The person's e-mail address.", default=None)
    phone: str | None = strawberry.field(description="The person's phone number.", default=None)
    national_id: str | None = strawberry.field(description=NATIONAL_ID, default=None)
    external_id: str | None = strawberry.field(description="The contact's id in another system.", default=None)


@sized(model.Contact)
@strawberry.input(description="Changes to a contact; what is left out stays, null clears.")
class UpdateContactInput:
    """See `operations.update_contact`."""

    id: strawberry.ID = strawberry.field(description="The contact.")
    if_version: int | None = strawberry.field(description="Refuse if the contact is at another version.", default=None)
    customer_id: strawberry.Maybe[strawberry.ID] = strawberry.field(description="The customer of the person.")
    name: strawberry.Maybe[str] = strawberry.field(description="The person's name.")
    title: strawberry.Maybe[str | None] = strawberry.field(description="What the person does there.")
    email: strawberry.Maybe[str | None] = strawberry.field(description="The person's e-mail address.")
    phone: strawberry.Maybe[str | None] = strawberry.field(description="The person's phone number.")
    national_id: strawberry.Maybe[str | None] = strawberry.field(description=NATIONAL_ID)
    external_id: strawberry.Maybe[str | None] = strawberry.field(description="The contact's id in another system.")


@strawberry.input(description="A contact to delete.")
class DeleteContactInput:
    """See `operations.delete_contact`."""

    id: strawberry.ID = strawberry.field(description="The contact.")
    if_version: int | None = strawberry.field(description="Refuse if the contact is at another version.", default=None)


@strawberry.type(description="A contact, or why not.")
class ContactPayload(Payload):
    """What mutations of contacts return."""

    contact: Contact | None = by_key("record_id", "The contact; null when refused.")


class Mutations:
    """Fields of Mutation."""

    @strawberry.mutation(description="Adds a contact to a customer.")
    async def create_contact(self, info: Info, input: CreateContactInput) -> ContactPayload:
        return await perform(info, ContactPayload, lambda work: _create(work, input))

    @strawberry.mutation(description="Changes a contact's data.")
    async def update_contact(self, info: Info, input: UpdateContactInput) -> ContactPayload:
        return await perform(info, ContactPayload, lambda work: _update(work, input))

    @strawberry.mutation(description="Deletes a contact.")
    async def delete_contact(self, info: Info, input: DeleteContactInput) -> DeletePayload:
        return await perform_delete(
            info, input.id, lambda work: operations.delete_contact(work, key_of(Contact, input.id), input.if_version)
        )


async def _create(work: Work, input_: CreateContactInput) -> str:
    values = given(input_, "id")
    refer(values, "customer_id", Customer)
    values["id"] = new_key(Contact, input_.id)
    return await operations.create_contact(work, values, field_names(input_, "id"))


async def _update(work: Work, input_: UpdateContactInput) -> str:
    values = given(input_, "id", "if_version")
    refer(values, "customer_id", Customer)
    names = field_names(input_, "id", "if_version")
    return await operations.update_contact(work, key_of(Contact, input_.id), values, names, input_.if_version)


class CustomerContacts:
    """Fields that contacts add to customers."""

    contacts: Connection[Contact] = to_many("customer_id", "The people at the customer.")


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
    extensions=(extend(Customer, CustomerContacts),),
    events=events.EVENTS,
)
