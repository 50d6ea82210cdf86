"""Seeding: a workspace with demo data of any size, in one transaction.

One transaction, so that an interrupted seeding leaves nothing. The cost: the horizon of the event log stands still
while it runs, so that live subscriptions on the same database wait for its end.

No events but the workspace's own. The log tells readers what changed since they looked, and nobody can have looked at
a workspace that did not exist: no member, no subscription, no webhook. A row of the log per row of data would double
the time and tell nobody anything. The histories that people read (stages of deals, statuses of orders) are rows of
their own and are complete.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import asyncpg

from crm_graph.db.connecting import close, connect, unit
from crm_graph.db.pool import Database
from crm_graph.db.session import Session
from crm_graph.demo.catalogue import BASE_CURRENCY, stock
from crm_graph.demo.copy import Batch, Sheets, copy, prepare
from crm_graph.demo.customers import CONTACTS, Buyer, Customers
from crm_graph.demo.dice import Dice, spread
from crm_graph.demo.marketing import CUSTOMERS_PER_CAMPAIGN, Campaigns
from crm_graph.demo.orders import ORDERS, Orders
from crm_graph.demo.organisation import Organisation, appoint_managers, organise
from crm_graph.demo.sales import OPPORTUNITIES, Deals
from crm_graph.demo.service import TICKETS, Tickets
from crm_graph.demo.times import START, TIME_ZONE, moment
from crm_graph.domains.workspace.workspaces.operations import create_workspace
from crm_graph.domains.workspace.workspaces.policy import WORKSPACE
from crm_graph.identity.viewer import Viewer
from crm_graph.permissions.compiler import administrator
from crm_graph.permissions.roles import ADMIN
from crm_graph.work import Work

CUSTOMERS_PER_BATCH = 5_000
"""About 170,000 rows, 100 MB of Python objects; like the first batch a multiple of 50, so that campaigns and
patterns come out even."""

_FIRST_BATCH = 200
"""The first batch is small, because the tables are analysed after it: see `_analyse`."""
_SETTINGS = "SET idle_in_transaction_session_timeout = 0; SET enable_seqscan = off"

Progress = Callable[[str, int, int], None]
"""Receives what is being done, how much of it is done, and how much there is."""


def show_nothing(what: str, done: int, total: int) -> None:
    """Take progress and show nothing."""


@dataclass(frozen=True, slots=True)
class Seeded:
    """What was made: the workspace, and how many rows in each table."""

    workspace_id: str
    rows: dict[str, int]


async def seed(
    database: Database, customers: int, *, slug: str, name: str, progress: Progress | None = None, seed: int = 1
) -> str:
    """Make a workspace with demo data for a number of customers and return its id. Raises OperatorError for a slug in
    use."""
    shown = progress or show_nothing
    return (await make(database, customers, slug=slug, name=name, progress=shown, seed=seed)).workspace_id


async def make(
    database: Database, customers: int, *, slug: str, name: str, progress: Progress = show_nothing, seed: int = 1
) -> Seeded:
    """Do what `seed` does, and count the rows."""
    key = f"{seed}/{slug}"
    sheets = Sheets(_workspace_id(key), key)
    dice = Dice(seed)
    connection = await connect(database.url, None)
    try:
        await connection.execute(_SETTINGS)
        async with unit(connection):
            organisation = organise(sheets, dice, customers)
            await _set_up_workspace(connection, sheets.workspace_id, organisation.admin_id, slug, name)
            await prepare(connection)
            done = 0
            async with aclosing(_ahead(_batches(sheets, organisation, dice, customers))) as batches:
                async for size, batch in batches:
                    await copy(connection, batch)
                    if done == 0 and size < customers:
                        await _analyse(connection, sheets)
                    done += size
                    progress("customers", done, customers)
            await appoint_managers(connection, sheets.workspace_id, organisation)
        progress("planner statistics", 0, 1)
        await _analyse(connection, sheets)
        progress("planner statistics", 1, 1)
    finally:
        await close(connection)
    return Seeded(sheets.workspace_id, {sheet.table: sheet.copied for sheet in sheets.all})


async def _analyse(connection: asyncpg.Connection[Any], sheets: Sheets) -> None:
    """Tell the planner what is in the tables: once all is there, and once when there is a little.

    A session plans the check of a foreign key at its first row and whenever the table is analysed. On tables that look
    nearly empty every index is as good as the primary key, and with the wrong one 100,000 customers were not done in
    ten minutes instead of one (right after 200 had been seeded and analysed). Autovacuum, which does not see what is
    not committed, can make them look so at any time; it passes over tables that this transaction has analysed.
    """
    await connection.execute("ANALYZE " + ", ".join(sheet.table for sheet in sheets.all))


def _workspace_id(key: str) -> str:
    return f"{START * 1000:012x}70008{hashlib.sha256(key.encode()).hexdigest()[:15]}"


async def _set_up_workspace(
    connection: asyncpg.Connection[Any], workspace_id: str, admin_id: str, slug: str, name: str
) -> None:
    """Write the workspace with its event, as the operator would."""
    viewer = Viewer(workspace_id, admin_id, (ADMIN,), (admin_id,))
    work = Work(Session(connection), viewer, administrator(WORKSPACE), lambda: moment(START))
    await create_workspace(work, name, slug, BASE_CURRENCY, TIME_ZONE)
    await work.session.finish()


def _batches(sheets: Sheets, organisation: Organisation, dice: Dice, count: int) -> Iterator[tuple[int, Batch]]:
    """Yield how many customers a batch brings, and its rows; the counters come with the last.

    Tables are opened, and so written, in the order of their references.
    """
    catalogue = stock(sheets)
    customers = Customers(sheets, organisation, dice, count)
    deals = Deals(sheets, organisation, catalogue, dice)
    orders = Orders(sheets, catalogue, dice)
    tickets = Tickets(sheets, organisation, catalogue, dice)
    campaigns = Campaigns(sheets, organisation, dice)

    def serve(contacts: int, opportunities: int, bought: int, asked: int) -> Buyer:
        buyer = customers.meet()
        customers.add_contacts(buyer, contacts)
        orders.add(buyer, bought, deals.add(buyer, opportunities, buys=bought > 0))
        tickets.add(buyer, asked)
        customers.write(buyer)
        return buyer

    done = 0
    while done < count:
        size = min(CUSTOMERS_PER_BATCH if done else _FIRST_BATCH, count - done)
        shares = [spread(dice, pattern, size) for pattern in (CONTACTS, OPPORTUNITIES, ORDERS, TICKETS)]
        buyers = [serve(*share) for share in zip(*shares, strict=True)]
        whole = len(buyers) // CUSTOMERS_PER_CAMPAIGN * CUSTOMERS_PER_CAMPAIGN
        for start in range(0, whole, CUSTOMERS_PER_CAMPAIGN):
            campaigns.add(buyers[start : start + CUSTOMERS_PER_CAMPAIGN])
        if count < CUSTOMERS_PER_CAMPAIGN:
            campaigns.add(buyers)
        done += size
        if done == count:
            orders.write_counters()
            tickets.write_counter()
        yield size, sheets.take()


async def _ahead(batches: Iterator[tuple[int, Batch]]) -> AsyncGenerator[tuple[int, Batch]]:
    """Yield batches while a thread makes the next one: Postgres spends its time on another core meanwhile."""
    following = asyncio.create_task(asyncio.to_thread(next, batches, None))
    try:
        while (batch := await following) is not None:
            following = asyncio.create_task(asyncio.to_thread(next, batches, None))
            yield batch
    finally:
        await asyncio.wait([following])  # a thread cannot be cancelled; a second at most
