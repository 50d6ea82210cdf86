"""Postgres goes away in six ways: everybody is told UNAVAILABLE, the log says it once, and then all goes on."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import asyncpg
import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from crm_graph.db.outages import LOST_KIND
from tests.faults.installation import Installation, installed
from tests.faults.outages import (
    AT_ONCE,
    CAUSES,
    READ,
    ROUNDS,
    WRITE,
    burst,
    client_of,
    codes,
    crowded,
    small_disk,
    stopped,
    works,
)

pytestmark = pytest.mark.xdist_group("outages")

WAIT_S = 60
AWAY, BACK = "the database is away: ", "the database is back after "
SAID = {
    "stopped": LOST_KIND,
    "connections cut": LOST_KIND,
    "no connection free": "no connection is free",
    "not let in": "it lets nobody in",
    "read-only": "it takes no writes",
    "disk full": "the disk is full",
}
"""What is said among the errors of an outage when it is over."""
GOES_ON = {"connections cut": {READ, WRITE}, "read-only": {READ}, "disk full": {READ, WRITE}}
"""What may be answered meanwhile: a page has room for a row when the disk has not."""

EXPORT = "/exports/job_018f0000000070008000000000000000"
PROVIDER = "/sso/idp_018f0000000070008000000000000000/start"


@pytest.fixture(scope="module")
async def made(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Installation]:
    """An API process and a worker over a Postgres whose disk is small, where one may be mounted."""
    directory = tmp_path_factory.mktemp("outages")
    disk = small_disk(directory / "data")
    try:
        disk.__enter__()
    except (OSError, subprocess.CalledProcessError):
        disk = None  # type: ignore[assignment]
    try:
        async with installed(directory, 1, worker=True, CRM_WEBHOOK_PRIVATE="127.0.0.0/8") as running:
            yield running
    finally:
        if disk is not None:
            disk.__exit__(None, None, None)


def lines(log: Path) -> list[str]:
    """Return what a process has said."""
    return log.read_text(errors="replace").splitlines()


async def over(log: Path, said: int) -> list[str]:
    """Wait until a process says that an outage is over; return what it has said of it."""
    async with asyncio.timeout(WAIT_S):
        while not any(BACK in line for line in lines(log)[said:]):  # noqa: ASYNC110 - it tells nobody else
            await asyncio.sleep(0.1)
    return [line for line in lines(log)[said:] if "crm_graph.requests" not in line]  # what was in doubt


async def quiet(made: Installation, client: httpx.AsyncClient) -> None:
    """Wait until everything works, and nobody has an outage open."""
    await works(client)
    for process in (made.apis[0], made.worker):
        assert process is not None
        async with asyncio.timeout(WAIT_S):
            while True:
                told = [line for line in lines(process.log) if AWAY in line or BACK in line]
                if not told or BACK in told[-1]:
                    break
                await asyncio.sleep(0.1)


@pytest.mark.parametrize("name", CAUSES)
async def test_an_outage_is_told_once(made: Installation, name: str) -> None:
    """Two lines in each process that notices, whatever is asked meanwhile; and every answer is right."""
    if name == "disk full" and not made.data.is_mount():
        pytest.skip("needs to mount a small disk")
    assert made.worker is not None
    async with client_of(made) as client:
        await quiet(made, client)
        logs = {process.name: (process.log, len(lines(process.log))) for process in (made.apis[0], made.worker)}
        failed = 0
        async with CAUSES[name](made):
            for _ in range(ROUNDS):
                for query in (READ, WRITE):
                    for answer in await burst(client, query):
                        told = codes(answer)
                        assert told <= {"UNAVAILABLE", "TIMEOUT"}, answer.text
                        assert told or query in GOES_ON.get(name, set()), answer.text
                        failed += bool(told)
                        if "UNAVAILABLE" in told and not any((answer.json().get("data") or {}).values()):
                            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
            assert failed >= AT_ONCE / 2
        await works(client)
        told_of = await over(*logs["api_0"])
        assert len(told_of) == 2, "\n".join(told_of)
        begin, end = told_of
        assert AWAY in begin
        assert f"{SAID[name]} " in end
        of_worker = lines(made.worker.log)[logs["worker"][1] :]
        assert [line for line in of_worker if AWAY not in line and BACK not in line] == []
        assert len(of_worker) <= 2


async def test_everything_beside_the_graph(made: Installation) -> None:
    """Pages, sign-in, exports and WebSockets too."""
    async with client_of(made) as client:
        await quiet(made, client)
        headers = dict(client.headers)
        address = made.apis[0].address.replace("http://", "ws://")
        async with connect(address, subprotocols=[Subprotocol("graphql-transport-ws")]) as socket:
            await socket.send(
                json.dumps({"type": "connection_init", "payload": {"Authorization": headers["authorization"]}})
            )
            assert json.loads(await socket.recv())["type"] == "connection_ack"
            async with stopped(made):
                for path in (EXPORT, PROVIDER, "/ready"):
                    answer = await client.get(path)
                    assert answer.status_code == 503, (path, answer.text)
                await socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": {"query": READ}}))
                while (message := json.loads(await socket.recv()))["type"] == "ping":
                    pass
                assert message["payload"][0]["extensions"]["code"] == "UNAVAILABLE", message
        await quiet(made, client)


async def test_a_process_waits_for_its_own_connections(made: Installation) -> None:
    """While others hold what is left, the connections that it has answer everybody."""
    async with client_of(made) as client:
        await quiet(made, client)
        said = len(lines(made.apis[0].log))
        await made.rows(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'api_0' AND state = 'idle'"
            " AND query NOT LIKE 'LISTEN%' AND pid NOT IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory')"
        )
        async with asyncio.timeout(WAIT_S):
            while (await client.get("/ready")).status_code != 200:  # noqa: ASYNC110 - then each pool has one again
                await asyncio.sleep(0.05)
        async with crowded(made, cut=False):
            for query in (READ, WRITE, READ, WRITE):
                for answer in await burst(client, query):
                    assert not codes(answer), answer.text
        await quiet(made, client)
        for line in lines(made.apis[0].log)[said:]:
            assert AWAY in line or BACK in line, line
        with pytest.raises(asyncpg.UndefinedTableError):  # what is no outage is none
            await made.rows("SELECT 1 FROM nothing")


LISTEN = """
    mutation ($url: String!) {
        createWebhookEndpoint(input: {url: $url, eventTypes: ["CustomerCreated"], roles: ["admin"]}) {
            errors { code message }
        }
    }
