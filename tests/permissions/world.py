"""A world in which every answer shows whose it is: one row of every type in every place, each value of them telling.

The rows are written by plain SQL, whatever the types are: a new type or column is in the world as soon as it is in the
metadata. Foreign keys that say where a row belongs stay in its place; all others cross over, so that rows that may be
seen point to rows that may not.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import count
from typing import Any

from sqlalchemy import ARRAY, JSON, Boolean, CheckConstraint, Date, DateTime, Integer, Numeric, Table, Uuid

from crm_graph.db.base import KEEPING
from crm_graph.graph.records.record import Record
from crm_graph.identity.tokens import Claims
from crm_graph.kernel.ids import encode_id, new_id
from crm_graph.vault.columns import encrypted_columns
from tests.permissions.matrix import PLACES
from tests.support.graph import Graph

FOREIGN = "foreign"
"""The place of rows of another workspace."""
EVERYWHERE = (*PLACES, FOREIGN)
ANCHORS: Mapping[str, str] = {
    "Customer": "owner_id",
    "AuditEntry": "actor_id",
    "AccountTeamMember": "customer_id",
    "Contact": "customer_id",
    "Opportunity": "owner_id",
    "OpportunityLine": "opportunity_id",
    "StageMove": "opportunity_id",
    "Order": "owner_id",
    "OrderLine": "order_id",
    "OrderStatusChange": "order_id",
    "Campaign": "owner_id",
    "CampaignMember": "campaign_id",
    "Ticket": "assignee_id",
    "TicketReply": "ticket_id",
    "Job": "created_by_id",
}
"""The column that says whose a row is. Members are each their own; the other types belong to the whole workspace."""
UNOWNED = frozenset(
    {
        *("Workspace", "Member", "Team", "ApiClient", "ApiKey", "IdentityProvider", "MemberIdentity"),
        *("Product", "ExchangeRate", "Pipeline", "Stage", "WebhookEndpoint", "WebhookDelivery"),
    }
)
_PINNED = {("member", "team_id"): {"own": "own", "team": "own"}, ("team", "manager_id"): {"own": "outside"}}
"""Which row a foreign key points to where crossing would change who is in the viewer's team."""
_CROSSED = {"own": "own", "team": "outside", "outside": "team", FOREIGN: FOREIGN}
_FIXED: Mapping[tuple[str, str], Any] = {
    ("stage", "required_fields"): [],
    ("ticket", "satisfaction"): 3,
    ("workspace", "time_zone"): "UTC",
    ("member", "status"): "ACTIVE",
    ("member", "kind"): "PERSON",
    ("audit_entry", "actor_kind"): "MEMBER",
    ("api_client", "redirect_uris"): ["https://canary.example/back"],
    ("api_client", "member_id"): None,
    ("api_client", "roles"): ["analyst"],
    ("webhook_endpoint", "url"): "https://canary.example/hook",
    ("webhook_endpoint", "filter"): {},
    ("webhook_endpoint", "selection"): "{ __typename }",
    ("webhook_endpoint", "event_types"): ["CustomerUpdated"],
    ("webhook_endpoint", "roles"): ["analyst"],
    ("webhook_endpoint", "status"): "ACTIVE",
    ("webhook_endpoint", "cursor"): "ff-ff",
    ("webhook_delivery", "status"): "DELIVERED",
    ("identity_provider", "scopes"): ["openid"],
    ("identity_provider", "audiences"): ["canary"],
    ("identity_provider", "email_domains"): [],
    ("identity_provider", "default_roles"): [],
}
"""Values that rules of the product need to be so; all others are made up."""
_CURRENCIES = {"own": "MRU", "team": "TOP", "outside": "WST", FOREIGN: "SZL"}
_VERSIONS = count(1_000_000)
ADDED = 100_000
"""From this number on, values are those of rows that were added."""
_CHOICE = re.compile(r"^\w+ IN \('(\w+)'")
_BETWEEN = re.compile(r"(\w+) BETWEEN (\d+) AND (\d+)\Z")


# Attempts are of all workspaces, and are counted whatever becomes of them.
_TABLES = """
SELECT c.relname AS name, EXISTS (SELECT 1 FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'workspace_id'
                                  AND NOT a.attisdropped) AS tenant
FROM pg_class c WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relnamespace = 'public'::regnamespace
  AND c.relname NOT IN ('alembic_version', 'attempt') ORDER BY 1"""


