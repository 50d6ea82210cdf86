"""Mutations: root fields one after the other, whatever fails between; what lies below them, side by side."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.executor.behaviours.compare import Case, Context, cases, check
from tests.executor.behaviours.test_nulls import null_at

SDL = """
type Query { any: Int }
type Mutation { set(to: Int, sleep: Boolean): Store must(to: Int): Store! count: Int! }
type Store { value: Int must: Int! }
"""


def now(context: Context, to: int | None = None, sleep: bool = False) -> Any:
    """Note the call; return a store, or fail for numbers below zero."""
    context.log.append(to)
    if to is not None and to < 0:
        raise ValueError(f"cannot set {to}")
    return None if to is None else {"value": to, "must": to or None}


async def later(context: Context, to: int | None = None, sleep: bool = False) -> Any:
    """Do the same after a while, when a following mutation must not have begun."""
    context.log.append(f"{to} begins")
    for _ in range(3 if sleep else 1):
        await asyncio.sleep(0)
    return now(context, to)


BOTH = {"Mutation.set": now, "Mutation.must": now}
BOTH_LATER = {"Mutation.set": later, "Mutation.must": later}


@cases(
    Case(
        "one after the other",
        SDL,
        "mutation { a: set(to: 1) { value } b: set(to: 2) { value } c: set(to: 3) { value } }",
        answers=BOTH,
        answer={"a": {"value": 1}, "b": {"value": 2}, "c": {"value": 3}},
        errors=[],
        log=[1, 2, 3],
    ),
    Case(
        "a slow one before a fast one",
        SDL,
        "mutation { a: set(to: 1, sleep: true) { value } b: set(to: 2) { value } }",
        answers=BOTH_LATER,
        answer={"a": {"value": 1}, "b": {"value": 2}},
        log=["1 begins", 1, "2 begins", 2],
    ),
    Case(
        "a failing one in the middle",
        SDL,
        "mutation { a: set(to: 1) { value } b: set(to: -2) { value } c: set(to: 3) { value } }",
        answers=BOTH,
        answer={"a": {"value": 1}, "b": None, "c": {"value": 3}},
        errors=[("b", "cannot set -2")],
        log=[1, -2, 3],
    ),
    Case(
        "a failing slow one in the middle",
        SDL,
        "mutation { a: set(to: 1) { value } b: set(to: -2, sleep: true) { value } c: set(to: 3) { value } }",
        answers=BOTH_LATER,
        answer={"a": {"value": 1}, "b": None, "c": {"value": 3}},
        errors=[("b", "cannot set -2")],
        log=["1 begins", 1, "-2 begins", -2, "3 begins", 3],
    ),
    Case(
        "a non-null one that fails ends the operation: those after it never run",
        SDL,
        "mutation { a: set(to: 1) { value } b: must(to: -2) { value } c: set(to: 3) { value } }",
        answers=BOTH,
        answer=None,
        errors=[("b", "cannot set -2")],
        log=[1, -2],
    ),
    Case(
        "a non-null one that is null ends the operation",
        SDL,
        "mutation { a: set(to: 1) { value } b: must { value } c: set(to: 3) { value } }",
        answers=BOTH_LATER,
        answer=None,
        errors=[("b", null_at("Mutation.must"))],
        log=["1 begins", 1, "None begins", None],
    ),
    Case(
        "a null that rises from below a non-null one ends the operation",
        SDL,
        "mutation { a: must(to: 0) { value must } b: set(to: 3) { value } }",
        answers=BOTH,
        answer=None,
        errors=[("a.must", null_at("Store.must"))],
        log=[0],
    ),
    Case(
        "a null that rises from below a nullable one does not",
        SDL,
        "mutation { a: set(to: 0) { value must } b: set(to: 3) { value } }",
        answers=BOTH,
        answer={"a": None, "b": {"value": 3}},
        errors=[("a.must", null_at("Store.must"))],
        log=[0, 3],
    ),
    Case(
        "a failing nullable one before a failing non-null one",
        SDL,
        "mutation { a: set(to: -1) { value } b: must(to: -2) { value } }",
        answers=BOTH,
        answer=None,
        errors=[("a", "cannot set -1"), ("b", "cannot set -2")],
        log=[-1, -2],
    ),
    Case(
        "one response key is one mutation",
        SDL,
        "mutation { set(to: 1) { value } set(to: 1) { must } ...m } fragment m on Mutation { set(to: 1) { v: value } }",
        answers=BOTH,
        answer={"set": {"value": 1, "must": 1, "v": 1}},
        log=[1],
    ),
    Case(
        "what is skipped does not run",
        SDL,
        "mutation ($no: Boolean!) { a: set(to: 1) @include(if: $no) { value } b: set(to: 2) @skip(if: $no) { value } }",
        variables={"no": False},
        answers=BOTH,
        answer={"b": {"value": 2}},
        log=[2],
    ),
    Case(
        "__typename of a mutation",
        SDL,
        "mutation { __typename set(to: 1) { __typename } }",
        answers=BOTH,
        answer={"__typename": "Mutation", "set": {"__typename": "Store"}},
        log=[1],
    ),
)
async def test_mutations_are_serial(case: Case, mode: str) -> None:
    await check(case, mode)


class Holder:
    """A number that a mutation changes; what lies below a mutation sees the number of its time."""

    def __init__(self) -> None:
        self.number = 0

    def change(self, _source: Any, _info: Any, to: int) -> Any:
        """Change the number, return a store that reads it later."""
        self.number = to
        return {"now": to, "later": self.read_later}

    async def read_later(self, _info: Any) -> int:
        """Read the number after a while."""
        for _ in range(3):
            await asyncio.sleep(0)
        return self.number


@cases(
    Case(
        "the selection of a mutation is complete before the next begins",
        "type Query { any: Int } type Mutation { change(to: Int!): Store } type Store { now: Int later: Int }",
        "mutation { a: change(to: 1) { later now } b: change(to: 2) { now later } }",
        resolvers={"Mutation.change": Holder().change},
        answer={"a": {"later": 1, "now": 1}, "b": {"now": 2, "later": 2}},
        errors=[],
    ),
)
async def test_a_mutation_with_its_selection_is_one_step(case: Case, mode: str) -> None:
    await check(case, mode)
