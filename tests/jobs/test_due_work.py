"""Timers: set with their record, done once, whoever dies, fails or is in the way."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from crm_graph.api.schema import make_schema
from crm_graph.app import make_due_work
from crm_graph.db.session import Session
from crm_graph.domains.service.tickets.graph import Ticket
from crm_graph.domains.service.tickets.model import RESUME_HELD
from crm_graph.domains.service.tickets.operations import (
    delete_ticket,
    hold_ticket,
    resolve_ticket,
    resume_ticket,
)
from crm_graph.graph.keeping import restore
from crm_graph.graph.records.record import record_of
from crm_graph.jobs.due import DueWork
from crm_graph.jobs.timers import _TAKE, Due, Timers
from crm_graph.kernel.errors import Refused
from crm_graph.work import Sent, Work
from tests.jobs.desk import SETTINGS, Desk

RECORD = ("Ticket", "a" * 32)
ONE, OTHER = "1" * 32, "2" * 32
PAST = datetime(2026, 1, 1, tzinfo=UTC)
COUNT = "SELECT count(*) FROM timer"


async def _note(session: Session, due: Due) -> None:
    await session.connection.fetch("INSERT INTO done VALUES ($1)", due.key)


async def _set(desk: Desk, *keys: str, workspace_id: str = ONE, due_at: datetime = PAST, kind: str = "note") -> None:
    async with desk.database.transaction() as session:
        for number, key in enumerate(keys):
            await Timers(session, workspace_id).set(key, kind, due_at + timedelta(seconds=number), RECORD)


async def _table(desk: Desk) -> None:
    await desk.rows("CREATE TABLE done (key text)")


async def _done(desk: Desk) -> list[str]:
    return [row[0] for row in await desk.rows("SELECT key FROM done ORDER BY ctid")]


@asynccontextmanager
async def _running(*works: DueWork) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(work.run()) for work in works]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(60):
        while not await holds():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def _none_left(desk: Desk) -> bool:
    return not (await desk.rows(COUNT))[0][0]


async def _set_and_fail(desk: Desk) -> None:
    async with desk.database.transaction() as session:
        await Timers(session, ONE).set("b", "note", PAST, RECORD)
        await session.write()
        raise ZeroDivisionError


async def test_a_timer_set_again_is_moved_and_one_rolled_back_was_never_set(desk: Desk) -> None:
    await _set(desk, "a")
    await desk.rows("UPDATE timer SET attempts = 3, error = 'Oops', given_up_at = now() RETURNING 1")
    later = datetime(2030, 1, 1, tzinfo=UTC)
    await _set(desk, "a", due_at=later, kind="other")
    (row,) = await desk.rows("SELECT kind, attempts, error, given_up_at, due_at = $1 FROM timer", later)
    assert tuple(row) == ("other", 0, None, None, True)
    with pytest.raises(ZeroDivisionError):
        await _set_and_fail(desk)
    assert [row[0] for row in await desk.rows("SELECT key FROM timer")] == ["a"]


async def test_only_what_is_due_is_done_the_oldest_first(desk: Desk) -> None:
    await _table(desk)
    await _set(desk, "c", "d", due_at=PAST + timedelta(days=1))
    await _set(desk, "a", "b")
    await _set(desk, "tomorrow", due_at=datetime.now(UTC) + timedelta(days=1))
    await _set(desk, "unknown", kind="of a later version")
    work = DueWork(desk.database, SETTINGS, {"note": _note})
    while await work.turn():
        pass
    done = await _done(desk)
    assert sorted(done) == ["a", "b", "c", "d"]
    assert done.index("a") < done.index("c"), "two at once, in the order in which they were due"
    assert work.outcomes.done == {"note": 4}
    assert {row[0] for row in await desk.rows("SELECT key FROM timer")} == {"tomorrow", "unknown"}


async def test_a_workspace_with_many_timers_keeps_no_other_waiting(desk: Desk) -> None:
    await _table(desk)
    await _set(desk, *(f"many {number}" for number in range(300)))
    await _set(desk, "few", workspace_id=OTHER, due_at=PAST + timedelta(days=30))
    assert await DueWork(desk.database, SETTINGS, {"note": _note}).turn() == SETTINGS.timer_batch_size
    done = await _done(desk)
    assert "few" in done[:4]
    assert len(done) == SETTINGS.timer_batch_size


async def test_two_workers_never_do_the_same(desk: Desk) -> None:
    await _table(desk)
    keys = [f"k{number}" for number in range(400)]
    await _set(desk, *keys)
    works = [DueWork(desk.database, SETTINGS, {"note": _note}) for _ in range(2)]
    async with _running(*works):
        await _until(lambda: _none_left(desk))
    assert sorted(await _done(desk)) == sorted(keys)
    assert sum(work.outcomes.done["note"] for work in works) == len(keys)


async def test_what_a_killed_worker_did_is_done_once(desk: Desk, jobs_url: str) -> None:
    await _table(desk)
    await _set(desk, "a")
    process = subprocess.Popen(  # noqa: ASYNC220
        [sys.executable, "-m", "tests.jobs.slow_timer", jobs_url], stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        assert await asyncio.to_thread(process.stdout.readline) == b"written\n"
        assert await DueWork(desk.database, SETTINGS, {"note": _note}).turn() == 0, "the other one is at it"
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        if process.stdout is not None:
            process.stdout.close()
    assert await _done(desk) == []
    work = DueWork(desk.database, SETTINGS, {"note": _note})
    async with _running(work):
        await _until(lambda: _none_left(desk))
    assert await _done(desk) == ["a"]


async def test_what_fails_is_put_off_then_given_up_and_the_others_go_on(desk: Desk) -> None:
    await _table(desk)

    async def fails(session: Session, due: Due) -> None:
        await _note(session, due)
        raise Refused("LIMIT", "No.", ())

    await _set(desk, "bad", kind="fails")
    await _set(desk, "good 1", "good 2", due_at=PAST + timedelta(days=1))
    work = DueWork(desk.database, SETTINGS, {"note": _note, "fails": fails})

    async def given_up() -> bool:
        return work.outcomes.given_up["fails"] == 1 and bool(
            await desk.rows("SELECT 1 FROM timer WHERE given_up_at < now()")
        )

    async with _running(work):
        await _until(given_up)
    assert sorted(await _done(desk)) == ["good 1", "good 2"], "what it wrote was rolled back each time"
    (row,) = await desk.rows("SELECT key, attempts, error FROM timer")
    assert tuple(row) == ("bad", SETTINGS.timer_max_attempts, "Refused LIMIT")
    assert work.outcomes.failed == {"fails": SETTINGS.timer_max_attempts}
    assert await work.turn() == 0, "nobody tries it any more"
    await _set(desk, "bad")
    assert await work.turn() == 1, "until it is set again"


async def test_a_handler_may_set_its_timer_anew(desk: Desk) -> None:
    async def again(session: Session, due: Due) -> None:
        await Timers(session, due.workspace_id).set(due.key, due.kind, datetime(2099, 1, 1, tzinfo=UTC), RECORD)

    await _set(desk, "a")
    assert await DueWork(desk.database, SETTINGS, {"note": again}).turn() == 1
    assert [row[0] for row in await desk.rows("SELECT due_at > now() FROM timer")] == [True]


async def _open_ticket(desk: Desk) -> str:
    (row,) = await desk.rows(
        "SELECT ticket.id FROM ticket JOIN workspace ON workspace.workspace_id = ticket.workspace_id"
        " WHERE slug = 'demo' AND ticket.status = 'OPEN' AND deleted_at IS NULL ORDER BY ticket.id LIMIT 1"
    )
    await desk.rows("UPDATE ticket SET first_response_at = NULL WHERE id = $1 RETURNING 1", row[0])  # may be deleted
    return str(row[0])


async def _hold(desk: Desk, id_: str) -> None:
    async with desk.work() as work:
        sent = Sent({"held_until": datetime.now(UTC) + timedelta(hours=1)}, ("heldUntil",))
        before = work.session.statements
        await hold_ticket(work, id_, sent, None)
        await work.session.write()
        assert work.session.statements - before == 2, "read and written, the timer with the row and its event"


async def test_a_held_ticket_goes_on_by_itself(desk: Desk) -> None:
    id_ = await _open_ticket(desk)
    await _hold(desk, id_)
    work = make_due_work(make_schema(), desk.services)
    assert await work.turn() == 0
    await desk.rows("UPDATE timer SET due_at = now() RETURNING 1")
    assert await work.turn() == 1
    (row,) = await desk.rows("SELECT status, held_until, updated_by_id FROM ticket WHERE id = $1", id_)
    assert tuple(row) == ("OPEN", None, None)
    (event,) = await desk.rows(
        "SELECT type, actor_kind, actor FROM event WHERE entity_id = $1 ORDER BY seq DESC LIMIT 1", id_
    )
    assert tuple(event) == ("TicketResumed", "SYSTEM", None)
    assert await _none_left(desk)
    assert work.outcomes.done == {RESUME_HELD: 1}


ENDS: dict[str, Callable[[Work, str], Awaitable[Any]]] = {
    "resume": lambda work, id_: resume_ticket(work, id_, None),
    "resolve": lambda work, id_: resolve_ticket(work, id_, Sent({"resolution": "Done."}, ("resolution",)), None),
    "delete": lambda work, id_: delete_ticket(work, id_, None),
}


@pytest.mark.parametrize("end", ENDS)
async def test_what_ends_the_wait_clears_its_timer(desk: Desk, end: str) -> None:
    id_ = await _open_ticket(desk)
    await _hold(desk, id_)
    assert not await _none_left(desk)
    async with desk.work() as work:
        await ENDS[end](work, id_)
    assert await _none_left(desk)


async def test_what_comes_back_from_the_recycle_bin_has_its_timer(desk: Desk) -> None:
    id_ = await _open_ticket(desk)
    await _hold(desk, id_)
    (before,) = await desk.rows("SELECT workspace_id, key, kind, due_at::text, record_type, record_id FROM timer")
    async with desk.work() as work:
        await delete_ticket(work, id_, None)
    assert await _none_left(desk)
    async with desk.work() as work:
        await restore(record_of(Ticket), work, id_, None)
    (after,) = await desk.rows("SELECT workspace_id, key, kind, due_at::text, record_type, record_id FROM timer")
    assert tuple(after) == tuple(before)


async def test_who_changes_the_record_is_waited_for_and_not_in_the_way(desk: Desk) -> None:
    """The timer is locked before the record here, and after it there: the timer's work gives way."""
    id_ = await _open_ticket(desk)
    await _hold(desk, id_)
    await desk.rows("UPDATE timer SET due_at = now() RETURNING 1")
    due_work = make_due_work(make_schema(), desk.services)
    async with desk.work() as work:
        await work.session.connection.fetch("SELECT 1 FROM ticket WHERE id = $1 FOR UPDATE", id_)
        turn = asyncio.create_task(due_work.turn())
        await _until(lambda: _waits(desk))
        await resume_ticket(work, id_, None)  # its timer is in the hands of the other one
        await work.session.write()
    await turn
    assert await _none_left(desk)
    found = await desk.rows("SELECT type FROM event WHERE entity_id = $1 ORDER BY seq DESC LIMIT 2", id_)
    assert [row[0] for row in found] == ["TicketResumed", "TicketHeld"], "resumed once"
    assert due_work.outcomes.failed == {}


async def _waits(desk: Desk) -> bool:
    return bool(
        await desk.rows(
            "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
    )


async def test_taking_one_reads_one(desk: Desk) -> None:
    """An index gives the oldest: what else is due is neither read nor sorted."""
    for number in range(20):
        await _set(desk, *(f"k{each}" for each in range(200)), workspace_id=f"{number:031x}1")
    await desk.rows("ANALYZE timer")
    plan = await desk.rows(f"EXPLAIN {_TAKE.text}", f"{1:031x}1", ["note"], "300ms")
    text = "\n".join(row[0] for row in plan)
    assert "ix_timer_workspace_id_due_at" in text
    assert "Sort" not in text