@dataclass(slots=True)
class World:
    """The rows by type and place. `become` gives the viewer, who is the member at `own`, their roles."""

    graph: Graph
    rows: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    places: dict[tuple[str, str], str] = field(default_factory=dict)
    """The place of every row there was, by type and inner id."""
    added: int = 0

    @property
    def records(self) -> Sequence[Record]:
        """The record types of the schema."""
        return tuple(self.graph.schema.registry.records.values())

    def row(self, type_name: str, place: str = "own") -> dict[str, Any]:
        """Return a row as the database has it, its values as the driver reads them."""
        return self.rows[type_name, place]

    def id(self, type_name: str, place: str = "own") -> str:
        """Return the API id of a row."""
        prefix = self.graph.schema.registry.records[type_name].prefix
        return encode_id(prefix, self.rows[type_name, place]["id"])

    def claims(self, place: str = "own") -> Claims:
        """Return the claims of the member of a place."""
        member = self.row("Member", place)
        return Claims(member["workspace_id"], member["id"], datetime.now(UTC) + timedelta(hours=1))

    async def become(self, *roles: str, place: str = "own") -> Claims:
        """Give the member of a place these roles and no others, and return their claims."""
        member = self.row("Member", place)
        key = member["workspace_id"], member["id"]
        await self.graph.rows("DELETE FROM member_role WHERE workspace_id = $1 AND member_id = $2", *key)
        for role in roles:
            insert = "INSERT INTO member_role (workspace_id, member_id, role) VALUES ($1, $2, $3)"
            await self.graph.rows(insert, *key, role)
        return self.claims(place)

    async def define(self, name: str, grants: Mapping[str, Mapping[str, Any]], place: str = "own") -> None:
        """Define a role of the workspace: grants in the form of role files."""
        insert = "INSERT INTO role (workspace_id, id, name, grants, version, created_at, updated_at)"
        keys = self.row("Workspace", place)["id"], new_id(), name, grants
        await self.graph.rows(f"{insert} VALUES ($1, $2, $3, $4, 1, now(), now())", *keys)
        await self.move_directory()

    def everything(self, **but: Mapping[str, Any] | None) -> dict[str, Mapping[str, Any]]:
        """Return grants of everything on every row, but for the types given: None hides one."""
        whole = {"read": "ALL", "create": "ALL", "update": "ALL", "delete": "ALL", "default": "WRITE"}
        types = {each.type: each for each in self.graph.schema.policies}
        grants: dict[str, Mapping[str, Any]] = {
            name: {"read": "ALL", "default": "READ"}
            if name == "AuditEntry"
            else {**whole, **dict.fromkeys(policy.by_name, "ALL")}
            for name, policy in types.items()
            if policy.parent is None and name not in but
        }
        return grants | {name: given for name, given in but.items() if given is not None}

    async def put(self, type_name: str, place: str = "own", **values: Any) -> None:
        """Change columns of a row by plain SQL, and what is known of it."""
        row = self.rows[type_name, place]
        table = self.graph.schema.registry.records[type_name].table.name
        assignments = ", ".join(f"{name} = ${index}" for index, name in enumerate(values, 3))
        key = row["workspace_id"], row["id"]
        await self.graph.rows(
            f"UPDATE {table} SET {assignments} WHERE workspace_id = $1 AND id = $2", *key, *values.values()
        )
        await self._know_address(type_name, row["workspace_id"], values)
        await self.read(type_name, place)

    async def add(self, type_name: str, place: str = "own") -> None:
        """Put a new row that nothing points to in a place; the one that was there stays in the database."""
        record = self.graph.schema.registry.records[type_name]
        by_table = {each.table.name: each for each in self.records if each.name != "Workspace"}
        self.rows[type_name, place] = {**self.rows[type_name, place], "id": new_id()}
        self.added += 1
        await self._insert(record, place, by_table, iter(range(ADDED + 100 * self.added, 2 * ADDED)))

    async def _insert(self, record: Record, place: str, by_table: Mapping[str, Record], number: Iterator[int]) -> None:
        row = self.rows[record.name, place]
        values = {"workspace_id": row["workspace_id"], "id": row["id"]}
        values |= await self._sealed(record, row["id"], _values(record, place, self, by_table, number))
        marks = ", ".join(f"${index}" for index in range(1, len(values) + 1))
        await self.graph.rows("SET LOCAL session_replication_role = replica")  # rows point to each other in circles
        await self.graph.rows(
            f"INSERT INTO {record.table.name} ({', '.join(values)}) VALUES ({marks})", *values.values()
        )
        await self._know_address(record.name, row["workspace_id"], values)
        await self.graph.rows("SET LOCAL session_replication_role = origin")
        await self.read(record.name, place)

    async def _know_address(self, type_name: str, workspace_id: str, values: Mapping[str, Any]) -> None:
        if type_name == "Member" and "email" in values:
            known = "INSERT INTO member_address (workspace_id, email) VALUES ($1, lower($2)) ON CONFLICT DO NOTHING"
            await self.graph.rows(known, workspace_id, values["email"])

    @asynccontextmanager
    async def undone(self) -> AsyncIterator[None]:
        """Take back whatever happens to the database within."""
        rows, added = dict(self.rows), self.added
        transaction = self.graph.database.one.connection.transaction()
        await transaction.start()
        try:
            yield
        finally:
            await transaction.rollback()
            self.rows, self.added = rows, added
            await self.move_directory()

    async def move_directory(self) -> None:
        """Let what is remembered of members be looked up again: a version that was taken back must not come twice."""
        await self.graph.rows("UPDATE workspace_directory SET directory_version = $1", next(_VERSIONS))

    async def digest(self, place: str = "own") -> dict[str, str]:
        """Return a digest of each table's rows of a workspace, the event log among them: by plain SQL."""
        tables = await self.graph.rows(_TABLES)
        parts = [
            f"SELECT '{row['name']}', md5(coalesce(string_agg(t::text, '|' ORDER BY t::text), '')) FROM {row['name']} t"
            f" WHERE {'workspace_id = $1' if row['tenant'] else '$1::uuid IS NOT NULL'}"
            for row in tables
        ]
        workspace_id = self.row("Workspace", place)["id"]
        return dict([tuple(row) for row in await self.graph.rows(" UNION ALL ".join(parts), workspace_id)])

    async def read(self, type_name: str, place: str) -> None:
        """Read a row again, by its id."""
        row = self.rows[type_name, place]
        table = self.graph.schema.registry.records[type_name].table.name
        key = row["workspace_id"], row["id"]
        (found,) = await self.graph.rows(f"SELECT * FROM {table} WHERE workspace_id = $1 AND id = $2", *key)
        self.rows[type_name, place] = await self._opened(self.graph.schema.registry.records[type_name], dict(found))
        self.places[type_name, row["id"]] = place

    async def _sealed(self, record: Record, id_: str, values: dict[str, Any]) -> dict[str, Any]:
        """Return values as they are stored: what is encrypted, encrypted, with its blind index beside it."""
        for mark in encrypted_columns(record.model):
            session = self.graph.database.primary_reader()
            workspace_id = next(row["workspace_id"] for row in self.rows.values() if row["id"] == id_)
            keys = await self.graph.engine.services.vault.keys(session, workspace_id)
            text = values[mark.column]
            values[mark.column] = keys.encrypt(text.encode(), mark.place(id_))
            values[mark.blind] = keys.blind(mark.normal(text), mark.name)[0]
        return values

    async def _opened(self, record: Record, row: dict[str, Any]) -> dict[str, Any]:
        """Return a row as it is read: what is encrypted, in clear, and nothing of how it is found."""
        for mark in encrypted_columns(record.model):
            session = self.graph.database.primary_reader()
            keys = await self.graph.engine.services.vault.keys(session, row["workspace_id"])
            if row[mark.column] is not None:
                row[mark.column] = keys.decrypt(row[mark.column], mark.place(row["id"])).decode()
            del row[mark.blind]
        return row

    def secrets(self, type_name: str, place: str) -> set[str]:
        """Return the values of a row that no other row has, as an answer would spell them; its id among them."""
        own = _texts(self.row(type_name, place))
        others = {
            text
            for other in EVERYWHERE
            if other != place and (type_name, other) in self.rows
            for text in _texts(self.row(type_name, other))
        }
        return {text for text in own - others if len(text) > 4}


