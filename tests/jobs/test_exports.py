"""Exports as jobs: end to end over HTTP, and who may have what."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Iterator
from typing import Any

import httpx
import orjson
import pytest

from tests.jobs.desk import Desk, running
from tests.support import plain
from tests.support.graph import Graph
from tests.support.server import RunningServer, crm_graph, running_server

EXPORT = (
    "mutation($input: ExportRecordsInput!) { exportRecords(input: $input) { job { id status } errors { code field } } }"
)
JOB = "query($id: ID!) { job(id: $id) { status done attempts error result createdBy { id } } }"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A real `crm-graph dev`."""
    with running_server(tmp_path_factory.mktemp("jobs") / "data") as server:
        yield server


def _ask(server: RunningServer, source: str, token: str | None = None, **variables: Any) -> Any:
    headers = server.headers if token is None else {"Authorization": f"Bearer {token}"}
    answer = plain.post(server.address, json={"query": source, "variables": variables}, headers=headers, timeout=30)
    return answer.json()


def _exported(server: RunningServer, type_: str, form: str, token: str | None = None) -> tuple[str, Any]:
    made = _ask(server, EXPORT, token, input={"type": type_, "format": form})["data"]["exportRecords"]
    assert made["errors"] == []
    until = time.monotonic() + 30
    while (job := _ask(server, JOB, token, id=made["job"]["id"])["data"]["job"])["status"] not in {"DONE", "FAILED"}:
        assert time.monotonic() < until, job
        time.sleep(0.1)
    assert job["status"] == "DONE", job
    return made["job"]["id"], job


def _token(server: RunningServer, role: str) -> str:
    found = crm_graph("token", "--role", role, "--data", str(server.data))
    assert found.returncode == 0, found.stderr
    return found.stdout.split()[-1]


def _file(server: RunningServer, url: str, token: str | None) -> httpx.Response:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return plain.get(f"http://127.0.0.1:{server.port}{url}", headers=headers, timeout=30)


def test_an_export_end_to_end(server: RunningServer) -> None:
    for form in ("CSV", "NDJSON"):
        id_, job = _exported(server, "Customer", form)
        result = job["result"]
        assert result["url"] == f"/exports/{id_}"
        got = _file(server, result["url"], server.token)
        assert got.status_code == 200, got.text
        assert len(got.content) == result["bytes"]
        asked = "{ customers(first: 1) { totalCount } }"
        count = _ask(server, asked)["data"]["customers"]["totalCount"]
        rows = (
            list(csv.DictReader(io.StringIO(got.text)))
            if form == "CSV"
            else [orjson.loads(line) for line in got.text.splitlines()]
        )
        assert len(rows) == count == job["done"] > 0
        same = crm_graph("export", "customer", "--format", form.lower(), "--data", str(server.data))
        assert got.text.splitlines() == same.stdout.splitlines(), "the command writes the same file"
    metrics = plain.get(f"http://127.0.0.1:{server.port}/metrics").text
    assert 'crm_graph_jobs_ended_total{outcome="done"} 2.0' in metrics
    assert 'crm_graph_jobs{state="running"}' in metrics


def test_a_copy_starts_from_an_export(server: RunningServer) -> None:
    """Its file and then the changes after its cursor are what the server has."""
    create = "mutation ($input: CreateProductInput!) { done: createProduct(input: $input) { product { id } } }"
    rename = "mutation ($input: UpdateProductInput!) { done: updateProduct(input: $input) { product { id } } }"
    made = [_ask(server, create, input={"name": f"before {number}"}) for number in range(3)]
    ids = [each["data"]["done"]["product"]["id"] for each in made]
    _, job = _exported(server, "Product", "NDJSON")
    _ask(server, rename, input={"id": ids[0], "name": "renamed"})
    _ask(server, "mutation ($id: ID!) { deleteProduct(input: {id: $id}) { deletedId } }", id=ids[1])
    _ask(server, create, input={"name": "after"})
    rows = [orjson.loads(line) for line in _file(server, job["result"]["url"], server.token).text.splitlines()]
    copy = {row["id"]: row["name"] for row in rows}
    changes = """query ($after: Cursor) { changes(after: $after, types: ["Product"], first: 2) { cursor hasMore resync
        nodes { recordId node { ... on Product { name } } } } }"""
    after, more = job["result"]["cursor"], True
    while more:
        page = _ask(server, changes, after=after)["data"]["changes"]
        after, more = page["cursor"], page["hasMore"]
        assert page["resync"] == []
        for each in page["nodes"]:
            copy.pop(each["recordId"], None)
            if each["node"] is not None:
                copy[each["recordId"]] = each["node"]["name"]
    now = _ask(server, "{ products(first: 200) { nodes { id name } } }")["data"]["products"]["nodes"]
    assert copy == {each["id"]: each["name"] for each in now}
    assert {"renamed", "after"} <= set(copy.values())


def test_who_may_have_the_file(server: RunningServer) -> None:
    rep, analyst = _token(server, "sales_manager"), _token(server, "analyst")
    id_, job = _exported(server, "Customer", "CSV", rep)
    url = job["result"]["url"]
    assert _file(server, url, rep).status_code == 200
    assert _file(server, url, server.token).status_code == 200, "who may see the job may have its file"
    hidden, unknown = _file(server, url, analyst), _file(server, f"/exports/job_{'0' * 32}", analyst)
    assert (hidden.status_code, hidden.content) == (404, unknown.content)
    assert _file(server, url, None).status_code == 401
    assert _file(server, "/exports/nonsense", rep).status_code == 404
    assert _ask(server, JOB, analyst, id=id_)["data"]["job"] is None


