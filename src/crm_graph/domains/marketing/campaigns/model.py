"""Campaigns: what is done to win customers, and the customers and contacts that it addresses."""

from __future__ import annotations

from datetime import date, datetime
from enum import Enum

from sqlalchemy import CheckConstraint, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from crm_graph.db.base import (
    Amount,
    Base,
    CurrencyCode,
    Id,
    Kept,
    KeptPart,
    Key,
    Paragraph,
    indexed,
    refers,
    unique_kept,
)
from crm_graph.db.coherence import agrees, held_by, in_past
from crm_graph.db.history import keeps_history
from crm_graph.db.lists import Text, found_by, ordered_by, searched
from crm_graph.db.placement import DISTRIBUTED
from crm_graph.db.rules import between, closed_in, fixed_in, in_currency, in_order, one_of
from crm_graph.domains.marketing.campaigns.events import (
    CampaignCancelled,
    CampaignCompleted,
    CampaignDeleted,
    CampaignLaunched,
    CampaignMemberStatusChanged,
    CampaignPaused,
    CampaignResumed,
)
from crm_graph.kernel.errors import Refused
from crm_graph.refusals import undeletable


class CampaignChannel(Enum):
    """How a campaign reaches its members."""

    EMAIL = "EMAIL"
    SMS = "SMS"
    EVENT = "EVENT"
    ADVERTISEMENT = "ADVERTISEMENT"
    SOCIAL = "SOCIAL"


class CampaignStatus(Enum):
    """How far a campaign is. COMPLETED and CANCELLED are final."""

    PLANNED = "PLANNED"
    ACTIVE = "ACTIVE"
    PAUSED = "PAUSED"
    COMPLETED = "COMPLETED"
    CANCELLED = "CANCELLED"


class CampaignMemberStatus(Enum):
    """How far a campaign got with one of its members, in this order; UNSUBSCRIBED is final."""

    TARGETED = "TARGETED"
    SENT = "SENT"
    OPENED = "OPENED"
    RESPONDED = "RESPONDED"
    CONVERTED = "CONVERTED"
    UNSUBSCRIBED = "UNSUBSCRIBED"


@keeps_history("owner_id", "team_id")
class Campaign(Kept):
    """A campaign. `budget` and `cost` are in one currency, so that they can be compared."""

    __tablename__ = "campaign"
    __placement__ = DISTRIBUTED
    __table_args__ = (
        refers("workspace_id", "workspace"),
        refers("owner_id", "member"),
        refers("team_id", "team"),
        unique_kept("campaign", "external_id"),
        indexed("campaign", "owner_id"),
        indexed("campaign", "team_id"),
        indexed("campaign", "status"),
        ordered_by("campaign", "name", Text),
        ordered_by("campaign", "status", CampaignStatus),
        ordered_by("campaign", "starts_on"),
        ordered_by("campaign", "ends_on"),
        ordered_by("campaign", "budget"),
        ordered_by("campaign", "cost"),
        ordered_by("campaign", "created_at"),
        ordered_by("campaign", "updated_at"),
        found_by("campaign", "name"),
        searched("campaign", "name"),
        one_of("channel", CampaignChannel),
        one_of("status", CampaignStatus),
        in_order("starts_on", "ends_on", name="ends_after_start"),
        between("budget", 0),
        between("cost", 0),
        in_currency("currency", "budget", "cost", name="money_has_currency"),
    )

    __closed__ = (
        closed_in(
            "status",
            *(CampaignStatus.COMPLETED, CampaignStatus.CANCELLED),
            but=("owner_id", "team_id", "cost", "currency", "external_id"),
        ),
        fixed_in("status", CampaignStatus.ACTIVE, CampaignStatus.PAUSED, fixed=("channel",)),
    )

    __coherent__ = held_by("owner_id", in_past("status", CampaignStatus.COMPLETED, CampaignStatus.CANCELLED))

    name: Mapped[str]
    channel: Mapped[str]
    status: Mapped[str] = mapped_column(default=CampaignStatus.PLANNED.value, server_default="PLANNED")
    starts_on: Mapped[date | None]
    ends_on: Mapped[date | None]
    budget: Mapped[Amount | None]
    cost: Mapped[Amount | None]
    currency: Mapped[CurrencyCode | None]
    goal: Mapped[Paragraph | None]
    owner_id: Mapped[Id | None]
    team_id: Mapped[Id | None]
    external_id: Mapped[Key | None]

    def launch(self) -> CampaignLaunched:
        """Start a planned campaign. Raises Refused ILLEGAL_TRANSITION from any other status."""
        self._enter(CampaignStatus.ACTIVE, "launched", CampaignStatus.PLANNED)
        return CampaignLaunched()

    def pause(self) -> CampaignPaused:
        """Put an active campaign on hold. Raises Refused ILLEGAL_TRANSITION from any other status."""
        self._enter(CampaignStatus.PAUSED, "paused", CampaignStatus.ACTIVE)
        return CampaignPaused()

    def resume(self) -> CampaignResumed:
        """Go on with a paused campaign. Raises Refused ILLEGAL_TRANSITION from any other status."""
        self._enter(CampaignStatus.ACTIVE, "resumed", CampaignStatus.PAUSED)
        return CampaignResumed()

    def complete(self) -> CampaignCompleted:
        """End an active or paused campaign. Raises Refused ILLEGAL_TRANSITION from any other status."""
        return CampaignCompleted(
            self._enter(CampaignStatus.COMPLETED, "completed", CampaignStatus.ACTIVE, CampaignStatus.PAUSED)
        )

    def cancel(self) -> CampaignCancelled:
        """Call off a campaign that is not over. Raises Refused ILLEGAL_TRANSITION when it is."""
        return CampaignCancelled(
            self._enter(
                CampaignStatus.CANCELLED,
                "cancelled",
                CampaignStatus.PLANNED,
                CampaignStatus.ACTIVE,
                CampaignStatus.PAUSED,
            )
        )

    def delete(self) -> CampaignDeleted:
        """Return the event of the removal of a campaign that never ran. Raises Refused ILLEGAL_TRANSITION for others:
        PLANNED is the only status from which none of its members was addressed."""
        if self.status != CampaignStatus.PLANNED.value:
            raise undeletable("Campaign", f"it is {self.status}")
        return CampaignDeleted()

    def _enter(self, to: CampaignStatus, done: str, *sources: CampaignStatus) -> str:
        """Take a status that can be reached from `sources` and return the one before."""
        before = CampaignStatus(self.status)
        if before not in sources:
            allowed = " or ".join(source.value for source in sources)
            raise Refused(
                "ILLEGAL_TRANSITION",
                f"A campaign can be {done} when it is {allowed}; this one is {before.value}.",
                ("id",),
            )
        self.status = to.value
        return before.value


