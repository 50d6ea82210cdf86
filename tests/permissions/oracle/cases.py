"""One case: a random world, and random operations of its members, each compared with the oracle.

A case is what a seed says, whatever ran before it: `ORACLE_ONLY` runs one again.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass

from tests.permissions.oracle.ask import Asker
from tests.permissions.oracle.disturb import disturb, undone
from tests.permissions.oracle.documents import Document
from tests.permissions.oracle.invent import invent_world
from tests.permissions.oracle.judge import Difference, Judge
from tests.permissions.oracle.outcome import Outcomes
from tests.permissions.oracle.sight import Sight
from tests.permissions.oracle.world import World
from tests.support.graph import Graph


@dataclass(frozen=True, slots=True)
class Effort:
    """How much of each is done in one case."""

    members: int = 3
    documents: int = 5
    mutations: int = 4


class Case:
    """The world of a seed and what is asked in it."""

    def __init__(self, judge: Judge, seed: str, effort: Effort) -> None:
        self.judge = judge
        self.graph: Graph = judge.graph
        self.dice = random.Random(seed)
        self.effort = effort
        self.counts: Counter[str] = judge.counts

    async def run(self) -> Difference | None:
        """Return the first difference that the case comes to. Nothing stays of its world."""
        async with undone(self.graph):
            return await self._run()
        raise AssertionError

    async def _run(self) -> Difference | None:
        world = await invent_world(self.graph, self.dice)
        self.counts["worlds"] += 1
        for _ in range(self.effort.members):
            found = await self.queries(world) or await self.mutations(world)
            if found is not None:
                return found
        return None

    async def mutations(self, world: World) -> Difference | None:
        """Try mutations as several members."""
        outcomes = Outcomes(self.judge, self.dice, world)
        for _ in range(self.effort.mutations):
            found = await outcomes.attempt(self.someone(world))
            if found is not None:
                return found
        return None

    def someone(self, world: World) -> Sight:
        """Return the sight of a member, seldom of the one who may do everything."""
        return Sight(world, self.dice.choice(world.active[1:] * 6 + world.active[:1]))

    async def queries(self, world: World) -> Difference | None:
        """Ask as one member, page on, ask the same as another; then disturb what they do not see and ask again."""
        sight = self.someone(world)
        answered: list[tuple[Document, object]] = []
        for _ in range(self.effort.documents):
            asker = Asker(self.dice, sight, careful=self.dice.random() < 0.85)
            document = asker.document()
            found = await self.query(sight, document, answered)
            if found is not None:
                return found
            if self.dice.random() < 0.35:
                self.counts["shared documents"] += 1
                _, found = await self.judge.ask(self.someone(world), Document(document.roots))
                if found is not None:
                    return found
        return await self.disturbed(sight, answered)

    async def query(
        self, sight: Sight, document: Document, answered: list[tuple[Document, object]]
    ) -> Difference | None:
        """Ask a document, and for the pages behind cursors of its answer."""
        body, found = await self.judge.ask(sight, document)
        answered.append((document, body))
        if found is None and self.dice.random() < 0.12:
            self.counts["reference"] += 1
            _, found = await self.judge.ask(sight, document, "reference")
        for _ in range(2):
            if found is not None:
                return found
            places = self.judge.positions()
            if not places:
                return None
            self.counts["pages behind a cursor"] += 1
            document = Document(document.roots, {place: self.dice.choice(each) for place, each in places.items()})
            body, found = await self.judge.ask(sight, document)
            answered.append((document, body))
        return found

    async def disturbed(self, sight: Sight, answered: list[tuple[Document, object]]) -> Difference | None:
        """Ask everything again after changes that the member does not see."""
        async with undone(self.graph):
            made = await disturb(self.graph, sight, self.dice)
            self.counts["disturbances"] += made
            if not made:
                return None
            for document, before in answered:
                source, variables = document.text()
                body = await self.judge.run(sight.world, sight.member, source, variables)
                self.counts["compared after disturbances"] += 1
                found = list(self.judge.differences(before, body, "disturbed"))
                if found:
                    return Difference(found[0], sight.member, source, variables, found)
        return None
