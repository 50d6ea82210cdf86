"""What an operation copies or tells of another record is read through the rights of a query: hidden, or written down.

The attack: an order's line without `unitPrice` tells a list price that the role hides.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
import pytest

from crm_graph.domains.catalog.products.graph import Product
from crm_graph.domains.catalog.products.model import Product as ProductRow
from crm_graph.domains.catalog.products.policy import PRODUCT
from crm_graph.domains.customers.customers.graph import Customer
from crm_graph.kernel.errors import Refused
from crm_graph.referring import Copied, Withheld
from tests.domains.platform.test_sensitive_reads import Asking
from tests.support.graph import Graph

ALL = {"read": "ALL", "create": "ALL", "update": "ALL"}
SEES = {"read": "ALL", "default": "READ"}
OPEN = {
    **dict.fromkeys(("Customer", "Opportunity", "Order", "OpportunityLine", "OrderLine"), ALL),
    **dict.fromkeys(("Product", "Pipeline", "Stage", "Workspace", "Member"), SEES),
}
PRICE, PROBABILITY, CURRENCY = "777123.45", 37, "MRU"
SECRETS = (PRICE, str(PROBABILITY), CURRENCY)


def without(*coordinates: str, grant: str = "NONE ALL") -> dict[str, Any]:
    """Return the grants of a role that may do all this, and reads these fields as `grant` says."""
    grants: dict[str, dict[str, Any]] = {name: dict(of) for name, of in OPEN.items()}
    for coordinate in coordinates:
        type_, _, field = coordinate.partition(".")
        grants[type_]["fields"] = {**grants[type_].get("fields", {}), field: [grant]}
    return grants


class Desk(Asking):
    """A member with a role, and the records that the role sees but for some of their fields."""

    def __init__(self, graph: Graph) -> None:
        super().__init__(graph)
        self.ids: dict[str, str] = {}

    async def prepare(self) -> None:
        """Set what is secret, and note the records that operations name."""
        graph = self.graph
        self.ids = {"product": await graph.id_of(Product), "customer": await graph.id_of(Customer)}
        run = graph.database.one.connection.execute
        await run("UPDATE product SET price = $1::text::numeric, currency = 'CNY'", PRICE)
        await run("UPDATE stage SET probability = $1", PROBABILITY)
        await run("UPDATE workspace SET base_currency = $1", CURRENCY)
        stages = await graph.data("{ stages(where: {kind: {eq: OPEN}}, first: 20) { nodes { id pipeline { id } } } }")
        first = stages["stages"]["nodes"][0]
        same = [each["id"] for each in stages["stages"]["nodes"] if each["pipeline"] == first["pipeline"]]
        self.ids |= {"stage": same[0], "next": same[1]}

    async def do(self, field: str, input_: Mapping[str, Any], selection: str) -> tuple[Any, list[Any]]:
        """Return the payload's record and errors of a mutation."""
        type_ = f"{field[0].upper()}{field[1:]}Input!"
        payload = f"record: {selection} errors {{ code message field }}"
        source = f"mutation Do($input: {type_}) {{ {field}(input: $input) {{ {payload} }} }}"
        body = await self.ask(source, {"input": dict(input_)})
        assert "errors" not in body, body
        return body["data"][field]["record"], body["data"][field]["errors"]

    async def made(self, field: str, input_: Mapping[str, Any], selection: str) -> Any:
        record, errors = await self.do(field, input_, selection)
        assert errors == [], errors
        return record

    async def refused(self, field: str, input_: Mapping[str, Any], selection: str) -> dict[str, Any]:
        """Return the one error of a mutation, which tells nothing that is secret."""
        record, errors = await self.do(field, input_, selection)
        assert record is None
        (error,) = errors
        assert not any(secret in error["message"] for secret in SECRETS), error
        assert isinstance(error, dict)
        return error

    async def deal(self) -> str:
        """Open a deal of a given probability."""
        given = {"name": "deal", "probability": 50, "stageId": self.ids["stage"]}
        return str((await self.made("createOpportunity", given, "opportunity { id }"))["id"])