def _texts(row: Mapping[str, Any]) -> set[str]:
    return {str(value) for name, value in row.items() if name != "workspace_id" and not isinstance(value, list | bool)}


async def make_world(graph: Graph) -> World:
    """Write the world into the demo workspace; its foreign rows into the other one."""
    world = World(graph)
    workspaces = {}
    for slug, places in (("demo", PLACES), ("other", (FOREIGN,))):
        (found,) = await graph.rows("SELECT * FROM workspace WHERE slug = $1", slug)
        for place in places:
            workspaces[place] = found["id"]
            world.rows["Workspace", place] = dict(found)
            world.places["Workspace", found["id"]] = place
    by_table = {record.table.name: record for record in world.records if record.name != "Workspace"}
    for record in by_table.values():
        for place in EVERYWHERE:
            world.rows[record.name, place] = {"workspace_id": workspaces[place], "id": new_id()}
    number = iter(range(1, 1_000_000))
    for record in by_table.values():
        for place in EVERYWHERE:
            await world._insert(record, place, by_table, number)
    return world


def _values(
    record: Record, place: str, world: World, by_table: Mapping[str, Record], number: Iterator[int]
) -> dict[str, Any]:
    """Return a value for every column of a new row but its key."""
    table = record.table
    targets = {
        constraint.column_keys[-1]: constraint.referred_table.name for constraint in table.foreign_key_constraints
    } | {edge.column: edge.target.table.name for edge in record.edges.values() if not edge.many}
    blind = {mark.blind for mark in encrypted_columns(record.model)}
    values: dict[str, Any] = {}
    for column in table.columns:
        if column.name in {"workspace_id", "id"} or column.name in blind:
            continue
        if column.name in KEEPING:  # neither archived nor deleted
            values[column.name] = None
        elif (table.name, column.name) in _FIXED:
            values[column.name] = _FIXED[table.name, column.name]
        elif column.name in targets and targets[column.name] in by_table:
            target = _target(record.name, table.name, column.name, place)
            values[column.name] = world.rows[by_table[targets[column.name]].name, target]["id"]
        else:
            values[column.name] = _value(table, column, place, next(number))
    return values


