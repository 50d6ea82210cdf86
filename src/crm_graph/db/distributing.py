"""Distributing: bringing the tables of a database to where their placements say, on the coordinator of a Citus cluster.

What is to be done is found by looking, so that a second run does what an interrupted one left, and a third one nothing.
All tables are placed in one transaction: a foreign key between a table that is distributed and one that is not is
refused by Citus, so that they are dropped first and added again at the end. Then local tables are made to commit
together with them (`two_phases.py`). What the coordinator then still keeps of
distributed rows, which nobody sees, is removed after it, a table at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import asyncpg

from crm_graph.db.connecting import unit
from crm_graph.db.placement import DISTRIBUTED, LOCAL, REFERENCE, Placement
from crm_graph.db.revisions import MIGRATIONS_LOCK
from crm_graph.db.two_phases import join
from crm_graph.kernel.errors import OperatorError

Connection: TypeAlias = "asyncpg.Connection[Any]"
Told = Callable[[str], None]
"""Called with what was done, in the words of an operator."""

OLDEST_CITUS = 13
VISIBLE = "citus.override_table_visibility"
"""Off, Citus leaves queries of the catalogue as they are: else it rewrites them, and those of Alembic and of drivers
fail."""
_EXTENSION = "SELECT extversion FROM pg_extension WHERE extname = 'citus'"
_TABLES = """
    SELECT relname::text AS name, relkind::text AS kind FROM pg_class
    WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p')
      AND NOT relation_is_a_known_shard(pg_class.oid)
      AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_class.oid AND deptype = 'e')
"""
_PLACED = """
    SELECT relname::text AS name, partmethod::text AS method, repmodel::text AS model
    FROM pg_dist_partition JOIN pg_class ON pg_class.oid = logicalrelid
    WHERE relnamespace = current_schema()::regnamespace
"""
_FOREIGN_KEYS = """
    SELECT conname::text AS name, conrelid::regclass::text AS source, confrelid::regclass::text AS target,
        pg_get_constraintdef(oid) AS definition
    FROM pg_constraint WHERE contype = 'f' AND connamespace = current_schema()::regnamespace AND conparentid = 0
    ORDER BY source, name
"""
_LEFT_BEHIND = """
    SELECT relname::text AS name FROM pg_class JOIN pg_dist_partition ON logicalrelid = pg_class.oid
    WHERE relnamespace = current_schema()::regnamespace AND NOT (partmethod = 'n' AND repmodel = 's')
      AND pg_relation_size(pg_class.oid) > 0
    ORDER BY 1
"""
_NODES = """
    SELECT groupid, nodename AS host, nodeport AS port, isactive AS active, hasmetadata AS knows
    FROM pg_dist_node WHERE noderole = 'primary' ORDER BY groupid