@pytest.fixture
async def desk(graph: Graph) -> Desk:
    desk = Desk(graph)
    await desk.prepare()
    return desk


LINE = "line { unitPrice { amount currency } }"
HIDDEN_PRICE = [without("Product.price"), {**OPEN, "Product": {"read": "ALL", "default": "NONE"}}]


@pytest.mark.parametrize("grants", HIDDEN_PRICE, ids=["field", "default"])
async def test_a_hidden_list_price_is_copied_nowhere(desk: Desk, grants: dict[str, Any]) -> None:
    await desk.grant(grants)
    deal = await desk.deal()
    order = {"customerId": desk.ids["customer"], "currency": "CNY"}
    draft = (await desk.made("createOrder", order, "order { id }"))["id"]
    line = {"productId": desk.ids["product"]}
    tries = {
        "addOpportunityLine": ({"opportunityId": deal, **line}, LINE, ["unitPrice"]),
        "addOrderLine": ({"orderId": draft, **line}, LINE, ["unitPrice"]),
        "createOrder": (
            {**order, "lines": [line]},
            "order { lines { nodes { unitPrice { amount } } } }",
            ["lines", "0", "unitPrice"],
        ),
    }
    for field, (input_, selection, path) in tries.items():
        error = await desk.refused(field, input_, selection)
        assert (error["code"], error["field"]) == ("REQUIRED", path), field
        assert "Product.price" in error["message"]
        assert "unitPrice" in error["message"]
    made = await desk.made("addOrderLine", {"orderId": draft, **line, "unitPrice": "5"}, LINE)
    assert made == {"unitPrice": {"amount": "5", "currency": "CNY"}}
    await desk.made("addOpportunityLine", {"opportunityId": deal, **line, "unitPrice": "5"}, LINE)


async def test_whether_there_is_a_list_price_is_not_told_either(desk: Desk) -> None:
    """The same message for a product without one, and for one in another currency."""
    await desk.grant(without("Product.price"))
    deal, errors = await desk.deal(), []
    line = {"opportunityId": deal, "productId": desk.ids["product"]}
    for change in ("price = 5", "price = NULL, currency = NULL", "price = 5, currency = 'EUR'"):
        await desk.graph.database.one.connection.execute(f"UPDATE product SET {change}")
        errors.append(await desk.refused("addOpportunityLine", line, LINE))
    assert errors[0] == errors[1] == errors[2]


async def test_a_hidden_probability_is_copied_nowhere(desk: Desk) -> None:
    grants = without("Stage.probability")
    await desk.grant({**grants, "Opportunity": {**grants["Opportunity"], "reopen": "ALL"}})
    shown = "opportunity { id probability stage { id } }"
    error = await desk.refused("createOpportunity", {"name": "x", "stageId": desk.ids["stage"]}, shown)
    assert (error["code"], error["field"]) == ("REQUIRED", ["probability"])
    deal = await desk.deal()
    move = {"id": deal, "stageId": desk.ids["next"]}
    error = await desk.refused("moveOpportunity", move, shown)
    assert (error["code"], error["field"]) == ("REQUIRED", ["probability"])
    moved = await desk.made("moveOpportunity", {**move, "probability": 61}, shown)
    assert (moved["probability"], moved["stage"]["id"]) == (61, desk.ids["next"])
    await desk.graph.database.one.connection.execute("UPDATE opportunity SET status = 'WON' WHERE id = $1", deal[4:])
    back = {"id": deal, "stageId": desk.ids["stage"]}
    error = await desk.refused("reopenOpportunity", back, shown)
    assert (error["code"], error["field"]) == ("REQUIRED", ["probability"])
    assert (await desk.made("reopenOpportunity", {**back, "probability": 9}, shown))["probability"] == 9


