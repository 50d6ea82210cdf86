"""Migrations: from nothing up, back down to nothing, and no drift between them and the code."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import CheckConstraint, Connection
from sqlalchemy.dialects.postgresql.base import ischema_names

import crm_graph.api.schema  # noqa: F401 - so that every table is in the metadata
from crm_graph.db.base import Base
from crm_graph.db.migrate import config, downgrade, upgrade, with_connection
from crm_graph.db.revisions import require_current, revisions, state
from crm_graph.events.model import Xid8
from crm_graph.kernel.errors import OperatorError
from tests.support.database import with_database


@pytest.fixture
async def empty_url(postgres: str, request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """The address of an empty database."""
    name = f"crm_empty_{abs(hash(request.node.name)) % 10**8}"
    server = await asyncpg.connect(postgres)
    await server.execute(f"CREATE DATABASE {name}")
    yield with_database(postgres, name)
    await server.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await server.close()


async def _tables(url: str) -> set[str]:
    connection = await asyncpg.connect(url)
    rows = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    await connection.close()
    return {row["tablename"] for row in rows}


async def test_up_down_and_up_again(empty_url: str) -> None:
    await upgrade(empty_url)
    assert set(Base.metadata.tables) < await _tables(empty_url)
    assert (await state(empty_url)).up_to_date
    await downgrade(empty_url, "base")
    assert await _tables(empty_url) == {"alembic_version"}
    await upgrade(empty_url)
    await require_current(empty_url)


@pytest.mark.filterwarnings(
    "ignore:Can.t validate argument .dialect_options."
)  # reflecting what is NOT VALID, SQLAlchemy 2.0
async def test_no_drift(empty_url: str) -> None:
    await upgrade(empty_url)
    ischema_names["xid8"] = Xid8

    def compare(connection: Connection) -> list[Any]:
        options = {"compare_type": True, "include_object": lambda *given: given[1] != "alembic_version"}
        return list(compare_metadata(MigrationContext.configure(connection, opts=options), Base.metadata))

    assert await with_connection(empty_url, compare) == []


def test_the_revisions_are_those_that_alembic_finds() -> None:
    script = ScriptDirectory.from_config(config())
    head, known = revisions()
    assert head == script.get_current_head()
    assert set(known) == {each.revision for each in script.walk_revisions()}


async def test_no_drift_of_checks(empty_url: str) -> None:
    """Alembic compares no CHECK constraints."""
    await upgrade(empty_url)
    connection = await asyncpg.connect(empty_url)
    rows = await connection.fetch(
        "SELECT conrelid::regclass::text AS table_name, conname FROM pg_constraint"
        " WHERE contype = 'c' AND connamespace = 'public'::regnamespace"
    )
    await connection.close()
    declared = {
        (table.name, f"ck_{table.name}_{each.name}" if not str(each.name).startswith("ck_") else str(each.name))
        for table in Base.metadata.tables.values()
        for each in table.constraints
        if isinstance(each, CheckConstraint)
    }
    assert {tuple(row) for row in rows} == declared


async def test_an_empty_database_is_named(empty_url: str) -> None:
    with pytest.raises(OperatorError, match=r"the database is empty.*\n.*crm-graph migrate"):
        await require_current(empty_url)


async def test_a_newer_database_is_named(empty_url: str) -> None:
    await upgrade(empty_url)
    connection = await asyncpg.connect(empty_url)
    await connection.execute("UPDATE alembic_version SET version_num = '2099_01_01_from_the_future'")
    await connection.close()
    with pytest.raises(OperatorError, match="newer than this code"):
        await require_current(empty_url)


async def test_an_older_database_is_named(empty_url: str) -> None:
    await upgrade(empty_url)
    connection = await asyncpg.connect(empty_url)
    await connection.execute("DELETE FROM alembic_version")
    await connection.close()
    with pytest.raises(OperatorError, match="crm-graph migrate"):
        await require_current(empty_url)


async def test_places_of_stages_that_are_double_are_told_apart(empty_url: str) -> None:
    """Pipelines with such places are numbered anew, in the order that they had; it is told. Others stay."""
    await upgrade(empty_url, "2026_12_01_stage_fields")
    connection = await asyncpg.connect(empty_url)
    ids = {name: uuid4() for name in ("workspace", "double", "gaps")}
    await connection.execute(
        "INSERT INTO workspace (workspace_id, id, name, slug, base_currency, time_zone, directory_version, version,"
        " created_at, updated_at) VALUES ($1, $1, 'W', 'w', 'USD', 'UTC', 0, 1, now(), now())",
        ids["workspace"],
    )
    for name in ("double", "gaps"):
        await connection.execute(
            "INSERT INTO pipeline (workspace_id, id, name, version, created_at, updated_at)"
            " VALUES ($1, $2, $3, 1, now(), now())",
            *(ids["workspace"], ids[name], name),
        )
    places = {"double": (0, 1, 1, 20_000), "gaps": (0, 3, 9)}
    for name, position in ((name, place) for name, found in places.items() for place in found):
        await connection.execute(
            "INSERT INTO stage (workspace_id, id, pipeline_id, name, position, kind, probability, version, created_at,"
            " updated_at) VALUES ($1, $2, $3, $4, $5, 'OPEN', 1, 1, clock_timestamp(), clock_timestamp())",
            *(ids["workspace"], uuid4(), ids[name], str(uuid4()), position),
        )
    await upgrade(empty_url)
    query = "SELECT position, version FROM stage WHERE pipeline_id = $1 ORDER BY created_at"
    stored = {name: [tuple(row) for row in await connection.fetch(query, ids[name])] for name in places}
    assert stored == {"double": [(0, 1), (1, 1), (2, 2), (3, 2)], "gaps": [(0, 1), (3, 1), (9, 1)]}
    told = await connection.fetch("SELECT type, changes -> 'position' AS moved, entity_id FROM event ORDER BY seq")
    assert sorted((row["type"], row["moved"]) for row in told[:2]) == [
        ("StageUpdated", "[1, 2]"),
        ("StageUpdated", "[20000, 3]"),
    ]
    assert [(row["type"], row["entity_id"]) for row in told[2:]] == [("PipelineUpdated", ids["double"])]
    with pytest.raises(asyncpg.UniqueViolationError):
        await connection.execute("UPDATE stage SET position = 0 WHERE position = 2")
    await connection.execute(
        "UPDATE stage SET position = 2 - position WHERE pipeline_id = $1 AND position < 3", ids["double"]
    )
    await connection.close()
