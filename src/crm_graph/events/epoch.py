"""The epoch of the log: which cluster its positions come from, and what happens to them where that is another one.

Positions are transaction ids, which belong to a cluster: restored from a dump into a fresh one, old events would lie
behind its horizon, unseen, and new ones before every cursor. So the log has epochs. A position's high bits are its
epoch's number, and a new epoch is one row and two functions (`crm_log_position`, `crm_log_horizon`): everything that
was written keeps its position, the audit chain its hashes, and every cursor what lies behind it.

An epoch is tied to what tells one history of transactions from another:

- the system identifier, which `initdb` makes: a dump in a fresh cluster, `pg_upgrade`;
- the oid of the table `log_epoch`: a dump restored within the same cluster, beside the database or in its place;
- the timeline: recovery to a point in time, or a standby that was promoted. Which of them it was stands in the file of
  its history, where we may read it;
- on one timeline the label of the base backup that the cluster was made from, where we may read it: one that was
  started by itself. A standby is made from one too, and has a timeline of its own once it is promoted;
- the transaction ids: a position that this cluster has not given out yet.

What cannot be told is a file system that was rolled back as a whole, database and all: its operator says so
(`crm-graph restore --in-place --new-epoch`).

What the cluster of before wrote after the backup is lost here. Its clients have cursors behind that point, which
`known_xid` names, and are told CURSOR_TOO_OLD (`events/horizon.py`). Numbers of epochs go up by chance and not by one:
the same backup restored twice makes two epochs, and the cursor of one means nothing in the other.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any, TypeAlias

import asyncpg

from crm_graph.db.connecting import close, connect, unit
from crm_graph.db.two_phases import BEHIND_WORKERS, SNAPSHOT, is_joined
from crm_graph.kernel.cursor import MAX_EPOCH, XID_BITS
from crm_graph.kernel.errors import OperatorError, Unreachable

Connection: TypeAlias = "asyncpg.Connection[Any]"

MAX_STEP = 1_000
"""How much larger the next epoch's number is at most: there is room for 500 restores at least."""
WAY_OUT = (
    "stop every other process of it, then run `crm-graph restore --in-place`: it continues the log here under a new"
    " epoch, and nothing that is here is lost; docs/operating/backup.md says more"
)
BY_ITSELF = "the first process that comes continues the log; with CRM_CONTINUE_AFTER_FAILOVER=0 none does: then "
_MAY_READ = "SELECT has_function_privilege('pg_read_file(text, bigint, bigint, boolean)', 'execute')"
_LABEL = "md5(coalesce(pg_read_file('backup_label.old', 0, 65536, true), ''))"
_HISTORY = """
    SELECT coalesce(pg_read_file('pg_wal/' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8) || '.history',
        0, 1048576, true), '')
"""
"""The timelines that came before: a line for each, with its number, where it ended, and why."""
RESTORING = "crm_graph.restoring"
"""What `crm-graph restore` sets in the server that recovers for it, until the log goes on."""
_PROMOTED = "no recovery target specified"
_CLUSTER = """
    SELECT system_identifier, ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::bigint
        AS timeline, to_regclass('log_epoch')::oid::bigint AS relation, {label} AS backup_label
    FROM pg_control_system()
"""
_CURRENT = """
    SELECT number, known_xid, system_identifier, timeline, relation, backup_label, began_at,
        greatest((SELECT xid::text::bigint FROM event ORDER BY event.xid DESC, seq DESC LIMIT 1),
            (SELECT max(event_xid) FROM audit_head)) AS last_xid,
        greatest(pg_snapshot_xmax(pg_current_snapshot())::text::bigint,
            pg_current_xact_id_if_assigned()::text::bigint + 1) AS next_xid
    FROM log_epoch ORDER BY number DESC LIMIT 1
"""
_CLAIM = "SELECT system_identifier, (SELECT max(number) FROM log_epoch) AS number FROM pg_control_system()"
_SEALED = "SELECT coalesce(max(event_xid), 0) FROM audit_head"
_ADD = """
    INSERT INTO log_epoch (number, known_xid, system_identifier, timeline, relation, backup_label, began_at)
    VALUES ($1, $2, $3, $4, $5, $6, now())
"""
_FUNCTIONS = """
    CREATE OR REPLACE FUNCTION crm_log_position() RETURNS xid8 STABLE PARALLEL SAFE LANGUAGE sql AS
        'SELECT (pg_current_xact_id()::text::bigint + {base})::text::xid8';
    CREATE OR REPLACE FUNCTION crm_log_horizon() RETURNS xid8 STABLE PARALLEL SAFE LANGUAGE sql AS
        'SELECT ({horizon}::text::bigint + {base})::text::xid8'
"""
_ALONE = "LOCK TABLE event IN SHARE ROW EXCLUSIVE MODE"
"""Whoever writes has its position, and whoever waits for this lock gets one of the new epoch. Readers go on, and no
second table is locked: they read both, and would wait for each other."""
_FORGET_VIEWERS = """
    INSERT INTO workspace_directory (workspace_id, directory_version) SELECT id, 1000000 FROM workspace
    ON CONFLICT (workspace_id) DO UPDATE SET directory_version = workspace_directory.directory_version + 1000000
"""
"""Viewers that a process remembers are possibly of a history that is lost: none of them is confirmed any more."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """What tells the history of a database from others."""

    system_identifier: int
    timeline: int
    relation: int | None
    backup_label: str | None


@dataclass(frozen=True, slots=True)
class Epoch:
    """The epoch that a log is in. `foreign` says why this is not the cluster that it is of, in a sentence; None where
    it is. `promoted`: nothing but the timeline differs, as after the failover to a standby, and nothing shows that it
    was a point in time."""

    number: int
    known_xid: int
    foreign: str | None = None
    promoted: bool = False


class ForeignLog(OperatorError):
    """Raised where the log's positions are not of this cluster's transactions: it was restored, or is younger."""

    def __init__(self, why: str, *, promoted: bool = False) -> None:
        super().__init__(
            f"the event log is not this cluster's: {why}", f"{BY_ITSELF}{WAY_OUT}" if promoted else WAY_OUT
        )


async def cluster_of(connection: Connection) -> Cluster:
    """Return what a connection's cluster is told by. Only a primary can be asked."""
    may_read = await connection.fetchval(_MAY_READ)
    row = await connection.fetchrow(_CLUSTER.format(label=_LABEL if may_read else "NULL"))
    assert row is not None
    return Cluster(*row)


