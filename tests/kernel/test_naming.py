"""How names are spelled, and what is said of one and of many."""

from __future__ import annotations

import pytest

from crm_graph.kernel.naming import camel, one, pascal, plural, sentence, snake, words


def test_spellings() -> None:
    assert [camel(name) for name in ("id", "owner_id", "annual_revenue")] == ["id", "ownerId", "annualRevenue"]
    assert [snake(name) for name in ("OrderLine", "orderLine", "id")] == ["order_line", "order_line", "id"]
    assert pascal("create_order_line") == "CreateOrderLine"
    assert words("AccountTeamMember") == "account team member"
    assert words("ApiClient") == "API client"
    assert sentence("an API client") == "An API client"


@pytest.mark.parametrize(
    ("name", "one_of_it", "many"),
    [
        ("Customer", "a customer", "customers"),
        ("Opportunity", "an opportunity", "opportunities"),
        ("OrderLine", "an order line", "order lines"),
        ("TicketReply", "a ticket reply", "ticket replies"),
        ("ApiKey", "an API key", "API keys"),
        ("Address", "an address", "addresses"),
        ("Branch", "a branch", "branches"),
        ("Tax", "a tax", "taxes"),
        ("Analysis", "an analysis", "analyses"),
        ("Person", "a person", "people"),
        ("Unit", "a unit", "units"),
        ("User", "a user", "users"),
        ("Update", "an update", "updates"),
        ("Entry", "an entry", "entries"),
        ("Survey", "a survey", "surveys"),
    ],
)
def test_one_and_many(name: str, one_of_it: str, many: str) -> None:
    assert (one(name), plural(name)) == (one_of_it, many)
