"""Quotas: what may be taken at once, how it comes back, whose it is, and that they take bounded room."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import orjson
import pytest

from crm_graph.api.admission.rates import QuotaExceeded, Rates, network_of
from crm_graph.api.transport.http import GraphQLEndpoint
from crm_graph.api.transport.incoming import Incoming, Reply
from crm_graph.domains.identity.clients.keys import ApiKeys
from crm_graph.graph.schema.build import BuiltSchema
from crm_graph.kernel.errors import LimitExceeded, RateLimited
from crm_graph.kernel.settings import Settings
from tests.domains.identity.test_api_keys import make_client, make_key
from tests.support.database import SavepointDatabase
from tests.support.graph import Graph

WHO = "{ viewer { roles } }"


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def taken(rates: Rates, *whose: tuple[Any, int, int], most: int = 1_000) -> int:
    """Return how many requests in a row are let in."""
    for count in range(most):
        try:
            rates.spending(*whose).take_request()
        except QuotaExceeded:
            return count
    return most


def test_a_minute_s_quota_at_once_and_then_evenly() -> None:
    clock = Clock()
    rates = Rates(10, clock)
    who = "member", 60, 1_000
    assert taken(rates, who) == 60
    with pytest.raises(QuotaExceeded) as caught:
        rates.spending(who).take_request()
    assert caught.value.retry_after_s == 1
    clock.now += 1
    assert taken(rates, who) == 1
    clock.now += 30
    assert taken(rates, who) == 30
    clock.now += 3_600
    assert taken(rates, who) == 60


def test_what_is_refused_is_not_counted() -> None:
    """Else a client that goes on asking would never be let in again."""
    clock = Clock()
    rates = Rates(10, clock)
    who = "member", 6, 100
    assert taken(rates, who) == 6
    for _ in range(100):
        with pytest.raises(QuotaExceeded):
            rates.spending(who).take_request()
    clock.now += 10
    assert taken(rates, who) == 1


def test_cost() -> None:
    clock = Clock()
    rates = Rates(10, clock)
    spending = rates.spending(("member", 60, 600))
    spending.take_cost(500)
    with pytest.raises(QuotaExceeded) as caught:
        spending.take_cost(200)
    assert caught.value.retry_after_s == 10
    spending.take_cost(100)
    clock.now += 20
    spending.take_cost(200)
    with pytest.raises(LimitExceeded):
        spending.take_cost(601)


def test_time_to_read_documents_is_overdrawn_and_comes_back() -> None:
    """What one took is known afterwards; then nothing is let in until as much as that is back."""
    clock = Clock()
    rates = Rates(10, clock)
    who = ("member", 60, 600, 1_000)
    spending = rates.spending(who)
    spending.charge_reading(0.9)
    spending.take_request()
    spending.charge_reading(0.3)
    with pytest.raises(QuotaExceeded) as caught:
        rates.spending(who).take_request()
    assert (caught.value.retry_after_s, caught.value.code) == (12, "RATE_LIMITED")
    with pytest.raises(QuotaExceeded):
        rates.spending(who, ("client", 60, 600)).take_request()
    clock.now += 12
    rates.spending(who).take_request()


def test_nobody_is_counted_where_one_of_them_is_refused() -> None:
    rates = Rates(10, Clock())
    member, client = ("member", 5, 100), ("client", 2, 100)
    assert taken(rates, member, client) == 2
    assert taken(rates, member) == 3


def test_headers() -> None:
    clock = Clock()
    rates = Rates(10, clock)
    spending = rates.spending(("member", 60, 600), ("client", 120, 1_200))
    spending.take_request()
    spending.take_cost(100)
    assert dict(spending.headers()) == {
        b"ratelimit-policy": b'"requests";q=60;w=60, "cost";q=600;w=60',
        b"ratelimit": b'"requests";r=59;t=1, "cost";r=500;t=10',
    }


def test_who_was_not_here_for_longest_is_forgotten() -> None:
    rates = Rates(3, Clock())
    for name in ("a", "b", "c"):
        assert taken(rates, (name, 1, 1)) == 1
    assert taken(rates, ("a", 1, 1)) == 0
    assert taken(rates, ("d", 1, 1)) == 1
    assert len(rates) == 3
    assert taken(rates, ("a", 1, 1)) == 0, "it was here just now"
    assert taken(rates, ("b", 1, 1)) == 1, "it was forgotten"
    for number in range(1_000):
        rates.count_failure(f"10.0.{number // 256}.{number % 256}", 1)
    assert len(rates) == 6


def test_failures() -> None:
    clock = Clock()
    rates = Rates(10, clock)
    for _ in range(3):
        rates.refuse_failing("192.0.2.1")
        rates.count_failure("192.0.2.1", 3)
    with pytest.raises(RateLimited) as caught:
        rates.refuse_failing("192.0.2.1")
    assert caught.value.retry_after_s == 20
    rates.refuse_failing("192.0.2.2")
    clock.now += 20
    rates.refuse_failing("192.0.2.1")


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        (None, ""),
        ("testclient", "testclient"),
    ],
)
def test_what_counts_as_one_address(address: str | None, network: str) -> None:
    assert network_of(address) == network


# Over HTTP


class Door:
    """The endpoint over a graph, with limits of the test."""

    def __init__(self, schema: BuiltSchema, database: SavepointDatabase, **settings: Any) -> None:
        self.keys = ApiKeys(database)
        self.graph = Graph(schema, database, Settings(**settings), [self.keys])
        self.authority = self.graph.authority
        self.endpoint = GraphQLEndpoint(self.graph.engine)

    async def ask(
        self, source: str, credential: str | None = None, peer: str = "192.0.2.1", **headers: str
    ) -> tuple[int, Mapping[str, str], Any]:
        """Return status, headers and body."""
        given = [(b"content-type", b"application/json"), *((k.encode(), v.encode()) for k, v in headers.items())]
        if credential is not None:
            given.append((b"authorization", f"Bearer {credential}".encode()))

        bodies = [orjson.dumps({"query": source})]

        async def receive() -> Any:
            if not bodies:
                await asyncio.Event().wait()  # the client stays
            return {"type": "http.request", "body": bodies.pop()}

        reply = await self.endpoint.respond(Incoming("POST", given, b"", receive, peer))
        assert isinstance(reply, Reply)
        await self.keys.close()
        found = {name.decode(): value.decode() for name, value in reply.headers}
        return reply.status, found, orjson.loads(reply.body)

    async def token(self, role: str = "admin", **more: Any) -> str:
        """Return a token of the first member with a role."""
        claims = await self.graph.claims(role)
        return self.authority.issue(claims.workspace_id, claims.member_id, timedelta(minutes=5), **more)


async def test_a_member_s_requests(graph: Graph) -> None:
    door = Door(graph.schema, graph.database, rate_member_requests=3)
    token, other = await door.token(), await door.token("analyst")
    for left in (2, 1, 0):
        status, headers, body = await door.ask(WHO, token)
        assert (status, "errors" in body) == (200, False)
        assert headers["ratelimit-policy"] == '"requests";q=3;w=60, "cost";q=600000;w=60'
        assert headers["ratelimit"].startswith(f'"requests";r={left};t=')
        assert "retry-after" not in headers
    status, headers, body = await door.ask(WHO, token)
    (error,) = body["errors"]
    assert (status, error["extensions"]["code"]) == (429, "RATE_LIMITED")
    assert headers["retry-after"] == "20" == str(error["extensions"]["retryAfterSeconds"])
    assert headers["ratelimit"].startswith('"requests";r=0;t=60')
    assert "data" not in body
    assert (await door.ask(WHO, other))[0] == 200


async def test_documents_that_fail_count_too(graph: Graph) -> None:
    """Parsing and validating them is what costs."""
    door = Door(graph.schema, graph.database, rate_member_requests=3)
    token = await door.token()
    assert [(await door.ask("{ nothing }", token))[0] for _ in range(4)] == [200, 200, 200, 429]


async def test_cost_counts_by_the_operation_aliases_included(graph: Graph) -> None:
    door = Door(graph.schema, graph.database, rate_member_cost=2_000)
    token = await door.token()
    many = "{ " + " ".join(f"a{number}: customers(first: 100) {{ nodes {{ name }} }}" for number in range(10)) + " }"
    answers = [await door.ask(many, token) for _ in range(3)]
    assert [status for status, _, _ in answers][-1] == 429
    assert "cost too much together" in answers[-1][2]["errors"][0]["message"]
    one = "{ customers(first: 1) { nodes { name } } }"
    assert (await door.ask(one, token))[0] == 200, "what is left is for something small"


async def test_a_client_s_own_limits_are_its_limits(graph: Graph) -> None:
    """Those of its row, above or below the installation's, for all members whom it acts for together."""
    door = Door(graph.schema, graph.database, rate_member_requests=2, rate_client_requests=100)
    narrow = (await make_key(graph, await make_client(graph, "integration", name="n", requestsPerMinute=1)))["key"]
    wide = (await make_key(graph, await make_client(graph, "integration", name="w", requestsPerMinute=5)))["key"]
    assert [(await door.ask(WHO, narrow))[0] for _ in range(2)] == [200, 429]
    assert [(await door.ask(WHO, wide))[0] for _ in range(6)] == [200] * 5 + [429]
    web = (await make_client(graph, name="web", requestsPerMinute=3)).removeprefix("apc_")
    one, two = await door.token(client_id=web), await door.token("analyst", client_id=web)
    assert [(await door.ask(WHO, token))[0] for token in (one, one, one, two, two)] == [200, 200, 429, 200, 429]


