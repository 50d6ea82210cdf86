"""Tries mutations and compares what came of them: what was answered, and what is in the database.

Whether the CRM itself would do it (a status that allows it, a value that is free) is asked of the member who may do
everything, in a savepoint that is undone. Whether this member may, the oracle says.
"""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tests.permissions.oracle.answer import Answer, Oracle
from tests.permissions.oracle.ask import Asker
from tests.permissions.oracle.disturb import undone
from tests.permissions.oracle.documents import Select
from tests.permissions.oracle.grants import READ
from tests.permissions.oracle.judge import Difference, Judge
from tests.permissions.oracle.kinds import Kind, kinds
from tests.permissions.oracle.live import Told, check_told
from tests.permissions.oracle.places import place_refusals
from tests.permissions.oracle.sight import Sight
from tests.permissions.oracle.world import Row, World, read_world
from tests.permissions.oracle.writes import (
    NOT_FOUND,
    Attempt,
    Writer,
    further_refusals,
    refusals,
    refusals_to_make,
    target_row,
)

_COPIED = re.compile(r"to read (\w+)\.(\w+), which would be copied")
BY_THE_RULES = "a rule of the CRM"
"""Why it is refused whoever tries."""


class Outcomes:
    """Tries mutations as the members of a world."""

    def __init__(self, judge: Judge, dice: random.Random, world: World) -> None:
        self.judge = judge
        self.graph = judge.graph
        self.dice = dice
        self.world = world
        self.almighty = world.almighty

    async def attempt(self, sight: Sight) -> Difference | None:
        """Try one mutation as a member."""
        asker = Asker(self.dice, sight, careful=True)

        def select(kind: Kind) -> Select:
            return asker.select(kind, 1, "payload") if self.dice.random() < 0.3 else Select(kind, [], typename=True)

        attempt = Writer(self.dice, self.world).attempt(sight, select)
        source, variables = attempt.text()
        expected = self._refused(sight, attempt)
        made = None
        if not expected:
            made = await self._possible(attempt)
            expected = self._expected(sight, attempt, made)
        async with undone(self.graph, self.world.workspace):
            body = await self.judge.run(sight, source, variables)
            after = await read_world(self.graph, self.world)
            found = self._differences(sight, attempt, body, after, expected, made)
            if not found and accepted(attempt, body):
                found = await self._told(after)
        hidden = target_row(sight, attempt)
        if not found and hidden is not None and not sight.sees(*hidden):
            found = await self._like_unknown(sight, attempt, body)
        self.judge.counts["mutations accepted" if accepted(attempt, body) else "mutations refused"] += 1
        return Difference(found[0], sight, source, variables, found) if found else None

    async def announced(self) -> Difference | None:
        """Let the member who may do everything change an opportunity, and compare what others are told of it."""
        sight = Sight(self.world, self.almighty)
        attempt = Writer(self.dice, self.world).attempt(
            sight, lambda kind: Select(kind, [], typename=True), "Opportunity"
        )
        source, variables = attempt.text()
        async with undone(self.graph, self.world.workspace):
            body = await self.judge.run(sight, source, variables)
            if accepted(attempt, body):
                after = await read_world(self.graph, self.world)
                found = await self._told(after)
                return Difference(found[0], sight, source, variables, found) if found else None
        return None

    async def _possible(self, attempt: Attempt) -> World | None:
        """Return the world that the member who may do everything makes of it; None where even they cannot do it."""
        source, variables = attempt.text()
        async with undone(self.graph, self.world.workspace):
            body = await self.judge.run(Sight(self.world, self.almighty), source, variables)
            if not accepted(attempt, body):
                return None
            return await read_world(self.graph, self.world)
        raise AssertionError

    def _refused(self, sight: Sight, attempt: Attempt) -> list[str]:
        """Return how an attempt may be refused for what it is done to; nothing where it may be tried.

        What is known first is told first: of a record that may not be seen, nothing but that it is not there.
        """
        found = refusals(sight, attempt)
        if not found or attempt.write.new:
            return found[:1]
        # Of a part that is not seen it may be said that it is not there before its whole's verb is looked at.
        of = target_row(sight, attempt)
        return found if of is not None and sight.sees(*of) else [found[0], NOT_FOUND]

    def _expected(self, sight: Sight, attempt: Attempt, made: World | None) -> list[str]:
        """Return how an attempt may be refused that may be tried; nothing where it must be accepted."""
        found = further_refusals(sight, attempt)
        if made is None:
            return [*found, BY_THE_RULES]
        found += place_refusals(sight, attempt, made)
        if attempt.write.new and not found:
            rows = made.of(attempt.write.kind.name)
            (key,) = rows.keys() - self.world.of(attempt.write.kind.name).keys()
            mine = _as_made_by(sight.member, self.almighty, attempt, rows[key])
            world = replace(made, rows={**made.rows, attempt.write.kind.name: {**rows, key: mine}})
            return refusals_to_make(Sight(world, sight.member, sight.credential), attempt, mine)
        return found

    def _differences(
        self,
        sight: Sight,
        attempt: Attempt,
        body: Mapping[str, Any],
        after: World,
        expected: list[str],
        made: World | None,
    ) -> list[str]:
        if accepted(attempt, body):
            if expected or made is None:
                return [f"accepted, must be refused: {expected}"]
            if _changes(self.world, after) != _changes(self.world, made):
                return [f"changed {_changes(self.world, after)} rows, and {_changes(self.world, made)} for an admin"]
            return self._payload(Sight(after, sight.member, sight.credential), attempt, body)
        refused = _refusal(attempt, body)
        known = refused in expected or BY_THE_RULES in expected
        if not known and not _would_copy_the_withheld(sight, attempt, body):
            return [f"refused with {refused}, must be {expected or 'accepted'}: {body}"]
        if after.tables != self.world.tables:
            return [f"refused, and changed {_changes(self.world, after)} rows"]
        return []

    def _payload(self, sight: Sight, attempt: Attempt, body: Mapping[str, Any]) -> list[str]:
        """Return what differs between a payload and what may be seen of the record now."""
        if attempt.select is None:
            data = body["data"][attempt.write.name]["deletedId"]
            return [] if data == attempt.values["id"] else [f"deletedId is {data}"]
        key = self._key(sight, attempt)
        expected = Oracle(sight).record(attempt.select, key)
        payload = {attempt.write.record: expected.data, "errors": []}
        whole = Answer({attempt.write.name: payload}, expected.forbidden, expected.withheld)
        return list(self.judge.compare(whole, body, "planned"))

    def _key(self, sight: Sight, attempt: Attempt) -> str:
        if "id" in attempt.values:
            return str(attempt.values["id"]).partition("_")[2]
        name = attempt.write.kind.name
        (key,) = sight.world.of(name).keys() - self.world.of(name).keys()
        return key

    async def _told(self, after: World) -> list[str]:
        """Compare what subscribers must be told of what was just done."""
        told = Told(self.judge, self.dice, self.world, after)
        return await check_told(told)

    async def _like_unknown(self, sight: Sight, attempt: Attempt, body: Mapping[str, Any]) -> list[str]:
        """Compare the refusal of what may not be seen with that of what is not there: they must be one."""
        if attempt.target is None:
            return []
        other = f"{self.dice.getrandbits(128):032x}"
        source, variables = attempt.text()
        changed = {
            name: value.replace(attempt.target, other) if isinstance(value, str) else value
            for name, value in variables["input"].items()
        }
        async with undone(self.graph, self.world.workspace):
            unknown = await self.judge.run(sight, source, {**variables, "input": changed})
        return list(self.judge.differences(unknown, body, "like an unknown id"))


