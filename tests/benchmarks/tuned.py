"""The floor, tuned: what could be had by hand if nothing but these operations mattered.

Bare ASGI; edges to one row joined into their parent's statement; children come with the ordinal of their parent and
not with its key; one connection for the whole operation, from a pool without a reset; rows unpacked as tuples; amounts
as text from Postgres, which saves a call into Python for each.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

import asyncpg
import orjson

from crm_graph.db.codecs import set_codecs
from tests.benchmarks.moves import INSERT_EVENT, INSERT_MOVE, UPDATE, Moved

Connection = Any  # of asyncpg, as its pool lends it
Operation = Callable[[Any, str, Mapping[str, str]], Awaitable[Any]]

_POINT = """
    SELECT id, name, kind, lifecycle, industry, city, version, created_at FROM customer
    WHERE workspace_id = $1 AND id = $2
"""
_PAGE = """
    SELECT c.id, c.name, c.kind, c.lifecycle, c.industry, c.city, c.version, c.created_at, m.name
    FROM (SELECT * FROM customer WHERE workspace_id = $1 ORDER BY id LIMIT 50) AS c
    LEFT JOIN member AS m ON m.workspace_id = $1 AND m.id = c.owner_id ORDER BY c.id
"""
_CUSTOMERS = "SELECT id, name FROM customer WHERE workspace_id = $1 ORDER BY id LIMIT 20"
_CHILDREN = "unnest($2::uuid[]) WITH ORDINALITY AS parent(id, place) CROSS JOIN LATERAL"
_OPPORTUNITIES = f"""
    SELECT parent.place, o.name, trim_scale(o.amount)::text, o.currency, m.name FROM {_CHILDREN} (
        SELECT id, name, amount, currency, owner_id FROM opportunity
        WHERE workspace_id = $1 AND customer_id = parent.id ORDER BY id LIMIT 5) AS o
    LEFT JOIN member AS m ON m.workspace_id = $1 AND m.id = o.owner_id ORDER BY parent.place, o.id
"""
_TICKETS = f"""
    SELECT parent.place, t.* FROM {_CHILDREN} (
        SELECT number, subject, status FROM ticket
        WHERE workspace_id = $1 AND customer_id = parent.id ORDER BY id LIMIT 5) AS t
"""
_ORDERS = f"""
    SELECT parent.place, o.* FROM {_CHILDREN} (
        SELECT id, number, status FROM sales_order
        WHERE workspace_id = $1 AND customer_id = parent.id ORDER BY id LIMIT 5) AS o
"""
_LINES = f"""
    SELECT parent.place, l.* FROM {_CHILDREN} (
        SELECT trim_scale(quantity)::text, trim_scale(total)::text, currency FROM order_line
        WHERE workspace_id = $1 AND order_id = parent.id ORDER BY id LIMIT 10) AS l
"""
_THOUSAND = """
    SELECT o.id, o.name, o.status, trim_scale(o.amount)::text, o.currency, o.probability, o.expected_close::text,
        o.source, o.created_at, c.name
    FROM (SELECT * FROM opportunity WHERE workspace_id = $1 ORDER BY id LIMIT 1000) AS o
    LEFT JOIN customer AS c ON c.workspace_id = $1 AND c.id = o.customer_id ORDER BY o.id
"""
_FILTERED = """
    SELECT id, name, trim_scale(amount)::text, currency,
        (SELECT count(*) FROM opportunity WHERE workspace_id = $1 AND status = 'OPEN' AND amount >= 1000)
    FROM opportunity WHERE workspace_id = $1 AND status = 'OPEN' AND amount >= 1000
    ORDER BY amount DESC, id DESC LIMIT 50
"""
_AGGREGATE = """
    SELECT g.stage_id, s.name, g.count, trim_scale(g.amount)::text FROM (
        SELECT stage_id, count(*) AS count, sum(amount) AS amount FROM opportunity WHERE workspace_id = $1
        GROUP BY stage_id) AS g
    JOIN stage AS s ON s.workspace_id = $1 AND s.id = g.stage_id ORDER BY g.stage_id
