"""Contacts: the people at a customer."""

from __future__ import annotations

from sqlalchemy.orm import Mapped, mapped_column

from crm_graph.db.base import Email, Id, Kept, Key, Phone, indexed, refers, unique_kept
from crm_graph.db.lists import Text, found_by, ordered_by, searched
from crm_graph.db.placement import DISTRIBUTED
from crm_graph.db.rules import Address, held_to
from crm_graph.vault.columns import encrypted


class Contact(Kept):
    """A person at a customer."""

    __tablename__ = "contact"
    __placement__ = DISTRIBUTED
    __personal__ = ("name", "title", "email", "phone", "external_id", "national_id", "national_id_blind")
    __table_args__ = (
        refers("customer_id", "customer"),
        unique_kept("contact", "external_id"),
        indexed("contact", "customer_id"),
        ordered_by("contact", "name", Text),
        ordered_by("contact", "created_at"),
        ordered_by("contact", "updated_at"),
        *(found_by("contact", column) for column in ("name", "email", "phone")),
        searched("contact", "name", "email", "phone"),
        *encrypted("contact", "national_id"),
    )

    customer_id: Mapped[Id]
    name: Mapped[str | None]
    title: Mapped[str | None]
    email: Mapped[Email | None] = mapped_column(info=held_to(Address()))
    phone: Mapped[Phone | None]
    external_id: Mapped[Key | None]
