"""Other people's OAuth and OpenID Connect clients, and our own command line, against a real server."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import jwt as pyjwt
import pytest
from authlib.integrations.httpx_client import OAuth2Client
from joserfc import jwt
from joserfc.jwk import KeySet

from tests.clients.test_clients import CHROMIUM, HERE, packages  # noqa: F401 - a fixture
from tests.support import plain
from tests.support.oauth import PASSWORD, Provisioned, provision
from tests.support.server import COMMAND, RunningServer, crm_graph, environment, free_port, running_server

SCRIPT_TIMEOUT_S = 75
pytestmark = pytest.mark.xdist_group("clients")


@dataclass(frozen=True, slots=True)
class Installation:
    """A server with its clients."""

    server: RunningServer
    known: Provisioned
    callback_port: int

    @property
    def issuer(self) -> str:
        """The server's address."""
        return self.server.address.removesuffix("/graphql")


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """A server of its own, whose first member has a password."""
    data = tmp_path_factory.mktemp("openid") / "data"
    port = free_port()
    with running_server(data, "--no-demo") as server:
        yield Installation(server, provision(data, port), port)


def submit(browser: httpx.Client, page: httpx.Response, **fields: str) -> httpx.Response:
    """Post the form of a page, as a browser does."""
    action = re.search(r'<form method="post" action="([^"]*)"', page.text)
    assert action is not None, page.text
    hidden = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', page.text)
    data = {unescape(name): unescape(value) for name, value in hidden}
    return browser.post(unescape(action[1]), data={**data, **fields})


@pytest.mark.skipif(shutil.which("node") is None or shutil.which("npm") is None, reason="needs node and npm")
@pytest.mark.skipif(not Path(CHROMIUM).exists(), reason="needs chromium, or CRM_TEST_CHROMIUM")
@pytest.mark.usefixtures("packages")
def test_openid_client(installation: Installation) -> None:
    """The npm package `openid-client`, with a browser in the middle."""
    known = installation.known
    given = {
        "CRM_TEST_URL": installation.server.address,
        "CRM_TEST_TOKEN": installation.server.token,
        "CRM_TEST_CHROMIUM": CHROMIUM,
        "CRM_TEST_PUBLIC_ID": known.public_id,
        "CRM_TEST_CLIENT_ID": known.confidential_id,
        "CRM_TEST_CLIENT_SECRET": known.secret,
        "CRM_TEST_CALLBACK": known.confidential_callback,
        "CRM_TEST_EMAIL": known.email,
        "CRM_TEST_NAME": known.name,
        "CRM_TEST_PASSWORD": PASSWORD,
    }
    done = subprocess.run(
        ["node", "openid.mjs"],
        cwd=HERE,
        env=environment(**given),
        capture_output=True,
        text=True,
        timeout=SCRIPT_TIMEOUT_S,
    )
    said = [line for line in done.stdout.splitlines() if not line.startswith("ok  ")]
    assert done.returncode == 0, "\n".join([*said, done.stderr])


def test_authlib_client(installation: Installation) -> None:
    """Authlib's own client: code with PKCE, refresh, introspection, revocation."""
    known, issuer = installation.known, installation.issuer
    server = plain.get(f"{issuer}/.well-known/openid-configuration").raise_for_status().json()
    assert server["issuer"] == issuer
    client = OAuth2Client(
        known.confidential_id,
        known.secret,
        scope="openid email crm.read",
        redirect_uri=known.confidential_callback,
        code_challenge_method="S256",
        token_endpoint=server["token_endpoint"],
        revocation_endpoint_auth_method="client_secret_basic",
    )
    verifier = "v" * 64
    url, state = client.create_authorization_url(server["authorization_endpoint"], code_verifier=verifier, nonce="n-1")
    with client, plain.client(base_url=issuer) as browser:
        page = browser.get(url)
        entered = submit(browser, page, email=known.email, password=PASSWORD)
        assert entered.status_code == 303, entered.text
        allowed = submit(browser, browser.get(entered.headers["location"]), decision="allow")
        token = client.fetch_token(
            authorization_response=allowed.headers["location"], state=state, code_verifier=verifier
        )
        keys = KeySet.import_key_set(plain.get(server["jwks_uri"]).json())
        claims = jwt.decode(token["id_token"], keys, algorithms=server["id_token_signing_alg_values_supported"]).claims
        assert (claims["iss"], claims["nonce"], claims["email"]) == (issuer, "n-1", known.email)
        _check_by_pyjwt(server, token, known)
        fresh = client.refresh_token(server["token_endpoint"])
        assert fresh["refresh_token"] != token["refresh_token"]
        found = client.introspect_token(server["introspection_endpoint"], fresh["access_token"]).json()
        assert (found["active"], found["client_id"]) == (True, known.confidential_id)
        assert client.revoke_token(server["revocation_endpoint"], fresh["refresh_token"]).status_code == 200
        found = client.introspect_token(server["introspection_endpoint"], fresh["access_token"]).json()
        assert found == {"active": False}


