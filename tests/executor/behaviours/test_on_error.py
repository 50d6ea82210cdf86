"""`onError`: what an error does to the rest of the response, under both executors."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from crm_graph.executor.results import OnError
from tests.executor.behaviours.compare import UNSAID, Case, cases, check
from tests.executor.behaviours.test_mutations import BOTH, BOTH_LATER
from tests.executor.behaviours.test_mutations import SDL as MUTATIONS
from tests.executor.behaviours.test_nulls import BOOM, null_at

SDL = """
type Query { value: Int must: Int! thing: Thing mustThing: Thing! things: [Thing!]! lists: [[Int!]!]! any: Node! }
interface Node { id: ID! }
type Thing implements Node { id: ID! name: String! thing: Thing! numbers: [Int!] }
"""
THING = {"id": "1", "name": BOOM, "thing": {"id": "2", "name": "b"}, "numbers": [1, None, 3]}
GIVEN = {
    "value": BOOM,
    "must": None,
    "thing": THING,
    "mustThing": None,
    "things": [THING, None, {"id": "3", "name": "c"}],
    "lists": [[1, None], None, [2]],
    "any": {**THING, "__typename": "Thing"},
}
NULL_NAME = null_at("Thing.name")


def null(operation: str, answer: Any, *errors: tuple[str, str], **more: Any) -> Case:
    """Return a case where errors do not propagate."""
    more = {"name": operation, "sdl": SDL, "given": GIVEN, **more}
    return Case(operation=operation, answer=answer, errors=errors, on_error=OnError.NULL, **more)


def halt(operation: str, *errors: tuple[str, str], **more: Any) -> Case:
    """Return a case where the first error ends the operation."""
    more = {"name": operation, "sdl": SDL, "given": GIVEN, "answer": None, **more}
    return Case(operation=operation, errors=errors, on_error=OnError.HALT, **more)


@cases(
    null("{ value must }", {"value": None, "must": None}, ("must", null_at("Query.must")), ("value", "boom")),
    null("{ mustThing { id } }", {"mustThing": None}, ("mustThing", null_at("Query.mustThing"))),
    null(
        "{ thing { name id thing { id thing { id } } } }",
        {"thing": {"name": None, "id": "1", "thing": {"id": "2", "thing": None}}},
        ("thing.name", "boom"),
        ("thing.thing.thing", null_at("Thing.thing")),
    ),
    null(
        "{ things { id name } }",
        {"things": [{"id": "1", "name": None}, None, {"id": "3", "name": "c"}]},
        ("things.0.name", "boom"),
        ("things.1", null_at("Query.things")),
    ),
    null(
        "{ thing { numbers } lists }",
        {"thing": {"numbers": [1, None, 3]}, "lists": [[1, None], None, [2]]},
        ("lists.0.1", null_at("Query.lists")),
        ("lists.1", null_at("Query.lists")),
        ("thing.numbers.1", null_at("Thing.numbers")),
    ),
    null(
        "{ any { id ... on Thing { name thing { name } } } }",
        {"any": {"id": "1", "name": None, "thing": {"name": "b"}}},
        ("any.name", "boom"),
    ),
    null("{ thing { id } }", {"thing": {"id": "1"}}, name="no error"),
    halt("{ thing { id } }", answer={"thing": {"id": "1"}}, name="no error to halt at"),
    halt("{ thing { id name } value must }", ("thing.name", "boom")),
    halt("{ must thing { id name } value }", ("must", null_at("Query.must"))),
    halt("{ z: value a: value }", ("z", "boom")),
    halt("{ things { id } lists }", ("things.1", null_at("Query.things"))),
    halt("{ lists thing { numbers } }", ("lists.0.1", null_at("Query.lists"))),
    halt("{ any { ... on Thing { numbers name } } }", ("any.numbers.1", null_at("Thing.numbers"))),
)
async def test_what_an_error_does(case: Case, mode: str) -> None:
    await check(case, mode)


WRITES = "mutation { a: set(to: 1) { value } b: must(to: -2) { value } c: set(to: 0) { must } d: set(to: 3) { value } }"


@cases(
    null(
        WRITES,
        {"a": {"value": 1}, "b": None, "c": {"must": None}, "d": {"value": 3}},
        ("b", "cannot set -2"),
        ("c.must", null_at("Store.must")),
        name="later mutations run",
        sdl=MUTATIONS,
        given={},
        answers=BOTH,
        log=[1, -2, 0, 3],
    ),
    halt(WRITES, ("b", "cannot set -2"), name="no mutation runs", sdl=MUTATIONS, given={}, answers=BOTH, log=[1, -2]),
    halt(
        "mutation { a: set(to: 0) { value must } b: set(to: 3) { value } }",
        ("a.must", null_at("Store.must")),
        name="no mutation after an error below one",
        sdl=MUTATIONS,
        given={},
        answers=BOTH_LATER,
        log=["0 begins", 0],
    ),
    halt(
        "mutation { a: set(to: -1) { value } b: set(to: 3) { value } }",
        ("a", "cannot set -1"),
        name="no mutation after one that may be null",
        sdl=MUTATIONS,
        given={},
        answers=BOTH,
        log=[-1],
    ),
)
async def test_mutations(case: Case, mode: str) -> None:
    await check(case, mode)


@pytest.mark.parametrize("on_error", OnError)
async def test_without_errors_they_are_alike(on_error: OnError) -> None:
    case = Case("", SDL, "{ thing { id thing { name } } }", GIVEN, answer=UNSAID, errors=[], on_error=on_error)
    for mode in case.runs_in():
        await check(replace(case), mode)
