"""Provisioning rules: claims to roles."""

from __future__ import annotations

from typing import Any

import pytest

from crm_graph.domains.identity.providers.rules import Condition, Grants, Rule, evaluate

NESTED = {"realm": {"roles": ["a", "b"], "n": 1}, "x.y": "dotted", "https://a.example/roles": ["a"], "x": {"y": "path"}}
HOLDS: list[tuple[str, str, str, Any, bool]] = [
    ("a", "EQUALS", "x", {"a": "x"}, True),
    ("a", "EQUALS", "x", {"a": "X"}, False),
    ("a", "EQUALS", "x", {"a": ["x"]}, False),
    ("a", "EQUALS", "x", {}, False),
    ("a", "EQUALS", "true", {"a": True}, True),
    ("a", "EQUALS", "1", {"a": True}, False),
    ("a", "EQUALS", "1", {"a": 1}, True),
    ("a", "EQUALS", "1.0", {"a": 1.0}, False),
    ("a", "EQUALS", "None", {"a": None}, False),
    ("a", "CONTAINS", "x", {"a": ["y", "x"]}, True),
    ("a", "CONTAINS", "x", {"a": "x"}, False),
    ("a", "CONTAINS", "x", {"a": "axb"}, False),
    ("a", "CONTAINS", "x", {"a": ["axb"]}, False),
    ("a", "CONTAINS", "x", {"a": [["x"]]}, False),
    ("a", "CONTAINS", "x", {"a": {"x": 1}}, False),
    ("a", "MATCHES", "crm-*", {"a": "crm-1"}, True),
    ("a", "MATCHES", "crm-*", {"a": "xcrm-1"}, False),
    ("a", "MATCHES", "*@a.example", {"a": "b@a.example"}, True),
    ("a", "MATCHES", "*@a.example", {"a": "b@a.example.evil"}, False),
    ("a", "MATCHES", "a*b*c", {"a": "a-b-b-c"}, True),
    ("a", "MATCHES", "ab*ba", {"a": "aba"}, False),
    ("a", "MATCHES", "*", {"a": ""}, True),
    ("a", "MATCHES", "*", {}, False),
    ("a", "MATCHES", "*", {"a": []}, False),
    ("a", "MATCHES", ".*", {"a": "anything"}, False),
    ("a", "MATCHES", "x", {"a": ["x"]}, True),
    ("realm.roles", "CONTAINS", "b", NESTED, True),
    ("realm.n", "EQUALS", "1", NESTED, True),
    ("x.y", "EQUALS", "dotted", NESTED, True),
    ("https://a.example/roles", "CONTAINS", "a", NESTED, True),
    ("realm.roles.0", "EQUALS", "a", NESTED, False),
    ("realm..roles", "CONTAINS", "a", NESTED, False),
    (".realm", "EQUALS", "a", NESTED, False),
]


@pytest.mark.parametrize(("claim", "operator", "value", "claims", "wanted"), HOLDS)
def test_conditions(claim: str, operator: str, value: str, claims: dict[str, Any], wanted: bool) -> None:
    assert Condition(claim, operator, value).holds(claims) is wanted


def rule(value: str, *roles: str, team: str | None = None) -> Rule:
    return Rule(Condition("g", "CONTAINS", value), roles, team)


def test_rules_add_up_and_the_first_team_decides() -> None:
    rules = [rule("a", "sales_rep", team="East"), rule("b", "analyst", team="West"), rule("c", "admin")]

    def given(*groups: str, defaults: tuple[str, ...] = (), sign_up: bool = False) -> Grants | None:
        return evaluate(rules, {"g": list(groups)}, defaults, allow_sign_up=sign_up)

    assert given("a", "b") == Grants(("analyst", "sales_rep"), "East")
    assert given("b") == Grants(("analyst",), "West")
    assert given("c") == Grants(("admin",))
    assert given() is None
    assert given(defaults=("analyst",)) is None
    assert given(defaults=("analyst",), sign_up=True) == Grants(("analyst",))
    assert given(defaults=("analyst", "admin"), sign_up=True) == Grants(("analyst",)), "admin comes of a rule alone"
    assert given("admin", "analyst") is None, "the name of a group is no role"


def test_a_pattern_that_would_hang_an_expression_does_not_hang() -> None:
    condition = Condition("a", "MATCHES", "*a" * 140 + "b")
    assert not condition.holds({"a": "a" * 16_000})