"""
_MOVED = """
    SELECT o.name, o.customer_id, o.pipeline_id, o.stage_id, o.stage_since, o.status, o.amount, o.probability,
        o.expected_close, o.next_step, o.version, c.name AS customer, s.id AS to_id, s.name AS to_name,
        s.kind AS to_kind, s.probability AS to_probability, s.pipeline_id AS to_pipeline, s.required_fields
    FROM opportunity AS o JOIN stage AS s ON s.workspace_id = $1 AND s.id = $3
    LEFT JOIN customer AS c ON c.workspace_id = $1 AND c.id = o.customer_id
    WHERE o.workspace_id = $1 AND o.id = $2 FOR UPDATE OF o
"""


def _renumbered(statement: str, start: int) -> str:
    """Return a statement whose parameters behind the workspace and the deal begin at `start`."""
    for number in range(9, 2, -1):
        statement = statement.replace(f"${number}", f"${number + start - 3}")
    return statement


_WRITE = f"WITH updated AS ({UPDATE}), logged AS ({_renumbered(INSERT_EVENT, 8)}) {_renumbered(INSERT_MOVE, 12)}"


def _customer(row: tuple[Any, ...]) -> dict[str, Any]:
    id_, name, kind, lifecycle, industry, city, version, created_at = row
    return {
        "id": "cus_" + id_,
        "name": name,
        "kind": kind,
        "lifecycle": lifecycle,
        "industry": industry,
        "city": city,
        "version": version,
        "createdAt": created_at,
    }


def _money(amount: str | None, currency: str) -> dict[str, str] | None:
    return None if amount is None else {"amount": amount, "currency": currency}


async def point(connection: Connection, workspace: str, variables: Mapping[str, str]) -> Any:
    """A customer by id, 8 fields."""
    return {"customer": _customer(await connection.fetchrow(_POINT, workspace, variables["id"][4:]))}


async def page(connection: Connection, workspace: str, _: Mapping[str, str]) -> Any:
    """50 customers, 8 fields, with their owner."""
    nodes = []
    for row in await connection.fetch(_PAGE, workspace):
        *own, owner = row
        customer = _customer(tuple(own))
        customer["owner"] = None if owner is None else {"name": owner}
        nodes.append(customer)
    return {"customers": {"nodes": nodes}}


async def graph(connection: Connection, workspace: str, _: Mapping[str, str]) -> Any:
    """20 customers, each with 5 opportunities and their owner, 5 tickets, 5 orders and their lines."""
    rows = await connection.fetch(_CUSTOMERS, workspace)
    keys = [key for key, _name in rows]
    deals: list[list[Any]] = [[] for _key in keys]
    tickets: list[list[Any]] = [[] for _key in keys]
    orders: list[list[Any]] = [[] for _key in keys]
    for place, name, amount, currency, owner in await connection.fetch(_OPPORTUNITIES, workspace, keys):
        who = None if owner is None else {"name": owner}
        deals[place - 1].append({"name": name, "amount": _money(amount, currency), "owner": who})
    for place, number, subject, status in await connection.fetch(_TICKETS, workspace, keys):
        tickets[place - 1].append({"number": number, "subject": subject, "status": status})
    order_keys: list[str] = []
    lines: list[list[Any]] = []
    for place, id_, number, status in await connection.fetch(_ORDERS, workspace, keys):
        own: list[Any] = []
        order_keys.append(id_)
        lines.append(own)
        orders[place - 1].append({"number": number, "status": status, "lines": {"nodes": own}})
    for place, quantity, total, currency in await connection.fetch(_LINES, workspace, order_keys):
        lines[place - 1].append({"quantity": quantity, "total": {"amount": total, "currency": currency}})
    nodes = [
        {
            "name": name,
            "opportunities": {"nodes": own_deals},
            "tickets": {"nodes": own_tickets},
            "orders": {"nodes": own_orders},
        }
        for (_key, name), own_deals, own_tickets, own_orders in zip(rows, deals, tickets, orders, strict=True)
    ]
    return {"customers": {"nodes": nodes}}


async def thousand(connection: Connection, workspace: str, _: Mapping[str, str]) -> Any:
    """1,000 opportunities, 8 fields, with their customer."""
    nodes = [
        {
            "id": "opp_" + id_,
            "name": name,
            "status": status,
            "amount": None if amount is None else {"amount": amount, "currency": currency},
            "probability": probability,
            "expectedClose": expected_close,
            "source": source,
            "createdAt": created_at,
            "customer": None if customer is None else {"name": customer},
        }
        for (
            id_,
            name,
            status,
            amount,
            currency,
            probability,
            expected_close,
            source,
            created_at,
            customer,
        ) in await connection.fetch(_THOUSAND, workspace)
    ]
    return {"opportunities": {"nodes": nodes}}


async def filtered(connection: Connection, workspace: str, _: Mapping[str, str]) -> Any:
    """Open opportunities of at least 1,000, largest first: the first 50, and how many there are."""
    nodes, count = [], 0
    for id_, name, amount, currency, count in await connection.fetch(_FILTERED, workspace):  # noqa: B007
        nodes.append({"id": "opp_" + id_, "name": name, "amount": {"amount": amount, "currency": currency}})
    return {"opportunities": {"totalCount": count, "nodes": nodes}}


async def aggregate(connection: Connection, workspace: str, _: Mapping[str, str]) -> Any:
    """How many opportunities there are in each stage, and what they are worth."""
    groups = [
        {"key": {"stage": {"id": "stg_" + id_, "name": name}}, "count": count, "sum": {"amount": amount}}
        for id_, name, count, amount in await connection.fetch(_AGGREGATE, workspace)
    ]
    return {"opportunitiesAggregate": {"groups": groups}}


async def move(connection: Connection, workspace: str, variables: Mapping[str, str]) -> Any:
    """Move an opportunity to another open stage: one statement reads all that is needed, one writes all three rows."""
    id_ = variables["id"][4:]
    async with connection.transaction():
        deal = await connection.fetchrow(_MOVED, workspace, id_, variables["stage"][4:])
        stage = {
            "id": deal["to_id"],
            "kind": deal["to_kind"],
            "probability": deal["to_probability"],
            "pipeline_id": deal["to_pipeline"],
            "required_fields": deal["required_fields"],
        }
        made = Moved(deal, stage)
        values = (deal["version"], *made.updated(), *made.logged(), *made.remembered())
        await connection.fetch(_WRITE, workspace, id_, *values)
    opportunity = {
        "id": "opp_" + id_,
        "name": deal["name"],
        "stage": {"name": deal["to_name"]},
        "customer": None if deal["customer"] is None else {"name": deal["customer"]},
    }
    return {"moveOpportunity": {"opportunity": opportunity}}


ROUTES: dict[str, Operation] = {
    f"/{each.__name__}": each for each in (point, page, graph, thousand, filtered, aggregate, move)
}


async def _leave_as_is(_: Any) -> None:
    """Release a connection without a round trip."""


class Application:
    """The ASGI application; BENCH_URL and BENCH_WORKSPACE say where its data is."""

    def __init__(self) -> None:
        self._workspace = os.environ["BENCH_WORKSPACE"].replace("-", "")
        self._pool: Any = None

    async def __call__(self, scope: Mapping[str, Any], receive: Any, send: Any) -> None:
        """Answer one request, or live through start and end."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        message = await receive()
        body = message["body"]
        while message.get("more_body"):
            message = await receive()
            body += message["body"]
        variables = orjson.loads(body)["variables"]
        connection = await self._pool.acquire()
        try:
            data = await ROUTES[scope["path"]](connection, self._workspace, variables)
        finally:
            await self._pool.release(connection)
        answer = orjson.dumps({"data": data})
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    async def _live(self, receive: Any, send: Any) -> None:
        await receive()
        self._pool = await asyncpg.create_pool(
            os.environ["BENCH_URL"], min_size=10, max_size=10, init=set_codecs, reset=_leave_as_is
        )
        gc.collect()
        gc.freeze()
        gc.set_threshold(10_000, 50, 50)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        with suppress(Exception):
            await self._pool.close()
        await send({"type": "lifespan.shutdown.complete"})


def make_app() -> Application:
    """Return the application."""
    return Application()
