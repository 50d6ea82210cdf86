"""Answers of different schemas are the same rows, and a difference is found and named."""

from __future__ import annotations

from tests.benchmarks.compare import comparable, first_difference

OURS = {
    "customers": {
        "nodes": [
            {
                "id": "cus_018b927ac0017007875475d500000001",
                "version": 2,
                "createdAt": "2026-10-19T21:46:21.5Z",
                "opportunities": {"nodes": [{"amount": {"amount": "1054", "currency": "CNY"}}, {"amount": None}]},
            }
        ]
    }
}
PEERS = {
    "customers": [
        {
            "id": "018b927a-c001-7007-8754-75d500000001",
            "version": "2",
            "createdAt": "2026-10-19 21:46:21.500000+00",
            "opportunities": [
                {"amount": "1054.0000", "currency": "CNY"},
                {"amount": None, "currency": "CNY"},
            ],
        }
    ]
}


def test_the_same_rows_in_two_schemas_compare_equal() -> None:
    assert first_difference(comparable("graph", OURS), comparable("graph", PEERS)) is None


def test_a_difference_is_named_with_its_place() -> None:
    other = {"customers": [{**PEERS["customers"][0], "version": 3}]}
    assert first_difference(comparable("graph", OURS), comparable("graph", other)) == "[0].version: '2' against '3'"


def test_fewer_rows_are_a_difference() -> None:
    found = first_difference(comparable("page", OURS), comparable("page", {"customers": []}))
    assert found == ": 1 rows against 0 rows"


def test_sums_by_stage_are_compared_by_their_leaves() -> None:
    ours = {
        "opportunitiesAggregate": {
            "groups": [{"key": {"stage": {"id": "stg_1", "name": "Lead"}}, "count": 3, "sum": {"amount": "7"}}]
        }
    }
    peers = {"opportunitiesByStage": [{"id": "stg_1", "name": "Lead", "count": 3, "amount": "7.0000"}]}
    assert comparable("aggregate", ours) == comparable("aggregate", peers)
