"""A backup brought back into a fresh cluster: nothing is lost, doubled or unseen, and what came after it is known to
be gone."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from crm_graph.db import embedded
from crm_graph.kernel.cursor import LogCursor
from tests.faults.clients import Client, until
from tests.faults.expected import expected, read_log
from tests.faults.installation import Installation, installed
from tests.recovery.brought_back import (
    CHANGES,
    CREATE_ENDPOINT,
    HOOKS,
    KEYS,
    Caller,
    brought_back,
    gone_quiet,
    rows_of,
)
from tests.support.receiver import OK, Received, answer, receiving
from tests.support.server import crm_graph

pytestmark = pytest.mark.xdist_group("faults")

THREE_HOURS_AHEAD = """
    UPDATE webhook_delivery SET claimed_until = now() + interval '3 hours',
        next_attempt_at = now() + interval '3 hours', first_attempt_at = now() - interval '9 days'
    WHERE status = 'PENDING'
"""
"""As a process has left it whose clock was three hours ahead, and which has tried for longer than one tries."""


async def _streamed(client: Client, address: str, count: int) -> None:
    """Let a client stream until it was told so much, or is refused."""
    task, ended = asyncio.create_task(client.once(address)), len(client.endings)
    assert await until(lambda: len(client.received) >= count or len(client.endings) > ended), client
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _records(requests: Sequence[Received]) -> list[str]:
    return [str(request.body["data"]["recordId"]) for request in requests]


async def _horizon(installation: Installation) -> LogCursor:
    (row,) = await installation.rows("SELECT crm_log_horizon()::text::bigint - 1")
    return LogCursor(row[0], (1 << 63) - 1)


async def _count(installation: Installation, table: str) -> int:
    (row,) = await installation.rows(f"SELECT count(*) FROM {table}")
    return int(row[0])


def _compared(before: dict[str, list[dict[str, Any]]], after: dict[str, list[dict[str, Any]]]) -> None:
    epochs = "public.log_epoch"
    assert after.pop(epochs)[:-1] == before.pop(epochs)
    assert after.keys() == before.keys()
    for name, rows in before.items():
        assert after[name] == rows, name


@pytest.mark.parametrize("kind", ["dump", "base"])
async def test_a_backup_is_brought_back(tmp_path: Path, kind: str) -> None:
    folder, data = tmp_path / "backup", tmp_path / "restored"
    async with receiving() as receiver:
        async with installed(tmp_path, 1, worker=False, **HOOKS) as before:
            (admin, *_) = await before.members("admin")
            caller, api = Caller(before, admin), before.apis[0]
            hook = {"url": receiver.url, "eventTypes": ["CustomerCreated"], "roles": ["admin"]}
            await caller.data(CREATE_ENDPOINT, {"input": hook})
            start = await _horizon(before)
            _, feed = await caller.changed(None)
            told = await caller.customers("Told before", "Told too")
            client = Client("early", "sse", "Customer", before.token(admin), start.encode())
            await _streamed(client, api.address, 2)
            await receiver.wait(2)
            receiver.respond = lambda _request, _number: answer(503)
            waiting = await caller.customers("Waits for its endpoint")
            await receiver.wait(3)
            await gone_quiet(before)
            assert await api.terminate() == 0
            await before.rows(THREE_HOURS_AHEAD)
            events, rows = await _count(before, "event"), await rows_of(before.url)
            how = ["--base"] if kind == "base" else []
            done = crm_graph("backup", str(folder), *how, "--data", str(before.data), **KEYS)
            assert done.returncode == 0, done.stderr
            assert before.url in done.stderr
            assert "CRM_SECRET" in done.stderr
            await api.ready()
            lost = await caller.customers("Never backed up")
            late = Client("late", "sse", "Customer", before.token(admin), client.cursor)
            await _streamed(late, api.address, 2)
            assert [each.record_id for each in late.received] == [*waiting, *lost]
            _, late_feed = await caller.changed(feed)
            await gone_quiet(before)
        done = crm_graph("restore", str(folder), "--data", str(data), **KEYS)
        assert done.returncode == 0, done.stderr
        with embedded.running(data, shared_buffers_mb=64) as server:
            _compared(rows, await rows_of(server.url))

        heard = len(receiver.received)
        receiver.respond = lambda _request, _number: OK
        async with brought_back(data, before) as after:
            restored, address = Caller(after, admin), after.apis[0].address
            fresh = await restored.customers("First after", "Second after", "Third after")
            await gone_quiet(after)
            assert await _count(after, "event") == await _count(after, "audit_entry") == events + 3
            verified = crm_graph("audit", "verify", DATABASE_URL=after.url, **KEYS)
            assert verified.returncode == 0, verified.stderr

            await _streamed(client, address, 6)
            assert client.received == expected(await read_log(after, "Customer", {}), "Customer", start, None)
            assert [each.record_id for each in client.received] == [*told, *waiting, *fresh]
            assert (await restored.changed(feed))[0] == [*told, *waiting, *fresh]

            await _streamed(late, address, 3)
            assert late.endings[-1] == "CURSOR_TOO_OLD"
            (error,) = (await restored.ask(CHANGES, {"after": late_feed}))["errors"]
            assert error["extensions"]["code"] == "CURSOR_TOO_OLD"

            await receiver.wait(heard + 4)
            sent = receiver.received[heard:]  # in the order of each record, and of these each has one
            assert sorted(_records(sent)) == sorted([*waiting, *fresh])
            ids = {request.id for request in receiver.received[:heard] if _records([request]) == waiting}
            assert ids == {request.id for request in sent if _records([request]) == waiting}