def _target(type_name: str, table: str, column: str, place: str) -> str:
    if ANCHORS.get(type_name) == column:
        return place
    return _PINNED.get((table, column), {}).get(place, _CROSSED[place])


def _value(table: Table, column: Any, place: str, number: int) -> Any:
    """Return a value that its place can be told by: no two of the world are alike where a rule does not say so."""
    checks = [str(each.sqltext) for each in table.constraints if isinstance(each, CheckConstraint)]
    for check in checks:
        choice = _CHOICE.match(check)
        if choice and check.startswith(f"{column.name} IN"):
            return choice[1]
    between = next((found for check in checks if (found := _BETWEEN.match(check)) and found[1] == column.name), None)
    match column.type:
        case Uuid():
            return new_id()
        case JSON():
            return []
        case ARRAY():
            return [f"{table.name} {column.name} {place} canary"]
        case Boolean():
            return True
        case DateTime():
            return datetime(2031, 1, 1, tzinfo=UTC) + timedelta(seconds=number)
        case Date() if column.name == "valid_from":  # of a rate that counts by now
            return date(2000, 1, 1) + timedelta(days=number % 9_000)
        case Date():
            return date(2032, 1, 1) + timedelta(days=number)
        case Numeric():
            return f"{20 + number % 50}.{number:04}" if between else _amount(table.name, column.name, number)
        case Integer():
            return int(between[2]) + 9 + number % (int(between[3]) - 20) if between else 1_000_000 + number
    return _text(table.name, column.name, place if number < ADDED else f"{place}.{number}")


def _amount(table: str, column: str, number: int) -> str:
    whole = 9_000_000 if (table, column) == ("sales_order", "subtotal") else 7_000_000  # a total is not above it
    return f"{whole + number}.{number % 1_000:03}1"


def _text(table: str, column: str, place: str) -> str:
    match column:
        case "currency" | "base_currency":
            return _CURRENCIES[place.partition(".")[0]]
        case "email":
            return f"{place}.{table}@canary.example"
        case "issuer":
            return f"https://{place}.canary.example"
        case "website":
            return f"https://{place}.canary.example/{table}"
        case "client_id":
            return f"{place}-canary-{table}"
        case "phone":
            return f"+1 canary {table} {place} {len(place)}7"
    return f"{place} canary {table} {column}"
