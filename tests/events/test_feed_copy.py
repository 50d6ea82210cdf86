"""A copy kept by the feed is what a fresh read answers, whoever writes what, and whatever changes what may be seen."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest

from crm_graph.graph.schema.build import BuiltSchema
from crm_graph.identity.tokens import Claims
from tests.support.live import Running, running

RECORDS = {
    "Customer": ("customers", "id customerName: name annualRevenue { amount } owner { id }"),
    "Contact": ("contacts", "id contactName: name email"),
    "Opportunity": ("opportunities", "id opportunityName: name amount { amount } holder: owner { id }"),
}
SCOPES = {
    "Customer": ["OWN", "TEAM", "ACCOUNT_TEAM", "ALL"],
    "Contact": ["OWN", "TEAM", "ACCOUNT_TEAM", "ALL"],
    "Opportunity": ["OWN", "TEAM", "ALL"],
}
MASKED = {"Customer": "annualRevenue", "Contact": "email", "Opportunity": "amount"}
_NODE = " ".join(f"... on {name} {{ {selection} }}" for name, (_, selection) in RECORDS.items())
FEED = f"""query ($after: Cursor, $types: [String!], $first: Int) {{
  changes(after: $after, types: $types, first: $first) {{
    cursor hasMore resync
    nodes {{ kind recordId type node {{ __typename {_NODE} }} }}
  }}
}}"""
JOIN = """mutation ($input: AddAccountTeamMemberInput!) {
  addAccountTeamMember(input: $input) { accountTeamMember { id } }
}"""
Rows = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
async def live(postgres: str, database_url: str, schema: BuiltSchema) -> AsyncIterator[Running]:
    assert database_url, "makes the template"
    async with running(postgres, schema, f"copy_{abs(hash(database_url)) % 10**6}") as live:
        yield live


class Copy:
    """A client: its records by type and id, and the cursor up to which it has applied the feed."""

    def __init__(self, live: Running, claims: Claims, rng: random.Random) -> None:
        self.live, self.claims, self.rng = live, claims, rng
        self.types = list(RECORDS)
        self.rows: dict[str, Rows] = {}
        self.cursor = ""
        self.resynced = 0
        self.applied = 0

    async def begin(self) -> None:
        """Take a cursor, then read everything."""
        self.cursor = (await self._changes(None))["cursor"]
        for name in self.types:
            self.rows[name] = await read(self.live, self.claims, name)

    async def catch_up(self) -> None:
        """Apply pages until there is no more."""
        while True:
            page = await self._changes(self.cursor)
            for change in page["nodes"]:
                self.applied += 1
                if change["node"] is None:
                    self.rows[change["type"]].pop(change["recordId"], None)
                else:
                    node = {key: value for key, value in change["node"].items() if key != "__typename"}
                    self.rows[change["type"]][change["recordId"]] = node
            for name in page["resync"]:
                self.resynced += 1
                self.rows[name] = await read(self.live, self.claims, name)
            self.cursor = page["cursor"]
            if not page["hasMore"]:
                return

    async def _changes(self, after: str | None) -> Any:
        variables = {"after": after, "types": self.types, "first": self.rng.choice([1, 3, 10, 100])}
        return (await self.live.data(self.claims, FEED, variables))["changes"]


async def read(live: Running, claims: Claims, name: str) -> Rows:
    """Read all records of a type by pages."""
    field, selection = RECORDS[name]
    page_of = f"nodes {{ {selection} }} pageInfo {{ hasNextPage endCursor }}"
    source = f"query ($after: String) {{ {field}(first: 100, after: $after) {{ {page_of} }} }}"
    rows: Rows = {}
    after = None
    while True:
        page = (await live.data(claims, source, {"after": after}))[field]
        rows.update((node["id"], node) for node in page["nodes"])
        if not page["pageInfo"]["hasNextPage"]:
            return rows
        after = page["pageInfo"]["endCursor"]


class Writer:
    """Somebody who may do everything, and does it at random."""

    def __init__(self, live: Running, claims: Claims, rng: random.Random, members: list[str]) -> None:
        self.live, self.claims, self.rng, self.members = live, claims, rng, members
        self.made: dict[str, list[str]] = {"customer": [], "opportunity": [], "contact": []}
        self.entries: list[str] = []

    async def write(self, times: int) -> None:
        """Do something so many times."""
        for _ in range(times):
            act = self.rng.choice(
                [self._create, self._change, self._change, self._give, self._give, self._delete, self._join]
            )
            await act()
            await asyncio.sleep(0)

    def _kind(self) -> str:
        return self.rng.choice(list(self.made))

    async def _do(self, field: str, selection: str, **given: Any) -> Any:
        """Return the payload; None where a member is given what their roles do not show them."""
        try:
            return await self.live.mutate(self.claims, field, given, selection)
        except AssertionError as refused:
            if "INCOHERENT" not in str(refused):
                raise
            return None

    async def _create(self) -> None:
        kind, name = self._kind(), f"made {self.rng.random()}"
        given: dict[str, Any] = {"name": name}
        if kind == "contact":
            if not self.made["customer"]:
                return
            given |= {
                "customerId": self.rng.choice(self.made["customer"]),
                "email": f"a{self.rng.random()}@example.com",
            }
        else:
            given["ownerId"] = self.rng.choice(self.members)
        made = await self._do(f"create{kind.title()}", f"{kind} {{ id }}", **given)
        if made is not None:
            self.made[kind].append(made[kind]["id"])

    async def _change(self) -> None:
        kind = self._kind()
        if self.made[kind]:
            id_ = self.rng.choice(self.made[kind])
            await self._do(f"update{kind.title()}", f"{kind} {{ id }}", id=id_, name=f"changed {self.rng.random()}")

    async def _give(self) -> None:
        kind = self.rng.choice(["customer", "opportunity"])
        if self.made[kind]:
            id_, owner = self.rng.choice(self.made[kind]), self.rng.choice(self.members)
            await self._do(f"update{kind.title()}", f"{kind} {{ id }}", id=id_, ownerId=owner)

    async def _delete(self) -> None:
        kind = self.rng.choice(["contact", "opportunity"])
        if self.made[kind]:
            id_ = self.made[kind].pop(self.rng.randrange(len(self.made[kind])))
            await self._do(f"delete{kind.title()}", "deletedId", id=id_)

    async def _join(self) -> None:
        if self.entries and self.rng.random() < 0.5:
            await self._do("removeAccountTeamMember", "deletedId", id=self.entries.pop())
        elif self.made["customer"]:
            given = {"customerId": self.rng.choice(self.made["customer"]), "memberId": self.rng.choice(self.members)}
            made = (await self.live.data(self.claims, JOIN, {"input": given}))["addAccountTeamMember"]
            if made["accountTeamMember"] is not None:  # who is in the team already is refused
                self.entries.append(made["accountTeamMember"]["id"])


def random_grants(rng: random.Random) -> list[dict[str, Any]]:
    """Return what a role grants, by type: some rows, and a field on some of them."""
    grants: list[dict[str, Any]] = []
    for name, scopes in SCOPES.items():
        field = {"field": MASKED[name], "level": "READ", "scope": rng.choice(scopes)}
        grants.append(
            {
                "type": name,
                "verbs": [{"verb": "read", "scope": rng.choice(scopes)}],
                "default": "READ",
                "fields": [field],
            }
        )
    grants.append({"type": "Member", "verbs": [{"verb": "read", "scope": "ALL"}], "default": "READ"})
    return grants


@pytest.mark.parametrize("seed", range(8))
async def test_a_copy_is_what_a_fresh_read_answers(live: Running, seed: int) -> None:
    rng = random.Random(seed)
    admin, viewer = await live.member("admin"), await live.member("sales_rep")
    role = f"random_{seed}"
    await live.mutate(admin, "createRole", {"name": role, "grants": random_grants(rng)}, "role { name }")
    await live.mutate(admin, "setMemberRoles", {"id": f"mem_{viewer.member_id}", "roles": [role]}, "member { id }")
    ids = (await live.data(admin, "{ members(first: 100) { nodes { id team { id } } } }"))["members"]["nodes"]
    members = [f"mem_{viewer.member_id}", *(rng.sample([each["id"] for each in ids], 5))]
    teams = [each["team"]["id"] for each in ids if each["team"]]
    writers = [Writer(live, admin, random.Random(f"{seed}/{index}"), members) for index in range(3)]
    await asyncio.gather(*(writer.write(10) for writer in writers))

    copy = Copy(live, viewer, rng)
    writing = asyncio.gather(*(writer.write(15) for writer in writers))
    await copy.begin()
    while not writing.done():
        await copy.catch_up()
    await writing
    for step in range(4):
        if step == 2:  # whom the viewer's team counts as its own changes, and no record does
            await live.mutate(admin, "updateMember", {"id": members[1], "teamId": rng.choice(teams)}, "member { id }")
        await asyncio.gather(*(writer.write(3) for writer in writers))
        await live.settled()
        await copy.catch_up()
        for name in RECORDS:
            assert copy.rows[name] == await read(live, viewer, name), name
    assert copy.applied + copy.resynced > 0
    await live.mutate(
        admin, "setMemberRoles", {"id": f"mem_{viewer.member_id}", "roles": ["sales_rep"]}, "member { id }"
    )