async def test_anonymous_requests_count_by_address(graph: Graph) -> None:
    door = Door(graph.schema, graph.database, rate_address_requests=2)
    assert [(await door.ask(WHO))[0] for _ in range(3)] == [401, 401, 429]
    status, headers, _ = await door.ask(WHO, peer="192.0.2.2")
    assert (status, headers["www-authenticate"]) == (401, "Bearer")
    assert (await door.ask(WHO, await door.token()))[0] == 200, "who shows a token is not anonymous"


async def test_wrong_credentials_count_by_address(graph: Graph) -> None:
    """Then the next is not looked at, whether it is good or not; one that was verified before goes on."""
    door = Door(graph.schema, graph.database, rate_address_failures=3)
    known = await door.token()
    assert (await door.ask(WHO, known))[0] == 200
    key = (await make_key(graph, await make_client(graph, "integration")))["key"]
    graph.database.one.sent.clear()
    wrong = [key[:-2] + "AA", "x.y.z", "crmk_"]
    assert [(await door.ask(WHO, each))[0] for each in wrong] == [401, 401, 401]
    sent = len(graph.database.one.sent)
    for each in (*wrong, key, await door.token("analyst")):
        status, headers, body = await door.ask(WHO, each)
        assert (status, body["errors"][0]["extensions"]["code"]) == (429, "RATE_LIMITED")
        assert headers["retry-after"] == "20"
    assert len(graph.database.one.sent) == sent
    assert (await door.ask(WHO, known))[0] == 200
    assert (await door.ask(WHO, key, peer="192.0.2.9"))[0] == 200


async def test_an_address_is_that_of_the_client_behind_a_proxy(graph: Graph) -> None:
    door = Door(graph.schema, graph.database, rate_address_requests=1, trusted_proxies="10.0.0.0/8")
    through = {"peer": "10.1.2.3"}
    assert (await door.ask(WHO, **through, **{"x-forwarded-for": "198.51.100.1"}))[0] == 401
    assert (await door.ask(WHO, **through, **{"x-forwarded-for": "198.51.100.2"}))[0] == 401
    assert (await door.ask(WHO, **through, **{"x-forwarded-for": "9.9.9.9, 198.51.100.1"}))[0] == 429
    liar = {"peer": "192.0.2.7"}
    assert (await door.ask(WHO, **liar, **{"x-forwarded-for": "1.1.1.1"}))[0] == 401
    assert (await door.ask(WHO, **liar, **{"x-forwarded-for": "1.1.1.2"}))[0] == 429