"""
AT_A_TIME = 5
"""Requests that an endpoint is sent at once (`CRM_WEBHOOK_ENDPOINT_CONCURRENCY`)."""


async def test_a_webhook_that_was_sent_is_not_sent_again(made: Installation) -> None:
    """It was answered while the database was away; and its endpoint does not wait for leases to end."""
    came: list[str] = []
    away = asyncio.Event()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError):
            while head := (await reader.readuntil(b"\r\n\r\n")).decode().lower():
                headers = dict(line.split(": ", 1) for line in head.splitlines()[1:] if line)
                await reader.readexactly(int(headers["content-length"]))
                came.append(headers["webhook-id"])
                await away.wait()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async with client_of(made) as client, await asyncio.start_server(take, "127.0.0.1", 0) as receiver:
        await quiet(made, client)
        variables = {"url": f"http://127.0.0.1:{receiver.sockets[0].getsockname()[1]}/"}
        answer = await client.post("/graphql", json={"query": LISTEN, "variables": variables})
        assert answer.json()["data"]["createWebhookEndpoint"]["errors"] == [], answer.text
        assert not any(map(codes, await burst(client, WRITE)))
        async with asyncio.timeout(WAIT_S):
            while len(came) < AT_A_TIME:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.02)
        async with stopped(made):
            away.set()
            for answer in await burst(client, READ):
                assert codes(answer) == {"UNAVAILABLE"}
        async with asyncio.timeout(WAIT_S):
            while await made.rows("SELECT 1 FROM webhook_delivery WHERE status <> 'DELIVERED'"):  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.1)
        assert len(came) == len(set(came)) >= AT_ONCE
        await quiet(made, client)
