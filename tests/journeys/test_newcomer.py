"""A newcomer's way through the product, over HTTP and WebSocket only, on a server of its own."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from crm_graph.api.console.examples import EXAMPLES
from tests.support import plain
from tests.support.server import RunningServer, crm_graph, crm_graph_anew, running_server_anew

pytestmark = pytest.mark.xdist_group("newcomer")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running_server_anew(tmp_path_factory.mktemp("newcomer") / "data") as running:
        yield running


@pytest.fixture
async def client(server: RunningServer) -> AsyncIterator[httpx.AsyncClient]:
    async with plain.async_client(headers=server.headers, timeout=20) as client:
        yield client


async def _data(client: httpx.AsyncClient, server: RunningServer, query: str, **variables: Any) -> Any:
    response = await client.post(server.address, json={"query": query, "variables": variables})
    assert response.status_code == 200, response.text
    body = response.json()
    assert "errors" not in body, body
    return body["data"]


async def test_the_graph_is_alive(server: RunningServer, client: httpx.AsyncClient) -> None:
    data = await _data(client, server, "{ viewer { roles member { name } } customers { totalCount } }")
    assert data["viewer"]["roles"] == ["admin"]
    assert data["customers"]["totalCount"] == 200


async def test_graphiql_is_served_to_a_browser(server: RunningServer) -> None:
    async with plain.async_client() as browser:
        page = await browser.get(server.address, headers={"Accept": "text/html,*/*;q=0.8"})
    assert page.status_code == 200
    assert "GraphiQL" in page.text
    assert "https://" not in page.text.replace("https://spec.", ""), "nothing comes from elsewhere"


async def test_the_address_alone_leads_to_graphiql(server: RunningServer) -> None:
    async with plain.async_client() as browser:
        start = await browser.get(server.address.removesuffix("/graphql"))
    assert (start.status_code, start.headers["location"]) == (307, "/graphql")


async def test_a_page_elsewhere_gets_no_token_by_the_name_it_has_resolve_to_us(server: RunningServer) -> None:
    async with plain.async_client() as browser:
        for path in ("/graphql", "/graphiql", "/metrics", "/", "/health", "/oauth/jwks"):
            address = server.address.replace("/graphql", path)
            stolen = await browser.get(address, headers={"Host": "evil.example:8000", "Accept": "text/html"})
            assert stolen.status_code == 421, path
            assert server.token not in stolen.text
        elsewhere = {"Host": "evil.example", **server.headers}
        asked = await browser.post(server.address, json={"query": "{ __typename }"}, headers=elsewhere)
        assert asked.status_code == 421
        own = await browser.get(server.address, headers={"Host": "localhost:8000", "Accept": "text/html"})
        assert "token" in own.text
    with pytest.raises(InvalidStatus, match="421"):
        await connect(server.address.replace("http", "ws"), additional_headers={"Host": "evil.example"})


async def test_a_frontend_on_another_port_of_this_machine_may_call(server: RunningServer) -> None:
    origin = {"Origin": "http://localhost:5173"}
    async with plain.async_client(headers=origin) as browser:
        asked = await browser.options(server.address, headers={"Access-Control-Request-Method": "POST"})
        assert asked.headers["access-control-allow-origin"] == origin["Origin"]
        page = await browser.get(server.address, headers={"Accept": "text/html"})
    assert "access-control-allow-origin" not in page.headers, "it holds a token"


async def test_signing_in_as_the_example_does(server: RunningServer) -> None:
    (sign_in,) = [each for each in EXAMPLES if "signIn" in each.operation]
    password = re.search(r"data directory: (\S+)", "".join(server.said))
    assert password is not None
    async with plain.async_client() as nobody:
        body = {"query": sign_in.operation, "variables": {**sign_in.variables, "password": password[1]}}
        answer = (await nobody.post(server.address, json=body)).json()
    assert answer["data"]["signIn"]["errors"] == []
    assert answer["data"]["signIn"]["accessToken"]


def test_a_command_that_only_reads_makes_no_database(tmp_path: Path) -> None:
    for command in (
        ("token", "--role", "admin"),
        ("doctor",),
        ("user", "list"),
        ("export", "customer"),
        ("client", "list"),
        ("audit", "verify"),
        ("seed", "--customers", "1"),
        ("serve",),
        ("worker",),
    ):
        found = crm_graph(*command, "--data", str(tmp_path / "nothing"))
        assert found.returncode != 0, command
        assert "there is no database in" in found.stderr, (command, found.stderr)
        assert list(tmp_path.iterdir()) == [], command


async def test_a_deal_from_opening_to_delivery(server: RunningServer, client: httpx.AsyncClient) -> None:
    stages = await _data(client, server, "{ stages(orderBy: [{field: POSITION}]) { nodes { id name kind } } }")
    by_kind = {stage["kind"]: stage["id"] for stage in reversed(stages["stages"]["nodes"])}
    product = (await _data(client, server, '{ products(first: 1, where: {currency: {eq: "CNY"}}) { nodes { id } } }'))[
        "products"
    ]["nodes"][0]["id"]
    made = await _data(
        client, server, 'mutation { createCustomer(input: {name: "东方实业"}) { customer { id } errors { code } } }'
    )
    customer = made["createCustomer"]["customer"]["id"]
    opened = await _data(
        client,
        server,
        """mutation ($customer: ID!) {
          createOpportunity(
            input: {name: "A journey", customerId: $customer, amount: {amount: "5000", currency: "CNY"}}
          ) { opportunity { id version } errors { code } }
        }""",
        customer=customer,
    )
    deal = opened["createOpportunity"]["opportunity"]["id"]
    steps = await _data(
        client,
        server,
        """mutation ($deal: ID!, $product: ID!, $won: ID!) {
          addOpportunityLine(input: {opportunityId: $deal, productId: $product, quantity: "2"}) {
            errors { code message }
          }
          moveOpportunity(input: {id: $deal, stageId: $won}) { opportunity { status } errors { code message } }
          createOrderFromOpportunity(input: {opportunityId: $deal}) {
            order { id status lines { totalCount } subtotal { amount } total { amount } customer { name } }
            errors { code message }
          }
        }""",
        deal=deal,
        product=product,
        won=by_kind["WON"],
    )
    assert steps["moveOpportunity"]["opportunity"] == {"status": "WON"}
    order = steps["createOrderFromOpportunity"]["order"]
    assert order["lines"]["totalCount"] == 1
    assert order["subtotal"] == order["total"]
    assert order["customer"] == {"name": "东方实业"}
    done = await _data(
        client,
        server,
        """mutation ($id: ID!) {
          early: shipOrder(input: {id: $id}) { order { status } errors { code } }
          submitOrder(input: {id: $id}) { order { status } errors { code } }
          approveOrder(input: {id: $id}) { order { status approvedBy { name } } errors { code } }
          shipOrder(input: {id: $id}) { order { status } errors { code } }
          deliverOrder(input: {id: $id}) { order { status statusChanges { totalCount } } errors { code } }
        }""",
        id=order["id"],
    )
    assert done["early"] == {"order": None, "errors": [{"code": "ILLEGAL_TRANSITION"}]}
    assert done["deliverOrder"]["order"] == {"status": "DELIVERED", "statusChanges": {"totalCount": 5}}


async def test_watching_over_websocket_and_resuming(server: RunningServer, client: httpx.AsyncClient) -> None:
    address = server.address.replace("http", "ws")
    query = "subscription ($after: Cursor) { opportunityChanged(after: $after) { cursor kind opportunity { name } } }"

    async def watch(after: str | None, count: int, act: Any) -> list[Any]:
        async with connect(address, subprotocols=[Subprotocol("graphql-transport-ws")]) as socket:
            await socket.send(json.dumps({"type": "connection_init", "payload": server.headers}))
            assert json.loads(await socket.recv())["type"] == "connection_ack"
            payload = {"query": query, "variables": {"after": after}}
            await socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": payload}))
            await asyncio.sleep(0.2)
            await act()
            found: list[Any] = []
            async with asyncio.timeout(10):
                while len(found) < count:
                    message = json.loads(await socket.recv())
                    if message["type"] == "next":
                        found.append(message["payload"]["data"]["opportunityChanged"])
            return found

    async def open_deal(name: str) -> None:
        await _data(
            client,
            server,
            "mutation ($name: String!) { createOpportunity(input: {name: $name}) { errors { code } } }",
            name=name,
        )

    (first,) = await watch(None, 1, lambda: open_deal("seen"))
    assert first["opportunity"] == {"name": "seen"}
    await open_deal("missed")
    later = await watch(first["cursor"], 2, lambda: open_deal("live"))
    assert [change["opportunity"]["name"] for change in later] == ["missed", "live"]


async def test_commands_join_the_running_database(server: RunningServer) -> None:
    data = str(server.data)
    token = crm_graph_anew("token", "--role", "sales_rep", "--data", data)
    assert token.returncode == 0, token.stderr
    assert token.stdout.count(".") == 2
    assert token.stdout.strip() == token.stdout[:-1]
    async with plain.async_client() as rep:
        response = await rep.post(
            server.address,
            json={"query": "{ viewer { roles } opportunities { totalCount } }"},
            headers={"Authorization": f"Bearer {token.stdout.strip()}"},
        )
    data_ = response.json()["data"]
    assert data_["viewer"] == {"roles": ["sales_rep"]}
    assert 0 < data_["opportunities"]["totalCount"] < 600
    assert crm_graph_anew("doctor", "--data", data).returncode == 0
    assert "rep@example.com" in crm_graph_anew("user", "list", "--data", data).stdout
    assert crm_graph_anew("token", "--data", data).returncode == 2


def test_bad_commands_say_what_and_how(server: RunningServer, tmp_path: Path) -> None:
    data = str(server.data)
    (tmp_path / "old" / "pg-15").mkdir(parents=True)
    (tmp_path / "old" / "pg-15" / "PG_VERSION").write_text("15\n")
    nowhere = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}
    cases: list[tuple[tuple[str, ...], dict[str, str], int, str]] = [
        (("nonsense",), {}, 2, "No such command"),
        (("dev", "--nonsense"), {}, 2, "No such option"),
        (("dev", "--port", str(server.port), "--data", str(tmp_path / "new")), {}, 2, "choose another: `--port"),
        (("dev", "--port", "0"), {}, 2, "--port"),
        (("token", "--data", data), {}, 2, "--email or --role"),
        (("token", "--role", "king", "--data", data), {}, 2, "built in are: admin"),
        (("token", "--email", "nobody@example.com", "--data", data), {}, 2, "crm-graph user list"),
        (("token", "--role", "admin", "--workspace", "none", "--data", data), {}, 2, "there are: demo"),
        (("token", "--role", "admin"), nowhere, 2, "DATABASE_URL"),
        (("token", "--role", "admin"), {"DATABASE_URL": "nonsense"}, 2, "DATABASE_URL"),
        (("token", "--role", "admin", "--data", str(tmp_path / "empty")), {}, 2, "there is no database"),
        (("serve", "--data", str(tmp_path / "old")), {}, 2, "created by Postgres 15"),
        (("user", "create", "--email", "x", "--role", "admin", "--data", data), {}, 2, "e-mail"),
        (("user", "create", "--email", "a@b.c", "--role", "king", "--data", data), {}, 1, "no role 'king'"),
        (("user", "create", "--email", "admin@example.com", "--role", "admin", "--data", data), {}, 1, "already"),
        (("token", "--role", "admin", "--data", data), {"CRM_TOKEN_MINUTES": "soon"}, 2, "CRM_TOKEN_MINUTES"),
        (("token", "--role", "admin", "--data", data), {"CRM_SECRET": "short"}, 2, "CRM_SECRET"),
        (("schema", "--role", "king"), {}, 2, "there are: admin"),
    ]
    for arguments, environment, code, said in cases:
        found = crm_graph(*arguments, **environment)
        assert found.returncode == code, (arguments, found)
        assert said in found.stderr, (arguments, found.stderr)
        assert "Traceback" not in found.stderr, (arguments, found.stderr)
        assert found.stdout == "", arguments
