"""What becomes of jobs: whatever happens to transactions, workers and members, each has one effect or says why not."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from datetime import timedelta
from typing import Any

import pytest

from crm_graph.domains.platform.jobs.keeping import prune
from crm_graph.domains.platform.jobs.operations import cancel_job, requeue_job
from crm_graph.domains.platform.jobs.running import Given, Run
from crm_graph.jobs.queue import Schedule
from crm_graph.jobs.worker import Worker
from tests.jobs.desk import SETTINGS, Desk, running


async def _once(run: Run) -> dict[str, Any]:
    await run.add_part(b"done")
    return {"rows": 1}


async def _endless(run: Run) -> dict[str, Any]:
    await run.add_part(b"half")
    while True:
        run._told = 0.0  # each step asks
        await run.step(7, 9, "half way")
        await asyncio.sleep(0.01)


async def _parts(desk: Desk, id_: str) -> list[bytes]:
    return [row[0] for row in await desk.rows("SELECT content FROM job_part WHERE job_id = $1 ORDER BY number", id_)]


async def _entries(desk: Desk) -> int:
    return int((await desk.rows("SELECT count(*) FROM crm_jobs.pgqueuer"))[0][0])


async def test_what_is_rolled_back_was_never_queued(desk: Desk) -> None:
    before = (await desk.rows("SELECT count(*) FROM event"))[0][0]
    with pytest.raises(RuntimeError):
        await _queue_and_fail(desk)
    assert await desk.rows("SELECT 1 FROM job") == []
    assert await _entries(desk) == 0
    assert (await desk.rows("SELECT count(*) FROM event"))[0][0] == before
    assert await desk.queue("once")
    assert await _entries(desk) == 1


async def _queue_and_fail(desk: Desk) -> None:
    from crm_graph.domains.platform.jobs.operations import create_job

    async with desk.work() as work:
        await create_job(work, "once", {}, 10)
        raise RuntimeError


async def test_a_job_is_done_once_by_many_workers(desk: Desk) -> None:
    ids = [await desk.queue("once") for _ in range(8)]
    handlers = {"once": _once}
    async with running(desk.worker(handlers)), running(desk.worker(handlers)):
        for id_ in ids:
            row = await desk.until(id_, lambda job: job["status"] == "DONE")
            assert (row["attempts"], row["run"], row["done"], row["queue_id"]) == (1, 1, 1, None)
            assert await _parts(desk, id_) == [b"done"]
    assert await _entries(desk) == 0
    found = await desk.rows("SELECT type FROM event WHERE entity_id = $1 ORDER BY seq", ids[0])
    assert [row[0] for row in found] == ["JobCreated", "JobStarted", "JobSucceeded"]


async def test_a_killed_worker_s_job_is_taken_up_again(desk: Desk, jobs_url: str) -> None:
    id_ = await desk.queue("slow")
    process = subprocess.Popen([sys.executable, "-m", "tests.jobs.slow_worker", jobs_url])  # noqa: ASYNC220
    try:
        await desk.until(id_, lambda job: job["status"] == "RUNNING" and job["done"] == 1)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(10)
    assert (await desk.job(id_))["status"] == "RUNNING"
    assert await _parts(desk, id_) == [b"of the killed"]
    async with running(desk.worker({"slow": _once})):
        row = await desk.until(id_, lambda job: job["status"] == "DONE")
    assert (row["attempts"], row["run"]) == (2, 2)
    assert await _parts(desk, id_) == [b"done"], "what the killed one had written is gone"
    assert await _entries(desk) == 0


async def test_a_job_that_kills_its_workers_is_given_up(desk: Desk) -> None:
    id_ = await desk.queue("once")
    await desk.rows("UPDATE job SET attempts = $2 WHERE id = $1 RETURNING 1", id_, SETTINGS.job_max_attempts)
    async with running(desk.worker({"once": _once})):
        row = await desk.until(id_, lambda job: job["status"] == "FAILED")
    assert "died 2 times" in row["error"]
    assert await _parts(desk, id_) == []


async def test_a_worker_that_is_too_late_changes_nothing(desk: Desk) -> None:
    """One that was given up for dead, and is not, finds that the job is another run's."""
    id_ = await desk.queue("slow")
    async with running(desk.worker({"slow": _endless})):
        await desk.until(id_, lambda job: job["done"] == 7)
        await desk.rows("UPDATE job SET run = run + 1, done = 0 WHERE id = $1 RETURNING 1", id_)
        async with asyncio.timeout(60):
            while await _parts(desk, id_):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
    row = await desk.job(id_)
    assert (row["status"], row["done"], row["run"]) == ("RUNNING", 0, 2)