async def current_epoch(connection: Connection) -> Epoch:
    """Return the epoch of a log, compared with the cluster that it is in. Raises OperatorError for a standby."""
    if await connection.fetchval("SELECT pg_is_in_recovery()"):
        raise Unreachable("DATABASE_URL is a standby: nothing can be written there", "name the primary, or promote it")
    row = await connection.fetchrow(_CURRENT)
    if row is None:
        return Epoch(0, 0, "the table log_epoch is empty")
    number, known = row["number"], row["known_xid"]
    cluster = await cluster_of(connection)
    why = _difference(row, cluster)
    if why is None and row["timeline"] != cluster.timeline:
        if await connection.fetchval(f"SELECT coalesce(current_setting('{RESTORING}', true), '') = 'on'"):
            return Epoch(number, known, "a restore of it was interrupted")
        if await _to_a_point(connection, row["timeline"]):
            return Epoch(number, known, "it was recovered to a point in time, and what came after is not here")
        why = (
            f"it was on timeline {row['timeline']} and is on {cluster.timeline} now: a standby was promoted, or it was"
            " recovered, and what came last is possibly missing"
        )
        return Epoch(number, known, why, promoted=True)
    return Epoch(number, known, why)


async def _to_a_point(connection: Connection, since: int) -> bool:
    """Return whether a timeline from a number on ended at a point in time that somebody chose, as far as we may see."""
    if not await connection.fetchval(_MAY_READ):
        return False
    timelines = [line.split("\t") for line in (await connection.fetchval(_HISTORY)).splitlines() if line.strip()]
    return any(int(number) >= since and reason.strip() != _PROMOTED for number, _, reason in timelines)