"""


@dataclass(frozen=True, slots=True)
class Cluster:
    """What a database says of itself as a cluster; without Citus, nothing."""

    version: str | None = None
    coordinator: bool = False
    """Whether the coordinator is known to the cluster, as reference tables and foreign keys to them need."""
    workers: Sequence[str] = ()
    tables: frozenset[str] = frozenset()
    placed: Mapping[str, Placement] = field(default_factory=dict)
    left_behind: Sequence[str] = ()
    """Distributed tables of whose rows the coordinator keeps its former copy."""

    @property
    def distributed(self) -> bool:
        """Whether any table is distributed."""
        return DISTRIBUTED in self.placed.values()

    def misplaced(self, wanted: Mapping[str, Placement]) -> dict[str, Placement]:
        """Return where those tables are to go that are elsewhere, in the order in which they are placed."""
        order = (REFERENCE, DISTRIBUTED, LOCAL)
        misplaced = {
            name: to for name, to in wanted.items() if name in self.tables and self.placed.get(name, LOCAL) is not to
        }
        return dict(sorted(misplaced.items(), key=lambda item: (order.index(item[1]), item[0])))

    def unnamed(self, wanted: Mapping[str, Placement]) -> list[str]:
        """Return the tables beside ours: what they are, nobody has said."""
        return sorted(self.tables - wanted.keys() - {"alembic_version"})


async def cluster_of(connection: Connection) -> Cluster:
    """Return what the database of a connection says of itself."""
    version = await connection.fetchval(_EXTENSION)
    if version is None:
        return Cluster()
    nodes = await connection.fetch(_NODES)
    placed = {row["name"]: _placement(row["method"], row["model"]) for row in await connection.fetch(_PLACED)}
    return Cluster(
        version,
        any(node["groupid"] == 0 for node in nodes),
        [f"{node['host']}:{node['port']}" for node in nodes if node["groupid"] and node["active"]],
        frozenset(row["name"] for row in await connection.fetch(_TABLES)),
        placed,
        [row["name"] for row in await connection.fetch(_LEFT_BEHIND)],
    )


def _placement(method: str, model: str) -> Placement:
    """A local table that a foreign key ties to a reference table is known to the cluster, and lies where it lay."""
    if method == "h":
        return DISTRIBUTED
    return REFERENCE if model == "t" else LOCAL


async def distribute(
    connection: Connection, wanted: Mapping[str, Placement], shards: int | None = None, tell: Told = lambda _: None
) -> Cluster:
    """Place every table, and return what the cluster then says. Waits for migrations and for another `distribute`, and
    keeps them waiting until the caller closes the connection.

    Raises OperatorError where the database is no cluster that can be distributed over, and for a table that no list
    names, before anything is done.
    """
    await connection.execute("SELECT pg_advisory_lock($1)", MIGRATIONS_LOCK)
    cluster = await cluster_of(connection)
    _check(cluster, wanted)
    misplaced = cluster.misplaced(wanted)
    if misplaced:
        database = await connection.fetchval("SELECT quote_ident(current_database())")
        await connection.execute(f"ALTER DATABASE {database} SET {VISIBLE} = off")
        await _place(connection, cluster, misplaced, shards, tell)
    for name in await join(connection, wanted):
        tell(f"{name}: commits together with rows of the workers")
    for name in (await cluster_of(connection)).left_behind:
        await connection.execute("SELECT truncate_local_data_after_distributing_table($1::text::regclass)", name)
        tell(f"{name}: the coordinator's former copy is removed")
    return await cluster_of(connection)


def _check(cluster: Cluster, wanted: Mapping[str, Placement]) -> None:
    if cluster.version is None:
        raise OperatorError(
            "the database is not one of a Citus cluster: its extension is not there",
            "to distribute over several machines, install Citus on all of them and `CREATE EXTENSION citus` in this"
            " database of each; a plain Postgres needs none of it (docs/operating/citus.md)",
        )
    if int(cluster.version.split(".")[0].split("-")[0]) < OLDEST_CITUS:
        raise OperatorError(f"Citus {cluster.version} is older than {OLDEST_CITUS}", "upgrade Citus on all nodes")
    if not cluster.coordinator:
        raise OperatorError(
            "the coordinator is not known to the cluster, as reference tables need it",
            "SELECT citus_set_coordinator_host('<its host, as the workers reach it>', <port>)",
        )
    if not cluster.workers:
        raise OperatorError("the cluster has no worker", "SELECT citus_add_node('<host>', <port>) for each of them")
    unnamed = cluster.unnamed(wanted)
    if unnamed:
        raise OperatorError(
            f"no list says where these tables are to lie: {', '.join(unnamed)}",
            "they are not of this version of crm-graph: move them into a schema of their own"
            " (ALTER TABLE .. SET SCHEMA ..), or run the version that made them",
        )


async def _place(
    connection: Connection, cluster: Cluster, misplaced: Mapping[str, Placement], shards: int | None, tell: Told
) -> None:
    """Place tables in one transaction. Interrupted, it leaves everything as it was."""
    async with unit(connection):
        await connection.execute("SET LOCAL citus.multi_shard_modify_mode = 'sequential'")
        await connection.execute("SET LOCAL statement_timeout = 0")
        keys = [
            key
            for key in await connection.fetch(_FOREIGN_KEYS)
            if misplaced.keys() & {_bare(key["source"]), _bare(key["target"])}
        ]
        for key in keys:
            await connection.execute(f"ALTER TABLE {key['source']} DROP CONSTRAINT {_quoted(key['name'])}")
        beside = next((name for name, placement in cluster.placed.items() if placement is DISTRIBUTED), None)
        for name, placement in misplaced.items():
            await _place_one(connection, name, placement, beside, shards)
            if placement is DISTRIBUTED:
                beside = beside or name
            tell(f"{name}: {placement.value}")
        for key in keys:
            await connection.execute(
                f"ALTER TABLE {key['source']} ADD CONSTRAINT {_quoted(key['name'])} {key['definition']}"
            )
        tell(f"{len(keys)} foreign keys are in force again")


async def _place_one(
    connection: Connection, name: str, placement: Placement, beside: str | None, shards: int | None
) -> None:
    if placement is REFERENCE:
        await connection.execute("SELECT create_reference_table($1::text::regclass)", name)
    elif placement is LOCAL:
        await connection.execute("SELECT undistribute_table($1::text::regclass)", name)
    elif beside is not None:
        await connection.execute(
            "SELECT create_distributed_table($1::text::regclass, 'workspace_id', colocate_with => $2)", name, beside
        )
    else:
        await connection.execute(
            "SELECT create_distributed_table($1::text::regclass, 'workspace_id', colocate_with => 'none',"
            " shard_count => coalesce($2, current_setting('citus.shard_count')::int))",
            name,
            shards,
        )


def _bare(name: str) -> str:
    return name.rpartition(".")[2].strip('"')


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
