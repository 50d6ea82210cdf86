"""Contacts from files."""

from __future__ import annotations

from crm_graph.domains.customers.contacts.events import ContactCreated, ContactUpdated
from crm_graph.domains.customers.contacts.model import Contact
from crm_graph.domains.customers.contacts.policy import CONTACT
from crm_graph.domains.customers.customers.imports import CUSTOMER_TARGET
from crm_graph.transfer.spec import ImportSpec, Target, columns_of

CONTACT_TARGET = Target(Contact, CONTACT, "con", ("external_id", "email", "name"), within="customer_id")

IMPORTS = (
    ImportSpec(
        entity="contact",
        model=Contact,
        policy=CONTACT,
        prefix="con",
        columns=columns_of(Contact, CUSTOMER_TARGET, required=("customer",), but=("national_id_blind",)),
        matches=(("external_id",), ("customer", "email"), ("customer", "name")),
        unique=(("external_id",),),
        created=lambda _: ContactCreated(),
        updated=lambda _draft, _changes: ContactUpdated(),
    ),
)
