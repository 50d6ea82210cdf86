"""What is declared to be fast is: each order, key and text that is found, as each role, by what Postgres did.

Rows are counted that its scans read, those that filters threw away too. On tables of 8,000 rows a list may read a
third: a scan of all of them, or a sort, would show.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import orjson
import pytest
from sqlalchemy import Table

from crm_graph.db.base import is_exact
from crm_graph.db.lists import orders_of, searched_in
from crm_graph.db.session import ReadSession
from crm_graph.db.statements import Statement
from crm_graph.graph.reading import few
from crm_graph.graph.reading.orders import order_keys
from crm_graph.graph.records.record import Record, own_name
from crm_graph.kernel.naming import plural
from crm_graph.permissions.roles import BUILT_IN
from tests.support.graph import Graph

ROWS = 8_000
AT_MOST = ROWS // 3
WITHIN = {"Opportunity": ("OPEN", "EXPECTED_CLOSE"), "Order": ("DRAFT", "ORDERED_ON"), "Ticket": ("NEW", "CREATED_AT")}
TYPES = ("Customer", "Contact", "Opportunity", "Order", "Ticket")
ROLES = ("admin", "sales_manager", "sales_rep", "support_agent")


async def _multiply(graph: Graph, table: Table) -> None:
    """Copy the rows of a workspace until there are enough, each with an id and keys of its own."""
    made = {"id": "gen_random_uuid()", "deleted_at": "NULL", "archived_at": "NULL"}
    unique = {each.name: f"{each.name} || '-' || copy" for each in table.columns if is_exact(each)}
    columns = [each.name for each in table.columns]
    values = [made.get(name) or unique.get(name) or name for name in columns]
    own = "workspace_id = (SELECT id FROM workspace WHERE slug = 'demo')"
    known = await graph.value(f"SELECT count(*) FROM {table.name} WHERE {own}")
    await graph.rows(
        f"INSERT INTO {table.name} ({', '.join(columns)}) SELECT {', '.join(values)} FROM {table.name},"
        f" generate_series(1, {ROWS // known}) AS copy WHERE {own}"
    )
    await graph.rows(f"ANALYZE {table.name}")


def _requests(record: Record, graph: Graph) -> Iterator[dict[str, Any]]:
    """Yield the arguments of lists that are declared to be fast."""
    for value in order_keys(record, graph.schema.registry):
        for direction in ("ASC", "DESC"):
            for nulls in ("FIRST", "LAST"):
                yield {"orderBy": [{"field": value, "direction": direction, "nulls": nulls}]}
    within = {
        "Opportunity": ("OPEN", "EXPECTED_CLOSE"),
        "Order": ("DRAFT", "ORDERED_ON"),
        "Ticket": ("NEW", "CREATED_AT"),
    }
    if record.name in within:
        status, value = within[record.name]
        yield {"where": {"status": {"eq": status}}, "orderBy": [{"field": value, "direction": "DESC"}]}
    for column in searched_in(record.table):
        for text in ("zzq", "example", "a-b"):
            yield {"where": {column: {"contains": text}}}
            yield {"where": {column: {"startsWith": text}}}
    for index in record.table.indexes:
        if str(index.name).endswith("_found"):
            column = str(index.name).removeprefix(f"ix_{record.table.name}_").removesuffix("_found")
            yield {"where": {column: {"eq": "nobody@example.com"}}}


def _read(plan: Mapping[str, Any]) -> int:
    """Return how many rows the scans of a plan read."""
    own = 0
    if "Relation Name" in plan:
        removed = plan.get("Rows Removed by Filter", 0) + plan.get("Rows Removed by Index Recheck", 0)
        own = int((plan["Actual Rows"] + removed) * plan["Actual Loops"])
    return own + sum(_read(each) for each in plan.get("Plans", ()))


@pytest.mark.parametrize("type_", TYPES)
async def test_no_list_reads_much_of_a_table(graph: Graph, monkeypatch: pytest.MonkeyPatch, type_: str) -> None:
    monkeypatch.setattr(few, "FEW", 400)
    record = graph.schema.registry.records[type_]
    assert orders_of(record.table)
    await _multiply(graph, record.table)
    sent: list[tuple[str, list[Any]]] = []
    fetch = ReadSession.fetch

    async def noted(self: ReadSession, statement: Statement, values: Mapping[str, Any]) -> Any:
        sent.append((statement.text, statement.arguments(values)))
        return await fetch(self, statement, values)

    monkeypatch.setattr(ReadSession, "fetch", noted)
    root = plural(own_name(record)).replace(" ", "")
    source = (
        f"query ($where: {type_}Filter, $orderBy: [{type_}Order!])"
        f" {{ {root}(first: 20, where: $where, orderBy: $orderBy) {{ nodes {{ id }} pageInfo {{ endCursor }} }} }}"
    )
    slow = []
    for role in ROLES:
        for arguments in _requests(record, graph):
            sent.clear()
            body = await graph.execute(source, arguments, role=role)
            assert "errors" not in body or body["errors"][0]["extensions"]["code"] == "FORBIDDEN", body
            for text, values in sent:
                if f"FROM {record.table.name} AS" in text:
                    (row,) = await graph.rows(f"EXPLAIN (ANALYZE, FORMAT JSON, TIMING OFF) {text}", *values)
                    (found,) = orjson.loads(row[0])
                    if (read := _read(found["Plan"])) > AT_MOST:
                        slow.append((role, arguments, read, text))
    assert not slow, "\n".join(f"{role} {arguments}: {read} rows\n{text}" for role, arguments, read, text in slow[:5])


def test_every_role_that_lists_is_asked() -> None:
    assert set(ROLES) < set(BUILT_IN)