async def test_a_hidden_base_currency_is_copied_to_no_order(desk: Desk) -> None:
    await desk.grant(without("Workspace.baseCurrency"))
    order = {"customerId": desk.ids["customer"]}
    error = await desk.refused("createOrder", order, "order { currency }")
    assert (error["code"], error["field"]) == ("REQUIRED", ["currency"])
    await desk.grant({name: of for name, of in OPEN.items() if name != "Workspace"})
    assert await desk.refused("createOrder", order, "order { currency }") == error
    assert (await desk.made("createOrder", {**order, "currency": "EUR"}, "order { currency }")) == {"currency": "EUR"}


async def test_a_hidden_base_currency_is_told_by_no_line(desk: Desk) -> None:
    """A deal without an amount is in the base currency, which its first line would tell."""
    await desk.grant(without("Workspace.baseCurrency"))
    line = {"opportunityId": await desk.deal(), "productId": desk.ids["product"], "unitPrice": "5"}
    error = await desk.refused("addOpportunityLine", line, LINE)
    assert (error["code"], error["field"]) == ("FORBIDDEN", ["opportunityId"])
    amount = {"amount": {"amount": "1", "currency": "CNY"}}
    await desk.made("updateOpportunity", {"id": line["opportunityId"], **amount}, "opportunity { id }")
    assert (await desk.made("addOpportunityLine", line, LINE))["unitPrice"]["currency"] == "CNY"


async def test_what_may_be_read_is_copied_as_ever(desk: Desk) -> None:
    await desk.grant(OPEN)
    line = {"productId": desk.ids["product"]}
    order = {"customerId": desk.ids["customer"], "currency": "CNY", "lines": [line]}
    made = await desk.made("createOrder", order, "order { lines { nodes { unitPrice { amount } } } }")
    assert made["lines"]["nodes"] == [{"unitPrice": {"amount": PRICE}}]
    assert (await desk.made("createOrder", {"customerId": desk.ids["customer"]}, "order { currency }")) == {
        "currency": CURRENCY
    }
    moved = await desk.made(
        "moveOpportunity", {"id": await desk.deal(), "stageId": desk.ids["next"]}, "opportunity { probability }"
    )
    assert moved == {"probability": PROBABILITY}
    assert await desk.events() == []


async def test_audited_sources_are_written_down(desk: Desk) -> None:
    """In the event of the request, with what its payload reads; of a refusal too, whose message may tell something."""
    audited = ("Product.price", "Stage.probability", "Workspace.baseCurrency")
    await desk.grant(without(*audited, grant="READ ALL audited"))
    line = {"productId": desk.ids["product"]}
    order = {"customerId": desk.ids["customer"], "currency": "CNY"}
    deal = await desk.deal()
    assert await desk.events() == []  # a given probability is not read
    await desk.made("createOrder", {**order, "lines": [line]}, "order { id }")
    (event,) = await desk.events()
    assert (event["data"]["fields"], event["data"]["records"]) == (["Product.price"], [desk.ids["product"]])
    assert event["data"]["operation"] == "Do"
    await desk.made("createOrder", {**order, "lines": [{**line, "unitPrice": "5"}]}, "order { id }")
    assert len(await desk.events()) == 1  # it was not read
    await desk.made("moveOpportunity", {"id": deal, "stageId": desk.ids["next"]}, "opportunity { id }")
    event = (await desk.events())[-1]
    assert (event["data"]["fields"], event["data"]["records"]) == (["Stage.probability"], [desk.ids["next"]])
    await desk.made("createOrder", {"customerId": desk.ids["customer"]}, "order { id }")
    assert (await desk.events())[-1]["data"]["fields"] == ["Workspace.baseCurrency"]
    before = len(await desk.events())
    error = (await desk.do("addOpportunityLine", {"opportunityId": deal, **line}, LINE))[1]
    assert error[0]["code"] == "REQUIRED"  # its list price is in another currency than the deal: both were read
    told = [each["data"]["fields"] for each in (await desk.events())[before:]]
    assert told == [["Product.price", "Workspace.baseCurrency"]]


