"""Contacts: the people at a customer."""

from __future__ import annotations

from sqlalchemy.orm import Mapped

from crm_graph.db.base import Email, Id, Kept, Phone, indexed, refers, unique_kept
from crm_graph.db.placement import DISTRIBUTED
from crm_graph.vault.columns import encrypted


class Contact(Kept):
    """A person at a customer."""

    __tablename__ = "contact"
    __placement__ = DISTRIBUTED
    __table_args__ = (
        refers("customer_id", "customer"),
        unique_kept("contact", "external_id"),
        indexed("contact", "customer_id"),
        *encrypted("contact", "national_id"),
    )

    customer_id: Mapped[Id]
    name: Mapped[str | None]
    title: Mapped[str | None]
    email: Mapped[Email | None]
    phone: Mapped[Phone | None]
    external_id: Mapped[str | None]
