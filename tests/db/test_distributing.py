"""Placing over a cluster, as far as a plain Postgres tells it: what is asked for, what is refused, what is left to do.

On a real cluster: `docs/operating/citus.md` says how to run the suite on one.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import Column, Integer, Table
from sqlalchemy.orm import DeclarativeBase

import crm_graph.api.schema  # noqa: F401 - so that every table of a slice is known
from crm_graph.cli.operating.distributing import check_cluster
from crm_graph.db.base import Base
from crm_graph.db.distributing import Cluster, _check, cluster_of, distribute
from crm_graph.db.nodes import Nodes
from crm_graph.db.placement import DISTRIBUTED, LOCAL, REFERENCE, Placement, Unplaced, placements
from crm_graph.db.revisions import MIGRATIONS_LOCK
from crm_graph.kernel.errors import OperatorError
from crm_graph.refusals import _OF_SHARD

WANTED: Mapping[str, Placement] = {
    "workspace": REFERENCE,
    "member": DISTRIBUTED,
    "customer": DISTRIBUTED,
    "event": LOCAL,
}
MAY_REFER = {(DISTRIBUTED, DISTRIBUTED), (DISTRIBUTED, REFERENCE), (LOCAL, LOCAL), (LOCAL, REFERENCE)}
THERE = frozenset({*WANTED, "alembic_version"})
READY = Cluster("14.0-1", coordinator=True, workers=["a:5432"], tables=THERE)


def test_what_is_not_placed_yet_is_placed_reference_tables_first() -> None:
    assert READY.misplaced(WANTED) == {"workspace": REFERENCE, "customer": DISTRIBUTED, "member": DISTRIBUTED}
    assert list(READY.misplaced(WANTED)) == ["workspace", "customer", "member"]


def test_an_interrupted_run_is_gone_on_with_and_a_second_one_does_nothing() -> None:
    halfway = Cluster("14.0-1", True, ["a:5432"], THERE, {"workspace": REFERENCE, "member": DISTRIBUTED})
    assert list(halfway.misplaced(WANTED)) == ["customer"]
    done = Cluster("14.0-1", True, ["a:5432"], THERE, {**halfway.placed, "customer": DISTRIBUTED})
    assert done.misplaced(WANTED) == {}


def test_a_table_that_was_distributed_and_is_to_be_local_comes_back() -> None:
    placed = {"workspace": REFERENCE, "member": DISTRIBUTED, "customer": DISTRIBUTED, "event": DISTRIBUTED}
    assert Cluster("14.0-1", True, ["a:5432"], THERE, placed).misplaced(WANTED) == {"event": LOCAL}


@pytest.mark.parametrize(
    ("cluster", "what"),
    [
        (Cluster(), "its extension is not there"),
        (Cluster("12.1-1", True, ["a:5432"], THERE), "older than 13"),
        (Cluster("14.0-1", False, ["a:5432"], THERE), "the coordinator is not known"),
        (Cluster("14.0-1", True, [], THERE), "no worker"),
        (Cluster("14.0-1", True, ["a:5432"], THERE | {"a_neighbour_s"}), "a_neighbour_s"),
    ],
)
def test_what_cannot_be_is_refused_with_the_way_out(cluster: Cluster, what: str) -> None:
    with pytest.raises(OperatorError, match=what) as refused:
        _check(cluster, WANTED)
    assert refused.value.fix


async def test_a_plain_postgres_is_left_as_it_is(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    assert await cluster_of(connection) == Cluster()
    with pytest.raises(OperatorError, match="not one of a Citus cluster"):
        await distribute(connection, placements(Base))
    assert [each async for each in check_cluster(connection)] == []
    await connection.close()
    other = await asyncpg.connect(database_url)
    async with asyncio.timeout(60):
        await other.execute("SELECT pg_advisory_lock($1)", MIGRATIONS_LOCK)
    await other.close()


async def test_a_plain_postgres_has_no_workers_to_watch(database_url: str) -> None:
    nodes = Nodes()
    assert not await nodes.look(database_url)
    assert nodes.tell() == {}


def test_a_worker_that_is_down_is_told() -> None:
    nodes = Nodes({"a:5432": True, "b:5432": False})
    assert nodes.tell() == {"workersDown": ["b:5432"]}


def test_every_table_says_where_it_lies() -> None:
    placed = placements(Base)
    assert placed.keys() == Base.metadata.tables.keys()
    assert {name for name, placement in placed.items() if placement is REFERENCE} == {"workspace"}
    for table in Base.metadata.tables.values():
        if placed[table.name] is DISTRIBUTED:
            assert table.primary_key.columns.keys()[0] == "workspace_id", table.name
        for key in table.foreign_key_constraints:
            between = placed[table.name], placed[key.referred_table.name]
            assert between in {(DISTRIBUTED,) * 2, (DISTRIBUTED, REFERENCE), (LOCAL, LOCAL), (LOCAL, REFERENCE)}, (
                key.name
            )


def test_a_table_that_says_nothing_fails() -> None:
    class Apart(DeclarativeBase):
        pass

    class Silent(Apart):
        __table__ = Table("silent", Apart.metadata, Column("id", Integer, primary_key=True))

    with pytest.raises(Unplaced, match="Silent"):
        placements(Apart)  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "of"), [("ck_customer_employees_102096", "ck_customer_employees"), ("ck_a", "ck_a")])
def test_the_name_of_a_constraint_is_without_its_shard(name: str, of: str) -> None:
    assert _OF_SHARD.sub("", name) == of


def test_migrations_that_make_tables_from_now_on_place_them() -> None:
    """The first that knows of placement; what came before it is placed by `crm-graph distribute`."""
    for path in sorted(Path("migrations/versions").glob("*.py")):
        text = path.read_text()
        made = re.findall(r'op\.create_table\(\s*"(\w+)"', text)
        placed = placements(Base)
        if path.name >= "2026_12_02_w":
            distributed = [name for name in made if placed[name] is not LOCAL]
            assert all(re.search(rf'op_distribute\(\s*"{name}"', text) for name in distributed), path.name
