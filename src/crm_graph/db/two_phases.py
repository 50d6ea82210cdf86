"""Commits on a Citus cluster: a row of a worker and what is local are one commit, and readers of the log wait for it.

Citus commits in two phases where a transaction has written on several nodes; of a plain local table it does not know.
So each local table has a trigger there that writes to a table that Citus does know, of no rows: from then on the
transaction is one of several nodes. Its workers prepare, the coordinator commits, its workers commit.

So the event can be seen for a moment before its row. `crm_cluster.horizon()` is the snapshot's horizon, but for
transactions that the coordinator has committed and a worker possibly not yet:

- those that still hold the lock of their id: it is released after the workers have committed. The locks are read after
  the snapshot was taken, so that what the snapshot shows and nobody holds is on the workers;
- after a crash of the coordinator, which holds no locks: those of which `pg_dist_transaction` says that workers have
  prepared them, until somebody has seen them committed (`settle`). That is known by `crm_cluster.settled`, which is
  unlogged: Postgres empties it when it recovers from a crash.

Locks go while a statement is run, and Postgres may ask a horizon of each row: of two of them the later would be read
and the earlier never. So the first answer to a statement is kept for it. An answer from before is never too high.

Nothing of it is on a plain Postgres, where both are one commit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import asyncpg

from crm_graph.db.connecting import unit
from crm_graph.db.placement import LOCAL, UNDISTRIBUTED_SCHEMAS, Placement

Connection: TypeAlias = "asyncpg.Connection[Any]"

SNAPSHOT = "pg_snapshot_xmin(pg_current_snapshot())"
"""The horizon of a plain Postgres: each transaction below it has ended."""
BEHIND_WORKERS = "crm_cluster.horizon()"
"""That of a cluster: each transaction below it has ended on every node."""
IS_JOINED = "SELECT to_regclass('crm_cluster.settled') IS NOT NULL"
_APART = """
    SELECT pg_class.oid::regclass::text FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE relkind = 'r' AND (nspname = current_schema() AND relname = ANY($1) OR nspname = ANY($2))
      AND NOT EXISTS (SELECT FROM pg_dist_partition WHERE logicalrelid = pg_class.oid)
      AND NOT relation_is_a_known_shard(pg_class.oid)
      AND NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = pg_class.oid AND tgname = 'crm_commits_together')
    ORDER BY 1
"""
TRIGGER = """
    CREATE TRIGGER crm_commits_together AFTER INSERT OR UPDATE OR DELETE ON {table}
    FOR EACH STATEMENT EXECUTE FUNCTION crm_cluster.commit_together()
"""
_HORIZON = "SELECT pg_get_functiondef(to_regproc('crm_log_horizon'))"
_KNOWN = """
    CREATE SCHEMA IF NOT EXISTS crm_cluster;
    CREATE TABLE IF NOT EXISTS crm_cluster.joint (id int PRIMARY KEY);
    SELECT citus_add_local_table_to_metadata('crm_cluster.joint')
    WHERE NOT EXISTS (SELECT FROM pg_dist_partition WHERE logicalrelid = 'crm_cluster.joint'::regclass);
