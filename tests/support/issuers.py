"""Issuers on loopback: a real one (npm `oidc-provider`), and one that says whatever a test wants, to lie with."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
from joserfc import jwt
from joserfc.jwk import ECKey, OKPKey, RSAKey

from tests.support import plain
from tests.support.packages import CLIENTS
from tests.support.server import environment

AUDIENCE = "https://api.crm.example"
PRIVATE = "127.0.0.0/8"
"""What `CRM_PROVIDER_PRIVATE` must have for issuers on loopback."""
SECRET = "a secret that only the two know"
RSA, OTHER_RSA = (RSAKey.generate_key(2048, auto_kid=True) for _ in range(2))
EC = ECKey.generate_key("P-256", auto_kid=True)
ED25519 = OKPKey.generate_key("Ed25519", auto_kid=True)
Key = RSAKey | ECKey | OKPKey


@dataclass(frozen=True, slots=True)
class RealIssuer:
    """An `oidc-provider` in a process of its own."""

    address: str

    async def configure(self, **what: Any) -> None:
        """Set `redirectUris`, `accounts` (claims by subject), `algorithm`, `method` or `conform`."""
        async with plain.async_client() as client:
            (await client.post(f"{self.address}/control/configure", json=what)).raise_for_status()

    async def rotate(self) -> None:
        """Sign with new keys, and forget the old ones."""
        async with plain.async_client() as client:
            (await client.post(f"{self.address}/control/rotate")).raise_for_status()

    async def counted(self) -> dict[str, int]:
        """Return how often each path was asked for."""
        async with plain.async_client() as client:
            found: dict[str, int] = (await client.post(f"{self.address}/control/counted")).json()
            return found

    async def machine_token(self, scope: str = "") -> str:
        """Return an access token of a program, subject `machine`, for this API."""
        form = {"grant_type": "client_credentials", "resource": AUDIENCE, "scope": scope}
        async with plain.async_client(auth=("machine", "a%20secret%20of%20a%20program")) as client:
            token: str = (await client.post(f"{self.address}/token", data=form)).json()["access_token"]
            return token

    async def sign_in(self, authorization_url: str, account: str) -> str:
        """Sign in as a browser would: the forms of login and consent. Returns where the browser is sent in the end."""
        async with plain.async_client() as browser:
            response = await browser.get(authorization_url)
            for _ in range(12):
                if response.status_code in {302, 303}:
                    to = str(response.url.join(response.headers["location"]))
                    if not to.startswith(self.address):
                        return to
                    response = await browser.get(to)
                    continue
                prompt = "login" if 'name="login"' in response.text else "consent"
                form = {"prompt": prompt, "login": account, "password": "any"}
                response = await browser.post(str(response.url), data=form)
        raise AssertionError(f"{response.status_code} {response.text[:500]}")


@contextmanager
def real_issuer() -> Iterator[RealIssuer]:
    """Run an `oidc-provider` until the block ends."""
    process = subprocess.Popen(
        ["node", "issuer.mjs"],
        cwd=CLIENTS,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        address = next((line.strip() for line in process.stdout if line.startswith("http")), "")
        assert address, "oidc-provider did not start"
        yield RealIssuer(address)
    finally:
        process.stdin.close()
        process.terminate()
        process.wait(10)
        process.stdout.close()


@dataclass(slots=True)
class Answer:
    """What a path answers; `raw` stands for the whole response."""

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    hangs: bool = False


class Liar:
    """An issuer that signs and answers what it is told to. Its endpoints are right until a test changes them."""

    def __init__(self) -> None:
        self.address = ""
        self.metadata: dict[str, Any] = {}
        self.answers: dict[str, Answer] = {}
        self.asked: Counter[str] = Counter()
        self.bodies: dict[str, bytes] = {}
        self.hung = asyncio.Event()
        """Set once somebody waits for an answer that does not come."""

    def reset(self) -> None:
        """Be honest again."""
        self.metadata = {
            "issuer": self.address,
            "authorization_endpoint": f"{self.address}/authorize",
            "token_endpoint": f"{self.address}/token",
            "jwks_uri": f"{self.address}/jwks",
            "response_types_supported": ["code"],
            "id_token_signing_alg_values_supported": ["RS256", "ES256", "EdDSA", "HS256", "none"],
        }
        self.answers = {"/.well-known/openid-configuration": Answer(self.metadata)}
        self.publish(RSA, EC, ED25519)
        self.asked.clear()

    def publish(self, *keys: Key) -> None:
        """Set the keys of its set."""
        self.answers["/jwks"] = Answer({"keys": [{**key.as_dict(private=False), "use": "sig"} for key in keys]})

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Return claims of an access token that is good; None removes one."""
        now = int(time.time())
        whole = {"iss": self.address, "aud": AUDIENCE, "sub": "eve", "iat": now, "exp": now + 600, **changes}
        return {name: value for name, value in whole.items() if value is not None}

    def sign(self, claims: dict[str, Any], key: Key = RSA, algorithm: str = "RS256", **header: Any) -> str:
        """Return a token."""
        whole = {"alg": algorithm, "typ": "at+jwt", "kid": key.kid, **header}
        whole = {name: value for name, value in whole.items() if value is not None}
        return jwt.encode(whole, claims, key, algorithms=[algorithm], default_type=None)

    def token(self, **changes: Any) -> str:
        """Return an access token that is good but for the claims given."""
        return self.sign(self.claims(**changes))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request."""
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            path = head.split(b" ")[1].decode().partition("?")[0]
            length = next((line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), b":0")
            self.bodies[path] = await reader.readexactly(int(length.partition(b":")[2]))
            self.asked[path] += 1
            answer = self.answers.get(path, Answer({"error": "not found"}, 404))
            if answer.hangs:
                self.hung.set()
                await reader.read()
                return
            body = orjson.dumps(answer.body)
            headers = {"Content-Type": "application/json", "Content-Length": str(len(body)), **answer.headers}
            lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            whole = f"HTTP/1.1 {answer.status} X\r\n{lines}Connection: close\r\n\r\n".encode() + body
            writer.write(answer.raw if answer.raw is not None else whole)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def liar() -> AsyncIterator[Liar]:
    """Run a `Liar` until the block ends."""
    made = Liar()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    made.reset()
    try:
        yield made
    finally:
        server.close()
