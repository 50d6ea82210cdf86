"""Random roles, filters and operations over all types that a filter may lead to, for `test_related_random.py`."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Any

from crm_graph.identity.tokens import Claims
from tests.support.live import Running

WATCHED = {
    "Customer": "customers",
    "Contact": "contacts",
    "Opportunity": "opportunities",
    "Order": "orders",
    "Ticket": "tickets",
    "Campaign": "campaigns",
    "Product": "products",
}
SCOPES = {
    "Customer": ("ALL", "OWN", "TEAM", "ACCOUNT_TEAM"),
    "Contact": ("ALL", "OWN", "TEAM", "ACCOUNT_TEAM"),
    "Opportunity": ("ALL", "OWN", "TEAM"),
    "Order": ("ALL", "OWN", "TEAM"),
    "Ticket": ("ALL", "OWN", "TEAM", "QUEUE"),
    "Campaign": ("ALL", "OWN", "TEAM", "CAMPAIGN_TEAM"),
}
PARTIAL = {"Customer": ("city", "owner", "parent"), "Contact": ("title",), "Opportunity": ("customer", "nextStep")}
"""Fields that a role may show on some rows only."""
SMALL = ("a", "b", None)
OPTIONAL = {"parentId", "opportunityId", "contactId", "productId"}
TEXTS = {
    "Customer": ("city", "industry"),
    "Contact": ("title",),
    "Opportunity": ("nextStep", "source"),
    "Order": ("notes",),
    "Campaign": ("goal",),
    "Product": ("series", "description"),
    "OrderLine": ("description",),
    "AccountTeamMember": ("duty",),
    "Ticket": ("description",),
    "TicketReply": ("body",),
}
KEYS = {
    "Customer": {"ownerId": "Member", "parentId": "Customer"},
    "Contact": {"customerId": "Customer"},
    "Opportunity": {"ownerId": "Member", "customerId": "Customer", "stageId": "Stage"},
    "StageMove": {"toStageId": "Stage", "fromStageId": "Stage"},
    "Order": {"ownerId": "Member", "customerId": "Customer", "opportunityId": "Opportunity"},
    "Ticket": {"assigneeId": "Member", "customerId": "Customer", "contactId": "Contact", "productId": "Product"},
    "Campaign": {"ownerId": "Member", "teamId": "Team"},
    "CampaignMember": {"customerId": "Customer", "contactId": "Contact"},
    "AccountTeamMember": {"memberId": "Member"},
    "Member": {"teamId": "Team"},
}
EDGES = {
    "Customer": (
        *(("one", "parent", "Customer"), ("one", "owner", "Member"), ("many", "subsidiaries", "Customer")),
        *(("many", "contacts", "Contact"), ("many", "opportunities", "Opportunity"), ("many", "orders", "Order")),
        *(("many", "accountTeam", "AccountTeamMember"), ("many", "tickets", "Ticket")),
        ("many", "campaignMemberships", "CampaignMember"),
    ),
    "Contact": (
        *(("one", "customer", "Customer"), ("many", "tickets", "Ticket")),
        ("many", "campaignMemberships", "CampaignMember"),
    ),
    "Opportunity": (
        *(("one", "customer", "Customer"), ("one", "owner", "Member"), ("one", "stage", "Stage")),
        *(("many", "lines", "OpportunityLine"), ("many", "stageMoves", "StageMove"), ("many", "orders", "Order")),
    ),
    "Order": (
        *(("one", "customer", "Customer"), ("one", "opportunity", "Opportunity"), ("one", "owner", "Member")),
        *(("many", "lines", "OrderLine"), ("many", "statusChanges", "OrderStatusChange")),
    ),
    "Ticket": (
        *(("one", "customer", "Customer"), ("one", "contact", "Contact"), ("one", "assignee", "Member")),
        *(("one", "product", "Product"), ("many", "replies", "TicketReply")),
    ),
    "Campaign": (("one", "owner", "Member"), ("many", "members", "CampaignMember"), ("one", "team", "Team")),
    "Product": (("many", "orderLines", "OrderLine"), ("many", "tickets", "Ticket")),
    "OrderLine": (("one", "order", "Order"), ("one", "product", "Product")),
    "OpportunityLine": (("one", "opportunity", "Opportunity"), ("one", "product", "Product")),
    "CampaignMember": (("one", "campaign", "Campaign"), ("one", "customer", "Customer"), ("one", "contact", "Contact")),
    "AccountTeamMember": (("one", "member", "Member"), ("one", "customer", "Customer")),
    "Member": (("one", "team", "Team"), ("many", "customers", "Customer"), ("many", "opportunities", "Opportunity")),
}


@dataclass(slots=True)
class Chance:
    """One seed's world: what was made, and the dice."""

    live: Running
    admin: Claims
    dice: Random
    ids: dict[str, list[str]] = field(default_factory=dict)
    done: int = 0
    members: list[str] = field(default_factory=list)
    """Who has no random role yet."""

    def any(self, type_: str) -> str | None:
        """Return the id of some record of a type that was made here; None where there is none."""
        found = self.ids.get(type_)
        return self.dice.choice(found) if found else None

    def grants(self) -> list[dict[str, Any]]:
        """Return what a random role may read."""
        found = []
        for type_ in (*SCOPES, "Product", "Member", "Team", "Stage", "Pipeline"):
            scope = self.dice.choice(SCOPES.get(type_, ("ALL",)))
            fields = []
            for name in PARTIAL.get(type_, ()):
                if self.dice.random() < 0.3:
                    level = self.dice.choice(("READ", "READ", "NONE"))
                    fields.append({"field": name, "level": level, "scope": self.dice.choice(SCOPES[type_])})
            verbs = [{"verb": "read", "scope": scope}]
            found.append({"type": type_, "verbs": verbs, "default": "READ", "fields": fields})
        return found

    def where(self, type_: str, depth: int = 0) -> dict[str, Any]:
        """Return a random filter of a type."""
        dice = self.dice
        edges, roll = EDGES.get(type_, ()), dice.random()
        if depth < 3 and edges and roll < 0.65 - 0.1 * depth:
            how, name, target = dice.choice(edges)
            inner = self.where(target, depth + 1)
            return {name: inner if how == "one" else {dice.choice(("some", "some", "none", "every")): inner}}
        if depth < 2 and roll > 0.85:
            both = [self.where(type_, depth + 1) for _ in range(2)]
            return dice.choice([{"and": both}, {"or": both}, {"not": both[0]}])
        leaves = [*TEXTS.get(type_, ()), *KEYS.get(type_, ())]
        if not leaves:
            return {}
        leaf = dice.choice(leaves)
        key_of = KEYS.get(type_, {}).get(leaf)
        value = self.any(key_of) if key_of else dice.choice("ab")
        if value is None or dice.random() < 0.2:
            return {leaf: {"isNull": dice.random() < 0.5}}
        return {leaf: {dice.choice(("eq", "eq", "ne")): value}}

    async def operate(self) -> None:
        """Do something; what is refused is nothing that happened."""
        before = self.done
        while self.done == before:
            kind = self.dice.choice(_OPERATIONS)
            await kind(self)

    async def _mutate(self, name: str, input_: dict[str, Any], selection: str, type_: str | None = None) -> None:
        of = f"{name[0].upper()}{name[1:]}Input!"
        source = f"mutation ($input: {of}) {{ {name}(input: $input) {{ {selection} errors {{ code message }} }} }}"
        body = await self.live.answer(self.admin, source, {"input": input_})
        assert "errors" not in body, body
        payload = body["data"][name]
        if payload["errors"]:
            return
        self.done += 1
        if type_ is not None:
            (made,) = (value for key, value in payload.items() if key != "errors")
            self.ids.setdefault(type_, []).append(made["id"])

    def _values(self, type_: str, *without: str) -> dict[str, Any]:
        """Return some values of the fields of a type."""
        found: dict[str, Any] = {}
        for name in TEXTS.get(type_, ()):
            if self.dice.random() < 0.5:
                found[name] = self.dice.choice(SMALL)
        for name, target in KEYS.get(type_, {}).items():
            if name not in without and self.dice.random() < 0.5:
                found[name] = self.any(target)
                if name in OPTIONAL and self.dice.random() < 0.3:
                    found[name] = None
                elif found[name] is None:
                    del found[name]
        return found

    async def create(self, type_: str | None = None) -> None:
        """Make a record of a main type."""
        type_ = type_ or self.dice.choice(list(WATCHED))
        values = {name: value for name, value in self._values(type_).items() if value is not None}
        values |= {"Ticket": {"subject": "s"}, "Order": {}}.get(type_, {"name": "n"})
        if type_ in {"Contact", "Order"}:
            values["customerId"] = self.any("Customer")
        if type_ == "Campaign":
            values["channel"] = "EMAIL"
        if type_ == "Order" and self.dice.random() < 0.7:
            line = {"productId": self.any("Product"), "quantity": "1", "unitPrice": "1"}
            values["lines"] = [{**line, "description": self.dice.choice("ab")} for _ in range(self.dice.randint(1, 2))]
        if type_ == "Ticket":
            values |= {"kind": "QUESTION", "channel": "EMAIL", "priority": "NORMAL"}
        small = type_[0].lower() + type_[1:]
        await self._mutate(f"create{type_}", values, f"{small} {{ id }}", type_)

    async def update(self) -> None:
        """Change a record of a main type."""
        type_ = self.dice.choice(list(WATCHED))
        id_ = self.any(type_)
        values = self._values(type_, "stageId", "assigneeId")
        if id_ is not None and values:
            small = type_[0].lower() + type_[1:]
            await self._mutate(f"update{type_}", {"id": id_, **values}, f"{small} {{ id }}")

    async def remove(self) -> None:
        """Delete a record of a main type."""
        type_ = self.dice.choice(["Opportunity", "Order", "Ticket", "Campaign", "Customer", "Contact"])
        id_ = self.any(type_)
        if id_ is not None:
            before = self.done
            await self._mutate(f"delete{type_}", {"id": id_}, "deletedId")
            if self.done > before:
                self.ids[type_].remove(id_)

    async def move(self) -> None:
        """Move an opportunity."""
        await self._of("Opportunity", "moveOpportunity", "id", {"stageId": self.any("Stage")}, "opportunity { id }")

    async def line(self) -> None:
        """Add a line to an order, or to an opportunity."""
        values = {"productId": self.any("Product"), "quantity": "1", "unitPrice": "1"}
        if self.dice.random() < 0.5:
            await self._of(
                "Opportunity", "addOpportunityLine", "opportunityId", values, "line { id }", "OpportunityLine"
            )
        else:
            more = {**values, "description": self.dice.choice("ab")}
            await self._of("Order", "addOrderLine", "orderId", more, "line { id }", "OrderLine")

    async def unline(self) -> None:
        """Take a line off."""
        type_ = self.dice.choice(["OrderLine", "OpportunityLine"])
        await self._of(type_, f"remove{type_}", "id", {}, "deletedId")

    async def join(self) -> None:
        """Put somebody into an account team, or take somebody out."""
        entry = "AccountTeamMember"
        if self.dice.random() < 0.6:
            values = {"memberId": self.any("Member"), "duty": self.dice.choice("ab")}
            await self._of("Customer", f"add{entry}", "customerId", values, "accountTeamMember { id }", entry)
        else:
            await self._of(entry, f"remove{entry}", "id", {}, "deletedId")

    async def address(self) -> None:
        """Put a customer into a campaign, or take one out."""
        if self.dice.random() < 0.6:
            values = {"customerId": self.any("Customer")}
            await self._of("Campaign", "addCampaignMember", "campaignId", values, "member { id }", "CampaignMember")
        else:
            await self._of("CampaignMember", "removeCampaignMember", "id", {}, "deletedId")

    async def reply(self) -> None:
        """Reply to a ticket."""
        values = {"body": self.dice.choice("ab"), "public": True}
        await self._of("Ticket", "addTicketReply", "ticketId", values, "reply { id }", "TicketReply")

    async def reorganise(self) -> None:
        """Put a member into another team, sometimes: whoever sees by teams is then told to read all anew."""
        if self.dice.random() < 0.7:
            return
        await self._of("Member", "updateMember", "id", {"teamId": self.any("Team")}, "member { id }")

    async def _of(
        self, type_: str, name: str, key: str, values: dict[str, Any], selection: str, makes: str | None = None
    ) -> None:
        id_ = self.any(type_)
        if id_ is not None and None not in values.values():
            await self._mutate(name, {key: id_, **values}, selection, makes)


_OPERATIONS = (
    *(Chance.create, Chance.create, Chance.update, Chance.update, Chance.update, Chance.update, Chance.remove),
    *(Chance.move, Chance.line, Chance.unline, Chance.join, Chance.address, Chance.reply, Chance.reorganise),
)
