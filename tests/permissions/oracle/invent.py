"""Random worlds: a small workspace with teams, members, roles and rows of every type, written by plain SQL.

Small numbers and few values, so that there are equals to order, groups to count and edges to nothing, and so that each
row is likely to decide some answer.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import orjson

from tests.permissions.oracle.grants import everything, invent_role
from tests.permissions.oracle.kinds import kinds
from tests.permissions.oracle.roles import install_roles
from tests.permissions.oracle.world import World, read_world
from tests.support.graph import Graph

ALMIGHTY = "almighty"
"""The role that may do everything; the first member has it."""
NAMES = ("Anna", "anna", "Bo", "Zoe", "张三", "李四", "Olaf_1", "50% off", "Çelik")
WORDS = ("web", "fair", "Referral", "web shop", "x")
NOTHING: Sequence[None] = (None,)
START = datetime(2026, 1, 1, tzinfo=UTC)


class Inventor:
    """Makes the rows of one workspace, by table."""

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        self.workspace = self.key()
        self.tables: dict[str, list[dict[str, Any]]] = {}

    def key(self) -> str:
        """Return an id."""
        return f"{self.dice.getrandbits(128):032x}"

    def row(self, table: str, **values: Any) -> str:
        """Add a row and return its id."""
        key = str(values.pop("id", None) or self.key())
        made = {"workspace_id": self.workspace, "id": key, "version": self.dice.randint(1, 3), **values}
        made["created_at"] = made["updated_at"] = self.time()
        self.tables.setdefault(table, []).append(made)
        return key

    def keys(self, table: str) -> list[str]:
        """Return the ids of a table."""
        return [row["id"] for row in self.tables.get(table, [])]

    def some(self, table: str, often: float = 0.8) -> str | None:
        """Return the id of a row of a table, or None."""
        keys = self.keys(table)
        return self.dice.choice(keys) if keys and self.dice.random() < often else None

    def one(self, table: str) -> str:
        """Return the id of a row of a table."""
        return self.dice.choice(self.keys(table))

    def maybe(self, *values: Any, often: float = 0.7) -> Any:
        """Return one of these values, or None."""
        return self.dice.choice(values) if self.dice.random() < often else None

    def time(self) -> datetime:
        """Return a time of some months, now and then one of a few."""
        return START + timedelta(days=self.dice.randint(0, 200), hours=self.dice.choice((0, 12, 17, 23)))

    def day(self) -> date:
        """Return a day."""
        return self.time().date()

    def amount(self) -> Decimal:
        """Return an amount, often one that there is already."""
        return Decimal(self.dice.choice(("100", "100", "250.5", "999.9999", "0", "1200", str(self.dice.randint(1, 5000)))))

    def money(self, *columns: str, often: float = 0.7) -> dict[str, Any]:
        """Return values of amounts with their currency, or none of them."""
        amounts = {name: self.amount() if self.dice.random() < often else None for name in columns}
        any_ = any(value is not None for value in amounts.values())
        return {**amounts, "currency": self.dice.choice(("CNY", "EUR")) if any_ else None}

    def unique(self, table: str, prefix: str) -> str | None:
        """Return a text that no other row of the table has, or None."""
        return self.maybe(f"{prefix}{len(self.tables.get(table, []))}", often=0.5)

    def everything(self) -> None:
        """Make all rows."""
        zone = self.dice.choice(("UTC", "Asia/Shanghai", "America/New_York"))
        self.row(
            "workspace", id=self.workspace, name="W", slug=f"w{self.workspace}", base_currency="CNY", time_zone=zone,
            directory_version=0,
        )  # fmt: skip
        self.people()
        self.catalogue()
        self.customers()
        self.deals()
        self.orders()
        self.audience()
        self.tickets()
        self.row("api_client", name="shop", document_mode="OPEN")

    def people(self) -> None:
        """Make a tree of teams, some of them managed, and members in some of them."""
        dice = self.dice
        for number in range(dice.randint(5, 8)):
            self.row(
                "member", kind="PERSON", name=dice.choice(NAMES), email=f"{dice.choice('abc')}{number}@{dice.choice(('x', 'y'))}.example",
                status="SUSPENDED" if number > 3 and dice.random() < 0.3 else "ACTIVE", team_id=None, manager_id=self.some("member", 0.5), external_id=self.unique("member", "m"),
            )  # fmt: skip
        for number in range(dice.randint(2, 5)):
            self.row(
                "team", name=f"team {number}", parent_id=self.some("team", 0.7), manager_id=self.some("member", 0.6)
            )
        for row in self.tables["member"]:
            row["team_id"] = self.some("team", 0.75)

    def catalogue(self) -> None:
        """Make products, pipelines and stages."""
        dice = self.dice
        for number in range(dice.randint(1, 3)):
            self.row(
                "product", name=dice.choice(NAMES), sku=self.unique("product", "sku"), series=self.maybe("A", "b"),
                description=None, active=number != 1, **self.money("price"),
            )  # fmt: skip
        for name in ("inbound", "outbound")[: dice.randint(1, 2)]:
            pipeline = self.row("pipeline", name=name)
            for position, (stage, kind) in enumerate((("new", "OPEN"), ("hot", "OPEN"), ("won", "WON"), ("lost", "LOST"))):
                required = ["lostReason"] if kind == "LOST" else []
                self.row(
                    "stage", pipeline_id=pipeline, name=stage, position=position, kind=kind,
                    probability=position * 25, required_fields=required,
                )  # fmt: skip

    def customers(self) -> None:
        """Make customers, some below others, and contacts."""
        dice = self.dice
        for _ in range(dice.randint(4, 9)):
            self.row(
                "customer", kind=dice.choice(("COMPANY", "PERSON")), name=dice.choice(NAMES),
                lifecycle=dice.choice(("POTENTIAL", "ACTIVE", "CHURNED")), lifecycle_since=self.time(),
                industry=self.maybe(*WORDS), email=self.maybe("info@x.example", "a@y.example"),
                phone=self.maybe("+86 10 1234", "+86 10 5634", "1"), website=self.maybe("x.example", often=0.2),
                city=self.maybe("Paris", "paris", "北京"), country=self.maybe("FR", "CN"),
                employees=self.maybe(1, 5, 5, 60), founded_year=self.maybe(1999, 2020), **self.money("annual_revenue"),
                source=self.maybe(*WORDS), owner_id=self.some("member", 0.9), parent_id=self.some("customer", 0.4),
                external_id=self.unique("customer", "c"),
            )  # fmt: skip
        for customer in self.keys("customer"):
            for member in dice.sample(self.keys("member"), dice.choice((0, 0, 1, 2))):
                duty = self.maybe("presales", often=0.5)
                self.row("account_team_member", customer_id=customer, member_id=member, duty=duty)
        for _ in range(dice.randint(3, 8)):
            self.row(
                "contact", customer_id=self.one("customer"), name=self.maybe(*NAMES), title=self.maybe("CEO", "cfo"),
                email=self.maybe("anna@x.example", "abel@x.example", "zoe@y.example"), phone=self.maybe("555 12", "555 99"),
                external_id=self.unique("contact", "k"),
            )  # fmt: skip

    def deals(self) -> None:
        """Make opportunities with lines and moves."""
        dice = self.dice
        stages = {row["id"]: row for row in self.tables["stage"]}
        for _ in range(dice.randint(4, 9)):
            stage = stages[self.one("stage")]
            opportunity = self.row(
                "opportunity", name=dice.choice(NAMES), customer_id=self.some("customer"), pipeline_id=stage["pipeline_id"],
                stage_id=stage["id"], stage_since=self.time(), status=stage["kind"], amount=self.maybe(self.amount()),
                currency=dice.choice(("CNY", "EUR")), probability=dice.choice((0, 25, 50)), expected_close=self.maybe(self.day()),
                opened_on=self.maybe(self.day()), closed_on=None, next_step=self.maybe(*WORDS), source=self.maybe(*WORDS),
                lost_reason=self.maybe("price", often=0.3), owner_id=self.some("member", 0.9),
                external_id=self.unique("opportunity", "o"),
            )  # fmt: skip
            for _ in range(dice.choice((0, 1, 2))):
                self.row("opportunity_line", opportunity_id=opportunity, **self.line(dice.choice(("CNY", "EUR"))))
            for _ in range(dice.choice((0, 1, 2))):
                self.row(
                    "stage_move", opportunity_id=opportunity, from_stage_id=self.some("stage", 0.5), to_stage_id=stage["id"],
                    member_id=self.one("member"), moved_at=self.time(), seconds_in_stage=self.maybe(0, 60),
                )  # fmt: skip

    def line(self, currency: str) -> dict[str, Any]:
        """Return the values of a line."""
        quantity, price = Decimal(self.dice.randint(1, 4)), self.amount()
        return {
            "product_id": self.one("product"),
            "quantity": quantity,
            "unit_price": price,
            "discount_percent": Decimal(0),
            "currency": currency,
            "total": quantity * price,
        }

    def orders(self) -> None:
        """Make orders with lines and changes of status."""
        dice = self.dice
        statuses = kinds()["Order"].fields["status"].values
        for number in range(dice.randint(3, 7)):
            currency, status = dice.choice(("CNY", "EUR")), dice.choice(statuses)
            lines = [self.line(currency) for _ in range(dice.choice((0, 1, 2)))]
            total = sum((line["total"] for line in lines), Decimal(0))
            order = self.row(
                "sales_order", number=f"SO-{number}", customer_id=self.one("customer"), opportunity_id=self.some("opportunity", 0.6),
                owner_id=self.some("member", 0.9), status=status, currency=currency, subtotal=total, discount_percent=Decimal(0),
                total=total, ordered_on=self.day(), submitted_at=self.maybe(self.time()), approved_at=None,
                approved_by_id=self.some("member", 0.4), rejected_reason=self.maybe("dear", often=0.3),
                cancelled_reason=None, shipped_at=None, delivered_at=None, closed_at=None, notes=self.maybe(*WORDS),
                external_id=self.unique("sales_order", "s"),
            )  # fmt: skip
            for line in lines:
                self.row("order_line", order_id=order, description=self.maybe(*WORDS), **line)
            for _ in range(dice.choice((0, 1, 2))):
                self.row(
                    "order_status_change", order_id=order, from_status=self.maybe("DRAFT"), to_status=status,
                    member_id=self.one("member"), changed_at=self.time(), reason=self.maybe("dear", often=0.3),
                )  # fmt: skip

    def audience(self) -> None:
        """Make campaigns with members."""
        dice = self.dice
        for _ in range(dice.randint(2, 5)):
            start = self.day()
            campaign = self.row(
                "campaign", name=dice.choice(NAMES), channel=dice.choice(("EMAIL", "EVENT")),
                status=dice.choice(("PLANNED", "ACTIVE", "PAUSED")), starts_on=self.maybe(start), ends_on=None,
                **self.money("budget", "cost", often=0.5), goal=self.maybe(*WORDS), owner_id=self.some("member", 0.9),
                team_id=self.some("team", 0.5),
                external_id=self.unique("campaign", "p"),
            )  # fmt: skip
            for customer in dice.sample(self.keys("customer"), dice.choice((0, 1, 2))):
                self.member(campaign, customer, None)
            for contact in dice.sample(self.keys("contact"), dice.choice((0, 1, 2))):
                self.member(campaign, self.some("customer", 0.3), contact)

    def member(self, campaign: str, customer: str | None, contact: str | None) -> None:
        """Put somebody into a campaign."""
        status = self.dice.choice(("TARGETED", "SENT", "RESPONDED"))
        responded = self.maybe(self.time(), often=0.4)
        self.row(
            "campaign_member", campaign_id=campaign, customer_id=customer, contact_id=contact, status=status,
            responded_at=responded,
        )  # fmt: skip

    def tickets(self) -> None:
        """Make tickets with replies."""
        dice = self.dice
        of = kinds()["Ticket"].fields
        for number in range(dice.randint(3, 7)):
            ticket = self.row(
                "ticket", number=f"T-{number}", subject=dice.choice(NAMES), description=self.maybe(*WORDS),
                kind=dice.choice(of["kind"].values), channel=dice.choice(of["channel"].values),
                priority=dice.choice(of["priority"].values), status=dice.choice(of["status"].values),
                customer_id=self.some("customer"), contact_id=self.some("contact", 0.5), product_id=self.some("product", 0.5),
                assignee_id=self.some("member", 0.7), queue_id=self.some("team", 0.5), first_response_at=self.maybe(self.time(), often=0.4), resolved_at=None,
                closed_at=None, resolution=self.maybe("done", often=0.3), satisfaction=self.maybe(1, 5, 5),
                external_id=self.unique("ticket", "t"),
            )  # fmt: skip
            for _ in range(dice.choice((0, 1, 2))):
                self.row(
                    "ticket_reply", ticket_id=ticket, body=dice.choice(WORDS), public=dice.random() < 0.5,
                    author_id=self.one("member"),
                )  # fmt: skip


async def invent_world(graph: Graph, dice: random.Random) -> World:
    """Make a random workspace, write it, and return what is then there."""
    inventor = Inventor(dice)
    inventor.everything()
    roles = {f"role_{number}": invent_role(dice) for number in range(dice.randint(4, 6))}
    names = list(roles)
    for index, member in enumerate(inventor.keys("member")):
        held = [ALMIGHTY] if index == 0 else dice.sample(names, dice.choice((1, 1, 1, 2, 2, 3)))
        for role in held:
            inventor.tables.setdefault("member_role", []).append(
                {"workspace_id": inventor.workspace, "member_id": member, "role": role}
            )
    await write(graph, inventor.tables)
    granted = {**roles, ALMIGHTY: everything()}
    await install_roles(graph, inventor.workspace, granted)
    return await read_world(graph, inventor.workspace, granted)


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