def accepted(attempt: Attempt, body: Mapping[str, Any]) -> bool:
    """Return whether a mutation was done."""
    payload = (body.get("data") or {}).get(attempt.write.name)
    return payload is not None and payload["errors"] == []


def _refusal(attempt: Attempt, body: Mapping[str, Any]) -> str:
    """Return how a mutation was refused."""
    payload = (body.get("data") or {}).get(attempt.write.name)
    if payload is not None:
        return str(payload["errors"][0]["code"])
    return f"{body['errors'][0]['extensions']['code']} at the top"


def _changes(before: World, after: World) -> dict[str, int]:
    """Return in how many rows each table differs."""
    found = {}
    for table in before.tables.keys() | after.tables.keys():
        old, new = Counter(before.tables.get(table, [])), Counter(after.tables.get(table, []))
        differing = sum((old - new).values()) + sum((new - old).values())
        if differing:
            found[table] = differing
    return dict(sorted(found.items()))


def _as_made_by(member: str, almighty: str, attempt: Attempt, row: Row) -> Row:
    """Return a row that the member who may do everything made as this member would have: what is theirs unless said
    otherwise is this member's."""
    said = {each.each.column for each in attempt.write.inputs if each.each.of == "one" and each.name in attempt.values}
    return {name: member if value == almighty and name not in said else value for name, value in row.items()}


def _would_copy_the_withheld(sight: Sight, attempt: Attempt, body: Mapping[str, Any]) -> bool:
    """Return whether an attempt was refused for what it would copy of a row, and the member may not read just that."""
    found = _COPIED.search(json.dumps(body))
    if found is None:
        return False
    kind = kinds()[found[1]]
    each, rows = kind.fields[found[2]], sight.world.of(kind.name)
    referred = [rows[key] for of, key in attempt.refers if of is kind and key in rows]
    return any(sight.level(kind, row, each) < READ for row in referred) if referred else sight.withheld(kind, each)