async def test_cancelling_ends_a_running_job(desk: Desk) -> None:
    id_ = await desk.queue("slow")
    async with running(desk.worker({"slow": _endless})):
        row = await desk.until(id_, lambda job: job["done"] == 7)
        assert (row["total"], row["message"]) == (9, "half way")
        async with desk.work() as work:
            await cancel_job(work, id_, None)
        async with asyncio.timeout(60):
            while await _parts(desk, id_):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
    assert (await desk.job(id_))["status"] == "CANCELLED"
    assert await _entries(desk) == 0


async def test_a_stopped_worker_gives_its_place_back(desk: Desk) -> None:
    id_ = await desk.queue("slow")
    async with running(desk.worker({"slow": _endless})):
        await desk.until(id_, lambda job: job["done"] == 7)
    row = await desk.job(id_)
    assert (row["status"], row["attempts"]) == ("QUEUED", 0)
    assert await _parts(desk, id_) == []
    async with running(desk.worker({"slow": _once})):
        await desk.until(id_, lambda job: job["status"] == "DONE")


async def test_dead_letters_stay_and_can_be_queued_again(desk: Desk) -> None:
    async def fails(run: Run) -> dict[str, Any]:
        raise ValueError("a secret of the server")

    id_ = await desk.queue("odd")
    async with running(desk.worker({"odd": fails})):
        row = await desk.until(id_, lambda job: job["status"] == "FAILED")
    assert row["attempts"] == SETTINGS.job_max_attempts
    assert "ValueError" in row["error"]
    assert "secret" not in row["error"]
    found = await desk.rows("SELECT type FROM event WHERE entity_id = $1 ORDER BY seq", id_)
    assert [each[0] for each in found] == ["JobCreated", "JobStarted", "JobPostponed", "JobStarted", "JobFailed"]
    async with desk.work() as work:
        await requeue_job(work, id_, None, 100)
    async with running(desk.worker({"odd": _once})):
        row = await desk.until(id_, lambda job: job["status"] == "DONE")
    assert (row["attempts"], row["error"]) == (1, None)


async def test_what_no_attempt_would_help_is_given_up_at_once(desk: Desk) -> None:
    async def refused(run: Run) -> dict[str, Any]:
        raise Given("It is too long.")

    id_ = await desk.queue("odd")
    async with running(desk.worker({"odd": refused})):
        row = await desk.until(id_, lambda job: job["status"] == "FAILED")
    assert (row["attempts"], row["error"]) == (1, "It is too long.")


async def test_a_tick_is_one_worker_s(desk: Desk) -> None:
    schedules = [Schedule("chore", timedelta(days=365))]
    ran: list[int] = []

    async def chore() -> None:
        ran.append(1)

    workers = [Worker(desk.database, SETTINGS, {}, {"chore": chore}, schedules) for _ in range(2)]
    async with running(workers[0]), running(workers[1]):
        for tick in range(1, 6):
            async with asyncio.timeout(60):
                while not await desk.rows("UPDATE crm_jobs.pgqueuer_schedules SET next_run = now() RETURNING 1"):  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
                while len(ran) < tick or await _entries(desk):  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
    (row,) = await desk.rows("SELECT count(*) FROM crm_jobs.pgqueuer_log WHERE status = 'queued'")
    assert (len(ran), row[0]) == (5, 5)


async def test_old_jobs_are_removed_with_their_files(desk: Desk) -> None:
    old, new = await desk.queue("once"), await desk.queue("once")
    async with running(desk.worker({"once": _once})):
        for id_ in (old, new):
            await desk.until(id_, lambda job: job["status"] == "DONE")
    await desk.rows("UPDATE job SET ended_at = now() - interval '8 days' WHERE id = $1 RETURNING 1", old)
    await prune(desk.services)
    assert [row[0] for row in await desk.rows("SELECT id FROM job")] == [new]
    assert await _parts(desk, old) == []
    assert await _parts(desk, new) == [b"done"]
    assert await desk.rows("SELECT 1 FROM event WHERE entity_id = $1 AND type = 'JobDeleted'", old)


async def test_no_statement_of_the_queue_notifies(desk: Desk) -> None:
    """NOTIFY takes a lock of the whole cluster at commit: pgqueuer's trigger is not there."""
    found = await desk.rows("SELECT tgname FROM pg_trigger WHERE tgrelid = 'crm_jobs.pgqueuer'::regclass")
    assert found == []
