"""A worker says whether it lives, where it is told a port: the image's health check asks it as it asks the API."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import httpx

from tests.support import plain
from tests.support.server import COMMAND, crm_graph, environment, free_port

START_S = 60


def test_a_worker_answers_the_probes(tmp_path: Path) -> None:
    data, port = tmp_path / "data", free_port()
    assert crm_graph("migrate", "--data", str(data)).returncode == 0
    command = [COMMAND, "worker", "--data", str(data)]
    process = subprocess.Popen(command, env=environment(CRM_WORKER_PORT=str(port)), stderr=subprocess.PIPE, text=True)
    try:
        assert _ready(f"http://127.0.0.1:{port}/ready"), process.poll()
        assert plain.get(f"http://127.0.0.1:{port}/health").json() == {"status": "ok"}
        assert plain.get(f"http://127.0.0.1:{port}/graphql").status_code == 404
    finally:
        process.terminate()
        _, said = process.communicate(timeout=30)
    assert process.returncode == 0, said


def _ready(address: str) -> bool:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        try:
            if plain.get(address, timeout=5).status_code == 200:
                return True
        except httpx.TransportError:
            time.sleep(0.1)
    return False
