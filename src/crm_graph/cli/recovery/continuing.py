"""Continuing a log in the cluster that it was restored into: what `restore` does at its end, and `--in-place` alone."""

from __future__ import annotations

import asyncpg

from crm_graph.api.webhooks import queue as deliveries
from crm_graph.cli.opening import opened
from crm_graph.cli.operating.migrating import bring_to
from crm_graph.cli.place import Place
from crm_graph.cli.recovery.keys import require_keys
from crm_graph.db.connecting import close, connect, unit
from crm_graph.db.revisions import require_current, state
from crm_graph.domains.identity.accounts import outbox
from crm_graph.events.epoch import Epoch, begin_epoch, current_epoch, has_epochs
from crm_graph.jobs import queue as jobs
from crm_graph.kernel.errors import OperatorError

_OTHERS = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'crm-graph' AND pid <> pg_backend_pid()
"""
EPOCHS = "2026_12_02_log_epoch"
"""The revision that made epochs. Later ones come after the log goes on here: what they write into it is seen then."""
RESUMED = (deliveries.RESUME, outbox.RESUME, *jobs.RESUME)
"""What was taken by processes that are gone is given back."""


async def continue_place(place: Place, *, anyway: bool) -> Epoch | None:
    """Continue the log of a place's database under a new epoch; returns it, None where the log is this cluster's and it
    is not to be done `anyway`. Raises OperatorError."""
    with place.database_url() as url:
        schema = await state(url)
        if schema.current is None or not schema.known:
            await require_current(url)
        if not await has_epochs(url):
            await bring_to(url, EPOCHS)
        return await continue_log(url, anyway=anyway)


async def continue_log(url: str, known_xid: int = 0, *, anyway: bool = False) -> Epoch | None:
    """See `continue_place`; `known_xid` is as for `begin_epoch`. In one transaction: killed at any point, it has been
    done or not. Raises OperatorError where processes are connected, and where the keys do not open what is stored."""
    connection = await connect(url, None)
    try:
        if others := await connection.fetchval(_OTHERS):
            raise OperatorError(
                f"{others} connections of crm-graph are in this database: it is in use",
                "stop the processes that use it (serve, dev, worker), or restore into another, empty database",
            )
        epoch = await current_epoch(connection)
        if epoch.foreign is None and not anyway:
            return None
        async with opened(Place(None, url), check=False) as database:
            await require_keys(database)
        return await _begin(connection, known_xid)
    finally:
        await close(connection)


async def _begin(connection: asyncpg.Connection[asyncpg.Record], known_xid: int) -> Epoch:
    async with unit(connection):
        epoch = await begin_epoch(connection, known_xid)
        for statement in RESUMED:
            await connection.execute(statement)
    return epoch