def _check_by_pyjwt(server: dict[str, Any], token: dict[str, Any], known: Provisioned) -> None:
    """Check an ID token, and an access token as a resource server would, by PyJWT's own client of JWK sets."""
    keys = pyjwt.PyJWKClient(server["jwks_uri"])
    for text, algorithm, audience in (
        (token["id_token"], "RS256", known.confidential_id),
        (token["access_token"], "EdDSA", "crm-graph"),
    ):
        key = keys.get_signing_key_from_jwt(text)
        claims = pyjwt.decode(text, key, algorithms=[algorithm], audience=audience, issuer=server["issuer"])
        assert claims["sub"]


def test_command_line(installation: Installation, tmp_path: Path) -> None:
    """`crm-graph login`, approved in a browser; then `api`, and `logout`."""
    config = {"CRM_CONFIG_DIR": str(tmp_path / "config")}
    nobody = crm_graph("api", "{ viewer { roles } }", **config)
    assert (nobody.returncode, "nobody is signed in" in nobody.stderr) == (2, True)
    login = subprocess.Popen(
        [COMMAND, "login", installation.issuer], env=environment(**config), stderr=subprocess.PIPE, text=True
    )
    timer = threading.Timer(60, login.kill)
    timer.start()
    try:
        assert login.stderr is not None
        said = ""
        while "user_code=" not in said:
            line = login.stderr.readline()
            assert line, said
            said += line
        _approve(installation, re.findall(r"(http://\S+user_code=\S+)", said)[0])
        said += login.stderr.read()
        assert login.wait() == 0, said
    finally:
        timer.cancel()
        login.kill()
        login.wait()
        if login.stderr is not None:
            login.stderr.close()
    assert f"as {installation.known.name}" in said
    file = tmp_path / "config" / "credentials.json"
    assert stat.S_IMODE(os.stat(file).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(file.parent).st_mode) == 0o700
    (kept,) = json.loads(file.read_text())
    assert kept["access_token"] not in said

    asked = crm_graph(
        "api",
        "query Q($id: ID!) { viewer { member { name } } node(id: $id) { id } }",
        "-v",
        '{"id": "cus_0"}',
        **config,
    )
    assert json.loads(asked.stdout) == {"data": {"viewer": {"member": {"name": installation.known.name}}, "node": None}}
    file.write_text(json.dumps([{**kept, "expires_at": 0}]))
    assert crm_graph("api", "{ viewer { roles } }", **config).returncode == 0, "it refreshes by itself"
    (fresh,) = json.loads(file.read_text())
    assert fresh["refresh_token"] != kept["refresh_token"]
    wrong = crm_graph("api", "{ nonsense }", **config)
    assert (wrong.returncode, "errors" in json.loads(wrong.stdout)) == (1, True)
    out = crm_graph("logout", **config)
    assert (out.returncode, json.loads(file.read_text())) == (0, []), out.stderr
    headers = {"Authorization": f"Bearer {fresh['access_token']}"}
    dead = plain.post(installation.server.address, json={"query": "{ viewer { roles } }"}, headers=headers)
    assert dead.status_code == 401


def _approve(installation: Installation, url: str) -> None:
    with plain.client(base_url=installation.issuer) as browser:
        entered = submit(browser, browser.get(url), email=installation.known.email, password=PASSWORD)
        assert entered.status_code == 303, entered.text
        form = browser.get(entered.headers["location"])
        code = url.rpartition("=")[2]
        asked = submit(browser, form, user_code=code)
        assert "your device is connected" in submit(browser, asked, decision="allow").text
