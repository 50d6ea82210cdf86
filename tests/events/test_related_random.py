"""Whoever reads a list once and applies what a stream tells them has the list as queried anew: after every operation,
after bursts of them, and after having been away. Random roles and filters that read other rows, random operations.

    RELATED_CASES=200 RELATED_SEED=7 .venv/bin/python -m pytest tests/events/test_related_random.py

runs more of them.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import AsyncIterator
from random import Random

import pytest

from crm_graph.graph.schema.build import BuiltSchema
from crm_graph.kernel.settings import Settings
from tests.events.chance import WATCHED, Chance
from tests.events.follower import Follower
from tests.support.live import Running, running

CASES = int(os.environ.get("RELATED_CASES", "3"))
SEED = os.environ.get("RELATED_SEED", "test")
FOLLOWERS, ROUNDS = 6, 30


@pytest.fixture(scope="module")
async def live(postgres: str, database_url: str, schema: BuiltSchema) -> AsyncIterator[Running]:
    assert database_url, "makes the template"
    async with running(postgres, schema, "related", Settings(live_max_dependents=20, live_max_undone=200)) as found:
        yield found


async def test_a_list_that_is_kept_is_the_list(live: Running) -> None:
    kinds: Counter[str] = Counter()
    for case in range(CASES):
        kinds += await _run(live, case)
    for kind in ("CREATED", "UPDATED", "ENTERED", "LEFT"):
        assert kinds[kind] >= CASES, kinds
    assert kinds["RESYNC"] < sum(kinds.values()) / 2, kinds


async def _run(live: Running, case: int) -> Counter[str]:
    """Run one case; return how often what was told."""
    dice = Random(f"{SEED}:{case}")
    chance = Chance(live, await live.member("admin"), dice)
    await _prepare(chance)
    followers = [await _follower(chance, case, number) for number in range(FOLLOWERS)]
    away: set[Follower] = set()
    kinds: Counter[str] = Counter()
    for _ in range(ROUNDS):
        for _ in range(dice.choice((1, 1, 1, 2, 6))):
            await chance.operate()
        for each in followers:
            if each not in away and dice.random() < 0.1:
                away.add(each)
                await each.stop()
            elif each in away and dice.random() < 0.5:
                away.discard(each)
                await each.start()
            if each not in away:
                kinds.update(kind for kind, _ in await each.catch_up())
                story = f"{SEED}:{case} {each.type} {each.where} {each.told[-8:]}"
                assert each.ids == await each.listed(), story
                assert each.wrong == [], story
    for each in followers:
        if each not in away:
            await each.stop()
    return kinds


async def _prepare(chance: Chance) -> None:
    """Make some records, and a role for each of some members."""
    live = chance.live
    source = "{ teams(first: 9) { nodes { id } } members(first: 9) { nodes { id } } pipelines(first: 1) { nodes"
    data = await live.data(chance.admin, source + " { stages(first: 3) { nodes { id } } } } }")
    chance.ids["Team"] = [node["id"] for node in data["teams"]["nodes"]]
    chance.ids["Member"] = [node["id"] for node in data["members"]["nodes"]]
    chance.members = chance.dice.sample(chance.ids["Member"][2:], FOLLOWERS)
    chance.ids["Stage"] = [node["id"] for node in data["pipelines"]["nodes"][0]["stages"]["nodes"]]
    for type_ in ("Customer", "Customer", "Product", "Contact", "Opportunity", "Opportunity", "Order", "Ticket"):
        await chance.create(type_)


async def _follower(chance: Chance, case: int, number: int) -> Follower:
    """Return a member who follows a type within a filter that their random role allows."""
    live, dice = chance.live, chance.dice
    name, grants = f"chance_{number}", chance.grants()
    how = "updateRole" if case else "createRole"
    await live.mutate(chance.admin, how, {"name": name, "grants": grants}, "role { name }")
    member = chance.members.pop()
    await live.mutate(chance.admin, "setMemberRoles", {"id": member, "roles": [name]}, "member { id }")
    claims = await live.claims(member)
    while True:
        type_ = dice.choice(list(WATCHED))
        follower = Follower(live, claims, type_, WATCHED[type_], chance.where(type_), forgets=True)
        if await follower.may():
            await follower.start()
            await follower.catch_up()
            return follower