async def test_copying_a_deal_to_an_order_is_written_down(desk: Desk) -> None:
    await desk.grant(without("OpportunityLine.unitPrice", "Opportunity.customer", grant="WRITE ALL audited"))
    given = {"name": "deal", "customerId": desk.ids["customer"], "amount": {"amount": "5", "currency": "CNY"}}
    deal = (await desk.made("createOpportunity", given, "opportunity { id }"))["id"]
    lines = {"opportunityId": deal, "productId": desk.ids["product"], "unitPrice": "5"}
    line = (await desk.made("addOpportunityLine", lines, "line { id }"))["id"]
    assert await desk.events() == []
    await desk.made("createOrderFromOpportunity", {"opportunityId": deal}, "order { id }")
    (event,) = await desk.events()
    assert event["data"]["fields"] == ["Opportunity.customer", "OpportunityLine.unitPrice"]
    assert set(event["data"]["records"]) == {deal, line}


async def test_an_operation_knows_of_a_row_what_it_has_declared(graph: Graph) -> None:
    """The strictest lint: a column that an operation uses in passing raises."""
    context = await graph.engine.contexts.read(await graph.claims("admin"))
    product = (await graph.id_of(Product))[4:]
    async with context.begin() as work:
        seen = await work.refer(ProductRow, PRODUCT, product, "productId", {"price": Copied("price")}, ("active",))
        assert (seen.id, seen.active) == (product, True)
        assert seen.price is not None
        for name in ("name", "currency", "sku", "version", "workspace_id"):
            with pytest.raises(AttributeError, match=f"has not said that it reads Product.{name}"):
                getattr(seen, name)
        assert isinstance(Withheld("Product.price", "", "productId"), Refused)


async def test_no_message_of_any_mutation_tells_a_secret(desk: Desk) -> None:
    """All that a role which hides the three can do with what it sees, and everything it can read afterwards."""
    await desk.grant(without("Product.price", "Stage.probability", "Workspace.baseCurrency"))
    ids, told = desk.ids, []
    deal = await desk.deal()
    order = (await desk.made("createOrder", {"customerId": ids["customer"], "currency": "CNY"}, "order { id }"))["id"]
    line = {"productId": ids["product"]}
    for field, input_ in (
        ("createOpportunity", {"name": "x"}),
        ("createOpportunity", {"name": "x", "stageId": ids["next"]}),
        ("moveOpportunity", {"id": deal, "stageId": ids["next"]}),
        ("moveOpportunity", {"id": deal, "stageId": ids["stage"]}),
        ("reopenOpportunity", {"id": deal, "stageId": ids["next"]}),
        ("addOpportunityLine", {"opportunityId": deal, **line}),
        ("addOrderLine", {"orderId": order, **line}),
        ("createOrder", {"customerId": ids["customer"]}),
        ("createOrder", {"customerId": ids["customer"], "lines": [line]}),
        ("createOrderFromOpportunity", {"opportunityId": deal}),
        ("submitOrder", {"id": order}),
    ):
        type_ = str(desk.graph.schema.core.mutation_type.fields[field].args["input"].type)  # type: ignore[union-attr]
        source = f"mutation ($input: {type_}) {{ {field}(input: $input) {{ errors {{ message }} }} }}"
        told.append(await desk.ask(source, {"input": input_}))
    told.append(
        await desk.ask("""{ opportunities(first: 200) { nodes { probability amount { currency } lines {
      nodes { unitPrice { amount currency } total { amount } } } } }
      orders(first: 50, orderBy: [{field: CREATED_AT, direction: DESC}]) { nodes { notes } } }""")
    )
    seen = orjson.dumps([each for each in told if "requestId" not in str(each)])
    assert PRICE.encode() not in seen
    assert f'"probability":{PROBABILITY}'.encode() not in seen
    assert CURRENCY.encode() not in seen
