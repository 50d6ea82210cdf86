"""The log of a real process: lines of requests as a setting asks for them, in JSON or text, and no data of anybody."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from tests.support import plain
from tests.support.server import RunningServer, running_server

pytestmark = pytest.mark.xdist_group("logs")

EMAIL, LITERAL = "ada.lovelace@example.com", "Analytical Engines"
CREATE = f"""
    mutation Make($email: String!) {{
      createCustomer(input: {{name: "{LITERAL}", email: $email}}) {{ customer {{ id }} errors {{ code }} }}
    }}
"""


def ask(server: RunningServer, query: str, headers: dict[str, str] | None = None, **variables: Any) -> dict[str, Any]:
    """Send a request and return its answer."""
    body = {"query": query, "variables": variables}
    answer: dict[str, Any] = plain.post(server.address, json=body, headers=headers or server.headers).json()
    return answer


def request_lines(server: RunningServer, count: int) -> list[dict[str, Any]]:
    """Return the lines of requests, once there are so many."""
    deadline = time.monotonic() + 30
    while True:
        said = "".join(server.said).splitlines()
        found = [json.loads(line) for line in said if '"crm_graph.requests"' in line]
        if len(found) >= count:
            return found
        assert time.monotonic() < deadline, said
        time.sleep(0.02)


def test_each_request_has_a_line_and_no_line_has_data(tmp_path: Path) -> None:
    with running_server(tmp_path / "data", "--no-demo", CRM_LOG_REQUESTS="all") as server:
        token = server.token
        assert ask(server, CREATE, email=EMAIL)["data"]["createCustomer"]["errors"] == []
        named = f'where: {{name: {{eq: "{LITERAL}"}}}}'
        refused = ask(server, f"query Wrong {{ customers(first: -1, {named}) {{ nodes {{ id }} }} }}")
        unknown = ask(server, f'{{ customers(where: {{name: {{like: "{EMAIL}"}}}}) {{ nodes {{ id }} }} }}')
        stranger = ask(server, "{ viewer { roles } }", {"Authorization": f"Bearer {token[:-6]}AAAAAA"})
        lines = request_lines(server, 4)
        log = [line for line in "".join(server.said).splitlines() if line.startswith("{")]

    done, wrong, invalid, out = lines
    assert len(lines) == 4
    assert {name: done[name] for name in ("level", "logger", "kind", "operation", "outcome")} == {
        "level": "info",
        "logger": "crm_graph.requests",
        "kind": "mutation",
        "operation": "Make",
        "outcome": "OK",
    }
    assert done["member"].startswith("mem_")
    assert done["workspace"].startswith("wsp_")
    assert 0 < done["durationMs"] < 60_000
    assert done["time"].endswith("Z")
    assert (wrong["operation"], wrong["outcome"]) == ("Wrong", "BAD_USER_INPUT")
    assert (invalid["kind"], invalid["outcome"], invalid["member"]) == ("unknown", "VALIDATION_FAILED", done["member"])
    assert (out["outcome"], "member" in out) == ("UNAUTHENTICATED", False)
    for line, answer in ((wrong, refused), (invalid, unknown), (out, stranger)):
        assert line["requestId"] == answer["errors"][0]["extensions"]["requestId"]
    assert len({line["requestId"] for line in lines}) == 4
    for said in log:
        assert json.loads(said)["message"]
        for secret in (EMAIL, "lovelace", LITERAL, token, token[:40]):
            assert secret not in said


def test_by_default_what_went_well_has_none_and_text_is_text(tmp_path: Path) -> None:
    with running_server(tmp_path / "data", "--no-demo", CRM_LOG_FORMAT="text") as server:
        for _ in range(3):
            assert "errors" not in ask(server, "query Fine { viewer { roles } }")
        ask(server, "query Wrong { customers(first: -1) { totalCount } }")
        deadline = time.monotonic() + 30
        while "outcome=BAD_USER_INPUT" not in "".join(server.said):
            assert time.monotonic() < deadline, server.said
            time.sleep(0.02)
        said = "".join(server.said)
    assert "Fine" not in said
    (line,) = (line for line in said.splitlines() if "crm_graph.requests" in line)
    assert " INFO     crm_graph.requests: request requestId=" in line
    assert " kind=query operation=Wrong document=" in line


def test_what_is_slow_is_said(tmp_path: Path) -> None:
    with running_server(tmp_path / "data", "--no-demo", CRM_LOG_SLOW_MS="1") as server:
        ask(server, "query First { customers { nodes { id name } totalCount } }")
        (line,) = request_lines(server, 1)
    assert (line["level"], line["message"], line["outcome"]) == ("warning", "slow request", "OK")
    assert line["durationMs"] >= 1


async def test_not_even_debug_tells_what_sockets_bring(tmp_path: Path) -> None:
    """uvicorn tells heads and frames then: the credentials of everybody who subscribes."""
    told = "a-value-of-this-very-socket"
    with running_server(tmp_path / "data", "--no-demo", CRM_LOG_LEVEL="debug", CRM_LOG_REQUESTS="all") as server:
        address = server.address.replace("http:", "ws:")
        headers = {"Cookie": told}
        async with connect(
            f"{address}?token={told}", subprotocols=[Subprotocol("graphql-transport-ws")], additional_headers=headers
        ) as socket:
            await socket.send(json.dumps({"type": "connection_init", "payload": server.headers}))
            assert json.loads(await socket.recv()) == {"type": "connection_ack"}
            await socket.send(
                json.dumps({"type": "subscribe", "id": told, "payload": {"query": "{ viewer { roles } }"}})
            )
            assert json.loads(await socket.recv())["type"] == "next"
        await asyncio.to_thread(request_lines, server, 1)
        log = "".join(line for line in server.said if line.startswith("{"))
    assert told not in log
    assert server.token not in log
    assert server.token[:40] not in log
