"""What attackers do with tokens and keys, each with its exact answer, through every door; and nothing of it is told.

The server's secret is the test's, so that tokens can be forged which are wrong in one thing only.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import http.client
import json
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import quote

import asyncpg
import orjson
import pytest
from joserfc.jwk import OKPKey
from websockets import Subprotocol
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from crm_graph.db import embedded
from crm_graph.domains.identity.clients.keys import make_key
from crm_graph.kernel.ids import new_id
from tests.support.forge import DROP, Forge, encode, jws
from tests.support.server import RunningServer, running_server

pytestmark = pytest.mark.xdist_group("token attacks")

SECRET = "the secret of an installation for tests"
PROTOCOL = Subprotocol("graphql-transport-ws")
QUERY = "{ viewer { roles } }"
WATCH = "subscription { opportunityChanged { kind } }"
NO_TOKEN = "Send a bearer token: `Authorization: Bearer <token>`."
NO_BEARER = "The Authorization must be `Bearer <token>`."
MALFORMED = "The bearer token is malformed or was not issued here."
ANOTHER_KIND = "The bearer token is of another kind."
SOMEBODY_ELSE = "The bearer token was issued by, or for, somebody else."
EXPIRED = "The bearer token has expired: get a new one."
FUTURE = "The bearer token is from the future: check the clocks."
TOO_EARLY = "The bearer token is not good yet: check the clocks."
TOO_LONG = "The bearer token is too long."
NOBODY = "The credential was revoked, or its member cannot sign in here any more."
NO_CLIENT = "The API client of this bearer token was deleted: sign in again, by another client."
BAD_KEY = "The API key is unknown, revoked or over."


def claims_of(token: str) -> Any:
    """Return the claims of a token."""
    _, payload, _ = token.split(".")
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


def invalid(claim: str) -> str:
    """Return the message about a claim."""
    return f"The bearer token has no valid `{claim}`."


@dataclass(frozen=True, slots=True)
class Target:
    """A running server, and what is known of it."""

    server: RunningServer
    forge: Forge
    url: str

    def sql(self, query: str, *arguments: Any) -> list[Any]:
        """Run a statement past the product."""

        async def run() -> list[Any]:
            connection = await asyncpg.connect(self.url)
            try:
                return list(await connection.fetch(query, *arguments))
            finally:
                await connection.close()

        return asyncio.run(run())


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """A server with demo data whose limits of failures are out of the way: they have tests of their own."""
    data: Path = tmp_path_factory.mktemp("attacked") / "data"
    limits = {f"CRM_RATE_ADDRESS_{name}": "1000000" for name in ("FAILURES", "REQUESTS", "COST")}
    with (
        running_server(data, CRM_SECRET=SECRET, CRM_HEARTBEAT_MS="300", **limits) as server,
        embedded.running(data) as db,
    ):
        claims = claims_of(server.token)
        secret = hashlib.sha256(SECRET.encode()).digest()
        yield Target(server, Forge(secret, claims["ws"], claims["sub"]), db.url)


Answer: TypeAlias = tuple[int | str, str, str]
"""Status or close code, error code, message."""


def _request(target: Target, method: str, path: str, headers: list[tuple[str, bytes]], body: bytes | None) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", target.server.port, timeout=30)
    try:
        connection.putrequest(method, path)
        for name, value in headers:
            connection.putheader(name, value)
        if body is not None:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    finally:
        connection.close()


def ask(target: Target, authorization: list[bytes], *, accept: str, source: str = QUERY) -> tuple[int, Any, bytes]:
    """POST with any number of Authorization headers."""
    headers = [("Content-Type", b"application/json"), ("Accept", accept.encode())]
    headers += [("Authorization", each) for each in authorization]
    found: tuple[int, Any, bytes] = _request(target, "POST", "/graphql", headers, orjson.dumps({"query": source}))
    return found


def _of(status: int, raw: bytes) -> Answer:
    error = json.loads(raw)["errors"][0]
    assert "data" not in json.loads(raw)
    return status, error["extensions"]["code"], error["message"]


def by_short_way(target: Target, credential: bytes) -> Answer:
    """POST for JSON, which does not pass through ASGI."""
    status, headers, raw = ask(target, [b"Bearer " + credential], accept="application/json")
    assert status != 401 or headers["WWW-Authenticate"].startswith("Bearer")
    return _of(status, raw)


def by_asgi(target: Target, credential: bytes) -> Answer:
    """POST that accepts text too, which goes through ASGI."""
    status, _, raw = ask(
        target, [b"Bearer " + credential], accept="application/graphql-response+json, text/plain;q=0.1"
    )
    return _of(status, raw)


def by_get(target: Target, credential: bytes) -> Answer:
    """GET."""
    status, _, raw = _request(
        target, "GET", f"/graphql?query={quote(QUERY)}", [("Authorization", b"Bearer " + credential)], None
    )
    return _of(status, raw)


def by_events(target: Target, credential: bytes) -> Answer:
    """A subscription as server-sent events."""
    status, _, raw = ask(target, [b"Bearer " + credential], accept="text/event-stream", source=WATCH)
    return _of(status, raw)


def _closed(socket: ClientConnection) -> Answer:
    """Return how a socket is closed, whatever is said before."""
    with suppress(ConnectionClosed):
        while True:
            socket.recv(timeout=20)
    return (
        socket.close_code or 0,
        "UNAUTHENTICATED" if socket.close_code in {4401, 4403} else "",
        socket.close_reason or "",
    )


def by_socket(target: Target, credential: bytes) -> Answer:
    """`connection_init` of a WebSocket."""
    url = f"ws://127.0.0.1:{target.server.port}/graphql"
    text = "Bearer " + credential.decode("utf-8", "replace")
    with connect(url, subprotocols=[PROTOCOL]) as socket:
        socket.send(json.dumps({"type": "connection_init", "payload": {"Authorization": text}}))
        return _closed(socket)


DOORS: dict[str, Callable[[Target, bytes], Answer]] = {
    "short way": by_short_way,
    "asgi": by_asgi,
    "get": by_get,
    "events": by_events,
    "socket": by_socket,
}


def hidden(target: Target, credential: bytes, message: str, since: int) -> None:
    """Assert that neither the message nor the log holds a part of the credential."""
    said = "".join(target.server.said[since:])
    for part in credential.decode("latin-1").split("."):
        if len(part) >= 12:
            assert part not in message
            assert part not in said, "the log holds a part of a credential"


def refused(target: Target, door: str, credential: str | bytes, message: str) -> None:
    """Assert that a credential is refused with exactly this."""
    raw = credential.encode() if isinstance(credential, str) else credential
    since = len(target.server.said)
    status = (4403 if message == EXPIRED else 4401) if door == "socket" else 401
    answer = DOORS[door](target, raw)
    wanted = message.encode()[:120].decode() if door == "socket" else message
    assert answer == (status, "UNAUTHENTICATED", wanted)
    hidden(target, raw, answer[2], since)


def _foreign_key() -> OKPKey:
    key = OKPKey.generate_key("Ed25519")
    key.ensure_kid()
    return key


def _claims_of_kid(kid: Any) -> Callable[[Forge], str]:
    return lambda forge: forge.token(header={"kid": kid})


def _with_header(**header: Any) -> Callable[[Forge], str]:
    return lambda forge: forge.token(header=header)


def _with(**claims: Any) -> Callable[[Forge], str]:
    return lambda forge: forge.token(**claims)


def _payload(payload: bytes) -> Callable[[Forge], str]:
    def made(forge: Forge) -> str:
        key = forge.key()
        return jws({"alg": "Ed25519", "typ": "at+jwt", "kid": key.kid}, payload, key)

    return made


def _jwe(forge: Forge) -> str:
    header = encode(orjson.dumps({"alg": "dir", "enc": "A256GCM", "typ": "at+jwt", "kid": forge.key().kid}))
    return f"{header}..{encode(b'i' * 12)}.{encode(orjson.dumps(forge.claims()))}.{encode(b't' * 16)}"


def _infinite(forge: Forge) -> str:
    claims = orjson.dumps(forge.claims(exp=0)).replace(b'"exp":0', b'"exp":1e400')
    return _payload(claims)(forge)


def _with_a_changed_claim(forge: Forge) -> str:
    head, _, signature = forge.token().split(".")
    return f"{head}.{encode(orjson.dumps(forge.claims(sub='0' * 32)))}.{signature}"


def _in_seconds(seconds: int) -> int:
    return int(time.time()) + seconds


def _unsigned(algorithm: str) -> Callable[[Forge], str]:
    return lambda forge: forge.unsigned(algorithm)


UNSIGNED = ("none", "None", "NONE", "nOnE", "", "HS256", "Ed25519")
TIMES: tuple[Any, ...] = ("9999999999", 9999999999.5, -1, 1 << 33, 1 << 63, True, None, [9999999999], {})
ATTACKS: dict[str, tuple[Callable[[Forge], str | bytes], str]] = {
    **{f"alg {each!r}": (_unsigned(each), MALFORMED) for each in UNSIGNED},
    "no algorithm": (_with_header(alg=DROP), MALFORMED),
    "an algorithm that is null": (_with_header(alg=None), MALFORMED),
    "an algorithm that is a list": (_with_header(alg=["Ed25519"]), MALFORMED),
    "HS256 with the public key as PEM": (lambda f: f.token(f.public_pem(), {"alg": "HS256"}), MALFORMED),
    "HS256 with the public key's bytes": (lambda f: f.token(f.public_raw(), {"alg": "HS256"}), MALFORMED),
    "HS256 with an empty key": (lambda f: f.token(b"", {"alg": "HS256"}), MALFORMED),
    "HS256 with the installation's secret": (lambda f: f.token(f.secret, {"alg": "HS256"}), MALFORMED),
    "HMAC called Ed25519": (lambda f: f.token(f.public_raw()), MALFORMED),
    "the right signature called Ed448": (_with_header(alg="Ed448"), MALFORMED),
    "the right signature called ES256": (_with_header(alg="ES256"), MALFORMED),
    "a key of one's own": (lambda f: f.token(_foreign_key()), MALFORMED),
    "a key of one's own under our kid": (lambda f: f.token(_foreign_key(), {"kid": f.key().kid}), MALFORMED),
    "an unknown kid": (_claims_of_kid("0" * 43), MALFORMED),
    "a kid that is a path": (_claims_of_kid("../../../../dev/null"), MALFORMED),
    "a kid that is SQL": (_claims_of_kid("' UNION SELECT 'x' --"), MALFORMED),
    "a kid that is a number": (_claims_of_kid(1), MALFORMED),
    "a kid that is a list": (_claims_of_kid(["x"]), MALFORMED),
    "a kid that is null": (_claims_of_kid(None), MALFORMED),
    "no kid": (_claims_of_kid(DROP), MALFORMED),
    "jku": (_with_header(jku="https://evil.example/jwks.json"), ANOTHER_KIND),
    "x5u": (_with_header(x5u="https://evil.example/x.pem"), ANOTHER_KIND),
    "jwk": (lambda f: f.token(header={"jwk": f.key().as_dict(private=False)}), ANOTHER_KIND),
    "one's own key as jwk": (
        lambda f: (lambda key: f.token(key, {"jwk": key.as_dict(private=False)}))(_foreign_key()), MALFORMED),
    "x5c": (_with_header(x5c=["MII="]), ANOTHER_KIND),
    "crit of what we know": (_with_header(crit=["exp"], exp=1), MALFORMED),
    "crit of nothing": (_with_header(crit=[]), ANOTHER_KIND),
    "b64": (_with_header(b64=False, crit=["b64"]), MALFORMED),
    "b64 that is not critical": (_with_header(b64=True), ANOTHER_KIND),
    **{f"no {each}": (_with(**{each: DROP}), SOMEBODY_ELSE) for each in ("iss", "aud")},
    **{f"no {each}": (_with(**{each: DROP}), invalid(each)) for each in ("exp", "sub", "ws", "iat")},
    **{f"exp {each!r}": (_with(exp=each), invalid("exp")) for each in TIMES},
    "exp 1e400": (_infinite, invalid("exp")),
    "exp of yesterday": (_with(exp=_in_seconds(-86_400)), EXPIRED),
    "exp behind the leeway": (_with(exp=_in_seconds(-45)), EXPIRED),
    "exp 0": (_with(exp=0), EXPIRED),
    "iat before the leeway": (_with(iat=_in_seconds(86_400)), FUTURE),
    "iat that is a text": (_with(iat="1"), invalid("iat")),
    "nbf of tomorrow": (_with(nbf=_in_seconds(86_400)), TOO_EARLY),
    "nbf that is a text": (_with(nbf="1"), invalid("nbf")),
    "an audience among others": (_with(aud=["crm-graph", "other"]), SOMEBODY_ELSE),
    "another audience": (_with(aud="crm-graph2"), SOMEBODY_ELSE),
    "another issuer": (_with(iss="crm-graph/"), SOMEBODY_ELSE),
    "an issuer that is a list": (_with(iss=["crm-graph"]), SOMEBODY_ELSE),
    "an ID token": (_with_header(typ="JWT"), ANOTHER_KIND),
    "no type": (_with_header(typ=DROP), ANOTHER_KIND),
    "another type": (_with_header(typ="id+jwt"), ANOTHER_KIND),
    "a type that is a list": (_with_header(typ=["at+jwt"]), MALFORMED),
    "sub with its prefix": (lambda f: f.token(sub=f"mem_{f.member_id}"), invalid("sub")),
    "sub in capitals": (lambda f: f.token(sub=f.member_id.upper() + "A"), invalid("sub")),
    "sub that is SQL": (_with(sub="' OR '1'='1"), invalid("sub")),
    "sub that is a list": (_with(sub=["x"]), invalid("sub")),
    "sub with a newline behind": (lambda f: f.token(sub=f"{f.member_id}\n"), invalid("sub")),
    "ws that is a number": (_with(ws=1), invalid("ws")),
    "azp that is null": (_with(azp=None), invalid("azp")),
    "azp that is a name": (_with(azp="web"), invalid("azp")),
    "sid that is empty": (_with(sid=""), invalid("sid")),
    "scope that is a list": (_with(scope=["crm"]), invalid("scope")),
    "scope that is null": (_with(scope=None), invalid("scope")),
    "a nested token": (lambda f: _payload(f.token().encode())(f), MALFORMED),
    "claims that are a list": (_payload(b"[]"), MALFORMED),
    "claims that are a text": (_payload(b'"x"'), MALFORMED),
    "claims that are null": (_payload(b"null"), MALFORMED),
    "claims that are no JSON": (_payload(b"{"), MALFORMED),
    "claims that are not UTF-8": (_payload(b'{"iss":"\xff"}'), MALFORMED),
    "deep claims": (_payload(b"[" * 2_800), MALFORMED),
    "a deep header": (lambda _: f"{encode(b'[' * 2_900)}.e30.AAAA", MALFORMED),
    "a header that is a list": (lambda _: f"{encode(b'[]')}.e30.AAAA", MALFORMED),
    "a header that is null": (lambda _: f"{encode(b'null')}.e30.AAAA", MALFORMED),
    "a header with a huge number": (lambda _: f"{encode(b'[' + b'9' * 2_900 + b']')}.e30.AAAA", MALFORMED),
    "a header that is not UTF-8": (lambda _: f"{encode(bytes([0xFF, 0xFE]))}.e30.AAAA", MALFORMED),
    "encrypted": (_jwe, MALFORMED),
    "20 kB": (lambda f: f.token() + "A" * 20_000, TOO_LONG),
    "just too long": (lambda _: "A" * 4_097, TOO_LONG),
    "two parts": (lambda f: f.token().rpartition(".")[0], MALFORMED),
    "an empty signature": (lambda f: f.token().rpartition(".")[0] + ".", MALFORMED),
    "a changed signature": (lambda f: f.token()[:-10] + "A" * 10, MALFORMED),
    "a changed claim": (_with_a_changed_claim, MALFORMED),
    "four parts": (lambda f: f.token() + ".x", MALFORMED),
    "dots": (lambda _: "..", MALFORMED),
    "padding": (lambda f: f.token() + "=", MALFORMED),
    "letters beyond ASCII": (lambda _: "änderung.ünd.öffnung".encode(), MALFORMED),
    "an emoji": (lambda _: "🔑.🔑.🔑".encode(), MALFORMED),
    "two tokens": (lambda f: f"{f.token()} {f.token()}", MALFORMED),
    "two tokens with a comma": (lambda f: f"{f.token()},{f.token()}", MALFORMED),
    "another installation's": (lambda f: Forge(b"o" * 32, f.workspace_id, f.member_id).token(), MALFORMED),
    "the key of two periods ago": (lambda f: f.token(f.key(-2)), MALFORMED),
    "the key after the next": (lambda f: f.token(f.key(2)), MALFORMED),
    "a member of nowhere": (_with(sub="1" * 32), NOBODY),
    "nobody": (_with(sub="0" * 32, ws="0" * 32), invalid("ws")),
    "another workspace": (_with(ws="1" * 32), NOBODY),
    "a session of nowhere": (_with(sid="1" * 32), NOBODY),
    "an API key of nowhere": (lambda f: make_key(f.workspace_id, new_id()).text, BAD_KEY),
    "an API key that is cut": (lambda f: make_key(f.workspace_id, new_id()).text[:-1], BAD_KEY),
    "an API key of 20 kB": (lambda f: make_key(f.workspace_id, new_id()).text + "A" * 20_000, BAD_KEY),
    "the mark of a key": (lambda _: "crmk_", BAD_KEY),
}  # fmt: skip


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(("make", "message"), ATTACKS.values(), ids=ATTACKS.keys())
def test_attacks(target: Target, make: Callable[[Forge], str | bytes], message: str, door: str) -> None:
    refused(target, door, make(target.forge), message)


@pytest.mark.parametrize("door", DOORS)
def test_a_client_that_is_gone(target: Target, door: str) -> None:
    message = NOBODY if door == "socket" else NO_CLIENT
    refused(target, door, target.forge.token(azp="1" * 32), message)


ACCEPTED: dict[str, Callable[[Forge], str]] = {
    "a good one": lambda f: f.token(),
    "the key of the last period": lambda f: f.token(f.key(-1)),
    "the key of the next period": lambda f: f.token(f.key(1)),
    "over within the leeway": _with(exp=_in_seconds(-1)),
    "from a clock that is ahead": lambda f: f.token(iat=_in_seconds(15)),
    "good since now": lambda f: f.token(nbf=_in_seconds(0)),
    "good within the leeway": lambda f: f.token(nbf=_in_seconds(15)),
}


@pytest.mark.parametrize("make", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_what_is_good(target: Target, make: Callable[[Forge], str]) -> None:
    """So that the attacks are refused for what is wrong with them."""
    if make is ACCEPTED["over within the leeway"]:
        token = target.forge.token(exp=_in_seconds(-5))
    else:
        token = make(target.forge)
    for spelling in (b"Bearer ", b"bearer ", b"BEARER   "):
        status, _, raw = ask(target, [spelling + token.encode()], accept="application/json")
        assert (status, json.loads(raw)["data"]["viewer"]["roles"]) == (200, ["admin"])


def test_a_token_without_scopes_of_the_api_may_nothing(target: Target) -> None:
    for scope in ("", "openid", "CRM", "crm.write"):
        token = target.forge.token(scope=scope).encode()
        _, _, raw = ask(target, [b"Bearer " + token], accept="application/json", source="{ customers { totalCount } }")
        assert json.loads(raw)["data"]["customers"]["totalCount"] == 0


@pytest.mark.parametrize(
    "headers",
    [
        ["Bearer {token}", "Bearer {token}"],
        ["Bearer {token}", "Bearer x"],
        ["Bearer x", "Bearer {token}"],
        ["Basic eDp5", "Bearer {token}"],
    ],
)
@pytest.mark.parametrize("accept", ["application/json", "application/json, text/plain;q=0.1"])
def test_several_headers(target: Target, headers: list[str], accept: str) -> None:
    """A proxy may have judged another one than we would."""
    token = target.forge.token()
    given = [each.format(token=token).encode() for each in headers]
    status, _, raw = ask(target, given, accept=accept)
    assert _of(status, raw) == (401, "UNAUTHENTICATED", "Send one Authorization header.")


SCHEMES: dict[str, tuple[str, str]] = {
    "no scheme": ("{token}", NO_BEARER),
    "Basic": ("Basic {token}", NO_BEARER),
    "Token": ("Token {token}", NO_BEARER),
    "a colon": ("Bearer: {token}", NO_BEARER),
    "a tab": ("Bearer\t{token}", NO_BEARER),
    "nothing behind": ("Bearer ", NO_BEARER),
    "nothing": ("", NO_TOKEN),
}


@pytest.mark.parametrize(("form", "message"), SCHEMES.values(), ids=SCHEMES.keys())
def test_other_schemes(target: Target, form: str, message: str) -> None:
    given = form.format(token=target.forge.token()).encode()
    status, _, raw = ask(target, [given], accept="application/json")
    assert _of(status, raw) == (401, "UNAUTHENTICATED", message)


def test_tokens_elsewhere_are_ignored(target: Target) -> None:
    """In the query string they would be in every log on the way; in the body a form could carry them."""
    token = target.forge.token()
    since = len(target.server.said)
    for name in ("access_token", "token", "authorization", "Authorization", "key"):
        path = f"/graphql?{name}={token}&query={quote(QUERY)}"
        status, _, raw = _request(target, "GET", path, [], None)
        assert _of(status, raw) == (401, "UNAUTHENTICATED", NO_TOKEN)
        body = orjson.dumps({"query": QUERY, name: token, "extensions": {name: token}})
        status, _, raw = _request(
            target, "POST", f"/graphql?{name}={token}", [("Content-Type", b"application/json")], body
        )
        assert _of(status, raw) == (401, "UNAUTHENTICATED", NO_TOKEN)
    cookies = f"crm_access={token}; __Host-crm_access={token}"
    headers = [("Content-Type", b"application/json"), ("Cookie", cookies.encode()), ("X-CRM-CSRF", b"1")]
    status, _, raw = _request(target, "POST", "/graphql", headers, orjson.dumps({"query": QUERY}))
    assert _of(status, raw) == (401, "UNAUTHENTICATED", NO_TOKEN)
    url = f"ws://127.0.0.1:{target.server.port}/graphql?access_token={token}"
    with connect(url, subprotocols=[PROTOCOL]) as socket:
        socket.send('{"type": "connection_init"}')
        assert _closed(socket)[0] == 4401
    hidden(target, token.encode(), "", since)


def test_a_newline_and_a_nul_are_no_header(target: Target) -> None:
    """The parser of HTTP refuses them, before anything is looked at."""
    for evil in (b"Bearer a\0b", b"Bearer \x01\x02"):
        status, _, raw = ask(target, [evil], accept="application/json")
        assert status in {400, 401}
        assert b"\0" not in raw


def _session(target: Target, member_id: str, *, revoked: bool) -> str:
    id_ = new_id()
    target.sql(
        "INSERT INTO member_session (workspace_id, id, member_id, method, last_used_at, expires_at, revoked_at, salt,"
        " version, created_at, updated_at) VALUES ($1, $2, $3, 'PASSWORD', now(), now() + interval '1 day',"
        " CASE WHEN $4 THEN now() END, 'x', 1, now(), now())",
        target.forge.workspace_id,
        id_,
        member_id,
        revoked,
    )
    return id_


def _another_member(target: Target, status: str) -> str:
    row = target.sql(
        "UPDATE member SET status = $3 WHERE workspace_id = $1 AND id = (SELECT id FROM member"
        " WHERE workspace_id = $1 AND id <> $2 ORDER BY id DESC LIMIT 1) RETURNING id",
        target.forge.workspace_id,
        target.forge.member_id,
        status,
    )[0]
    return str(row["id"].hex)


@pytest.mark.parametrize("door", DOORS)
def test_sessions_and_members(target: Target, door: str) -> None:
    forge = target.forge
    refused(target, door, forge.token(sid=_session(target, forge.member_id, revoked=True)), NOBODY)
    other = _another_member(target, "ACTIVE")
    refused(target, door, forge.token(sid=_session(target, other, revoked=False)), NOBODY)
    suspended = _another_member(target, "SUSPENDED")
    try:
        refused(target, door, forge.token(sub=suspended), NOBODY)
    finally:
        _another_member(target, "ACTIVE")


def test_a_session_revoked_in_the_middle_ends_streams(target: Target) -> None:
    """At the next heartbeat at the latest, whatever the stream."""
    id_ = _session(target, target.forge.member_id, revoked=False)
    token = target.forge.token(sid=id_)
    url = f"ws://127.0.0.1:{target.server.port}/graphql"
    connection = http.client.HTTPConnection("127.0.0.1", target.server.port, timeout=30)
    headers = {"Content-Type": "application/json", "Accept": "text/event-stream", "Authorization": f"Bearer {token}"}
    connection.request("POST", "/graphql", orjson.dumps({"query": WATCH}), headers)
    events = connection.getresponse()
    assert events.status == 200
    with connect(url, subprotocols=[PROTOCOL]) as socket:
        socket.send(json.dumps({"type": "connection_init", "payload": {"Authorization": f"Bearer {token}"}}))
        assert json.loads(socket.recv(10))["type"] == "connection_ack"
        socket.send(json.dumps({"type": "subscribe", "id": "1", "payload": {"query": WATCH}}))
        target.sql("UPDATE member_session SET revoked_at = now() WHERE id = $1", id_)
        assert _closed(socket) == (4401, "UNAUTHENTICATED", NOBODY)
    said = events.read().decode()
    connection.close()
    assert "UNAUTHENTICATED" in said
    assert said.rstrip().endswith("event: complete\ndata:")
