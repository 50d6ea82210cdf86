"""Random worlds: a small workspace with teams, members, roles and rows of every type, written by plain SQL.

Small numbers and few values, so that there are equals to order, groups to count and edges to nothing, and so that each
row is likely to decide some answer.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import orjson

from crm_graph.identity.tokens import Claims
from tests.permissions.oracle.grants import everything, invent_role
from tests.permissions.oracle.kinds import Field, Kind, kinds
from tests.permissions.oracle.roles import install_roles
from tests.permissions.oracle.world import ADMIN, ALMIGHTY, World, read_world
from tests.support.graph import Graph

NAMES = ("Anna", "anna", "Bo", "Zoe", "张三", "李四", "Olaf_1", "50% off", "Çelik")
WORDS = ("web", "fair", "Referral", "web shop", "x")
MAILS = ("anna@x.example", "abel@x.example", "a@y.example", "zoe@y.example")
PHONES = ("+86 10 1234", "+86 10 5634", "555 99", "1")
AMOUNTS = ("100", "100", "250.5", "999.9999", "0", "0.5", "1200", "4711")
NUMBERS = ("11010519491231002X", "AB 12-34", "ab1234", "7")
UNIQUE = frozenset({"externalId", "number", "sku", "slug"})
START = datetime(2026, 1, 1, tzinfo=UTC)
_REQUIRED = """
SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public' AND is_nullable = 'NO'
"""


class Inventor:
    """Makes the rows of one workspace, by table. `required` are the columns that must have a value."""

    def __init__(self, dice: random.Random, required: frozenset[tuple[str, str]]) -> None:
        self.dice = dice
        self.required = required
        self.workspace = self.key()
        self.tables: dict[str, list[dict[str, Any]]] = {}

    def key(self) -> str:
        """Return an id."""
        return f"{self.dice.getrandbits(128):032x}"

    def keys(self, kind: str) -> list[str]:
        """Return the ids of the rows of a type that there are by now."""
        return [row["id"] for row in self.tables.get(kinds()[kind].table, [])]

    def some(self, kind: str, least: int, most: int) -> list[str]:
        """Return the ids of some rows of a type."""
        keys = self.keys(kind)
        return self.dice.sample(keys, min(len(keys), self.dice.randint(least, most)))

    def make(self, kind_name: str, **given: Any) -> dict[str, Any]:
        """Add a row of a type and return it; what is not given is random."""
        kind = kinds()[kind_name]
        time = self.time()
        row = {"workspace_id": self.workspace, "id": given.get("id") or self.key(), "version": self.dice.randint(1, 3)}
        row |= {"created_at": time, "updated_at": time}
        row = {"workspace_id": row["workspace_id"], "id": row["id"]} if kind.bare else row
        if kind.kept:
            row["archived_at"] = self.time() if self.dice.random() < 0.15 else None
        if kind.kept or (kind.whole is not None and kind.whole.kept):
            row["deleted_at"] = None
        for each in kind.governed:
            if each.column not in row and each.column not in given and each.of != "sealed":
                row |= self.values(kind, each, {**row, **given})
        row |= given
        self.tables.setdefault(kind.table, []).append(row)
        return row

    def values(self, kind: Kind, each: Field, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return random values of the columns of a field."""
        needed = (kind.table, each.column) in self.required
        if each.of == "money":
            amount = Decimal(self.dice.choice(AMOUNTS)) if needed or self.dice.random() < 0.65 else None
            currency = each.columns[1]
            known = row.get(currency) or self.dice.choice(("CNY", "EUR"))
            always = (kind.table, currency) in self.required
            return {each.column: amount, currency: known if always or amount is not None else row.get(currency)}
        if each.of == "one":
            keys = self.keys(each.target)
            return {each.column: self.dice.choice(keys) if keys and (needed or self.dice.random() < 0.75) else None}
        if not needed and self.dice.random() < 0.3:
            return {each.column: None}
        return {each.column: self.value(kind, each)}

    def value(self, kind: Kind, each: Field) -> Any:
        """Return a random value of a leaf."""
        dice = self.dice
        if each.name in UNIQUE:
            return f"{kind.prefix}{len(self.tables.get(kind.table, []))}"
        pools: dict[str, Sequence[Any]] = {
            "text": MAILS if each.mask == "email" else PHONES if each.mask == "phone" else (*NAMES, *WORDS),
            "enum": each.values,
            "int": (1, 2, 3, 4, 5),
            "decimal": (Decimal(1), Decimal(2), Decimal("12.5")),
            "bool": (True, False),
            "code": ("CNY", "EUR"),
            "texts": ([], ["a"], ["b", "a"]),
            "tag": ("cus_1", "opp_1"),
            "json": ([], [{"claim": "x"}]),
        }
        if each.of == "date":
            return self.time().date()
        return self.time() if each.of == "moment" else dice.choice(pools[each.of])

    def time(self) -> datetime:
        """Return a time of some months."""
        return START + timedelta(days=self.dice.randint(0, 200), hours=self.dice.choice((0, 12, 17, 23)))

    def everything(self) -> None:
        """Make all rows."""
        zone = self.dice.choice(("UTC", "Asia/Shanghai", "America/New_York"))
        slug = f"w{self.workspace}"
        self.make("Workspace", id=self.workspace, slug=slug, base_currency="CNY", time_zone=zone)
        self.people()
        for _ in range(self.dice.randint(1, 3)):
            self.make("Product")
        self.pipelines()
        for _ in range(self.dice.randint(4, 9)):
            customer = self.make("Customer")["id"]
            for member in self.some("Member", 0, 2):
                self.make("AccountTeamMember", customer_id=customer, member_id=member)
        for _ in range(self.dice.randint(3, 8)):
            self.make("Contact")
        self.deals()
        self.orders()
        self.campaigns()
        for _ in range(self.dice.randint(3, 7)):
            ticket = self.make("Ticket")["id"]
            for _ in range(self.dice.choice((0, 1, 2))):
                self.make("TicketReply", ticket_id=ticket)
        self.clients()
        self.delete()

    def delete(self) -> None:
        """Put some rows into the recycle bin that nothing points to but what is there too, with their parts."""
        for _ in range(2):
            for kind in kinds().values():
                for row in self.tables.get(kind.table, []) if kind.kept else ():
                    if row["deleted_at"] is None and self.dice.random() < 0.15 and not self.used(kind, row["id"]):
                        row["deleted_at"] = self.time()
                        for part, each in self.pointing(kind):
                            for other in self.tables.get(part.table, []) if part.part == each.name else ():
                                if other[each.column] == row["id"]:
                                    other["deleted_at"] = row["deleted_at"]

    def pointing(self, kind: Kind) -> list[tuple[Kind, Field]]:
        """Return the edges to one that lead to a type."""
        return [(other, each) for other in kinds().values() for each in other.all("one") if each.target == kind.name]

    def used(self, kind: Kind, key: str) -> bool:
        """Return whether a row that is not in the bin, and no part of it, points to a row."""
        return any(
            other[each.column] == key and other.get("deleted_at") is None
            for source, each in self.pointing(kind)
            if source.part != each.name
            for other in self.tables.get(source.table, [])
        )

    def clients(self) -> None:
        """Make API clients with keys, identity providers with identities, and entries of the audit trail."""
        for roles in (None, ["role_0", "role_1"]):
            more = {"kind": "CONFIDENTIAL", "roles": roles, "requests_per_minute": None, "cost_per_minute": None}
            client = self.make(
                "ApiClient", name=f"client of {roles}", document_mode="OPEN", on_error="PROPAGATE", **more
            )["id"]
            self.make("ApiKey", client_id=client, sha256=self.key())
        provider = self.make("IdentityProvider", name="theirs")["id"]
        for member in self.some("Member", 0, 3):
            self.make("MemberIdentity", provider_id=provider, member_id=member, subject=f"subject {member[:4]}")
        for _ in range(self.dice.randint(1, 3)):
            hook = self.make("WebhookEndpoint", status="PAUSED", cursor="1-1")["id"]
            for number in range(self.dice.randint(0, 3)):
                self.make("WebhookDelivery", endpoint_id=hook, event_seq=number, entity_id=hook)
        for number in range(1, self.dice.randint(2, 6)):
            self.make("AuditEntry", number=number, event_xid=number, event_seq=number)

    def people(self) -> None:
        """Make members, most of them in a team, and a tree of teams, some of them managed."""
        for number in range(self.dice.randint(5, 8)):
            status = "SUSPENDED" if number > 3 and self.dice.random() < 0.3 else "ACTIVE"
            email = f"{self.dice.choice('abc')}{number}@{self.dice.choice(('x', 'y'))}.example"
            self.make("Member", kind="PERSON", status=status, email=email, team_id=None)
        for number in range(self.dice.randint(2, 5)):
            self.make("Team", name=f"team {number}")
        for row in self.tables["member"]:
            row["team_id"] = self.dice.choice([*self.keys("Team"), None])

    def pipelines(self) -> None:
        """Make pipelines with their stages."""
        for name in ("inbound", "outbound")[: self.dice.randint(1, 2)]:
            pipeline = self.make("Pipeline", name=name)["id"]
            for position, kind in enumerate(("OPEN", "OPEN", "WON", "LOST")):
                required = ["lostReason"] if kind == "LOST" else []
                more = {"position": position, "kind": kind, "required_fields": required}
                self.make("Stage", pipeline_id=pipeline, name=f"stage {position}", **more)

    def deals(self) -> None:
        """Make opportunities with lines and moves."""
        for _ in range(self.dice.randint(4, 9)):
            stage = self.dice.choice(self.tables["stage"])
            where = {"pipeline_id": stage["pipeline_id"], "stage_id": stage["id"], "status": stage["kind"]}
            deal = self.make("Opportunity", **where)["id"]
            for _ in range(self.dice.choice((0, 1, 2))):
                self.make("OpportunityLine", opportunity_id=deal)
            for _ in range(self.dice.choice((0, 1, 2))):
                self.make("StageMove", opportunity_id=deal)

    def orders(self) -> None:
        """Make orders with lines and changes of status."""
        for _ in range(self.dice.randint(3, 7)):
            total = Decimal(self.dice.choice(AMOUNTS))
            order = self.make("Order", subtotal=total + self.dice.choice((0, 50)), total=total)["id"]
            for _ in range(self.dice.choice((0, 1, 2))):
                self.make("OrderLine", order_id=order)
            for _ in range(self.dice.choice((0, 1, 2))):
                self.make("OrderStatusChange", order_id=order)

    def campaigns(self) -> None:
        """Make campaigns with members."""
        for _ in range(self.dice.randint(2, 5)):
            campaign = self.make("Campaign", ends_on=None)["id"]
            for customer in self.some("Customer", 0, 2):
                self.make("CampaignMember", campaign_id=campaign, customer_id=customer, contact_id=None)
            for contact in self.some("Contact", 0, 2):
                self.make("CampaignMember", campaign_id=campaign, contact_id=contact)


