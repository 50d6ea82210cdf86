"""Other people's clients against a real server: each script is one test, and says itself what it checks."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.security.test_token_attacks import claims_of
from tests.support.forge import Forge
from tests.support.packages import install_packages, needs_node
from tests.support.server import COMMAND, RunningServer, environment, free_port, running_server

HERE = Path(__file__).parent
SCHEMA = HERE.parents[1] / "schema" / "schema.graphql"
SCRIPTS = (
    *("audits", "ws", "sse", "apollo", "urql", "relay", "webhooks", "trusted", "codegen", "lint"),
    *("expiry", "graphiql", "browser", "eventsource"),
)
IN_A_BROWSER = {"graphiql", "browser", "eventsource"}
SHORT_S = {"expiry": 8, "eventsource": 25}
"""How long the short token of a script is good, from its start."""
SECRET = "the secret of an installation for other people's clients"
CHROMIUM = os.environ.get("CRM_TEST_CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"
PAGE_PORT = free_port()
"""Of a page on another origin that may call the server."""
SCRIPT_TIMEOUT_S = 75

pytestmark = [pytest.mark.xdist_group("clients"), needs_node]


@pytest.fixture(scope="session")
def packages() -> None:
    """What the scripts import."""
    install_packages()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server of its own, with a short time for `connection_init`; it must end cleanly."""
    data = tmp_path_factory.mktemp("clients") / "data"
    allowed = f"http://127.0.0.1:{PAGE_PORT}"
    settings = {"CRM_CONNECTION_INIT_MS": "1000", "CRM_ALLOWED_ORIGINS": allowed, "CRM_COOKIES": "1"}
    settings |= {"CRM_WEBHOOK_PRIVATE": "127.0.0.0/8", "CRM_SECRET": SECRET}
    with running_server(data, "--no-demo", **settings) as running:
        yield running


@pytest.mark.parametrize("script", SCRIPTS)
def test_client(script: str, packages: None, server: RunningServer) -> None:
    """A script ends with 0 when each of its checks passed."""
    if script in IN_A_BROWSER and not Path(CHROMIUM).exists():
        pytest.skip(f"a page needs a browser, and {CHROMIUM} is not there")
    claims = claims_of(server.token)
    forge = Forge(hashlib.sha256(SECRET.encode()).digest(), claims["ws"], claims["sub"])
    given = {
        "CRM_TEST_SHORT_TOKEN": forge.token(exp=int(time.time()) + SHORT_S.get(script, 1)),
        "CRM_TEST_URL": server.address,
        "CRM_TEST_TOKEN": server.token,
        "CRM_TEST_SCHEMA": str(SCHEMA),
        "CRM_TEST_CHROMIUM": CHROMIUM,
        "CRM_TEST_PAGE_PORT": str(PAGE_PORT),
        "CRM_TEST_COMMAND": COMMAND,
        "CRM_TEST_DATA": str(server.data),
        "CRM_SECRET": SECRET,  # of the commands that the scripts run on it
    }
    done = subprocess.run(
        ["node", f"{script}.mjs"],
        cwd=HERE,
        env=environment(**given),
        capture_output=True,
        text=True,
        timeout=SCRIPT_TIMEOUT_S,
    )
    said = [line for line in done.stdout.splitlines() if not line.startswith("ok  ")]
    assert done.returncode == 0, "\n".join([*said, done.stderr])
