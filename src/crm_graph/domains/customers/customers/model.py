"""Customers: companies or persons, with a lifecycle."""

from __future__ import annotations

from datetime import datetime
from enum import Enum

from sqlalchemy.orm import Mapped, mapped_column

from crm_graph.db.base import (
    Amount,
    CurrencyCode,
    Email,
    Id,
    Kept,
    KeptPart,
    Key,
    Phone,
    Url,
    indexed,
    refers,
    unique,
    unique_kept,
)
from crm_graph.db.coherence import held_by
from crm_graph.db.history import keeps_history
from crm_graph.db.lists import Text, found_by, ordered_by, searched
from crm_graph.db.placement import DISTRIBUTED
from crm_graph.db.rules import Address, WebAddress, between, held_to, in_currency, one_of
from crm_graph.domains.customers.customers.events import CustomerLifecycleChanged
from crm_graph.kernel.errors import Refused


class CustomerKind(Enum):
    """What a customer is."""

    COMPANY = "COMPANY"
    PERSON = "PERSON"


class Lifecycle(Enum):
    """Where a customer stands: 潜在, 意向, 成交, 流失."""

    POTENTIAL = "POTENTIAL"
    INTERESTED = "INTERESTED"
    ACTIVE = "ACTIVE"
    CHURNED = "CHURNED"


_NEXT = {
    Lifecycle.POTENTIAL: {Lifecycle.INTERESTED, Lifecycle.ACTIVE, Lifecycle.CHURNED},
    Lifecycle.INTERESTED: {Lifecycle.POTENTIAL, Lifecycle.ACTIVE, Lifecycle.CHURNED},
    Lifecycle.ACTIVE: {Lifecycle.CHURNED},
    Lifecycle.CHURNED: {Lifecycle.INTERESTED, Lifecycle.ACTIVE},
}


@keeps_history("owner_id", "parent_id")
class Customer(Kept):
    """A customer. `parent_id` names the company that owns it."""

    __tablename__ = "customer"
    __placement__ = DISTRIBUTED
    __personal__ = ("name", "email", "phone", "website", "external_id")
    __table_args__ = (
        refers("workspace_id", "workspace"),
        refers("parent_id", "customer"),
        refers("owner_id", "member"),
        unique_kept("customer", "external_id"),
        indexed("customer", "parent_id"),
        indexed("customer", "owner_id"),
        indexed("customer", "lifecycle"),
        ordered_by("customer", "name", Text),
        ordered_by("customer", "city", Text),
        ordered_by("customer", "lifecycle", Lifecycle),
        ordered_by("customer", "employees"),
        ordered_by("customer", "annual_revenue"),
        ordered_by("customer", "created_at"),
        ordered_by("customer", "updated_at"),
        *(found_by("customer", column) for column in ("name", "email", "phone", "city", "industry")),
        searched("customer", "name", "email", "phone", "city"),
        one_of("kind", CustomerKind),
        one_of("lifecycle", Lifecycle),
        between("employees", 0),
        between("founded_year", 1, 2199),
        in_currency("currency", "annual_revenue", name="revenue_has_currency"),
    )

    __coherent__ = held_by("owner_id")

    kind: Mapped[str] = mapped_column(default=CustomerKind.COMPANY.value, server_default="COMPANY")
    name: Mapped[str]
    lifecycle: Mapped[str] = mapped_column(default=Lifecycle.POTENTIAL.value, server_default="POTENTIAL")
    lifecycle_since: Mapped[datetime]
    industry: Mapped[str | None]
    email: Mapped[Email | None] = mapped_column(info=held_to(Address()))
    phone: Mapped[Phone | None]
    website: Mapped[Url | None] = mapped_column(info=held_to(WebAddress()))
    city: Mapped[str | None]
    country: Mapped[str | None]
    employees: Mapped[int | None]
    founded_year: Mapped[int | None]
    annual_revenue: Mapped[Amount | None]
    currency: Mapped[CurrencyCode | None]
    source: Mapped[str | None]
    owner_id: Mapped[Id | None]
    parent_id: Mapped[Id | None]
    external_id: Mapped[Key | None]

    def is_person(self) -> bool:
        """Return whether the customer is a person; of a company nobody is erased."""
        return self.kind == CustomerKind.PERSON.value

    def change_lifecycle(self, to: Lifecycle, at: datetime) -> CustomerLifecycleChanged:
        """Move along the lifecycle. Raises Refused ILLEGAL_TRANSITION for a step that makes no sense."""
        before = Lifecycle(self.lifecycle)
        if to not in _NEXT[before]:
            allowed = ", ".join(sorted(step.value for step in _NEXT[before]))
            raise Refused(
                "ILLEGAL_TRANSITION",
                f"A customer that is {before.value} can become {allowed}, not {to.value}.",
                ("to",),
            )
        self.lifecycle, self.lifecycle_since = to.value, at
        return CustomerLifecycleChanged(before.value, to.value)


class AccountTeamMember(KeptPart):
    """That a member looks after a customer together with its owner."""

    __tablename__ = "account_team_member"
    __placement__ = DISTRIBUTED
    __table_args__ = (
        refers("customer_id", "customer", on_delete="CASCADE"),
        refers("member_id", "member"),
        unique("customer_id", "member_id"),
        indexed("account_team_member", "member_id"),
    )

    __coherent__ = held_by("member_id")

    customer_id: Mapped[Id]
    member_id: Mapped[Id]
    duty: Mapped[str | None]
