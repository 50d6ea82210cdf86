"""Prints how long each of the worst documents keeps the event loop: `python -m tests.security.worst [part of a name]`.

The most CPU time between two turns of the loop while it is answered, against a real Postgres with demo data; the first
time and again, when documents and plans are cached. No test asserts times: other work on a machine would break it.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg

from crm_graph.api.body import Answer, GraphQLRequest, parse_json, parse_request
from crm_graph.api.documents.cache import DocumentError
from crm_graph.api.engine import Engine
from crm_graph.app import running_engine
from crm_graph.db import embedded
from crm_graph.identity.installation import Installation
from crm_graph.identity.tokens import Claims
from crm_graph.kernel.settings import Settings
from tests.security.documents import WORST, Worst
from tests.support.database import TEMPLATE, make_template, with_database

BUDGET_MS = 250


async def longest_turn(engine: Engine, worst: Worst, claims: Claims) -> tuple[float, float, str]:
    """Return the longest time that the loop was kept and the time in all, in ms, and what was answered."""
    loop = asyncio.get_running_loop()
    longest = 0.0
    last = time.thread_time()
    running = True

    def tick() -> None:
        nonlocal longest, last
        now = time.thread_time()
        longest, last = max(longest, now - last), now
        if running:
            loop.call_soon(tick)

    body = json.dumps(
        {"query": worst.source, "operationName": worst.operation, "variables": dict(worst.variables)}
    ).encode()
    await asyncio.sleep(0)
    started, last = loop.time(), time.thread_time()
    loop.call_soon(tick)
    answer = await _answer(engine, body, claims)
    total = loop.time() - started
    tick()
    running = False
    await asyncio.sleep(0)
    errors = answer.body.get("errors")
    said = f"{errors[0]['extensions']['code']}: {errors[0]['message'][:60]}" if errors else "answered"
    return longest * 1000, total * 1000, said


async def _answer(engine: Engine, body: bytes, claims: Claims) -> Answer:
    request: GraphQLRequest = parse_request(parse_json(body, engine.settings.max_json_depth))
    try:
        operation = await engine.admission.operation(request, claims)
    except DocumentError as error:
        return engine.answers.refuse(error.errors, error.code)
    return await engine.execute(request, operation, claims)


async def main(part: str) -> None:
    """Measure all documents whose name has the part, the slowest first."""
    with tempfile.TemporaryDirectory() as directory, embedded.running(Path(directory) / "postgres") as server:
        await make_template(server.url)
        url = with_database(server.url, TEMPLATE)
        connection = await asyncpg.connect(url)
        admin = await connection.fetchrow(
            "SELECT workspace_id, member_id FROM member_role WHERE role = 'admin' ORDER BY 2 LIMIT 1"
        )
        assert admin is not None
        await connection.close()
        claims = Claims(admin[0].hex, admin[1].hex, datetime.now(UTC) + timedelta(hours=1))
        settings = Settings(max_tokens=5_000)
        async with running_engine(Installation(url, [b"s" * 32]), settings) as engine:
            await _answer(engine, b'{"query": "{ customers { totalCount nodes { id } } }"}', claims)
            gc.collect()
            gc.freeze()
            gc.set_threshold(10_000, 50, 50)  # as the application does
            rows = []
            for name, worst in WORST.items():
                if part not in name:
                    continue
                gc.collect()  # what the documents before it left behind is not its doing
                started = time.process_time()
                first = await longest_turn(engine, worst, claims)
                cpu = (time.process_time() - started) * 1000
                again = await longest_turn(engine, worst, claims)
                rows.append((first[0], again[0], first[1], cpu, name, first[2]))
    print("CPU ms of the longest turn, first and again; ms in all; CPU ms in all")
    for first_ms, again_ms, total_ms, cpu_ms, name, said in sorted(rows, reverse=True):
        mark = "!" if max(first_ms, again_ms) > BUDGET_MS else " "
        print(f"{mark}{first_ms:7.0f}  {again_ms:7.0f}  {total_ms:7.0f} {cpu_ms:7.0f}  {name:45} {said}")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else ""))
