"""Retention: what goes, what stays, and what is said to whoever comes too late."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from crm_graph.domains.platform.audit.chainer import sealed_position
from crm_graph.events.retention import Retention, remove_batch
from crm_graph.kernel.cursor import LogCursor
from tests.support.database import log_settled
from tests.support.trail import Trail, now, trail_of


@pytest.fixture
async def trail(postgres: str, database_url: str) -> AsyncIterator[Trail]:
    """A trail of six events, in transactions of their own, of which none has its entry yet."""
    assert database_url, "makes the template"
    async with trail_of(postgres, "retention") as made:
        for _ in range(6):
            await made.write()
        await log_settled(made.connection)
        yield made


async def positions(trail: Trail) -> list[LogCursor]:
    rows = await trail.connection.fetch("SELECT xid::text::bigint, seq FROM event ORDER BY event.xid, seq")
    return [LogCursor(*row) for row in rows]


async def horizon(trail: Trail) -> Any:
    row = await trail.connection.fetchrow("SELECT xid, seq FROM event_horizon")
    return row and LogCursor(*row)


def later(days: int = 0, seconds: int = 0) -> datetime:
    return now() + timedelta(days=days, seconds=seconds)


async def test_what_the_audit_trail_has_not_sealed_stays(trail: Trail) -> None:
    assert await remove_batch(trail.connection, later(1), sealed_position, 100) == 0
    assert (len(await positions(trail)), await horizon(trail)) == (6, None)
    await trail.chainer(batch=4).chain_batch(trail.connection)
    sealed = await sealed_position(trail.connection)
    before = await positions(trail)
    assert await remove_batch(trail.connection, later(1), sealed_position, 100) == before.index(sealed) + 1
    assert (await positions(trail), await horizon(trail)) == (before[before.index(sealed) + 1 :], sealed)


async def test_steps_are_bounded_and_tell_how_far(trail: Trail) -> None:
    await trail.seal()
    all_ = await positions(trail)
    assert await remove_batch(trail.connection, later(1), sealed_position, 2) == 2
    assert (await positions(trail), await horizon(trail)) == (all_[2:], all_[1])
    retention = Retention(trail.url, 1, sealed_position, batch=3, pause_s=0, clock=lambda: later(2))
    assert await retention.remove(trail.connection) == 4
    assert (await positions(trail), await horizon(trail)) == ([], all_[-1])
    assert await retention.remove(trail.connection) == 0
    assert await horizon(trail) == all_[-1]


async def test_what_is_young_enough_stays(trail: Trail) -> None:
    await trail.seal()
    all_ = await positions(trail)
    await trail.connection.execute("UPDATE event SET at = at - interval '40 days' WHERE seq <= $1", all_[1].seq)
    retention = Retention(trail.url, 30, sealed_position, pause_s=0)
    assert await retention.remove(trail.connection) == 2
    assert (await positions(trail), await horizon(trail)) == (all_[2:], all_[1])


async def test_a_removal_that_fails_moves_nothing(trail: Trail) -> None:
    await trail.seal()
    all_ = await positions(trail)
    await trail.connection.execute("ALTER TABLE event_horizon ADD CONSTRAINT never CHECK (xid < 0)")
    with pytest.raises(Exception, match="never"):
        await remove_batch(trail.connection, later(1), sealed_position, 100)
    assert (await positions(trail), await horizon(trail)) == (all_, None)


async def test_the_trail_verifies_without_the_events(trail: Trail) -> None:
    await trail.seal()
    head = (await trail.verify()).head
    await remove_batch(trail.connection, later(1), sealed_position, 4)
    found = await trail.verify()
    assert (found.head, found.removed, found.pending) == (head, 4, 0)
    assert found.last_removed is not None
    await trail.sql("UPDATE audit_entry SET type = 'CustomerCreated' WHERE workspace_id = $1 AND number = 2")
    assert (await trail.wrong())[0] == 2


async def test_an_event_that_somebody_else_removed_is_missed(trail: Trail) -> None:
    await trail.seal()
    await remove_batch(trail.connection, later(1), sealed_position, 2)
    seq = (await positions(trail))[1].seq
    await trail.sql("DELETE FROM event WHERE workspace_id = $1 AND seq = $2", seq)
    assert (await trail.wrong())[0] == 4