_STEPS = tuple(CampaignMemberStatus)
"""The order in which a member gets on. Steps may be left out: a text message is never opened."""

_RESPONSES = frozenset({CampaignMemberStatus.RESPONDED, CampaignMemberStatus.CONVERTED})


class CampaignMember(KeptPart):
    """Somebody that a campaign addresses: a customer, or a person at one.

    A contact is a member of a campaign once, however the customer beside it is filled in, and a customer is a member
    without contact once. Two partial indexes say so; one over all three columns would let a contact in twice, with its
    customer and without.
    """

    __tablename__ = "campaign_member"
    __placement__ = DISTRIBUTED
    __table_args__ = (
        refers("campaign_id", "campaign", on_delete="CASCADE"),
        refers("customer_id", "customer"),
        refers("contact_id", "contact"),
        Index(
            "uq_campaign_member_contact_id",
            "workspace_id",
            "campaign_id",
            "contact_id",
            unique=True,
            postgresql_where=text("contact_id IS NOT NULL"),
        ),
        Index(
            "uq_campaign_member_customer_id",
            "workspace_id",
            "campaign_id",
            "customer_id",
            unique=True,
            postgresql_where=text("contact_id IS NULL"),
        ),
        indexed("campaign_member", "campaign_id"),
        indexed("campaign_member", "customer_id"),
        indexed("campaign_member", "contact_id"),
        CheckConstraint("customer_id IS NOT NULL OR contact_id IS NOT NULL", name="is_somebody"),
        one_of("status", CampaignMemberStatus),
    )

    __coherent__ = (agrees("contact_id", "customer_id"),)

    campaign_id: Mapped[Id]
    customer_id: Mapped[Id | None]
    contact_id: Mapped[Id | None]
    status: Mapped[str] = mapped_column(default=CampaignMemberStatus.TARGETED.value, server_default="TARGETED")
    responded_at: Mapped[datetime | None]

    def check(self) -> None:
        """Raise Refused REQUIRED for a member that is neither a customer nor a contact."""
        if self.customer_id is None and self.contact_id is None:
            raise Refused("REQUIRED", "A member of a campaign is a customer, a contact, or both.", ("customerId",))

    def set_status(self, to: CampaignMemberStatus, at: datetime) -> CampaignMemberStatusChanged:
        """Go forward to a status; the first response is remembered. Raises Refused ILLEGAL_TRANSITION otherwise."""
        before = CampaignMemberStatus(self.status)
        later = _STEPS[_STEPS.index(before) + 1 :]
        if to not in later:
            allowed = ", ".join(step.value for step in later) or "nothing else"
            raise Refused(
                "ILLEGAL_TRANSITION",
                f"A campaign member that is {before.value} can become {allowed}; not {to.value}.",
                ("status",),
            )
        self.status = to.value
        if to in _RESPONSES and self.responded_at is None:
            self.responded_at = at
        return CampaignMemberStatusChanged(self.campaign_id, before.value, to.value)

    @property
    def party(self) -> str:
        """Whom it addresses: the person, or the customer where there is none."""
        party = self.contact_id or self.customer_id
        assert party is not None, "a member is somebody: `check`"
        return party


class Unsubscription(Base):
    """That somebody, a contact or a customer, wants to hear no more. It outlives their place in a campaign, and them:
    no foreign key leads there."""

    __tablename__ = "unsubscription"
    __placement__ = DISTRIBUTED
    __table_args__ = (refers("workspace_id", "workspace"),)

    workspace_id: Mapped[Id] = mapped_column(primary_key=True)
    party_id: Mapped[Id] = mapped_column(primary_key=True)
    since: Mapped[datetime]
