"""Aggregates of random worlds against the oracle, by both executors, where roles measure what they may not read."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from crm_graph.graph.records.aggregate_limits import AggregateLimits
from crm_graph.graph.schema.build import BuiltSchema
from tests.permissions.oracle import measures
from tests.permissions.oracle.ask import Asker, measured
from tests.permissions.oracle.documents import Aggregate, Document, Item, Measure, Page, Root, Select
from tests.permissions.oracle.invent import invent_world
from tests.permissions.oracle.judge import EXECUTORS, SETTINGS, Judge
from tests.permissions.oracle.kinds import Kind, kinds
from tests.permissions.oracle.shrink import describe
from tests.permissions.oracle.sight import Sight
from tests.permissions.oracle.test_oracle import SEED
from tests.support.database import savepoint
from tests.support.graph import Graph

MEASURED = ("Opportunity", "Order", "OrderLine", "OpportunityLine", "Ticket", "Campaign", "CampaignMember", "Customer")
ROUNDS = 2

pytestmark = pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")


@pytest.mark.parametrize("number", [1, 2, 4])  # whose worlds reach all that is counted
async def test_measures_are_those_of_brute_force(
    database_url: str, schema: BuiltSchema, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Two values that may not be read are enough here: these worlds are small."""
    monkeypatch.setattr(schema.registry, "aggregate_limits", AggregateLimits(least_rows=2))
    monkeypatch.setattr(measures, "LEAST", 2)
    dice, counts = random.Random(f"{SEED}:measures:{number}"), Counter[str]()
    async with savepoint(database_url) as database:
        judge = Judge(Graph(schema, database, SETTINGS))
        world = await invent_world(judge.graph, dice)
        for member in [*world.others[:8], world.almighty]:
            sight = Sight(world, member)
            asker = Asker(dice, sight, careful=True)
            known = [kinds()[name] for name in MEASURED if sight.reads(kinds()[name])]
            for kind in known * ROUNDS:
                document = Document([_aggregate(asker, kind), _whole(sight, kind), _over_edges(asker, kind)])
                for executor in EXECUTORS:
                    _, difference = await judge.ask(sight, document, executor)
                    assert difference is None, describe(difference)
            counts.update(sight.measured)
    for what in ("computed", "amounts in several currencies", "unread and told", "unread and not told"):
        assert counts[what] > 1, counts


def _aggregate(asker: Asker, kind: Kind) -> Root:
    return Root("all", kind.roots["aggregate"], "aggregate", aggregate=asker.aggregate(kind))


def _whole(sight: Sight, kind: Kind) -> Root:
    """Return an aggregate of all records with the sums of all that may be summed."""
    fields = [each for each in measured(kind, "sum") if all(sight.summable(kind, part) for part in kind.made_of(each))]
    sums = [Measure("sum", fields), Measure("avg", fields)] if fields else [Measure("count")]
    return Root("whole", kind.roots["aggregate"], "aggregate", aggregate=Aggregate(kind, None, (), None, (), sums))


def _over_edges(asker: Asker, kind: Kind) -> Root:
    """Return a list of records with measures over each of their edges to many."""
    items = asker.leaves(kind, 1)
    for each in kind.all("measures"):
        of = kinds()[each.target]
        items.append(Item(each.name, each, measured=Aggregate(of, None, (), None, (), asker.measures(of, False))))
    page = Page("each", kind, size=50, nodes=Select(kind, items))
    return Root("each", kind.roots["list"], "list", page=page)
