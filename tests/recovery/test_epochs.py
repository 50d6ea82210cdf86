"""The log's epoch: a cluster that is another one is seen, and what it continues is what was there."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

import asyncpg
import pytest

from crm_graph.db.pool import Database
from crm_graph.db.session import ReadSession
from crm_graph.events.epoch import (
    ForeignLog,
    begin_epoch,
    current_epoch,
    own_or_continued,
    require_own,
    require_own_log,
    require_same_log,
)
from crm_graph.events.horizon import Horizon, horizon
from crm_graph.events.hub import FeedOverflow, Hub
from crm_graph.events.log import Event, end, read_after
from crm_graph.events.relay import Relay
from crm_graph.kernel.cursor import MAX_EPOCH, XID_BITS, LogCursor
from crm_graph.kernel.errors import CursorTooOld, OperatorError
from tests.support.server import crm_graph
from tests.support.trail import Trail, connect, trail_of

BEGINNING = LogCursor(0, 0)
FOREIGN = {
    "a dump in a fresh cluster": ("system_identifier = 1", "restored from a dump"),
    "a dump of before there were epochs": ("system_identifier = NULL", "a cluster that is not known"),
    "a dump within the cluster": ("relation = relation + 1", "its tables were made anew"),
    "a base backup started by itself": ("backup_label = 'f00'", "a base backup that was started by itself"),
    "another timeline": ("timeline = timeline + 1", "a standby was promoted, or it was recovered"),
}


@pytest.fixture
async def trail(postgres: str, request: pytest.FixtureRequest) -> AsyncIterator[Trail]:
    """A log with nothing in it."""
    async with trail_of(postgres, f"epoch_{abs(hash(request.node.name)) % 10**8}") as made:
        yield made


async def _continued(trail: Trail, known_xid: int = 0) -> int:
    async with trail.connection.transaction():
        return (await begin_epoch(trail.connection, known_xid)).number


async def _read(trail: Trail, after: LogCursor) -> list[LogCursor]:
    return [event.cursor for event in await read_after(ReadSession(trail.connection), after, 1_000)]


async def test_a_log_is_its_own_clusters(trail: Trail) -> None:
    await trail.write(3)
    assert (await require_own(trail.connection)).number == 0
    assert (await require_own_log(trail.url)).number == 0
    async with trail.connection.transaction():
        await trail.write()
        assert (await require_own(trail.connection)).number == 0, "its own event is of no other cluster"


@pytest.mark.parametrize(("change", "why"), FOREIGN.values(), ids=FOREIGN)
async def test_another_cluster_is_seen(trail: Trail, change: str, why: str) -> None:
    await trail.connection.execute(f"UPDATE log_epoch SET {change}")
    with pytest.raises(ForeignLog, match=why) as raised:
        await require_own_log(trail.url)
    assert "crm-graph restore --in-place" in raised.value.fix
    await _continued(trail)
    await require_own_log(trail.url)


async def test_a_cluster_that_has_yet_to_begin_what_its_log_tells_of_is_seen(trail: Trail) -> None:
    """One that was rolled back by pg_resetwal, say."""
    await trail.write(1)
    await trail.connection.execute("UPDATE event SET xid = (xid::text::bigint + 1000000)::text::xid8")
    assert "yet to begin" in str((await current_epoch(trail.connection)).foreign)
    await trail.connection.execute("TRUNCATE event")
    await trail.seal()
    assert (await current_epoch(trail.connection)).foreign is None
    await trail.write(1)
    await trail.seal()
    await trail.connection.execute("UPDATE audit_head SET event_xid = event_xid + 1000000")
    assert "yet to begin" in str((await current_epoch(trail.connection)).foreign)


async def test_positions_of_a_later_epoch_lie_behind_all_earlier_ones(trail: Trail) -> None:
    """Old events have positions that this cluster has not reached: they are seen, in their order, and once."""
    await trail.write(2)
    await trail.connection.execute("UPDATE event SET xid = (xid::text::bigint + 1000000000)::text::xid8")
    assert await _read(trail, BEGINNING) == [], "so a dump in a fresh cluster loses them"
    old = [
        LogCursor(row[0], row[1]) for row in await trail.connection.fetch("SELECT xid::text::bigint, seq FROM event")
    ]
    first = await _continued(trail)
    await trail.write(1)
    second = await _continued(trail)
    await trail.write(1)
    found = await _read(trail, BEGINNING)
    assert found[:2] == sorted(old)
    assert [cursor.epoch for cursor in found] == [0, 0, first, second]
    assert found == sorted(found)
    assert await _read(trail, found[1]) == found[2:]
    assert await _read(trail, await end(ReadSession(trail.connection))) == []


async def test_the_trail_goes_on_where_it_was(trail: Trail) -> None:
    await trail.write(3)
    await trail.seal()
    await trail.write(2)
    await _continued(trail)
    await trail.write(4)
    assert await trail.seal() == 6
    assert (await trail.verify()).head.number == 9


async def test_whoever_writes_meanwhile_is_of_one_epoch_or_the_other(trail: Trail) -> None:
    """A writer that was there first is waited for, and one that comes later has a position of the new epoch."""
    early, late = await connect(trail.url), await connect(trail.url)
    writing = early.transaction()
    await writing.start()
    await trail.write(1, connection=early)
    beginning = asyncio.create_task(_continued(trail))
    await _until_waiting(late, "LOCK TABLE")
    following = asyncio.create_task(trail.write(1, connection=late))
    watcher = await connect(trail.url)
    await _until_waiting(watcher, "INSERT INTO event")
    assert not beginning.done()
    await writing.commit()
    number = await beginning
    await following
    assert [cursor.epoch for cursor in await _read(trail, BEGINNING)] == [0, number]
    for connection in (early, late, watcher):
        await connection.close()


async def _until_waiting(connection: asyncpg.Connection[asyncpg.Record], statement: str) -> None:
    query = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE $1 || '%')"
    async with asyncio.timeout(30):
        while not await connection.fetchval(query, statement):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)


async def test_a_cursor_is_kept_or_too_old(trail: Trail) -> None:
    """What the trail has sealed, and what a backup says that it has, is kept; behind that a history may be lost."""
    await trail.write(2)
    await trail.seal()
    sealed = (await _read(trail, BEGINNING))[-1]
    assert (await horizon(ReadSession(trail.connection))) == Horizon(BEGINNING, [(0, 0)])
    first = await _continued(trail)
    await trail.write(1)
    inside = (await _read(trail, BEGINNING))[-1]
    second = await _continued(trail, known_xid=inside.xid + 5)
    await trail.write(1)
    kept = await horizon(ReadSession(trail.connection))
    for cursor in (BEGINNING, sealed, inside, LogCursor(inside.xid + 5, 1), await end(ReadSession(trail.connection))):
        kept.require_kept(cursor)
    lost = (
        LogCursor(sealed.xid + 1, 1),
        LogCursor((first << XID_BITS) - 1, 1),
        LogCursor(inside.xid + 6, 1),
        LogCursor((second << XID_BITS) - 1, 1),
        LogCursor((second + 1 << XID_BITS) + 1, 1),
    )
    for cursor in lost:
        with pytest.raises(CursorTooOld):
            kept.require_kept(cursor)


async def test_two_clusters_do_not_claim_one_epoch(trail: Trail) -> None:
    """Restored twice, a log has two epochs: the cursor of one is too old in the other. By chance of one in a thousand
    they were the same."""
    numbers = set()
    for _ in range(8):
        attempt = trail.connection.transaction()
        await attempt.start()
        numbers.add((await begin_epoch(trail.connection)).number)
        await attempt.rollback()
    assert len(numbers) > 1


async def test_epochs_come_to_an_end(trail: Trail) -> None:
    await trail.connection.execute("UPDATE log_epoch SET number = $1", MAX_EPOCH)
    with pytest.raises(OperatorError, match="there are only"):
        await _continued(trail)
    assert LogCursor((MAX_EPOCH << XID_BITS) + (1 << XID_BITS) - 1, 1).epoch == MAX_EPOCH
    cursor = LogCursor(MAX_EPOCH << XID_BITS, 1)
    assert LogCursor.decode(cursor.encode()) == cursor


async def test_nothing_is_relayed_or_sealed_in_a_foreign_cluster(
    trail: Trail, caplog: pytest.LogCaptureFixture
) -> None:
    await trail.write(1)
    await trail.connection.execute("UPDATE log_epoch SET system_identifier = 1")
    relay, chainer = Relay(trail.url, 5, 20), trail.chainer()
    tasks = [asyncio.create_task(each.run()) for each in (relay, chainer)]
    with caplog.at_level(logging.WARNING):
        async with asyncio.timeout(30):
            while len([one for one in caplog.messages if "restore --in-place" in one]) < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    assert await trail.connection.fetchval("SELECT count(*) FROM audit_entry") == 0
    await _continued(trail)
    async with asyncio.timeout(30):
        while not await trail.connection.fetchval("SELECT count(*) FROM audit_entry"):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_after_a_failover_the_log_goes_on_by_itself_where_that_is_wanted(trail: Trail) -> None:
    await trail.connection.execute("UPDATE log_epoch SET timeline = timeline + 1")
    with pytest.raises(ForeignLog):
        await require_own_log(trail.url)
    epochs = await asyncio.gather(*(require_own_log(trail.url, failover=True) for _ in range(4)))
    assert len({epoch.number for epoch in epochs}) == 1, "whoever comes second finds the first one's"
    await require_own_log(trail.url)
    await trail.connection.execute("UPDATE log_epoch SET system_identifier = 1")
    with pytest.raises(ForeignLog):
        await own_or_continued(trail.connection)


async def test_a_hub_follows_its_log_into_a_new_epoch(trail: Trail) -> None:
    """Whoever listens reads the log by itself then, and is told whether what it has seen is there still."""
    await trail.write(1)
    database = await Database.open(trail.url)
    hub = Hub(database, fallback_ms=20)
    await hub.start()
    try:
        with hub.registered(trail.first, ["Customer"]) as feed:
            events = feed.events()
            following: asyncio.Task[Event] = asyncio.create_task(anext(events))  # type: ignore[arg-type]
            async with asyncio.timeout(30):
                while hub._epoch is None:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            before = hub.position
            number = await _continued(trail)
            await trail.connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND application_name = 'crm-graph'"
            )
            with pytest.raises(FeedOverflow):
                await asyncio.wait_for(following, 30)
            assert hub.position.epoch == number > before.epoch
        await trail.write(1)
        with pytest.raises(CursorTooOld):
            await anext(hub.events(trail.first, ["Customer"], before))
    finally:
        await hub.stop()
        await database.close()


async def test_commands_say_the_way_out_and_take_it(trail: Trail) -> None:
    secret = {"CRM_SECRET": "s" * 40}
    await trail.connection.execute("UPDATE log_epoch SET system_identifier = 1")
    for command in (("serve",), ("worker",), ("user", "list"), ("dev",)):
        refused = crm_graph(*command, DATABASE_URL=trail.url, **secret)
        assert refused.returncode == 2, refused.stderr
        assert "crm-graph restore --in-place" in refused.stderr
    assert "restore --in-place" in crm_graph("doctor", DATABASE_URL=trail.url, **secret).stderr


async def test_a_log_in_use_is_not_continued(trail: Trail) -> None:
    used = await asyncpg.connect(trail.url, server_settings={"application_name": "crm-graph"})
    refused = crm_graph("restore", "--in-place", "--new-epoch", DATABASE_URL=trail.url)
    assert refused.returncode == 2
    assert "it is in use" in refused.stderr
    await used.close()
    same = crm_graph("restore", "--in-place", DATABASE_URL=trail.url)
    assert (same.returncode, "there is nothing to do" in same.stderr) == (0, True)
    again = crm_graph("restore", "--in-place", "--new-epoch", DATABASE_URL=trail.url)
    assert again.returncode == 0, again.stderr
    assert (await current_epoch(trail.connection)).number > 0


async def test_a_replica_of_another_log_is_named(trail: Trail, postgres: str) -> None:
    """Two databases that claim the epoch of one log: reads of the one would not be of the writes to the other."""
    await require_same_log(trail.url, trail.url)
    async with trail_of(postgres, "epoch_other") as other:
        await _continued(other)
        with pytest.raises(OperatorError, match="DATABASE_READ_URL is cluster"):
            await require_same_log(trail.url, other.url)
