"""The chainer: no event without its entry, none with two, whoever writes and whenever it dies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import asyncpg
import pytest

from crm_graph.domains.platform.audit.chainer import ADVISORY_LOCK, BrokenHead, sealed_position
from crm_graph.domains.platform.audit.verify import BEGINNING
from tests.support.trail import NEWER_SECRET, SECRET, UNSEALED, Trail, connect, trail_of

WRITERS, TRANSACTIONS = 16, 12


@pytest.fixture
async def trail(postgres: str, database_url: str) -> AsyncIterator[Trail]:
    """A trail of its own."""
    assert database_url, "makes the template"
    async with trail_of(postgres, "chain") as made:
        yield made


async def _writers(trail: Trail) -> None:
    """Write from many connections at once, some transactions slow, some rolled back, into two workspaces."""

    async def one(number: int) -> None:
        connection = await connect(trail.url)
        try:
            for each in range(TRANSACTIONS):
                transaction = connection.transaction()
                await transaction.start()
                await trail.write(1 + each % 3, (trail.first, trail.second)[(number + each) % 2], connection)
                if (number + each) % 4 == 0:
                    await asyncio.sleep(0.02)
                await (transaction.rollback() if each % 5 == 4 else transaction.commit())
        finally:
            await connection.close()

    await asyncio.gather(*(one(number) for number in range(WRITERS)))


async def _sealed(trail: Trail, chainers: list[asyncio.Task[None]]) -> None:
    """Wait until every event has its entry. A chainer that ends of itself fails the test with what ended it."""
    async with asyncio.timeout(60):
        while await trail.connection.fetchval(UNSEALED):
            await asyncio.sleep(0.01)
            for each in chainers:
                assert not each.done(), each.exception()


async def _assert_whole(trail: Trail) -> None:
    """Assert that every event has one entry, numbered in the order of the log, and that the chains are whole."""
    rows = await trail.connection.fetch(
        "SELECT event.workspace_id, number,"
        " row_number() OVER (PARTITION BY event.workspace_id ORDER BY event.xid, event.seq) AS place"
        " FROM event LEFT JOIN audit_entry ON audit_entry.workspace_id = event.workspace_id AND event_seq = event.seq"
    )
    assert rows
    assert [(row["workspace_id"], row["place"]) for row in rows] == [
        (row["workspace_id"], row["number"]) for row in rows
    ]
    assert await trail.connection.fetchval("SELECT count(*) FROM audit_entry") == len(rows)
    for workspace in (trail.first, trail.second):
        found = await trail.verify(workspace)
        assert found.head.number == sum(row["workspace_id"] == workspace for row in rows)
        assert (found.pending, found.late) == (0, 0)


async def test_sixteen_writers_and_two_chainers(trail: Trail) -> None:
    chainers = [asyncio.create_task(trail.chainer(batch=7).run()) for _ in range(2)]
    try:
        await _writers(trail)
        await _sealed(trail, chainers)
    finally:
        for task in chainers:
            task.cancel()
        await asyncio.gather(*chainers, return_exceptions=True)
    await _assert_whole(trail)


async def test_killed_between_and_within_batches(trail: Trail) -> None:
    """The backend of whoever holds the lock is ended again and again: no entry is doubled, none lost."""
    chainers = [asyncio.create_task(trail.chainer(batch=3).run()) for _ in range(2)]
    killed = 0
    try:
        writing = asyncio.create_task(_writers(trail))
        while not writing.done():
            await asyncio.sleep(0.03)
            ended = await trail.connection.fetch(
                "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted"
                " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
                " AND (classid::bigint << 32) + objid::bigint = $1",
                ADVISORY_LOCK,
            )
            killed += len(ended)
        await writing
        await _sealed(trail, chainers)
    finally:
        for task in chainers:
            task.cancel()
        await asyncio.gather(*chainers, return_exceptions=True)
    assert killed > 1
    await _assert_whole(trail)


async def test_entries_and_position_are_one_transaction(trail: Trail) -> None:
    await trail.write(5)
    transaction = trail.connection.transaction()
    await transaction.start()
    assert await trail.seal(batch=2) == 5
    await transaction.rollback()  # as a process that is killed before it commits
    assert await trail.sql("SELECT 1 FROM audit_head WHERE workspace_id = $1") == []
    assert await trail.seal() == 5
    assert (await trail.verify()).head.number == 5


async def test_an_open_transaction_holds_its_place(trail: Trail) -> None:
    slow = await connect(trail.url)
    try:
        transaction = slow.transaction()
        await transaction.start()
        await trail.write(1, connection=slow)
        await trail.write(2)
        assert await trail.chainer().chain_batch(trail.connection) == 0, "not before what is open"
        await transaction.commit()
    finally:
        await slow.close()
    assert await trail.seal() == 3
    await trail.verify()


async def test_what_an_entry_says(trail: Trail) -> None:
    await trail.write(1)
    await trail.seal()
    (event,) = await trail.sql("SELECT * FROM event WHERE workspace_id = $1")
    (entry,) = await trail.sql("SELECT * FROM audit_entry WHERE workspace_id = $1")
    said = {name: entry[name] for name in ("number", "type", "entity", "record_id", "fields", "record_ids", "address")}
    assert said == {
        "number": 1,
        "type": "CustomerUpdated",
        "entity": "Customer",
        "record_id": f"cus_{event['entity_id']}",
        "fields": ["name", "score"],
        "record_ids": [],
        "address": "203.0.113.9",
    }
    assert (entry["actor_id"], entry["client_id"]) == (event["actor"], event["client_id"])
    assert (entry["request_id"], entry["at"]) == (event["request_id"], event["at"])
    assert entry["previous_hash"] == BEGINNING.hash


async def test_workspaces_have_chains_of_their_own(trail: Trail) -> None:
    await trail.write(3)
    await trail.write(2, trail.second)
    await trail.seal(batch=2)
    assert [(await trail.verify(each)).head.number for each in (trail.first, trail.second)] == [3, 2]
    entries = "SELECT hash FROM audit_entry WHERE workspace_id = $1"
    assert not {row[0] for row in await trail.sql(entries)} & {
        row[0] for row in await trail.connection.fetch(entries, trail.second)
    }
    await trail.sql("UPDATE event SET address = 'x' WHERE workspace_id = $1")
    assert (await trail.wrong(trail.first))[0] == 1
    await trail.verify(trail.second)


async def test_the_secret_is_rotated(trail: Trail) -> None:
    await trail.write(2)
    await trail.seal()
    trail.secrets = [NEWER_SECRET, SECRET]
    await trail.write(2)
    await trail.seal()
    assert (await trail.verify()).head.number == 4
    assert len({row[0] for row in await trail.sql("SELECT key_id FROM audit_entry WHERE workspace_id = $1")}) == 2
    trail.secrets = [NEWER_SECRET]
    number, what = await trail.wrong()
    assert (number, "none of the secrets" in what, "CRM_AUDIT_SECRETS" in what) == (1, True, True)
    trail.secrets = [SECRET]
    with pytest.raises(BrokenHead, match="CRM_AUDIT_SECRETS"):
        await trail.seal()


async def test_a_head_that_was_altered_is_not_continued(trail: Trail) -> None:
    """Going on from it would put a seal under what somebody made of it."""
    await trail.write(3)
    await trail.seal()
    await trail.sql(
        "UPDATE audit_head SET (number, hash) ="
        " (SELECT number, hash FROM audit_entry WHERE workspace_id = $1 AND number = 2) WHERE workspace_id = $1"
    )
    await trail.write(1)
    before = await trail.sql("SELECT * FROM audit_entry WHERE workspace_id = $1 ORDER BY number")
    with pytest.raises(BrokenHead, match="altered"):
        await trail.seal()
    assert await trail.sql("SELECT * FROM audit_entry WHERE workspace_id = $1 ORDER BY number") == before


async def test_a_head_made_up_for_another_workspace_moves_nothing(trail: Trail) -> None:
    await trail.write(1)
    await trail.seal()
    await trail.connection.execute(
        "INSERT INTO audit_head SELECT $1, number, hash, event_xid + 1000000, event_seq, key_id, seal FROM audit_head",
        trail.second,
    )
    await trail.write(1)
    with pytest.raises(BrokenHead):
        await trail.seal()
    assert trail.second in await trail.workspaces()
    number, what = await trail.wrong(trail.second)
    assert (number, "altered" in what) == (1, True)


async def test_an_event_is_never_sealed_twice(trail: Trail) -> None:
    await trail.write(2)
    await trail.seal()
    await trail.sql("DELETE FROM audit_head WHERE workspace_id = $1")
    await trail.write(1)
    with pytest.raises(asyncpg.UniqueViolationError):
        await trail.seal()


async def test_workspaces_of_a_worker_that_is_down_keep_no_other_from_being_sealed(trail: Trail) -> None:
    """A cluster says of its worker what this trigger says of a workspace."""
    lost = {trail.first}

    async def down(_: object, workspaces: Sequence[str]) -> set[str]:
        return lost & set(workspaces)

    await trail.write(2)
    await trail.write(2, trail.second)
    await trail.seal()
    await _lose(trail)
    await trail.write(3)
    await trail.write(3, trail.second)
    chainer = trail.chainer(batch=2, down=down)
    async with asyncio.timeout(60):  # what other tests have open in the server holds the horizon
        while await trail.connection.fetchval("SELECT count(*) < 7 FROM audit_entry"):
            await chainer.chain_batch(trail.connection)
    assert (await trail.verify(trail.second)).head.number == 5
    behind = await trail.verify()
    assert (behind.head.number, behind.pending) == (2, 3), (
        "what waits is no tampering, and no events are taken for sealed"
    )
    unsealed = await trail.sql(
        "SELECT min(seq) FROM event WHERE workspace_id = $1 AND seq NOT IN (SELECT event_seq FROM audit_entry)"
    )
    position = await sealed_position(trail.connection)
    assert position.seq < unsealed[0][0], "retention keeps what waits"

    await trail.connection.execute("DROP TRIGGER lost ON audit_entry")
    lost.clear()
    following = trail.chainer(batch=2)  # of another process, which was elected next
    task = asyncio.create_task(following.run())
    try:
        await _sealed(trail, [task])
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert [(await trail.verify(each)).head.number for each in (trail.first, trail.second)] == [5, 5]
    assert await trail.sql("SELECT 1 FROM audit_deferral WHERE workspace_id = $1") == []


async def test_a_plain_postgres_that_is_away_defers_nothing(trail: Trail) -> None:
    await trail.write(1)
    await _lose(trail)
    with pytest.raises(asyncpg.ConnectionFailureError):
        await trail.seal()
    assert await trail.sql("SELECT 1 FROM audit_deferral WHERE workspace_id = $1") == []


async def _lose(trail: Trail) -> None:
    await trail.connection.execute(f"""
        CREATE FUNCTION lost() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION 'connection to the remote node failed' USING ERRCODE = 'connection_failure';
        END $$;
        CREATE TRIGGER lost BEFORE INSERT ON audit_entry FOR EACH ROW WHEN (new.workspace_id = '{trail.first}')
        EXECUTE FUNCTION lost();
    """)
