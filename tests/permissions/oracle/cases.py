"""One case: a random world, and random operations of its members, each compared with the oracle.

A case is what its seed says; only the engine's caches remember those before it.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tests.permissions.oracle.ask import Asker
from tests.permissions.oracle.disturb import Undone, disturb, undone
from tests.permissions.oracle.documents import Document, Select
from tests.permissions.oracle.invent import invent_world
from tests.permissions.oracle.judge import Difference, Failed, Judge
from tests.permissions.oracle.outcome import Outcomes
from tests.permissions.oracle.reorganise import reorganise
from tests.permissions.oracle.shrink import shrink
from tests.permissions.oracle.sight import EVERYTHING, Credential, Sight
from tests.permissions.oracle.world import World, past, read_world
from tests.permissions.oracle.writes import Writer
from tests.support.graph import Graph
from tests.support.projected import begin, project

PAGES = 2
"""How often one pages on from an answer."""


def _now() -> str:
    return datetime.now(UTC).isoformat()


Answered = list[tuple[Document, dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Effort:
    """How much of each is done in one case, by so many members."""

    members: int = 3
    documents: int = 4
    mutations: int = 9
    changes: int = 2
    moments: int = 6


class Case:
    """The world of a seed and what is asked in it."""

    world: World

    def __init__(self, judge: Judge, seed: str, effort: Effort | None = None) -> None:
        self.judge = judge
        self.graph: Graph = judge.graph
        self.dice = random.Random(seed)
        self.effort = effort or Effort()
        self.counts: Counter[str] = judge.counts

    async def run(self) -> Difference | None:
        """Return the first difference that the case comes to. Nothing stays of its world."""
        found = None
        try:
            async with self.graph.database.one.savepoint():
                found = await self._run()
                raise Undone
        except Undone:
            return found
        except Failed as failed:
            return failed.difference

    async def _run(self) -> Difference | None:
        self.world = await invent_world(self.graph, self.dice)
        self.counts["worlds"] += 1
        for _ in range(self.effort.members):
            found = await self.queries(self.someone()) or await self.mutations()
            if found is not None:
                return found
        return await self.past()

    def someone(self) -> Sight:
        """Return the sight of a member, seldom of the one who may do everything."""
        world = self.world
        member = self.dice.choice([*world.others * 6, world.almighty])
        return Sight(world, member, self.dice.choice((*[EVERYTHING] * 8, *self.credentials())))

    def credentials(self) -> list[Credential]:
        """Return credentials that are good for less than all that a member may do."""
        clients = list(self.world.of("ApiClient"))
        scopes = (frozenset({"crm.read"}), frozenset({"openid", "crm"}), frozenset({"openid"}))
        return [Credential(scope=self.dice.choice(scopes)), Credential(client=self.dice.choice(clients))]

    async def queries(self, sight: Sight) -> Difference | None:
        """Ask as one member, and the same as others; disturb what they do not see and ask again; change who may do what
        and ask once more."""
        answered: Answered = []
        for _ in range(self.effort.documents):
            asker = Asker(self.dice, sight, careful=self.dice.random() < 0.85)
            document = asker.document()
            found = await self.pages(sight, document, answered)
            if found is None and self.dice.random() < 0.35:
                self.counts["as another member"] += 1
                _, found = await self.judge.ask(self.someone(), Document(document.roots))
            if found is not None:
                return found
        return await self.disturbed(sight, answered) or await self.reorganised(sight, document)

    async def pages(self, sight: Sight, document: Document, answered: Answered) -> Difference | None:
        """Ask a document, and for the pages behind cursors of its answer."""
        body, found = await self.judge.ask(sight, document)
        if found is not None:
            return await shrink(self.judge, sight, document, found)
        answered.append((document, body))
        places = self.judge.positions()
        if self.dice.random() < 0.12:
            self.counts["by the reference executor"] += 1
            _, found = await self.judge.ask(sight, document, "reference")
        for _ in range(PAGES):
            if found is not None or not places:
                return found
            self.counts["behind a cursor"] += 1
            document = Document(document.roots, {place: self.dice.choice(each) for place, each in places.items()})
            body, found = await self.judge.ask(sight, document)
            answered.append((document, body))
            places = self.judge.positions()
        return found

    async def disturbed(self, sight: Sight, answered: Answered) -> Difference | None:
        """Ask everything again after changes that the member does not see: it must be answered as before."""
        async with undone(self.graph, self.world.workspace):
            made = await disturb(self.graph, sight, self.dice)
            self.counts["disturbances"] += made
            if not made:
                return None
            for document, before in answered:
                source, variables = document.text()
                body = await self.judge.run(sight, source, variables)
                self.counts["after disturbances"] += 1
                found = list(self.judge.differences(before, body, "disturbed"))
                if found:
                    return Difference(f"disturbed: {found[0]}", sight, source, variables, found)
        return None

    async def reorganised(self, sight: Sight, document: Document) -> Difference | None:
        """Ask before and after a change of who may do what: it is in force at once."""
        document = Document(document.roots)
        _, found = await self.judge.ask(sight, document)
        if found is None:
            self.world = await reorganise(self.judge, self.dice, self.world)
            _, found = await self.judge.ask(Sight(self.world, sight.member, sight.credential), document)
        return found

    async def past(self) -> Difference | None:
        """Change the world now and then, and ask how it was in between: as it was read back then, by whoever."""
        await begin(self.graph)
        states = [(_now(), await read_world(self.graph, self.world))]
        for _ in range(self.effort.mutations):
            world = states[-1][1]
            writer = Writer(self.dice, world)
            attempt = writer.attempt(Sight(world, world.almighty), lambda kind: Select(kind, [], typename=True))
            await self.judge.run(Sight(world, world.almighty), *attempt.text())
            states.append((_now(), await read_world(self.graph, world)))
        await project(self.graph, batch=self.dice.choice((3, 1_000)))
        self.world = states[-1][1]
        answered: Answered = []
        for _ in range(self.effort.moments):
            moment, then = self.dice.choice(states)
            today = self.someone()
            sight = Sight(past(then, self.world), today.member, today.credential, today)
            roots = Asker(self.dice, sight, careful=self.dice.random() < 0.85).document().roots
            roots = [root for root in roots if root.asked_as_of(moment)]
            found = await self.pages(sight, Document(roots), answered) if roots else None
            self.counts["as of a moment"] += len(roots)
            if found is not None:
                return found
        return None

    async def mutations(self) -> Difference | None:
        """Try mutations as several members, and watch some."""
        outcomes = Outcomes(self.judge, self.dice, self.world)
        for _ in range(self.effort.mutations):
            found = await outcomes.attempt(self.someone())
            if found is not None:
                return found
        for _ in range(self.effort.changes):
            found = await outcomes.announced()
            if found is not None:
                return found
        return None
