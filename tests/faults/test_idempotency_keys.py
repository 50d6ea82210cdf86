"""Keys where answers get lost: a process is killed between the commit and the answer, or while it runs, and its client
asks another process. Nothing is done twice, and nothing that was done is said to be undone.

Where the process stands when it is killed is no matter of luck: a lock keeps it from reading what its mutation selects,
after the commit, or from changing its row, before it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from websockets import Subprotocol
from websockets.asyncio.client import connect

from tests.faults.installation import Installation, Process, installed
from tests.support import plain

pytestmark = pytest.mark.xdist_group("faults")

SOON_S = 60
MADE = "customer { id name orders { totalCount } } errors { code message }"
CREATE = f"mutation ($name: String!) {{ createCustomer(input: {{name: $name}}) {{ {MADE} }} }}"
KEYED = f"""mutation ($name: String!, $key: String!) {{
    createCustomer(input: {{name: $name}}) @idempotent(key: $key) {{ {MADE} }} }}"""
BATCH = f"""mutation ($name: String!) {{
    createCustomers(inputs: [{{name: "First of a batch"}}, {{name: $name}}]) {{
        results {{ {MADE} }} errors {{ code }} }} }}"""
THREE = f"""mutation ($a: String!, $b: String!, $c: String!) {{
    a: createCustomer(input: {{name: $a}}) {{ customer {{ id name }} errors {{ code }} }}
    b: createCustomer(input: {{name: $b}}) {{ {MADE} }}
    c: createCustomer(input: {{name: $c}}) {{ customer {{ id name }} errors {{ code }} }} }}"""
RENAME = """mutation ($id: ID!, $name: String!) {
    updateCustomer(input: {id: $id, name: $name}) { customer { name version } errors { code } } }"""
WAITING = """SELECT FROM pg_stat_activity WHERE application_name = 'crm-graph' AND wait_event_type = 'Lock'
    AND query LIKE '%' || $1 || '%'"""
NAMED = "SELECT replace(id::text, '-', '') AS id, version FROM customer WHERE name = $1"


@pytest.fixture(scope="module")
async def installation(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Installation]:
    """Two API processes."""
    async with installed(tmp_path_factory.mktemp("keys"), 2) as running:
        yield running


@pytest.fixture
async def first(installation: Installation, executor: str) -> Process:
    """The process that is killed, started with an executor; the other one has the default."""
    process = installation.apis[0]
    process.kill()
    process.settings = {**process.settings, "CRM_EXECUTOR": executor}
    await process.ready()
    return process


@asynccontextmanager
async def locked(installation: Installation, statement: str) -> AsyncIterator[None]:
    """Hold a lock."""
    async with installation.connection() as holder, holder.transaction():
        await holder.execute(statement)
        yield


async def until(installation: Installation, query: str, *arguments: Any) -> None:
    """Wait until a statement has rows."""
    async with asyncio.timeout(SOON_S):
        while not await installation.rows(query, *arguments):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.02)


async def send(
    installation: Installation,
    to: Process,
    source: str,
    variables: Mapping[str, Any],
    key: str | None = None,
    accept: str = "application/json",
) -> httpx.Response:
    """Return the answer to a request of an administrator."""
    (admin, *_) = await installation.members("admin")
    headers = {"Authorization": f"Bearer {installation.token(admin)}", "Accept": accept}
    if key is not None:
        headers["Idempotency-Key"] = f'"{key}"'
    async with plain.async_client(timeout=SOON_S) as http:
        return await http.post(to.address, json={"query": source, "variables": variables}, headers=headers)


async def killed_once_committed(
    installation: Installation, first: Process, name: str, source: str, variables: Mapping[str, Any], key: str | None
) -> None:
    """Send a request and kill its process when a customer is committed and the answer is not made."""
    async with locked(installation, "LOCK TABLE sales_order IN ACCESS EXCLUSIVE MODE"):
        answer = asyncio.create_task(send(installation, first, source, variables, key))
        await until(installation, NAMED, name)
        await until(installation, WAITING, "sales_order")
        assert not answer.done()
        first.kill()
        with pytest.raises(httpx.HTTPError):
            await answer


WAYS = {"header": (CREATE, "planned"), "directive": (KEYED, "reference"), "batch": (BATCH, "planned")}


@pytest.mark.parametrize(("way", "executor"), [(way, executor) for way, (_, executor) in WAYS.items()])
async def test_killed_between_commit_and_answer(installation: Installation, first: Process, way: str) -> None:
    name = key = f"Killed, by {way}"
    source, header = WAYS[way][0], None if way == "directive" else key
    variables = {"name": name} if header else {"name": name, "key": key}
    await killed_once_committed(installation, first, name, source, variables, header)
    answers = [await send(installation, installation.apis[1], source, variables, header) for _ in range(2)]
    assert answers[0].content == answers[1].content
    assert answers[0].status_code == 200
    (row,) = await installation.rows(NAMED, name)
    made = {"customer": {"id": f"cus_{row['id']}", "name": name, "orders": {"totalCount": 0}}, "errors": []}
    answer = answers[0].json()
    assert "errors" not in answer
    assert (
        answer["data"]["createCustomers"]["results"][1] if way == "batch" else answer["data"]["createCustomer"]
    ) == (made)
    events = await installation.rows("SELECT type FROM event WHERE replace(entity_id::text, '-', '') = $1", row["id"])
    assert [event["type"] for event in events] == ["CustomerCreated"]


@pytest.mark.parametrize("executor", ["reference"])
async def test_killed_after_the_second_of_three(installation: Installation, first: Process) -> None:
    """The two that are done are answered, the third is done: by the other executor."""
    key, names = "three", {field: f"The {field} of three" for field in "abc"}
    await killed_once_committed(installation, first, names["b"], THREE, names, key)
    before = {field: await installation.rows(NAMED, name) for field, name in names.items()}
    assert {field: len(rows) for field, rows in before.items()} == {"a": 1, "b": 1, "c": 0}
    answer = await send(installation, installation.apis[1], THREE, names, key)
    assert "errors" not in answer.json()
    for field, name in names.items():
        (row,) = await installation.rows(NAMED, name)
        assert answer.json()["data"][field]["customer"]["id"] == f"cus_{row['id']}"
        assert before[field] in ([row], [])
    again = await send(installation, installation.apis[1], THREE, names, key)
    assert again.content == answer.content


@pytest.mark.parametrize("executor", ["planned"])
async def test_killed_while_it_runs(installation: Installation, first: Process) -> None:
    """Postgres has not noticed yet: a copy is told to come again, and is done once the first was rolled back."""
    second, key = installation.apis[1], "while it runs"
    made = (await send(installation, second, CREATE, {"name": "Before"})).json()
    id_ = made["data"]["createCustomer"]["customer"]["id"]
    given = {"id": id_, "name": "After"}
    async with locked(installation, f"SELECT FROM customer WHERE id = '{id_.removeprefix('cus_')}' FOR UPDATE"):
        answer = asyncio.create_task(send(installation, first, RENAME, given, key))
        await until(installation, WAITING, "FROM customer")
        first.kill()
        with pytest.raises(httpx.HTTPError):
            await answer
        for accept in ("application/json", "application/graphql-response+json"):
            copy = await send(installation, second, RENAME, given, key, accept)
            assert (copy.status_code, copy.headers["Retry-After"]) == (409, "1")
            assert copy.json()["data"] == {"updateCustomer": None}
            assert copy.json()["errors"][0]["extensions"]["code"] == "IDEMPOTENCY_IN_PROGRESS"
    async with asyncio.timeout(SOON_S):
        while copy.status_code == 409:
            await asyncio.sleep(0.02)
            copy = await send(installation, second, RENAME, given, key)
    payload = {"customer": {"name": given["name"], "version": 2}, "errors": []}
    assert copy.json() == {"data": {"updateCustomer": payload}}
    assert (await send(installation, second, RENAME, given, key)).content == copy.content


async def test_over_a_websocket(installation: Installation) -> None:
    """A socket has no header for each operation: the directive says the key, and over HTTP it is the same one."""
    (admin, *_) = await installation.members("admin")
    second, given = installation.apis[1], {"name": "Over a socket", "key": "socket"}
    async with connect(
        second.address.replace("http", "ws", 1), subprotocols=[Subprotocol("graphql-transport-ws")]
    ) as socket:

        async def ask(id_: str, **variables: str) -> Any:
            payload = {"query": KEYED, "variables": {**given, **variables}}
            await socket.send(json.dumps({"type": "subscribe", "id": id_, "payload": payload}))
            while (message := json.loads(await socket.recv())).get("id") != id_ or message["type"] == "complete":
                pass
            assert message["type"] == "next"
            return message["payload"]

        await socket.send(
            json.dumps({"type": "connection_init", "payload": {"Authorization": f"Bearer {installation.token(admin)}"}})
        )
        answer = await ask("1")
        assert answer["data"]["createCustomer"]["customer"]["name"] == "Over a socket"
        assert await ask("2") == answer
        reused = await ask("3", name="Another")
        assert reused["errors"][0]["extensions"]["code"] == "IDEMPOTENCY_KEY_REUSED"
    assert (await send(installation, second, KEYED, given)).json() == answer
    assert len(await installation.rows(NAMED, "Over a socket")) == 1
