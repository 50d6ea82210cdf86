"""Amounts in the base currency: found when a row is written, fixed by the day that closes it, valued again by rates."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_graph.db.currencies import is_currency, minor_units, rounded
from crm_graph.graph.running.timers import timer_handlers
from crm_graph.jobs.timers import Due
from tests.support.graph import Graph

RATE = """mutation ($currency: Currency!, $on: Date!, $rate: Decimal!) {
  setExchangeRate(input: {currency: $currency, validFrom: $on, rate: $rate}) {
    exchangeRate { id currency validFrom rate } errors { code field message } } }"""
CREATE = """mutation ($amount: Decimal!, $currency: Currency!) {
  createOpportunity(input: {name: "Deal", amount: {amount: $amount, currency: $currency}}) {
    opportunity { id baseAmount rate rateOn } errors { code field message } } }"""
READ = "query ($id: ID!) { opportunity(id: $id) { status baseAmount rate rateOn version } }"


async def _rate(graph: Graph, currency: str, on: str, rate: str, role: str = "finance") -> Any:
    return (await graph.data(RATE, {"currency": currency, "on": on, "rate": rate}, role=role))["setExchangeRate"]


async def _deal(graph: Graph, amount: str, currency: str) -> Any:
    made = (await graph.data(CREATE, {"amount": amount, "currency": currency}))["createOpportunity"]
    assert made["errors"] == []
    return made["opportunity"]


async def _restate(graph: Graph) -> int:
    """Do what the worker does with the timers of rates; return how many there were."""
    handlers = timer_handlers(graph.schema, graph.engine.services)
    rows = await graph.rows(
        "DELETE FROM timer WHERE kind LIKE 'restate %' RETURNING workspace_id, key, kind, record_type, record_id,"
        " payload, attempts, due_at::text"
    )
    for row in rows:
        async with graph.database.transaction() as session:
            await handlers[row["kind"]](session, Due(*row))
            await session.finish()
    return len(rows)


@given(st.decimals(min_value=0, max_value=10**9, places=6), st.sampled_from(["CNY", "JPY", "KWD"]))
def test_rounding_is_half_up_to_minor_units(amount: Decimal, currency: str) -> None:
    """The nearest amount that the currency has; of two that are as near, the greater."""
    unit = Decimal(1).scaleb(-minor_units(currency))
    found = rounded(amount, currency)
    assert found % unit == 0
    assert -unit / 2 < amount - found <= unit / 2 or found - amount == unit / 2


def test_currencies_are_those_with_minor_units() -> None:
    assert [minor_units(code) for code in ("CNY", "JPY", "KWD")] == [2, 0, 3]
    assert [is_currency(code) for code in ("USD", "XAU", "XXX", "ABC", "cny")] == [True, False, False, False, False]


@pytest.mark.parametrize(
    ("amount", "currency", "field", "message"),
    [
        ("5", "ABC", ["amount", "currency"], "`currency` must be the code of a currency of ISO 4217, like CNY."),
        ("5.5", "JPY", ["amount", "amount"], "`amount` has more than 0 digits after the point, as JPY has."),
        ("5.125", "CNY", ["amount", "amount"], "`amount` has more than 2 digits after the point, as CNY has."),
    ],
)
async def test_amounts_that_no_currency_has(
    graph: Graph, amount: str, currency: str, field: list[str], message: str
) -> None:
    made = (await graph.data(CREATE, {"amount": amount, "currency": currency}))["createOpportunity"]
    assert made == {"opportunity": None, "errors": [{"code": "INVALID", "field": field, "message": message}]}


async def test_within_the_base_currency_an_amount_is_worth_itself(graph: Graph) -> None:
    found = await _deal(graph, "1234.50", "CNY")
    assert (found["baseAmount"], found["rate"]) == ("1234.5", "1")
    foreign = await _deal(graph, "10", "USD")  # the demo has a rate of it
    assert (foreign["baseAmount"], foreign["rate"]) == ("70", "7")


async def test_a_currency_without_rates_is_not_valued_and_then_is(graph: Graph) -> None:
    deal = await _deal(graph, "100", "KWD")
    assert deal["baseAmount"] is None
    today = str(await graph.value("SELECT (now() AT TIME ZONE 'Asia/Shanghai')::date"))
    made = await _rate(graph, "KWD", "2020-01-01", "23.4567891234")
    assert (made["exchangeRate"]["rate"], made["errors"]) == ("23.4567891234", [])
    assert await _restate(graph) == 2, "one for each type that keeps base amounts"
    found = (await graph.data(READ, {"id": deal["id"]}))["opportunity"]
    assert (found["baseAmount"], found["rate"], found["rateOn"]) == ("2345.68", "23.4567891234", today)


async def test_setting_the_rate_of_a_day_again_changes_it(graph: Graph) -> None:
    deal = await _deal(graph, "100", "EUR")
    first = await _rate(graph, "EUR", "2020-01-01", "7")
    second = await _rate(graph, "EUR", "2020-01-01", "8")
    assert first["exchangeRate"]["id"] == second["exchangeRate"]["id"]
    await _restate(graph)
    assert (await graph.data(READ, {"id": deal["id"]}))["opportunity"]["baseAmount"] == "800"
    version = (await graph.data(READ, {"id": deal["id"]}))["opportunity"]["version"]
    await _rate(graph, "EUR", "2020-06-01", "8")
    await _restate(graph)
    assert (await graph.data(READ, {"id": deal["id"]}))["opportunity"]["version"] == version, "the same rate is no news"


async def test_what_is_closed_keeps_the_rate_of_its_day(graph: Graph) -> None:
    await _rate(graph, "EUR", "2020-01-01", "7.5")
    deal = await _deal(graph, "100", "EUR")
    won = await _stage(graph, "WON")
    await _move(graph, deal["id"], won)
    await _rate(graph, "EUR", "2020-02-01", "9")
    await _restate(graph)
    found = (await graph.data(READ, {"id": deal["id"]}))["opportunity"]
    assert (found["status"], found["baseAmount"], found["rate"]) == ("WON", "750", "7.5")


async def test_closing_on_a_day_without_a_rate_is_refused(graph: Graph) -> None:
    await _rate(graph, "EUR", "2099-01-01", "7.5")
    deal = await _deal(graph, "100", "EUR")
    assert deal["baseAmount"] is None
    moved = await _move(graph, deal["id"], await _stage(graph, "WON"))
    assert moved["opportunity"] is None
    ((code, field, message),) = [(each["code"], each["field"], each["message"]) for each in moved["errors"]]
    assert (code, field) == ("REQUIRED", ["id"])
    assert "no exchange rate of EUR on" in message
    assert "setExchangeRate" in message
    assert (await graph.data(READ, {"id": deal["id"]}))["opportunity"]["status"] == "OPEN", "nothing is half done"


async def test_the_base_currency_has_no_rate(graph: Graph) -> None:
    found = await _rate(graph, "CNY", "2020-01-01", "2")
    assert found["exchangeRate"] is None
    assert [(each["code"], each["field"]) for each in found["errors"]] == [("INVALID", ["currency"])]


@pytest.mark.parametrize("rate", ["0", "-1", "1.12345678901"])
async def test_rates_that_are_none(graph: Graph, rate: str) -> None:
    body = await graph.execute(RATE, {"currency": "EUR", "on": "2020-01-01", "rate": rate}, role="finance")
    refused = body.get("errors") or body["data"]["setExchangeRate"]["errors"]
    assert refused


async def test_the_base_currency_changes_only_while_there_is_no_money(graph: Graph) -> None:
    change = """mutation ($id: ID!, $to: Currency!) { updateWorkspace(input: {id: $id, baseCurrency: $to}) {
      workspace { baseCurrency } errors { code field message } } }"""
    id_ = (await graph.data("{ viewer { workspace { id } } }"))["viewer"]["workspace"]["id"]
    found = (await graph.data(change, {"id": id_, "to": "EUR"}))["updateWorkspace"]
    assert found["workspace"] is None
    assert [(each["code"], each["field"]) for each in found["errors"]] == [("LOCKED", ["baseCurrency"])]
    found = (await graph.data(change, {"id": id_, "to": "CNY"}))["updateWorkspace"]
    assert (found["workspace"], found["errors"]) == ({"baseCurrency": "CNY"}, [])


async def test_a_sum_over_currencies_adds_up_in_the_base_currency(graph: Graph) -> None:
    source = """{ opportunitiesAggregate(where: {name: {eq: "Sum"}}) { groups { count currencies
      sum { amount baseAmount weightedBaseAmount } } } }"""
    for amount, currency in (("10", "USD"), ("30", "CNY")):
        deal = await _deal(graph, amount, currency)
        await graph.rows("UPDATE opportunity SET name = 'Sum', probability = 50 WHERE id = $1", deal["id"][4:])
    (group,) = (await graph.data(source))["opportunitiesAggregate"]["groups"]
    assert group["currencies"] == ["CNY", "USD"]
    assert group["sum"] == {"amount": None, "baseAmount": "100", "weightedBaseAmount": "50"}


async def test_an_order_is_valued_on_the_day_of_its_approval(graph: Graph) -> None:
    await _rate(graph, "EUR", "2020-01-01", "7.5")
    found = await graph.data("{ customers(first: 1) { nodes { id } } products(first: 1) { nodes { id } } }")
    line = {"productId": found["products"]["nodes"][0]["id"], "quantity": "3", "unitPrice": "3.3333"}
    create = """mutation ($input: CreateOrderInput!) { createOrder(input: $input) {
      order { id total { amount } baseTotal } errors { code message } } }"""
    input_ = {"customerId": found["customers"]["nodes"][0]["id"], "currency": "EUR", "lines": [line]}
    order = (await graph.data(create, {"input": input_}))["createOrder"]["order"]
    assert (order["total"]["amount"], order["baseTotal"]) == ("10", "75")
    for name in ("submitOrder", "approveOrder"):
        done = await graph.data(
            f'mutation {{ {name}(input: {{id: "{order["id"]}"}}) {{ errors {{ code message }} }} }}'
        )
        assert done[name]["errors"] == []
    await _rate(graph, "EUR", "2020-02-01", "9")
    await _restate(graph)
    read = f'{{ order(id: "{order["id"]}") {{ baseTotal rate rateOn }} }}'
    approved = (await graph.data(read))["order"]
    today = str(await graph.value("SELECT (now() AT TIME ZONE 'Asia/Shanghai')::date"))
    assert approved == {"baseTotal": "75", "rate": "7.5", "rateOn": today}


async def test_writes_within_the_base_currency_ask_for_no_rate(graph: Graph) -> None:
    """Moving a deal asks for none in any currency, unless that decides it."""
    counts = {}
    for currency in ("CNY", "USD"):
        deal = await _deal(graph, "10", currency)
        counts["create", currency] = graph.statements
        await _move(graph, deal["id"], await _stage(graph, "OPEN", 2))
        counts["move", currency] = graph.statements
    assert counts["create", "USD"] == counts["create", "CNY"] + 1
    assert counts["move", "USD"] == counts["move", "CNY"]


async def test_who_may_not_read_an_amount_reads_no_base_amount(graph: Graph) -> None:
    """The marketer measures amounts, and reads none; the analyst's are masked."""
    for role in ("marketer", "analyst"):
        found = await graph.execute(
            "{ opportunities(first: 20) { nodes { amount { amount } baseAmount rate rateOn } } }", role=role
        )
        shown = [each for each in found["data"]["opportunities"]["nodes"] if each["baseAmount"] or each["rate"]]
        clear = [
            each
            for each in (await graph.data("{ opportunities(first: 20) { nodes { amount { amount } baseAmount } } }"))[
                "opportunities"
            ]["nodes"]
            if each["baseAmount"]
        ]
        assert clear
        hides = (await graph.execute("{ opportunities(first: 1) { nodes { withheld } } }", role=role))["data"]
        if any("amount" in each["withheld"] for each in hides["opportunities"]["nodes"]):
            assert shown == []


async def _stage(graph: Graph, kind: str, place: int = 0) -> str:
    rows = await graph.rows(
        "SELECT stage.id FROM stage JOIN workspace ON workspace.id = stage.workspace_id"
        " WHERE slug = 'demo' AND stage.kind = $1 ORDER BY stage.pipeline_id, position",
        kind,
    )
    return f"stg_{str(rows[place]['id']).replace('-', '')}"


async def _move(graph: Graph, id_: str, stage: str) -> Any:
    input_: Mapping[str, Any] = {"id": id_, "stageId": stage, "expectedClose": "2027-01-01"}
    source = """mutation ($input: MoveOpportunityInput!) { moveOpportunity(input: $input) {
      opportunity { id status } errors { code field message } } }"""
    return (await graph.data(source, {"input": input_}))["moveOpportunity"]