def test_the_export_is_in_the_audit_trail(server: RunningServer) -> None:
    _exported(server, "Product", "CSV")
    until = time.monotonic() + 30
    asked = '{ auditEntries(where: {type: {eq: "RecordsExported"}}) { nodes { fields } } }'
    while not any("Product.sku" in node["fields"] for node in _ask(server, asked)["data"]["auditEntries"]["nodes"]):
        assert time.monotonic() < until
        time.sleep(0.1)


def test_a_page_of_an_allowed_origin_fetches_the_file(server: RunningServer) -> None:
    _, job = _exported(server, "Product", "CSV")
    url = f"http://127.0.0.1:{server.port}{job['result']['url']}"
    page = {"Origin": "http://localhost:5173"}
    asks = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization,x-of-a-tool"}
    preflight = httpx.options(url, headers={**page, **asks})
    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-origin"] == page["Origin"]
    assert preflight.headers["access-control-allow-headers"] == "authorization, x-of-a-tool"
    got = plain.get(url, headers={**page, **server.headers})
    assert (got.status_code, got.headers["access-control-allow-origin"]) == (200, page["Origin"])
    assert "content-disposition" in got.headers["access-control-expose-headers"]
    refused = plain.get(url, headers=page)
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, page["Origin"])
    for method, origin in (("OPTIONS", "https://evil.example"), ("GET", "https://evil.example")):
        answer = plain.request(method, url, headers={**asks, **server.headers, "Origin": origin})
        assert "access-control-allow-origin" not in answer.headers
    assert httpx.options(url).status_code == 405


async def test_what_may_not_be_read_is_not_exported(graph: Graph) -> None:
    body = await graph.execute(EXPORT, {"input": {"type": "AuditEntry"}}, role="sales_rep")
    assert body["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    body = await graph.execute(EXPORT, {"input": {"type": "Nothing"}})
    assert body["data"]["exportRecords"]["errors"] == [{"code": "INVALID", "field": ["type"]}]


async def test_a_foreign_workspace_has_no_such_job(graph: Graph) -> None:
    made = await graph.data(EXPORT, {"input": {"type": "Customer"}})
    id_ = made["exportRecords"]["job"]["id"]
    assert (await graph.data(JOB, {"id": id_}, workspace="other"))["job"] is None
    for name in ("cancelJob", "requeueJob"):
        kind = name[0].upper() + name[1:]
        source = f"mutation($input: {kind}Input!) {{ {name}(input: $input) {{ errors {{ code }} }} }}"
        found = await graph.data(source, {"input": {"id": id_}}, workspace="other")
        assert found[name]["errors"] == [{"code": "NOT_FOUND"}]
        found = await graph.data(source, {"input": {"id": id_}}, role="sales_rep")
        assert found[name]["errors"] == [{"code": "NOT_FOUND"}], "nor has a member whose it is not"


async def test_a_member_has_so_many_jobs_under_way(graph: Graph) -> None:
    limit = graph.engine.settings.max_jobs_per_member
    codes = []
    for _ in range(limit + 1):
        made = await graph.data(EXPORT, {"input": {"type": "Product"}}, role="analyst")
        codes.append([error["code"] for error in made["exportRecords"]["errors"]])
    assert codes == [[]] * limit + [["INVALID"]]


async def test_a_suspended_member_gets_nothing(desk: Desk) -> None:
    id_ = await desk.queue("exportRecords", "sales_rep", type="Customer", format="csv")
    member = (await desk.job(id_))["created_by_id"]
    await desk.rows("UPDATE member SET status = 'SUSPENDED' WHERE id = $1 RETURNING 1", member)
    async with running(desk.product_worker()):
        row = await desk.until(id_, lambda job: job["status"] in {"FAILED", "DONE"})
    assert row["status"] == "FAILED"
    assert "cannot sign in" in row["error"]
    assert await desk.rows("SELECT 1 FROM job_part") == []


async def test_the_permissions_are_those_of_the_time_of_running(desk: Desk) -> None:
    id_ = await desk.queue("exportRecords", "sales_rep", type="Customer", format="csv")
    member = (await desk.job(id_))["created_by_id"]
    await desk.rows("DELETE FROM member_role WHERE member_id = $1 RETURNING 1", member)
    async with running(desk.product_worker()):
        row = await desk.until(id_, lambda job: job["status"] in {"FAILED", "DONE"})
    assert (row["status"], row["error"]) == ("FAILED", "Your roles do not allow to read Customer records.")


async def test_a_full_workspace_makes_no_file(desk: Desk) -> None:
    """What was stored of it counts at once, not when it is measured."""
    quotas, claims = desk.services.quotas, await desk.claims("sales_manager")
    before = quotas.used(claims.workspace_id)
    done = await desk.queue("exportRecords", "sales_manager", type="Customer", format="csv")
    async with running(desk.product_worker()):
        row = await desk.until(done, lambda job: job["status"] in {"FAILED", "DONE"})
        assert row["status"] == "DONE", row["error"]
        assert quotas.used(claims.workspace_id) - before == row["result"]["bytes"] > 0
        quotas.limit = quotas.used(claims.workspace_id) + row["result"]["bytes"] - 1
        full = await desk.queue("exportRecords", "sales_manager", type="Customer", format="csv")
        row = await desk.until(full, lambda job: job["status"] in {"FAILED", "DONE"})
    assert (row["status"], row["attempts"]) == ("FAILED", 1)
    assert row["error"].startswith("This workspace may store ")
    assert await desk.rows("SELECT 1 FROM job_part WHERE job_id = $1", full) == []
