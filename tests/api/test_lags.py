"""Lags: how old the oldest is that waits, read at most once in ten seconds."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import asyncpg
import pytest

from crm_graph.api import lags
from crm_graph.api.lags import Lags
from crm_graph.db.pool import Database, PoolSettings
from tests.support.database import clone

WORKSPACE, OTHER = "0" * 31 + "1", "0" * 31 + "2"
NOTHING = dict.fromkeys(("audit", "history", "webhook_projection", "webhooks", "mails", "jobs", "timers"), 0.0)
QUEUED: dict[str, list[str]] = {
    "mails": [
        "INSERT INTO mail (workspace_id, id, kind, content, created_at, next_at, attempts)"
        " VALUES ('{workspace}', gen_random_uuid(), 'x', '', now(), now() - interval '{age} s', 0)",
        "INSERT INTO mail (workspace_id, id, kind, content, created_at, next_at, attempts)"
        " VALUES ('{workspace}', gen_random_uuid(), 'x', '', now(), now() + interval '1 h', 0)",
    ],
    "jobs": [
        "INSERT INTO crm_jobs.pgqueuer (priority, status, entrypoint, execute_after)"
        " VALUES (0, 'queued', 'x', now() - interval '{age} s'), (0, 'picked', 'x', now() - interval '9 h'),"
        " (0, 'queued', 'x', now() + interval '1 h')",
    ],
}


@dataclass(slots=True)
class Desk:
    """A database of its own, and what reads its lags."""

    database: Database
    connection: asyncpg.Connection[Any]

    async def read(self) -> Lags:
        made = Lags(self.database)
        await made.refresh()
        return made


@pytest.fixture
async def desk(postgres: str) -> AsyncIterator[Desk]:
    """Nothing works on it."""
    url = await clone(postgres, "lags")
    database = await Database.open(url, None, PoolSettings(read_size=1, write_size=1))
    connection = await asyncpg.connect(url)
    yield Desk(database, connection)
    await connection.close()
    await database.close()


async def add_event(connection: asyncpg.Connection[Any], workspace: str, age_s: int) -> None:
    """Write an event that happened some time ago."""
    columns = await connection.fetch(
        "SELECT column_name AS name, data_type AS type FROM information_schema.columns WHERE table_name = 'event'"
        " AND is_nullable = 'NO' AND column_default IS NULL AND is_identity = 'NO'"
    )
    values = {"workspace_id": f"'{workspace}'", "at": f"now() - interval '{age_s} s'", "entity_id": "gen_random_uuid()"}
    plain = {"uuid": "gen_random_uuid()", "jsonb": "'{}'", "text": "'x'", "character varying": "'x'", "ARRAY": "'{}'"}
    given = {row["name"]: values.get(row["name"], plain.get(row["type"], "1")) for row in columns}
    given |= {"workspace_id": values["workspace_id"], "at": values["at"]}
    await connection.execute(f"INSERT INTO event ({', '.join(given)}) VALUES ({', '.join(given.values())})")


async def test_nothing_waits(desk: Desk) -> None:
    await desk.connection.execute("DELETE FROM event")
    found = await desk.read()
    assert found.seconds == NOTHING
    assert found.answers == {"read": True, "write": True}
    assert found.replica_bytes is None


@pytest.mark.parametrize("queue", QUEUED)
async def test_the_oldest_that_is_due(desk: Desk, queue: str) -> None:
    """What is due later, or taken, is not behind."""
    await desk.connection.execute("DELETE FROM event")
    for text in QUEUED[queue]:
        await desk.connection.execute(text.format(workspace=WORKSPACE, age=70))
    found = (await desk.read()).seconds
    assert 70 <= found.pop(queue) < 600
    assert found == {name: lag for name, lag in NOTHING.items() if name != queue}


async def test_events_that_are_not_sealed(desk: Desk) -> None:
    await desk.connection.execute("DELETE FROM event")
    await add_event(desk.connection, WORKSPACE, 90)
    await add_event(desk.connection, OTHER, 5)
    seconds = (await desk.read()).seconds
    assert 90 <= seconds["audit"] < 600
    assert 90 <= seconds["history"] < 600


async def test_deliveries_and_what_endpoints_have_not_looked_at(desk: Desk) -> None:
    """A delivery behind an earlier one of its record waits for that, and not for us."""
    connection = desk.connection
    await connection.execute("DELETE FROM event; SET session_replication_role = replica")  # no workspace is needed
    await add_event(connection, WORKSPACE, 120)
    await add_event(connection, OTHER, 999)
    columns = "workspace_id, id, url, event_types, roles, status, cursor, version, created_at, updated_at"
    await connection.execute(
        f"INSERT INTO webhook_endpoint ({columns}) VALUES"
        f" ('{WORKSPACE}', '{WORKSPACE}', 'https://x', '{{}}', '{{}}', 'ACTIVE', '0-0', 1, now(), now()),"
        f" ('{OTHER}', '{OTHER}', 'https://x', '{{}}', '{{}}', 'PAUSED', '0-0', 1, now(), now())"
    )
    found = (await desk.read()).seconds
    assert (120 <= found["webhook_projection"] < 900, found["webhooks"]) == (True, 0)
    await connection.execute("UPDATE webhook_endpoint SET cursor = 'ffffffffffff-0'")
    assert (await desk.read()).seconds["webhook_projection"] == 0

    async def deliver(seq: int, entity: str, due_s: int, claimed: str = "NULL") -> None:
        await connection.execute(
            "INSERT INTO webhook_delivery (workspace_id, endpoint_id, id, message_id, event_type, event_cursor,"
            " event_seq, entity_id, record_id, status, attempts, next_attempt_at, claimed_until, version, created_at,"
            " updated_at)"
            f" VALUES ('{WORKSPACE}', '{WORKSPACE}', gen_random_uuid(), 'm{seq}', 'x', '0-0', {seq}, '{entity}',"
            f" '{entity}', 'PENDING', 0, now() - interval '{due_s} s', {claimed}, 1, now(), now())"
        )

    await deliver(1, WORKSPACE, -600)  # failed, and is tried again in ten minutes
    await deliver(2, WORKSPACE, 500)
    await deliver(3, OTHER, 400, "now() + interval '1 min'")
    assert (await desk.read()).seconds["webhooks"] == 0
    await deliver(4, "0" * 31 + "3", 60)
    assert 60 <= (await desk.read()).seconds["webhooks"] < 400


async def test_many_scrapes_are_one_reading(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within ten seconds; then what came since is seen."""
    await desk.connection.execute("DELETE FROM event")
    found = Lags(desk.database)
    await found.refresh()
    await desk.connection.execute(QUEUED["mails"][0].format(workspace=WORKSPACE, age=70))
    await found.refresh()
    assert found.seconds["mails"] == 0
    monkeypatch.setattr(lags, "AGAIN_S", 0.0)
    await found.refresh()
    assert found.seconds["mails"] >= 70


async def test_a_database_that_does_not_answer(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is told of it but that; nothing is raised, and the scrape waits no longer than a moment."""
    monkeypatch.setattr(lags, "LIMIT_S", 0.05)
    async with desk.database.transaction():  # the only connection
        found = await desk.read()
    assert (found.seconds, found.answers["write"]) == ({}, False)
