"""What a well-behaved member notices while somebody else does their worst: `make bench-attacks`.

One member asks a point query ten times a second, in a process of its own; meanwhile one member, one address or one
tenant attacks the same server for `ATTACK_SECONDS`. Printed for each attack: the victim's median and worst latency,
what the server's memory grew by, and what the attacker was answered. `ATTACK_COMMAND` names another `crm-graph`, of an
older commit say; `ATTACK_ONLY` a part of a name. Everything stays on loopback, and stops by itself.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil  # type: ignore[import-untyped]
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException
from websockets.typing import Subprotocol

from tests.support.server import COMMAND, environment, free_port

SECONDS = float(os.environ.get("ATTACK_SECONDS", "10"))
CUSTOMERS = os.environ.get("ATTACK_CUSTOMERS", "5000")
SERVER = os.environ.get("ATTACK_COMMAND", COMMAND)
ONLY = os.environ.get("ATTACK_ONLY", "")
LONG_TEXTS, LONG_LETTERS = 60, 18_000
PAUSE_S = 0.1
PATIENCE_S = 60.0
START_S = 120


@dataclass(slots=True)
class Place:
    """The server that is attacked, and by whose token; `answers` counts what the attacker was told."""

    port: int
    victim: str
    attacker: str
    answers: Counter[str] = field(default_factory=Counter)

    @property
    def address(self) -> str:
        """Where it serves."""
        return f"http://127.0.0.1:{self.port}/graphql"

    async def ask(self, client: httpx.AsyncClient, query: str, variables: Any = None) -> Any:
        """Ask as the attacker; what came is counted, and nothing raised."""
        try:
            headers = {"Authorization": f"Bearer {self.attacker}"}
            answer = await client.post(self.address, json={"query": query, "variables": variables}, headers=headers)
        except httpx.HTTPError as error:
            self.answers[type(error).__name__] += 1
            return None
        codes = [each["extensions"]["code"] for each in answer.json().get("errors", [])]
        self.answers[codes[0] if codes else str(answer.status_code)] += 1
        return answer.json()


Attack = Callable[[Place], Awaitable[None]]


async def _over_and_over(
    place: Place, query: str, connections: int, variables: Callable[[int], Any] = lambda _: None
) -> None:
    numbers = itertools.count()

    async def one() -> None:
        async with httpx.AsyncClient(timeout=PATIENCE_S) as client:
            while True:
                await place.ask(client, query, variables(next(numbers)))

    await asyncio.gather(*(one() for _ in range(connections)))


async def nobody(place: Place) -> None:
    """No attack: what the others are to be held against."""
    await asyncio.sleep(3_600)


async def slow_filters(place: Place) -> None:
    """One member: twelve searches at a time over long texts."""
    query = "query ($text: String!) { tickets(where: {not: {description: {contains: $text}}}) { totalCount } }"
    await _over_and_over(place, query, 12, lambda number: {"text": f"{number} " + "长" * 190})


async def greedy_graphs(place: Place) -> None:
    """One member: the largest graphs that the limits allow, on sixteen connections."""
    query = """{ customers(first: 20) { nodes { name contacts(first: 10) { nodes { name } } opportunities(first: 20) {
      nodes { name owner { name } stage { name } } } orders(first: 10) { nodes { number lines { nodes { quantity } } } }
    } } }"""
    await _over_and_over(place, query, 16)


async def refused_documents(place: Place) -> None:
    """One member: documents that are refused, each another one, on eight connections."""

    def document(number: int) -> str:
        fields = " ".join(f"a{index}: nope{number}x{index}(b: {{c: [1, 2, $d]}})" for index in range(120))
        return f"query {{ {fields} }}"

    numbers = itertools.count()

    async def one() -> None:
        async with httpx.AsyncClient(timeout=PATIENCE_S) as client:
            while True:
                await place.ask(client, document(next(numbers)))

    await asyncio.gather(*(one() for _ in range(8)))


async def fat_answers(place: Place) -> None:
    """One member: one long text under 28 names, fifty times, on four connections."""
    names = " ".join(f"t{number}: description" for number in range(28))
    await _over_and_over(
        place,
        f"{{ tickets(first: 50, orderBy: [{{field: CREATED_AT, direction: DESC}}]) {{ nodes {{ {names} }} }} }}",
        4,
    )


async def wrong_passwords(place: Place) -> None:
    """One address, no credential: a sign-in after another on sixteen connections."""
    query = """mutation ($email: String!) {
      signIn(input: {email: $email, password: "wrong wrong wrong"}) { errors { code } }
    }"""
    await _over_and_over(place, query, 16, lambda number: {"email": f"nobody{number}@example.com"})


async def _raw(place: Place, first: bytes, again: bytes, pause_s: float, connections: int) -> None:
    async def one() -> None:
        while True:
            with suppress(OSError):
                reader, writer = await asyncio.open_connection("127.0.0.1", place.port)
                place.answers["connected"] += 1
                try:
                    writer.write(first)
                    while not reader.at_eof() and not writer.is_closing():
                        await asyncio.wait_for(writer.drain(), PATIENCE_S)
                        await asyncio.sleep(pause_s)
                        writer.write(again)
                        with suppress(TimeoutError):
                            async with asyncio.timeout(0.001):
                                await reader.read(65_536)
                    place.answers["cut off"] += 1
                finally:
                    writer.close()
            await asyncio.sleep(0.05)

    await asyncio.gather(*(one() for _ in range(connections)))


_HEAD = b"POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


async def endless_trailers(place: Place) -> None:
    """One address, no credential: trailers that never end, on twenty connections."""
    await _raw(place, _HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\nx: ", b"a" * 65_536, 0.0, 20)


async def slow_heads(place: Place) -> None:
    """One address, no credential: three hundred heads, a byte every half second."""
    await _raw(place, b"POST /gra", b"p", 0.5, 300)


async def silent_connections(place: Place) -> None:
    """One address, no credential: five hundred connections that say nothing."""
    await _raw(place, b"", b"", 1.0, 500)


async def large_writes(place: Place) -> None:
    """One tenant: tickets with long texts, on eight connections."""
    query = 'mutation ($text: String!) { createTicket(input: {subject: "x", description: $text}) { errors { code } } }'
    await _over_and_over(place, query, 8, lambda number: {"text": f"{number} " + "x" * LONG_LETTERS})


async def _changes(place: Place) -> None:
    async with httpx.AsyncClient(timeout=PATIENCE_S) as client:
        while True:
            await place.ask(client, 'mutation { createOpportunity(input: {name: "a change"}) { errors { code } } }')
            await asyncio.sleep(0.2)


async def many_filters(place: Place) -> None:
    """One member: six hundred different forms of filters, live, while records change."""

    async def socket(numbers: range) -> None:
        try:
            async with connect(
                place.address.replace("http", "ws"), subprotocols=[Subprotocol("graphql-transport-ws")]
            ) as live:
                init = {"type": "connection_init", "payload": {"Authorization": f"Bearer {place.attacker}"}}
                await live.send(json.dumps(init))
                for number in numbers:
                    query = f"subscription {{ opportunityChanged(where: {_form(number)}) {{ opportunity {{ id }} }} }}"
                    await live.send(json.dumps({"id": str(number), "type": "subscribe", "payload": {"query": query}}))
                async for message in live:
                    found = json.loads(message)
                    place.answers[found["type"]] += 1
        except (OSError, WebSocketException) as error:
            place.answers[type(error).__name__] += 1

    await asyncio.gather(_changes(place), *(socket(range(start, start + 60)) for start in range(0, 600, 60)))


def _form(number: int) -> str:
    """Return one of 1,024 forms of a filter: each combination of ten conditions."""
    conditions = [
        *("probability: {gte: 0}", 'name: {ne: "a"}', "status: {ne: LOST}", "expectedClose: {isNull: true}"),
        *("customer: {isNull: true}", "owner: {isNull: false}", 'amount: {gt: "1"}', "nextStep: {isNull: true}"),
        *("lostReason: {isNull: true}", "externalId: {isNull: true}"),
    ]
    chosen = [condition for index, condition in enumerate(conditions) if number >> index & 1]
    return "{or: [" + ", ".join(f"{{{condition}}}" for condition in chosen or ["id: {isNull: false}"]) + "]}"


ATTACKS: tuple[Attack, ...] = (
    nobody,
    slow_filters,
    greedy_graphs,
    refused_documents,
    fat_answers,
    wrong_passwords,
    endless_trailers,
    slow_heads,
    silent_connections,
    large_writes,
    many_filters,
)


def victim(address: str, token: str) -> None:
    """Ask a point query ten times a second until stdin ends; print the latencies in ms."""
    latencies: list[float] = []
    headers = {"Authorization": f"Bearer {token}"}
    deadline = time.monotonic() + SECONDS
    elsewhere = httpx.HTTPTransport(local_address="127.0.0.2")  # what is bounded by address is the attacker's alone
    with httpx.Client(timeout=PATIENCE_S, headers=headers, transport=elsewhere) as client:
        while time.monotonic() < deadline:
            began = time.perf_counter()
            try:
                answer = client.post(
                    address, json={"query": "{ customers(first: 1) { nodes { id name owner { name } } } }"}
                )
                if "errors" in answer.json():
                    latencies.append(PATIENCE_S * 1000)
            except (httpx.HTTPError, ValueError):
                latencies.append(PATIENCE_S * 1000)
            latencies.append((time.perf_counter() - began) * 1000)
            time.sleep(max(0.0, PAUSE_S - (time.perf_counter() - began)))
    print(json.dumps(latencies))


async def _measure(place: Place, attack: Attack, server: psutil.Process) -> None:
    place.answers.clear()
    await asyncio.sleep(1)
    before = server.memory_info().rss
    attacking = asyncio.create_task(_run(place, attack))
    await asyncio.sleep(1)
    measuring = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.benchmarks.attacks", "victim", place.address, place.victim),
        stdout=asyncio.subprocess.PIPE,
    )
    reading = asyncio.create_task(measuring.communicate())
    peak = before
    while not reading.done():
        peak = max(peak, server.memory_info().rss)
        await asyncio.wait({reading}, timeout=0.2)
    attacking.cancel()
    with suppress(asyncio.CancelledError):
        await attacking
    latencies = json.loads((await reading)[0])
    told = ", ".join(f"{what} {count}" for what, count in place.answers.most_common(4))
    print(
        f"{attack.__name__:20} {len(latencies):5} {statistics.median(latencies):9.1f} {max(latencies):9.1f}"
        f" {(peak - before) / 1e6:9.1f}   {told}",
        flush=True,
    )


async def _run(place: Place, attack: Attack) -> None:
    async with asyncio.timeout(SECONDS + 30):
        await attack(place)


def _command(*arguments: str) -> str:
    done = subprocess.run([SERVER, *arguments], env=environment(), capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def main() -> None:
    """Start a server over records of a size, and run all attacks against it, one after the other."""
    with tempfile.TemporaryDirectory() as directory:
        port, where = free_port(), ("--data", str(Path(directory) / "data"))
        started = subprocess.Popen(
            [SERVER, "dev", "--no-demo", "--port", str(port), *where],
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            asyncio.run(_until_ready(port))
            _command("seed", "--customers", CUSTOMERS, "--workspace", "big", *where)
            victim_token, attacker_token = (
                _command("token", "--role", role, "--workspace", "big", "--minutes", "600", *where)
                for role in ("sales_manager", "admin")
            )
            asyncio.run(_all(Place(port, victim_token, attacker_token), psutil.Process(started.pid)))
        finally:
            started.terminate()
            started.wait(60)


async def _all(place: Place, server: psutil.Process) -> None:
    await _prepare(place)
    heads = f"{'attack':20} {'asked':>5} {'median ms':>9} {'worst ms':>9} {'grown MB':>9}"
    print(f"{heads}   what the attacker was answered")
    for attack in ATTACKS:
        if ONLY in attack.__name__ or attack is nobody:
            await _measure(place, attack, server)


async def _until_ready(port: int) -> None:
    async with asyncio.timeout(START_S), httpx.AsyncClient() as client:
        while True:
            with suppress(httpx.HTTPError):
                if (await client.get(f"http://127.0.0.1:{port}/ready")).status_code == 200:
                    return
            await asyncio.sleep(0.2)


async def _prepare(place: Place) -> None:
    query = """mutation ($text: String!) {
      createTicket(input: {subject: "long", description: $text}) { errors { code message } }
    }"""
    async with httpx.AsyncClient(timeout=PATIENCE_S) as client:
        for number in range(LONG_TEXTS):
            made = await place.ask(client, query, {"text": f"{number} " + "长" * LONG_LETTERS})
            assert made["data"]["createTicket"]["errors"] == [], made


if __name__ == "__main__":
    if sys.argv[1:2] == ["victim"]:
        victim(*sys.argv[2:4])
    else:
        main()
