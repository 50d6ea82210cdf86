"""The data set: seeded once, kept in `build/bench-data`, and what requests need to know of it."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import psutil  # type: ignore[import-untyped]

from crm_graph.cli.access.accounts import find_account
from crm_graph.cli.installed import installation
from crm_graph.db import embedded
from crm_graph.db.migrate import upgrade
from crm_graph.db.pool import Database
from crm_graph.demo.seed import seed
from crm_graph.identity.installation import authority
from crm_graph.kernel.settings import Settings
from tests.benchmarks.settings import BUILD, CONNECTIONS

DATA = BUILD / "bench-data"
MOVES_PER_CONNECTION = 200
_MIGRATIONS = Path("migrations/versions")

_LARGE = (
    *("customer", "contact", "opportunity", "opportunity_line", "stage_move", "sales_order", "order_line"),
    *("order_status_change", "ticket", "ticket_reply", "campaign_member"),
)
_INDEXES = """
    SELECT indexrelid::regclass::text AS name, pg_get_indexdef(indexrelid) AS made FROM pg_index
    WHERE NOT indisunique AND indrelid::regclass::text = ANY($1)
"""
_SOME_CUSTOMER = """
    SELECT id FROM customer WHERE workspace_id = $1 AND (NOT $3 OR owner_id = $2) ORDER BY md5(id::text) LIMIT 1
"""
_STAGES = (
    "SELECT id, pipeline_id, required_fields FROM stage WHERE workspace_id = $1 AND kind = 'OPEN' ORDER BY position"
)
_MOVABLE = """
    SELECT id, pipeline_id, stage_id FROM opportunity
    WHERE workspace_id = $1 AND status = 'OPEN' AND amount IS NOT NULL AND expected_close IS NOT NULL
      AND customer_id IS NOT NULL AND (owner_id = $2) = $3
    ORDER BY md5(id::text) LIMIT $4
"""


@dataclass(frozen=True, slots=True)
class Move:
    """A deal, the open stage that it is in and another one that it may move to; ids with dashes."""

    opportunity: str
    here: str
    there: str


@dataclass(frozen=True, slots=True)
class Actor:
    """A member: a token, a customer that they may see and deals that they may move."""

    member: str
    token: str
    customer: str
    moves: list[Move]


@dataclass(frozen=True, slots=True)
class DataSet:
    """A workspace, and an administrator and a sales representative in it."""

    url: str
    workspace: str
    admin: Actor
    rep: Actor


@contextmanager
def postgres() -> Iterator[embedded.Server]:
    """Lend the Postgres of the data set; what another schema left is thrown away."""
    schema = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(_MIGRATIONS.glob("*.py")))).hexdigest()
    stamp = DATA / "schema"
    if DATA.exists() and (not stamp.exists() or stamp.read_text() != schema):
        print(f"{DATA} was made with another schema, and is made anew")
        shutil.rmtree(DATA)
    DATA.mkdir(parents=True, exist_ok=True)
    stamp.write_text(schema)
    with embedded.running(DATA, shared_buffers_mb=1024) as server:
        yield server


async def prepare(url: str, customers: int) -> DataSet:
    """Return the data set of a size, seeded if it is not there."""
    await upgrade(url)
    slug = f"bench-{customers}"
    connection = await asyncpg.connect(url)
    database = await Database.open(url)
    try:
        workspace = await connection.fetchval("SELECT id FROM workspace WHERE slug = $1", slug)
        if workspace is None:
            print(f"seeding {customers} customers", flush=True)
            async with without_indexes(connection):
                await seed(database, customers, slug=slug, name="Bench")
            await connection.execute("VACUUM ANALYZE")
            workspace = await connection.fetchval("SELECT id FROM workspace WHERE slug = $1", slug)
        await connection.execute("CHECKPOINT")
        actors = [await _actor(database, connection, workspace, role) for role in ("admin", "sales_rep")]
    finally:
        await database.close()
        await connection.close()
    return DataSet(url, str(workspace), *actors)


@asynccontextmanager
async def without_indexes(connection: asyncpg.Connection[Any]) -> AsyncIterator[None]:
    """Take away the indexes that hold no rule, and make them again at the end: a sort of all keys takes a third of what
    the same keys take one by one."""
    indexes = await connection.fetch(_INDEXES, list(_LARGE))
    for index in indexes:
        await connection.execute(f"DROP INDEX {index['name']}")
    try:
        yield
    finally:
        await connection.execute("SET maintenance_work_mem = '1GB'")
        for index in indexes:
            await connection.execute(index["made"])


async def _actor(database: Database, connection: asyncpg.Connection[Any], workspace: Any, role: str) -> Actor:
    account = await find_account(database, workspace.hex, None, role)
    rep = await find_account(database, workspace.hex, None, "sales_rep")
    issuer = authority(await installation(database), Settings())
    owned = role == "sales_rep"
    customer = await connection.fetchval(_SOME_CUSTOMER, workspace, rep.member_id, owned)
    stages = [
        row
        for row in await connection.fetch(_STAGES, workspace)
        if {"amount", "expectedClose", "customer"}.issuperset(row["required_fields"])
    ]
    moves = []
    wanted = CONNECTIONS * MOVES_PER_CONNECTION
    for row in await connection.fetch(_MOVABLE, workspace, rep.member_id, owned, wanted):
        others = [each["id"] for each in stages if each["pipeline_id"] == row["pipeline_id"]]
        there = others[(others.index(row["stage_id"]) + 1) % len(others)]
        moves.append(Move(str(row["id"]), str(row["stage_id"]), str(there)))
    token = issuer.issue(workspace.hex, account.member_id, timedelta(hours=6))
    return Actor(account.member_id, token, str(customer), moves)


def postgres_cpu_seconds() -> float:
    """Return the CPU time of Postgres so far: of every process of it, and of those that ended.

    The latter because a parallel worker lives for one statement only: the postmaster's account has what they used.
    """
    postmaster = psutil.Process(int(next(DATA.glob("pg-*/postmaster.pid")).read_text().partition("\n")[0]))
    living = postmaster.children()
    total = sum(postmaster.cpu_times()[:4])
    for child in living:
        with suppress(psutil.NoSuchProcess):
            total += sum(child.cpu_times()[:2])
    return float(total)