def _difference(row: Any, cluster: Cluster) -> str | None:
    """Return what, but for the timeline, shows that a log is not a cluster's."""
    if row["system_identifier"] is None:
        return "it came from a cluster that is not known, by a dump"
    if row["system_identifier"] != cluster.system_identifier:
        return (
            f"it was written in cluster {row['system_identifier']} and this is {cluster.system_identifier}: restored"
            " from a dump, or upgraded by pg_upgrade"
        )
    if row["relation"] != cluster.relation:
        return "its tables were made anew in this cluster: restored from a dump"
    if (row["last_xid"] or 0) >= (row["number"] << XID_BITS) + row["next_xid"]:
        return "it has events of transactions that this cluster has yet to begin"
    labels = row["backup_label"], cluster.backup_label
    if row["timeline"] == cluster.timeline and None not in labels and labels[0] != labels[1]:
        return "this is a base backup that was started by itself, which is younger than the cluster that it is of"
    return None


async def require_own(connection: Connection) -> Epoch:
    """Return the epoch of the log. Raises ForeignLog where the log is not this cluster's."""
    epoch = await current_epoch(connection)
    if epoch.foreign is not None:
        raise ForeignLog(epoch.foreign, promoted=epoch.promoted)
    return epoch


async def own_or_continued(connection: Connection) -> Epoch:
    """Return the epoch of the log, a new one where a standby was promoted. Raises ForeignLog for any other reason why
    the log is not this cluster's."""
    epoch = await current_epoch(connection)
    if not epoch.promoted:
        return await require_own(connection)
    async with unit(connection):
        await connection.execute(_ALONE)
        epoch = await current_epoch(connection)  # as whoever came first has left it
        return await begin_epoch(connection) if epoch.promoted else epoch


async def require_own_log(url: str, *, failover: bool = False) -> Epoch:
    """Return the epoch of the log of a database, whose schema is current; after a `failover` it is continued. Raises
    OperatorError."""
    connection = await asyncpg.connect(url)  # without our codecs, which take as long: every command asks
    try:
        return await (own_or_continued if failover else require_own)(connection)
    finally:
        await close(connection)


async def require_same_log(url: str, read_url: str) -> None:
    """Raise OperatorError where the database that queries read is no copy of the one that is written: of another
    cluster, though it claims the same epoch, or of an epoch that the other has not."""
    claims = []
    for each in (url, read_url):
        connection = await connect(each)
        try:
            claims.append(await connection.fetchrow(_CLAIM))
        finally:
            await close(connection)
    written, read = claims
    assert written is not None
    assert read is not None
    if (read["system_identifier"], read["number"]) != (written["system_identifier"], written["number"]):
        raise OperatorError(
            f"DATABASE_READ_URL is cluster {read['system_identifier']} in epoch {read['number']} of the log, and"
            f" DATABASE_URL is {written['system_identifier']} in epoch {written['number']}",
            "name a standby of DATABASE_URL, or unset DATABASE_READ_URL; one that is behind gets there by itself",
        )


async def has_epochs(url: str) -> bool:
    """Return whether a database has the table of epochs: one of before has not, until it is migrated."""
    connection = await connect(url)
    try:
        return await connection.fetchval("SELECT to_regclass('log_epoch') IS NOT NULL") is True
    finally:
        await close(connection)


async def begin_epoch(connection: Connection, known_xid: int = 0) -> Epoch:
    """Continue the log in this cluster under a new epoch, in the transaction of the connection; returns it.

    `known_xid` is a position up to which everything is known to be here, of a backup that says so. What the audit trail
    has sealed is in any case: it was visible when that was committed. Raises OperatorError when there are no more
    epochs.
    """
    await connection.execute(_ALONE)
    before = await connection.fetchrow(_CURRENT)
    number = 0 if before is None else before["number"]
    following = number + 1 + secrets.randbelow(MAX_STEP)
    if following > MAX_EPOCH:
        raise OperatorError(
            f"the log is in epoch {number}, and there are only {MAX_EPOCH}",
            "move to a new installation: export the records, and import them there",
        )
    known = max(known_xid, await connection.fetchval(_SEALED))
    cluster = await cluster_of(connection)
    identity = cluster.system_identifier, cluster.timeline, cluster.relation, cluster.backup_label
    await connection.execute(_ADD, following, known, *identity)
    joined = await is_joined(connection)
    if joined:
        await connection.execute("SET LOCAL citus.enable_ddl_propagation = off")
    await connection.execute(
        _FUNCTIONS.format(base=following << XID_BITS, horizon=BEHIND_WORKERS if joined else SNAPSHOT)
    )
    await connection.execute(_FORGET_VIEWERS)
    return Epoch(following, known)