"""
ON_COORDINATOR = """
    SET LOCAL citus.enable_ddl_propagation = off;
    CREATE UNLOGGED TABLE IF NOT EXISTS crm_cluster.settled (id int PRIMARY KEY);
    INSERT INTO crm_cluster.settled VALUES (1) ON CONFLICT DO NOTHING;
    CREATE OR REPLACE FUNCTION crm_cluster.commit_together() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        DELETE FROM crm_cluster.joint WHERE id = 0;
        RETURN NULL;
    END $$;
    CREATE OR REPLACE FUNCTION crm_cluster.position_of(id xid, near bigint) RETURNS bigint
        IMMUTABLE PARALLEL SAFE LANGUAGE sql AS
        'SELECT near + ((id::text::bigint - near + 2147483648) & 4294967295) - 2147483648';
    CREATE OR REPLACE FUNCTION crm_cluster.horizon() RETURNS xid8 STABLE PARALLEL RESTRICTED LANGUAGE plpgsql AS $$
    DECLARE
        known bigint := pg_snapshot_xmin(pg_current_snapshot())::text::bigint;
        statement text := statement_timestamp()::text;
        kept text := current_setting('crm_cluster.horizon', true);
        found bigint;
    BEGIN
        IF split_part(kept, '|', 1) = statement THEN
            RETURN split_part(kept, '|', 2)::xid8;
        END IF;
        found := least(
            known,
            (
                SELECT min(crm_cluster.position_of(transactionid, known)) FROM pg_locks
                WHERE locktype = 'transactionid' AND mode = 'ExclusiveLock' AND granted
            ),
            (
                SELECT min(crm_cluster.position_of(xmin, known)) FROM pg_dist_transaction
                WHERE NOT EXISTS (SELECT FROM crm_cluster.settled)
            )
        );
        PERFORM set_config('crm_cluster.horizon', statement || '|' || found, false);
        RETURN found::text::xid8;
    END $$;
"""
_IS_SETTLED = "SELECT EXISTS (SELECT FROM crm_cluster.settled)"
_NOW = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint"
_RECOVER = "SELECT recover_prepared_transactions()"
_IN_DOUBT = """
    SELECT EXISTS (
        SELECT FROM pg_dist_transaction JOIN pg_dist_node USING (groupid)
        WHERE crm_cluster.position_of(pg_dist_transaction.xmin, $1) < $1 AND nodename || ':' || nodeport <> ALL($2)
    )
"""
_SETTLE = "INSERT INTO crm_cluster.settled VALUES (1) ON CONFLICT DO NOTHING"


async def is_joined(connection: Connection) -> bool:
    """Return whether this is a cluster whose nodes commit together."""
    return await connection.fetchval(IS_JOINED) is True


async def apart(connection: Connection, wanted: Mapping[str, Placement]) -> list[str]:
    """Return what does not commit together with rows of workers, on a coordinator: local tables, and the horizon of
    the log, as `crm_log_horizon()`, while it is that of a plain Postgres."""
    local = [name for name, placement in wanted.items() if placement is LOCAL]
    tables = [row[0] for row in await connection.fetch(_APART, local, UNDISTRIBUTED_SCHEMAS)]
    horizon = await connection.fetchval(_HORIZON)
    return tables if horizon is None or SNAPSHOT not in horizon else [*tables, "crm_log_horizon()"]


async def join(connection: Connection, wanted: Mapping[str, Placement]) -> list[str]:
    """Make the local tables of a coordinator commit together with rows of workers, and the readers of the log wait for
    both, in one transaction; return what did not until then."""
    async with unit(connection):
        missing = await apart(connection, wanted)
        if missing:
            await connection.execute("SET LOCAL citus.multi_shard_modify_mode = 'sequential'")
            await connection.execute(_KNOWN)
            await connection.execute(ON_COORDINATOR)
            horizon = await connection.fetchval(_HORIZON)
            for name in missing:
                if name == "crm_log_horizon()":
                    await connection.execute(horizon.replace(SNAPSHOT, BEHIND_WORKERS))
                else:
                    await connection.execute(TRIGGER.format(table=name))
    return missing


async def settle(connection: Connection, down: list[str], since: int | None) -> int | None:
    """Bring what a crash left in doubt to its end, on the workers that answer; return None when that is done, else the
    position to go on with as `since`. `down` are the others, as `host:port`: of theirs nothing can be read, and what is
    in doubt there is brought to its end when they answer again (`recover`)."""
    if await connection.fetchval(_IS_SETTLED):
        return None
    bound: int = await connection.fetchval(_NOW) if since is None else since
    await recover(connection)
    if await connection.fetchval(_IN_DOUBT, bound, down):
        return bound
    await connection.execute(_SETTLE)
    return None


async def recover(connection: Connection) -> None:
    """Commit or take back what workers have prepared for transactions that are over. A role that may not leaves it to
    Citus, which does it every minute."""
    try:
        await connection.execute(_RECOVER)
    except asyncpg.InsufficientPrivilegeError:
        return
