"""`crm-graph distribute`, and what `doctor` says of a cluster."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

import asyncpg

import crm_graph.api.schema  # noqa: F401 - so that every table of a slice is known
from crm_graph.cli.place import Place
from crm_graph.db.base import Base
from crm_graph.db.connecting import close, connect
from crm_graph.db.distributing import Cluster, Connection, Told, cluster_of, distribute
from crm_graph.db.placement import Placement, placements
from crm_graph.db.revisions import require_current
from crm_graph.db.two_phases import apart

_PREPARED = """
    SELECT min(CASE WHEN success THEN result::int ELSE 0 END), current_setting('max_connections')::int
    FROM run_command_on_workers('SHOW max_prepared_transactions')
"""
_HEALTH = """
    SELECT DISTINCT to_nodename || ':' || to_nodeport AS node FROM citus_check_cluster_node_health()
    WHERE result IS DISTINCT FROM true ORDER BY 1
"""
_WORKSPACES = "SELECT count(*) FROM (SELECT 1 FROM workspace LIMIT 2) AS workspace"


async def distribute_place(place: Place, shards: int | None, tell: Told) -> Cluster:
    """Place the tables of a place; return what the cluster then says. Raises OperatorError."""
    with place.database_url() as url:
        await require_current(url)
        connection = await connect(url, timeout_s=None)
        try:
            return await distribute(connection, placements(Base), shards, tell)
        finally:
            await close(connection)


async def check_cluster(connection: Connection) -> AsyncIterator[tuple[str, str, bool]]:
    """Look at a database as a cluster: yield what was found, how to fix it, and whether it works all the same. Nothing
    for a plain Postgres, and for one whose extension nobody uses."""
    cluster = await cluster_of(connection)
    if cluster.version is None:
        return
    wanted: Mapping[str, Placement] = placements(Base)
    if not cluster.distributed:
        yield "Citus is installed, and nothing is distributed", "`crm-graph distribute` distributes", True
        return
    misplaced, unnamed = cluster.misplaced(wanted), cluster.unnamed(wanted)
    if misplaced:
        listed = ", ".join(f"{name} ({to.value})" for name, to in misplaced.items())
        yield f"tables do not lie where they are to: {listed}", "`crm-graph distribute`", False
    else:
        yield f"Citus {cluster.version}: every table lies where it is to, over {len(cluster.workers)} workers", "", True
    if unnamed:
        yield f"no list says where these tables are to lie: {', '.join(unnamed)}", "move them into another schema", True
    if alone := await apart(connection, wanted):
        yield (
            f"these do not commit together with rows of the workers: {', '.join(alone)}",
            "`crm-graph distribute`",
            False,
        )
    if cluster.left_behind:
        text = f"the coordinator keeps former copies of rows: {', '.join(cluster.left_behind)}"
        yield f"{text}: `crm-graph distribute` was interrupted", "run `crm-graph distribute` again", True
    async for told in _nodes(connection):
        yield told
    if await connection.fetchval(_WORKSPACES) < 2:
        yield (
            "there is one workspace, and a workspace lies on one node: nothing is split",
            "for one tenant take a plain Postgres with replicas, or a larger machine (docs/operating/citus.md)",
            True,
        )


async def _nodes(connection: Connection) -> AsyncIterator[tuple[str, str, bool]]:
    try:
        away = [row["node"] for row in await connection.fetch(_HEALTH)]
        prepared, needed = tuple(await connection.fetchrow(_PREPARED) or (0, 0))
    except (asyncpg.PostgresError, ValueError) as error:
        yield f"the workers cannot be asked: {error}", "start them, and see that the coordinator reaches them", False
        return
    if away:
        yield f"nodes do not answer: {', '.join(away)}", "start them: their workspaces are UNAVAILABLE till then", False
    elif prepared < needed:
        yield (
            f"a worker takes {prepared} prepared transactions, of which every write is one, and this coordinator"
            f" {needed} connections: what is over fails",
            f"set max_prepared_transactions to {needed} on every worker, and restart it",
            prepared > 0,
        )
