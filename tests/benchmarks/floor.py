"""The floor: what a careful engineer writes by hand for these very operations, with asyncpg and orjson and nothing
else.

One statement per level, keys matched in a dict, the same pool as ours. No permissions, no GraphQL.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from crm_graph.db.codecs import set_codecs
from tests.benchmarks.moves import INSERT_EVENT, INSERT_MOVE, MOVED, UPDATE, Moved

CUSTOMER = "id, name, kind, lifecycle, industry, city, version, created_at"
Fetch = Callable[..., Awaitable[Sequence[Any]]]


def _customer(row: Any) -> dict[str, Any]:
    return {
        "id": f"cus_{row['id']}",
        "name": row["name"],
        "kind": row["kind"],
        "lifecycle": row["lifecycle"],
        "industry": row["industry"],
        "city": row["city"],
        "version": row["version"],
        "createdAt": row["created_at"],
    }


async def _members(fetch: Fetch, workspace: str, ids: Sequence[str]) -> dict[str, Any]:
    rows = await fetch(
        "SELECT id, name FROM member WHERE workspace_id = $1 AND id = ANY($2)", workspace, list(set(ids))
    )
    return {row["id"]: {"name": row["name"]} for row in rows}


async def point(fetch: Fetch, workspace: str, variables: Mapping[str, str]) -> Any:
    """A customer by id, 8 fields."""
    id_ = variables["id"].removeprefix("cus_")
    rows = await fetch(f"SELECT {CUSTOMER} FROM customer WHERE workspace_id = $1 AND id = $2", workspace, id_)
    return {"customer": _customer(rows[0])}


async def page(fetch: Fetch, workspace: str, _: Mapping[str, str]) -> Any:
    """50 customers, 8 fields, with their owner."""
    rows = await fetch(
        f"SELECT {CUSTOMER}, owner_id FROM customer WHERE workspace_id = $1 ORDER BY id LIMIT 50", workspace
    )
    owners = await _members(fetch, workspace, [row["owner_id"] for row in rows if row["owner_id"]])
    return {"customers": {"nodes": [{**_customer(row), "owner": owners.get(row["owner_id"])} for row in rows]}}


async def graph(fetch: Fetch, workspace: str, _: Mapping[str, str]) -> Any:
    """20 customers, each with 5 opportunities and their owner, 5 tickets, 5 orders and their lines."""
    rows = await fetch("SELECT id, name FROM customer WHERE workspace_id = $1 ORDER BY id LIMIT 20", workspace)
    keys = [row["id"] for row in rows]

    async def children(
        columns: str, table: str, column: str, parents: Sequence[str], limit: int
    ) -> dict[str, list[Any]]:
        found: dict[str, list[Any]] = defaultdict(list)
        for row in await fetch(
            f"SELECT k.key, x.* FROM unnest($2::uuid[]) AS k(key) CROSS JOIN LATERAL (SELECT {columns} FROM {table}"
            f" WHERE workspace_id = $1 AND {column} = k.key ORDER BY id LIMIT {limit}) x",
            workspace,
            parents,
        ):
            found[row["key"]].append(row)
        return found

    deals = await children("name, amount, currency, owner_id", "opportunity", "customer_id", keys, 5)
    tickets = await children("number, subject, status", "ticket", "customer_id", keys, 5)
    orders = await children("id, number, status", "sales_order", "customer_id", keys, 5)
    owners = await _members(fetch, workspace, [row["owner_id"] for rows_ in deals.values() for row in rows_])
    of_orders = [row["id"] for rows_ in orders.values() for row in rows_]
    lines = await children("quantity, total, currency", "order_line", "order_id", of_orders, 10)

    def money(row: Any, column: str) -> Any:
        return None if row[column] is None else {"amount": row[column], "currency": row["currency"]}

    def deal(row: Any) -> Any:
        return {"name": row["name"], "amount": money(row, "amount"), "owner": owners.get(row["owner_id"])}

    def order(row: Any) -> Any:
        own = [{"quantity": line["quantity"], "total": money(line, "total")} for line in lines[row["id"]]]
        return {"number": row["number"], "status": row["status"], "lines": {"nodes": own}}

    def customer(row: Any) -> Any:
        return {
            "name": row["name"],
            "opportunities": {"nodes": [deal(each) for each in deals[row["id"]]]},
            "tickets": {
                "nodes": [
                    {"number": each["number"], "subject": each["subject"], "status": each["status"]}
                    for each in tickets[row["id"]]
                ]
            },
            "orders": {"nodes": [order(each) for each in orders[row["id"]]]},
        }

    return {"customers": {"nodes": [customer(row) for row in rows]}}


async def filtered(fetch: Fetch, workspace: str, _: Mapping[str, str]) -> Any:
    """Open opportunities of at least 1,000, largest first: the first 50, and how many there are."""
    where = "workspace_id = $1 AND status = 'OPEN' AND amount >= 1000"
    rows = await fetch(
        f"SELECT id, name, amount, currency FROM opportunity WHERE {where} ORDER BY amount DESC, id DESC LIMIT 50",
        workspace,
    )
    count = await fetch(f"SELECT count(*) FROM opportunity WHERE {where}", workspace)
    nodes = [
        {
            "id": f"opp_{row['id']}",
            "name": row["name"],
            "amount": {"amount": row["amount"], "currency": row["currency"]},
        }
        for row in rows
    ]
    return {"opportunities": {"totalCount": count[0][0], "nodes": nodes}}


async def thousand(fetch: Fetch, workspace: str, _: Mapping[str, str]) -> Any:
    """1,000 opportunities, 8 fields, with their customer."""
    rows = await fetch(
        "SELECT id, name, status, amount, currency, probability, expected_close, source, created_at, customer_id"
        " FROM opportunity WHERE workspace_id = $1 ORDER BY id LIMIT 1000",
        workspace,
    )
    keys = {row["customer_id"] for row in rows if row["customer_id"] is not None}
    found = await fetch("SELECT id, name FROM customer WHERE workspace_id = $1 AND id = ANY($2)", workspace, list(keys))
    customers = {row["id"]: {"name": row["name"]} for row in found}
    nodes = [
        {
            "id": f"opp_{row['id']}",
            "name": row["name"],
            "status": row["status"],
            "amount": None if row["amount"] is None else {"amount": row["amount"], "currency": row["currency"]},
            "probability": row["probability"],
            "expectedClose": row["expected_close"],
            "source": row["source"],
            "createdAt": row["created_at"],
            "customer": customers.get(row["customer_id"]),
        }
        for row in rows
    ]
    return {"opportunities": {"nodes": nodes}}


async def aggregate(fetch: Fetch, workspace: str, _: Mapping[str, str]) -> Any:
    """How many opportunities there are in each stage, and what they are worth."""
    rows = await fetch(
        "SELECT stage_id, count(*) AS count, sum(amount) AS amount FROM opportunity WHERE workspace_id = $1"
        " GROUP BY stage_id ORDER BY stage_id",
        workspace,
    )
    found = await fetch(
        "SELECT id, name FROM stage WHERE workspace_id = $1 AND id = ANY($2)",
        workspace,
        [row["stage_id"] for row in rows],
    )
    names = {row["id"]: row["name"] for row in found}
    groups = [
        {
            "key": {"stage": {"id": f"stg_{row['stage_id']}", "name": names[row["stage_id"]]}},
            "count": row["count"],
            "sum": {"amount": row["amount"]},
        }
        for row in rows
    ]
    return {"opportunitiesAggregate": {"groups": groups}}


async def move(connection: asyncpg.Connection[Any], workspace: str, variables: Mapping[str, str]) -> Any:
    """Move an opportunity to another open stage: the row, an entry in the log and one in its history."""
    id_, stage_id = variables["id"].removeprefix("opp_"), variables["stage"].removeprefix("stg_")
    async with connection.transaction():
        deal = await connection.fetchrow(
            f"SELECT {MOVED} FROM opportunity WHERE workspace_id = $1 AND id = $2 FOR UPDATE", workspace, id_
        )
        stage = await connection.fetchrow(
            "SELECT id, name, kind, probability, pipeline_id, required_fields FROM stage"
            " WHERE workspace_id = $1 AND id = $2",
            workspace,
            stage_id,
        )
        assert deal is not None
        assert stage is not None
        move = Moved(deal, stage)
        await connection.execute(UPDATE, workspace, id_, deal["version"], *move.updated())
        await connection.execute(INSERT_EVENT, workspace, id_, *move.logged())
        await connection.execute(INSERT_MOVE, workspace, id_, *move.remembered())
    rows = await connection.fetch(
        "SELECT name FROM customer WHERE workspace_id = $1 AND id = $2", workspace, deal["customer_id"]
    )
    customer = {"name": rows[0]["name"]} if rows else None
    opportunity = {"id": f"opp_{id_}", "name": deal["name"], "stage": {"name": stage["name"]}, "customer": customer}
    return {"moveOpportunity": {"opportunity": opportunity}}


ROUTES = {
    "point": point,
    "page": page,
    "graph": graph,
    "thousand": thousand,
    "filtered": filtered,
    "aggregate": aggregate,
}


def make_app() -> Starlette:
    """Return the application; BENCH_URL and BENCH_WORKSPACE say where its data is."""
    workspace = os.environ["BENCH_WORKSPACE"].replace("-", "")
    pool: Any = None

    @asynccontextmanager
    async def lifespan(_: Starlette) -> Any:
        nonlocal pool
        async with asyncpg.create_pool(os.environ["BENCH_URL"], min_size=10, max_size=10, init=set_codecs) as made:
            pool = made
            yield

    async def answer(request: Request) -> Response:
        variables = orjson.loads(await request.body())["variables"]
        name = request.path_params["operation"]
        if name == "move":
            async with pool.acquire() as connection:
                data = await move(connection, workspace, variables)
        else:
            data = await ROUTES[name](pool.fetch, workspace, variables)
        return Response(orjson.dumps({"data": data}), media_type="application/json")

    return Starlette(routes=[Route("/{operation}", answer, methods=["POST"])], lifespan=lifespan)