async def invent_world(graph: Graph, dice: random.Random) -> World:
    """Make a random workspace, write it, and return what is then there."""
    required = frozenset((row[0], row[1]) for row in await graph.rows(_REQUIRED))
    inventor = Inventor(dice, required)
    inventor.everything()
    roles = {f"role_{number}": invent_role(dice) for number in range(dice.randint(4, 6))}
    held = inventor.tables["member_role"] = []
    for index, member in enumerate(inventor.keys("Member")):
        given = [ALMIGHTY, ADMIN] if index == 0 else dice.sample(list(roles), dice.choice((1, 1, 1, 2, 2, 3)))
        held += [{"workspace_id": inventor.workspace, "member_id": member, "role": role} for role in given]
    await write(graph, inventor.tables)
    await install_roles(graph, inventor.workspace, {**roles, ALMIGHTY: everything()})
    empty = World(inventor.workspace, roles={**roles, ALMIGHTY: everything(), ADMIN: everything()})
    return await read_world(graph, empty, sealed=await _seal(graph, dice, await read_world(graph, empty)))


async def _seal(graph: Graph, dice: random.Random, world: World) -> dict[str, str]:
    """Give some contacts numbers that are encrypted where they are stored, and return these by the contacts' ids."""
    contacts = list(world.of("Contact"))
    sealed = {key: dice.choice(NUMBERS) for key in dice.sample(contacts, len(contacts) // 2)}
    source = "mutation($input: UpdateContactInput!) { updateContact(input: $input) { errors { message } } }"
    for key, number in sealed.items():
        claims = Claims(world.workspace, world.almighty, datetime.now(UTC) + timedelta(hours=1))
        given = {"input": {"id": f"con_{key}", "nationalId": number}}
        data = await graph.data(source, given, claims=claims)
        assert data == {"updateContact": {"errors": []}}
    return sealed


async def write(graph: Graph, tables: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Insert rows; a member's team is set once there are teams."""
    late = [{**row, "team_id": None} for row in tables["member"]]
    for table, rows in {**tables, "member": late}.items():
        names = ", ".join(rows[0])
        given = f"SELECT {names} FROM jsonb_populate_recordset(null::{table}, $1)"
        await graph.rows(f"INSERT INTO {table} ({names}) {given}", plain(rows))
    await graph.rows(
        "UPDATE member SET team_id = given.team_id FROM jsonb_populate_recordset(null::member, $1) AS given"
        " WHERE member.workspace_id = given.workspace_id AND member.id = given.id",
        plain(tables["member"]),
    )


def plain(rows: Sequence[Mapping[str, Any]]) -> Any:
    """Return rows as JSON can say them: exact numbers as texts, which Postgres reads as numbers."""
    return orjson.loads(orjson.dumps(rows, default=str))
