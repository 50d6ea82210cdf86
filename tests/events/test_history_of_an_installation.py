"""The kept history of an installation that runs: behind the log, made anew, and waited for by retention."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from crm_graph.app import projector_for, running_engine
from crm_graph.cli.operating.archiving import export_events
from crm_graph.cli.operating.projecting import history_status, rebuild_history
from crm_graph.cli.place import Place
from crm_graph.db.session import ReadSession
from crm_graph.domains.platform.audit.chainer import passed_position
from crm_graph.events.projected import projected_position
from crm_graph.events.retention import remove_batch
from crm_graph.graph.schema.build import BuiltSchema
from crm_graph.identity.installation import Installation
from crm_graph.identity.secrets import load_secrets
from crm_graph.kernel.errors import OperatorError
from crm_graph.kernel.settings import Settings
from tests.domains.platform.test_audit_entries import Office
from tests.graph.test_as_of import CREATE, UPDATE, now
from tests.support.database import clone
from tests.support.projected import differing
from tests.support.trail import connect

TABLES = ("customer", "opportunity", "sales_order", "ticket", "campaign")
VERSIONS = "SELECT * FROM customer_version WHERE id = $1 ORDER BY valid_from"
AS_OF = "query ($id: ID!, $at: DateTime) { customer(id: $id, asOf: $at) { name city } }"


class Kept(Office):
    """An office whose history is kept."""

    async def must(self, source: str, variables: dict[str, Any]) -> Any:
        body = await self.ask(source, variables)
        assert "errors" not in body, body["errors"]
        return body["data"]

    async def create(self, name: str) -> str:
        data = await self.must(CREATE, {"input": {"name": name}})
        id_: str = data["createCustomer"]["customer"]["id"]
        return id_

    async def change(self, id_: str, **fields: Any) -> None:
        data = await self.must(UPDATE, {"input": {"id": id_, **fields}})
        assert data["updateCustomer"]["errors"] == []

    async def as_of(self, id_: str, at: str) -> Any:
        return (await self.must(AS_OF, {"id": id_, "at": at}))["customer"]


@pytest.fixture(scope="module")
async def kept(postgres: str, database_url: str, schema: BuiltSchema) -> AsyncIterator[Kept]:
    assert database_url, "makes the template"
    url = await clone(postgres, f"kept_{abs(hash(database_url)) % 10**6}")
    connection = await connect(url)
    secrets = await load_secrets(ReadSession(connection), {})
    settings = Settings(history_poll_ms=10, history_wait_ms=30_000, audit_poll_ms=10, event_retention_days=0)
    async with running_engine(Installation(url, secrets), settings, schema) as engine:
        async with asyncio.timeout(60):
            while await connection.fetchval("SELECT count(*) < 5 FROM history_type"):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        yield Kept(engine, connection, url)
    await connection.close()


async def test_a_change_can_be_read_as_of_a_time_as_soon_as_it_is_answered(kept: Kept) -> None:
    before = now()
    id_ = await kept.create("Ada")
    made = now()
    await kept.change(id_, city="Paris")
    assert await kept.as_of(id_, now()) == {"name": "Ada", "city": "Paris"}
    assert await kept.as_of(id_, made) == {"name": "Ada", "city": None}
    body = await kept.ask(AS_OF, {"id": id_, "at": before})
    assert body.get("errors") is None, "history began when the server started"
    assert body["data"] == {"customer": None}
    for table in TABLES:
        assert await differing(kept.connection, table) == []


async def test_a_rebuild_makes_the_same(kept: Kept) -> None:
    id_ = await kept.create("Eva")
    for city in ("Paris", "Rome", None):
        await kept.change(id_, city=city)
    await kept.as_of(id_, now())
    stored = await kept.connection.fetch(VERSIONS, id_[4:])
    assert len(stored) == 4
    place = Place(None, kept.url)
    assert {name for name, _ in await rebuild_history(place, None, ())} >= {"Customer", "Order"}
    assert await kept.connection.fetch(VERSIONS, id_[4:]) == stored
    await kept.connection.execute("DELETE FROM customer_version WHERE id = $1", id_[4:])
    ((_, rows),) = await rebuild_history(place, "Customer", ())
    assert rows
    assert await kept.connection.fetch(VERSIONS, id_[4:]) == stored
    for table in TABLES:
        assert await differing(kept.connection, table) == []
    assert (await history_status(place))[-1] == "the history has all that the log has"
    with pytest.raises(OperatorError, match="no history of Contact is kept"):
        await rebuild_history(place, "Contact", ())


async def test_a_rebuild_tells_what_was_before_the_history(kept: Kept) -> None:
    """Of a history that begins anew: the log tells more, and of what it does not tell, that nothing changed."""
    id_ = await kept.create("Early")
    made = now()
    await kept.change(id_, city="Paris")
    await kept.as_of(id_, now())
    await kept.connection.execute("DELETE FROM history_type WHERE name = 'customer'")
    await projector_for(kept.url, Settings(), kept.engine.schema, kept.engine.services.vault).begin(kept.connection)
    body = await kept.ask(AS_OF, {"id": id_, "at": made})
    assert body["errors"][0]["message"].startswith("History began at")
    silent = await kept.connection.fetchval(
        "SELECT id FROM customer WHERE id NOT IN (SELECT entity_id FROM event) LIMIT 1"
    )
    await rebuild_history(Place(None, kept.url), None, ())
    assert await kept.as_of(id_, made) == {"name": "Early", "city": None}
    first = await kept.connection.fetchval("SELECT min(at) FROM event")
    assert await kept.connection.fetchval("SELECT max(began_at) FROM history_type") == first
    of_workspace = await kept.connection.fetchval(
        "SELECT valid_from = created_at FROM customer_version WHERE id = $1 AND valid_to = 'infinity'", silent
    )
    assert of_workspace
    for table in TABLES:
        assert await differing(kept.connection, table) == []


async def test_archives_tell_what_the_log_does_not(kept: Kept, tmp_path: Path) -> None:
    """The log is pruned, and versions are thrown away."""
    place = Place(None, kept.url)
    id_ = await kept.create("Old")
    await kept.change(id_, city="Paris")
    await kept.as_of(id_, now())
    stored = await kept.connection.fetch(VERSIONS, id_[4:])
    later = datetime.now(UTC) + timedelta(minutes=1)
    file = tmp_path / "events.ndjson.gz"
    assert await export_events(place, file, later, None)
    async with asyncio.timeout(60):
        while await kept.connection.fetchval("SELECT count(*) FROM event"):
            await remove_batch(kept.connection, later, passed_position, 5_000)
            await asyncio.sleep(0.02)
    await kept.connection.execute("DELETE FROM customer_version WHERE id = $1", id_[4:])
    ((_, rows),) = await rebuild_history(place, "Customer", (file,))
    assert rows
    assert await kept.connection.fetch(VERSIONS, id_[4:]) == stored
    broken = tmp_path / "broken.ndjson"
    broken.write_text("{}\n")
    with pytest.raises(OperatorError, match="is no archive of events"):
        await rebuild_history(place, "Customer", (broken,))


async def test_retention_waits_for_the_projector(kept: Kept) -> None:
    later = datetime.now(UTC) + timedelta(minutes=1)
    transaction = kept.connection.transaction()
    await transaction.start()
    try:
        await kept.connection.execute("DELETE FROM history_position")
        assert await projected_position(kept.connection) == await passed_position(kept.connection)
        assert await remove_batch(kept.connection, later, passed_position, 100) == 0
    finally:
        await transaction.rollback()
