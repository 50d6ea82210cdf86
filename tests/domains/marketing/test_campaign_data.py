"""What the data of a campaign says together, at every door: its dates are in order, its amounts in one currency."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tests.support.graph import Graph
from tests.transfer.conftest import desk
from tests.transfer.desk import Desk

__all__ = ["desk"]
CNY, EUR, USD = ({"amount": "5", "currency": each} for each in ("CNY", "EUR", "USD"))
FIELDS = "startsOn endsOn budget { amount currency } cost { amount currency }"
MARCH, APRIL = "2026-03-01", "2026-04-01"


async def sent(graph: Graph, field: str, input_: Mapping[str, Any]) -> Any:
    """Return the payload of a mutation of one campaign; the same input in a batch has the same verdict."""
    type_ = f"{field[0].upper()}{field[1:]}Input!"
    source = f"""mutation ($input: {type_}, $inputs: [{type_}]!) {{
      many: {field}s(inputs: $inputs, dryRun: true) {{ results {{ errors {{ code message field }} }} }}
      one: {field}(input: $input) {{ campaign {{ id {FIELDS} }} errors {{ code message field }} }} }}"""
    data = await graph.data(source, {"input": input_, "inputs": [input_]})
    assert data["many"]["results"][0]["errors"] == data["one"]["errors"]
    return data["one"]


async def created(graph: Graph, **data: Any) -> str:
    payload = await sent(graph, "createCampaign", {"name": "Spring", "channel": "EMAIL", **data})
    assert payload["errors"] == []
    return str(payload["campaign"]["id"])


@pytest.mark.parametrize("dates", [{}, {"endsOn": MARCH}, {"startsOn": MARCH}, {"startsOn": MARCH, "endsOn": MARCH}])
async def test_dates_in_order(graph: Graph, dates: dict[str, Any]) -> None:
    id_ = await created(graph, **dates)
    payload = await sent(graph, "updateCampaign", {"id": id_, "endsOn": APRIL})
    assert (payload["errors"], payload["campaign"]["endsOn"]) == ([], APRIL)


@pytest.mark.parametrize("changed", [{"endsOn": "2026-02-28"}, {"startsOn": "2026-04-02"}])
async def test_an_end_before_the_start_is_refused(graph: Graph, changed: dict[str, Any]) -> None:
    refused = [{"code": "INVALID", "message": "`endsOn` is before `startsOn`.", "field": ["endsOn"]}]
    dates = {"startsOn": MARCH, "endsOn": APRIL}
    new = {"name": "Spring", "channel": "EMAIL", **dates, **changed}
    assert (await sent(graph, "createCampaign", new))["errors"] == refused
    id_ = await created(graph, **dates)
    assert (await sent(graph, "updateCampaign", {"id": id_, **changed}))["errors"] == refused
    assert (await sent(graph, "updateCampaign", {"id": id_, "name": "Summer"}))["errors"] == []


@pytest.mark.parametrize("name", ["budget", "cost"])
async def test_a_negative_amount_is_refused(graph: Graph, name: str) -> None:
    new = {"name": "Spring", "channel": "EMAIL", name: {"amount": "-1", "currency": "CNY"}}
    refused = {"code": "INVALID", "message": f"`{name}` must be at least 0.", "field": [name, "amount"]}
    assert (await sent(graph, "createCampaign", new))["errors"] == [refused]


@pytest.mark.parametrize(
    ("changed", "budget", "cost"),
    [
        ({"name": "Summer"}, CNY, None),
        ({"cost": CNY}, CNY, CNY),
        ({"budget": EUR}, EUR, None),
        ({"budget": EUR, "cost": EUR}, EUR, EUR),
        ({"budget": None, "cost": EUR}, None, EUR),
        ({"budget": None}, None, None),
    ],
)
async def test_the_one_currency(graph: Graph, changed: dict[str, Any], budget: Any, cost: Any) -> None:
    id_ = await created(graph, budget=CNY)
    payload = await sent(graph, "updateCampaign", {"id": id_, **changed})
    assert payload["errors"] == []
    assert (payload["campaign"]["budget"], payload["campaign"]["cost"]) == (budget, cost)
    stored = await graph.value("SELECT currency FROM campaign WHERE name IN ('Spring', 'Summer')")
    assert stored == (budget or cost or {"currency": None})["currency"]


@pytest.mark.parametrize(
    ("before", "changed", "path"),
    [
        ({"budget": CNY}, {"cost": EUR}, "cost"),
        ({"budget": CNY}, {"budget": EUR, "cost": USD}, "cost"),
        ({"cost": CNY}, {"budget": EUR}, "budget"),
        ({"budget": CNY, "cost": CNY}, {"budget": EUR}, "budget"),
    ],
)
async def test_two_currencies_are_refused(
    graph: Graph, before: dict[str, Any], changed: dict[str, Any], path: str
) -> None:
    message = "The amounts of one campaign are in one currency."
    refused = [{"code": "INVALID", "message": message, "field": [path, "currency"]}]
    id_ = await created(graph, **before)
    assert (await sent(graph, "updateCampaign", {"id": id_, **changed}))["errors"] == refused


async def test_a_file_is_held_to_the_same(desk: Desk) -> None:
    await desk.load("campaign", "external_id,name,channel,starts_on,cost,currency\nA,Spring,EMAIL,2026-03-01,5,CNY\n")
    report = await desk.load(
        "campaign", "external_id,name,channel,ends_on,budget,currency\nA,Spring,EMAIL,2026-02-28,5,EUR\n"
    )
    assert sorted((each.column, each.value, each.reason) for each in report.errors) == [
        ("currency", "EUR", "differs from the currency of cost, which is not in the file: give both"),
        ("ends_on", "2026-02-28", "is before starts_on"),
    ]
    report = await desk.load("campaign", "external_id,name,channel,cost,budget\nA,Spring,EMAIL,,\nB,Summer,SMS,7,\n")
    assert report.errors == []
    assert await desk.rows("SELECT currency FROM campaign WHERE workspace_id = $1 ORDER BY name") == [(None,), ("USD",)]
