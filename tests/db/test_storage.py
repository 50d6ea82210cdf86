"""What a workspace stores is measured, and may not be more than it may."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Column, MetaData, String, Table

from crm_graph.db import usage
from crm_graph.db.base import Base
from crm_graph.db.quota import EVENT_BYTES, Quotas, bytes_of_change
from crm_graph.domains.customers.customers.graph import Customer
from crm_graph.domains.workspace.members.graph.types import Member
from crm_graph.events.metering import StorageMeter
from crm_graph.graph.schema.build import BuiltSchema
from crm_graph.kernel.errors import RateLimited, Refused
from crm_graph.kernel.settings import Settings
from tests.support.graph import Graph

CREATE = "mutation ($v: CreateCustomerInput!) { createCustomer(input: $v) { errors { code message field } } }"
UPDATE = "mutation ($v: UpdateCustomerInput!) { updateCustomer(input: $v) { errors { code } } }"
DELETE = "mutation ($v: DeleteCustomerInput!) { deleteCustomer(input: $v) { deletedId errors { code } } }"
STORAGE = "{ viewer { storage { usedBytes limitBytes measuredAt } } }"


def with_limits(graph: Graph, schema: BuiltSchema, **limits: Any) -> Graph:
    """Return the graph of a process that has other limits."""
    return Graph(schema, graph.database, replace(Settings(), **limits))


async def measured(graph: Graph) -> dict[str, int]:
    """Measure as the meter does, and return what each workspace stores, by its slug."""
    await StorageMeter("").measure(graph.database.one.connection)
    rows = await graph.rows(
        "SELECT slug, used_bytes FROM workspace_usage JOIN workspace ON workspace.id = workspace_usage.workspace_id"
    )
    return {row["slug"]: row["used_bytes"] for row in rows}


async def test_a_workspace_is_charged_for_what_it_stores_and_for_nothing_of_others(graph: Graph) -> None:
    before = await measured(graph)
    assert set(before) == {"demo", "other"}
    assert before["demo"] > before["other"] > 10_000
    text = "".join(chr(0x4E00 + index * 7919 % 20_000) for index in range(20_000))  # 60,000 bytes that do not compress
    product = "mutation ($v: CreateProductInput!) { createProduct(input: $v) { errors { code } } }"
    for index in range(10):
        done = await graph.data(product, {"v": {"name": f"P{index}", "description": text}})
        assert done["createProduct"]["errors"] == []
    after = await measured(graph)
    assert after["other"] == before["other"]
    assert 10 * 2 * 60_000 < after["demo"] - before["demo"] < 10 * 2 * 66_000  # the row and its event


async def test_rows_of_no_workspace_are_nobody_s(graph: Graph) -> None:
    """One device that waits, which anybody may make, must not end the measuring of all."""
    before = await measured(graph)
    await graph.rows(
        "INSERT INTO device_code (id, asked_as, sha256, user_code, scope, expires_at, interval_seconds, version,"
        " created_at, updated_at)"
        " VALUES (gen_random_uuid(), 'crm-graph-cli', 'x', 'B', '', now() + interval '1 hour', 5, 1, now(), now())"
    )
    assert await measured(graph) == before


async def test_a_table_that_cannot_be_read_leaves_the_others(graph: Graph, caplog: pytest.LogCaptureFixture) -> None:
    whole = await usage.measure(graph.database.one.connection, Base.metadata.sorted_tables)
    gone = Table("gone", MetaData(), Column("workspace_id", String))
    found = await usage.measure(graph.database.one.connection, [gone, *Base.metadata.sorted_tables])
    assert found == whole
    assert [each.getMessage() for each in caplog.records] == ["the table gone is not measured"]


async def test_a_part_of_a_large_table_stands_for_the_whole(graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = await usage.measure(graph.database.one.connection, Base.metadata.sorted_tables)
    monkeypatch.setattr(usage, "SAMPLE_BYTES", 100_000)
    sampled = [await usage.measure(graph.database.one.connection, Base.metadata.sorted_tables) for _ in range(10)]
    id_ = await graph.value("SELECT id FROM workspace WHERE slug = 'demo'")
    mean = sum(each.get(id_, 0) for each in sampled) / len(sampled)
    assert 0.4 * whole[id_] < mean < 2.5 * whole[id_]


async def test_a_full_workspace_takes_nothing_more_and_is_read_and_emptied(graph: Graph, schema: BuiltSchema) -> None:
    used = (await measured(graph))["demo"]
    full = with_limits(graph, schema, workspace_max_bytes=used + EVENT_BYTES // 2)
    await full.engine.services.quotas.refresh(full.database)
    customers = await graph.value("SELECT count(*) FROM customer")
    refused = (await full.data(CREATE, {"v": {"name": "x"}}))["createCustomer"]["errors"]
    assert [(each["code"], each["field"]) for each in refused] == [("LIMIT", [])]
    assert "Delete what is not needed" in refused[0]["message"]
    assert await graph.value("SELECT count(*) FROM customer") == customers
    id_ = await graph.id_of(Customer, "NOT EXISTS (SELECT FROM sales_order WHERE customer_id = customer.id)")
    assert (await full.data(UPDATE, {"v": {"id": id_, "city": "Ulm"}}))["updateCustomer"]["errors"] == [
        {"code": "LIMIT"}
    ]
    assert (await full.data("{ customers(first: 1) { nodes { id } } }"))["customers"]["nodes"]
    assert "errors" not in await full.execute(CREATE, {"v": {"name": "x"}}, workspace="other")
    member = await graph.id_of(Member, "kind = 'PERSON' AND status = 'ACTIVE'")
    suspend = "mutation ($v: SuspendMemberInput!) { suspendMember(input: $v) { errors { code } } }"
    assert (await full.data(suspend, {"v": {"id": member}}))["suspendMember"]["errors"] != [{"code": "LIMIT"}]
    deleted = (await full.data(DELETE, {"v": {"id": id_}}))["deleteCustomer"]
    assert {each["code"] for each in deleted["errors"]} <= {"IN_USE"}


async def test_it_is_full_by_what_it_wrote_since_it_was_measured(graph: Graph, schema: BuiltSchema) -> None:
    used = (await measured(graph))["demo"]
    near = with_limits(graph, schema, workspace_max_bytes=used + 3 * EVENT_BYTES)
    await near.engine.services.quotas.refresh(near.database)
    outcomes = [bool((await near.data(CREATE, {"v": {"name": "x"}}))["createCustomer"]["errors"]) for _ in range(5)]
    assert outcomes == [False, False, False, True, True]
    await near.engine.services.quotas.refresh(near.database)  # not measured anew: what was written still counts
    assert (await near.data(CREATE, {"v": {"name": "x"}}))["createCustomer"]["errors"]


async def test_a_member_writes_half_of_what_a_workspace_may_in_a_minute(graph: Graph, schema: BuiltSchema) -> None:
    """So that the others can go on, and administrators whatever was written: to suspend who writes so much."""
    slow = with_limits(graph, schema, workspace_write_bytes_per_minute=4 * EVENT_BYTES)
    writers = ["sales_rep", "sales_rep", "sales_rep", "admin", "admin", "sales_manager"]
    told = [await slow.execute(CREATE, {"v": {"name": "x"}}, role=role) for role in writers]
    assert ["errors" in each for each in told] == [False, False, True, False, False, True]
    for body, who in ((told[2], "You may write 1.95 KiB"), (told[5], "This workspace may write 3.91 KiB")):
        (error,) = body["errors"]
        assert error["extensions"]["code"] == "RATE_LIMITED"
        assert error["message"].startswith(who)
        assert 0 < error["extensions"]["retryAfterSeconds"] <= 60
    writer = (await slow.data("{ viewer { member { id } } }", role="sales_rep"))["viewer"]["member"]["id"]
    suspend = "mutation ($v: SuspendMemberInput!) { suspendMember(input: $v) { errors { code } } }"
    assert (await slow.data(suspend, {"v": {"id": writer}}))["suspendMember"]["errors"] == []
    assert "errors" not in await slow.execute(CREATE, {"v": {"name": "x"}}, workspace="other")


def test_a_minute_ends_and_one_write_alone_is_let_through() -> None:
    now_s = 0.0
    quotas = Quotas(Settings(workspace_write_bytes_per_minute=10, workspace_max_bytes=0), lambda: now_s)
    quotas.admit("a", 100)
    with pytest.raises(RateLimited) as refused:
        quotas.admit("a", 1)
    assert (refused.value.retry_after_s, quotas.refused) == (60, 1)
    quotas.admit("b", 10)
    quotas.admit("a", 100, always=True)
    now_s = 60.0
    quotas.admit("a", 5)


def test_a_share_is_of_a_member_of_a_workspace_and_ends_with_the_minute() -> None:
    now_s = 0.0
    quotas = Quotas(Settings(workspace_write_bytes_per_minute=10, workspace_max_bytes=0), lambda: now_s)
    quotas.admit("a", 5, member_id="m")
    with pytest.raises(RateLimited, match="You may write 5 bytes"):
        quotas.admit("a", 1, member_id="m")
    quotas.admit("b", 5, member_id="m")
    quotas.admit("a", 5, member_id="n")
    with pytest.raises(RateLimited, match="This workspace may write 10 bytes"):
        quotas.admit("a", 1, member_id="o")
    now_s = 60.0
    quotas.admit("a", 5, member_id="m")


@pytest.mark.parametrize("more", [0, 1])
def test_the_limit_itself_may_be_reached(more: int) -> None:
    quotas = Quotas(Settings(workspace_max_bytes=1_000))
    quotas.admit("a", 600)
    if not more:
        quotas.admit("a", 400)
        return
    with pytest.raises(Refused, match="may store 1000 bytes, and with this it would be 1001 bytes") as refused:
        quotas.admit("a", 401)
    assert refused.value.code == "LIMIT"
    quotas.admit("a", 401, always=True)


@pytest.mark.parametrize(
    ("new", "old", "size"),
    [
        ([1, None, "x" * 100], [], 0),
        (["x" * 101], [], 202),
        (["x" * 101], ["y" * 200], 402),
        (["名" * 101], [], 606),
        ([{"a": "b"}], [], 18),
    ],
)
def test_what_a_change_takes(new: list[Any], old: list[Any], size: int) -> None:
    assert bytes_of_change(new, old) == EVENT_BYTES + size


async def test_administrators_see_how_full_it_is(graph: Graph, schema: BuiltSchema) -> None:
    assert (await graph.data(STORAGE))["viewer"]["storage"]["usedBytes"] is None
    used = (await measured(graph))["demo"]
    found = (await graph.data(STORAGE))["viewer"]["storage"]
    assert (found["usedBytes"], found["limitBytes"]) == (str(used), str(Settings().workspace_max_bytes))
    assert datetime.now(UTC) - datetime.fromisoformat(found["measuredAt"]) < timedelta(minutes=1)
    without = with_limits(graph, schema, workspace_max_bytes=0)
    assert (await without.data(STORAGE))["viewer"]["storage"]["limitBytes"] is None
    assert (await graph.data(STORAGE, role="sales_rep"))["viewer"]["storage"] is None
    assert (await graph.data(STORAGE, workspace="other"))["viewer"]["storage"]["usedBytes"] != str(used)


async def test_metrics_tell_it(graph: Graph, schema: BuiltSchema) -> None:
    used = (await measured(graph))["demo"]
    full = with_limits(graph, schema, workspace_max_bytes=used)
    quotas = full.engine.services.quotas
    await quotas.refresh(full.database)
    await full.data(CREATE, {"v": {"name": "x"}})
    assert (quotas.fullest, quotas.refused) == (1.0, 1)
