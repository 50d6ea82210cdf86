"""What may stand for a list, and lists of lists."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator
from typing import Any

from tests.executor.behaviours.compare import Case, cases, check
from tests.executor.behaviours.plain import Later
from tests.executor.behaviours.test_nulls import BOOM, null_at

NUMBERS = "type Query { list: [Int] strict: [Int!]! }"
ITEMS = "type Query { list: [Item] } type Item { n: Int items: [Item!] }"
NOT_ITERABLE = "Expected Iterable, but did not find one for field 'Query.list'."


def some() -> Iterator[int]:
    """Yield two numbers."""
    yield 1
    yield 2


def some_then_fail() -> Iterator[int]:
    """Yield a number, then fail."""
    yield 1
    raise BOOM


async def some_later() -> AsyncIterator[Any]:
    """Yield two numbers and an awaitable one."""
    yield 1
    await asyncio.sleep(0)
    yield 2
    yield Later(3)


async def some_later_then_fail() -> AsyncIterator[int]:
    """Yield a number later, then fail."""
    yield 1
    await asyncio.sleep(0)
    raise BOOM


async def some_later_with_an_error() -> AsyncIterator[Any]:
    """Yield an exception between two numbers."""
    yield 1
    yield BOOM
    yield 3


async def objects_later() -> AsyncIterator[dict[str, Any]]:
    """Yield objects, one of them with a list of that kind."""
    yield {"n": 1}
    yield {"n": 2, "items": (item for item in ({"n": 3}, {"n": 4}))}


async def later(value: Any) -> Any:
    """Return a value later."""
    await asyncio.sleep(0)
    return value


def listing(name: str, make: Any, answer: Any, *errors: tuple[str, str]) -> Case:
    """Return a case in which a resolver returns what `make` makes as the list."""
    said = {"answer": {"list": answer}, "errors": list(errors)}
    return Case(name, NUMBERS, "{ list }", resolvers={"Query.list": lambda *_: make()}, **said)  # type: ignore[arg-type]


@cases(
    listing("a list", lambda: [1, 2], [1, 2]),
    listing("a tuple", lambda: (1, 2), [1, 2]),
    listing("a set", lambda: {1}, [1]),
    listing("a deque", lambda: deque([1, 2]), [1, 2]),
    listing("a range", lambda: range(3), [0, 1, 2]),
    listing("a generator", some, [1, 2]),
    listing("a map", lambda: map(abs, (-1, -2)), [1, 2]),
    listing("the values of a dict", {"a": 1, "b": 2}.values, [1, 2]),
    listing("a generator that fails", some_then_fail, None, ("list", "boom")),
    listing("an awaitable of a list", lambda: later([1, 2]), [1, 2]),
    listing("an awaitable of a generator", lambda: later(some()), [1, 2]),
    listing("a list of awaitables", lambda: [Later(1), 2, Later(None), Later(4)], [1, 2, None, 4]),
    listing("a list with failing awaitables", lambda: [Later(1), Later(BOOM), 3], [1, None, 3], ("list.1", "boom")),
    listing("a generator of awaitables", lambda: (Later(n) for n in (1, 2)), [1, 2]),
    listing("an async generator", some_later, [1, 2, 3]),
    listing("an async generator that fails", some_later_then_fail, None, ("list", "boom")),
    listing("an async generator that yields an error", some_later_with_an_error, [1, None, 3], ("list.1", "boom")),
    listing("a string is no list", lambda: "12", None, ("list", NOT_ITERABLE)),
    listing("bytes are no list", lambda: b"12", None, ("list", NOT_ITERABLE)),
    listing("a dict is no list", lambda: {"a": 1}, None, ("list", NOT_ITERABLE)),
    listing("a number is no list", lambda: 7, None, ("list", NOT_ITERABLE)),
    listing("False is no list", lambda: False, None, ("list", NOT_ITERABLE)),
    Case(
        "an async generator of objects",
        ITEMS,
        "{ list { n items { n } } }",
        resolvers={"Query.list": lambda *_: objects_later()},
        answer={"list": [{"n": 1, "items": None}, {"n": 2, "items": [{"n": 3}, {"n": 4}]}]},
        errors=[],
    ),
    Case(
        "an awaitable null item in a list of non-null items",
        NUMBERS,
        "{ strict }",
        resolvers={"Query.strict": lambda *_: [1, Later(None)]},
        answer=None,
        errors=[("strict.1", null_at("Query.strict"))],
    ),
    Case(
        "objects that are lists where a list of objects is expected",
        ITEMS,
        "{ list { n } }",
        resolvers={"Query.list": lambda *_: {"n": 1}},
        answer={"list": None},
        errors=[("list", NOT_ITERABLE)],
    ),
)
async def test_what_may_stand_for_a_list(case: Case, mode: str) -> None:
    await check(case, mode)


def grid(type_: str, value: Any, answer: Any, *errors: tuple[str, str]) -> Case:
    """Return a case with a list of lists of numbers."""
    sdl = f"type Query {{ at: At }} type At {{ grid: {type_} }}"
    said = {"answer": {"at": answer}, "errors": list(errors)}
    return Case(f"{type_} {value!r}", sdl, "{ at { grid } }", {"at": {"grid": value}}, **said)  # type: ignore[arg-type]


def cells(type_: str, value: Any) -> Case:
    """Return a case with a list of lists of objects, compared only."""
    sdl = f"type Query {{ at: At }} type At {{ grid: {type_.replace('Int', 'Cell')} }} type Cell {{ n: Int }}"
    return Case(f"objects {type_} {value!r}", sdl, "{ at { grid { n } } }", {"at": {"grid": as_cells(value)}})


def as_cells(value: Any) -> Any:
    """Return lists of numbers as lists of objects."""
    if isinstance(value, list):
        return [as_cells(item) for item in value]
    return {"n": value} if isinstance(value, int) else value


NULL = null_at("At.grid")

GRIDS: list[tuple[str, Any, Any, list[tuple[str, str]]]] = [
    ("[[Int]]", [[1, 2], [], [3]], {"grid": [[1, 2], [], [3]]}, []),
    ("[[Int]]", [[1, None], None, [3]], {"grid": [[1, None], None, [3]]}, []),
    ("[[Int]]", [[1, BOOM], BOOM], {"grid": [[1, None], None]}, [("at.grid.0.1", "boom"), ("at.grid.1", "boom")]),
    ("[[Int!]]", [[1, None], [2]], {"grid": [None, [2]]}, [("at.grid.0.1", NULL)]),
    ("[[Int!]!]", [[1, None], [2]], {"grid": None}, [("at.grid.0.1", NULL)]),
    ("[[Int!]!]!", [[1, None], [2]], None, [("at.grid.0.1", NULL)]),
    ("[[Int]!]", [[1, None], None], {"grid": None}, [("at.grid.1", NULL)]),
    ("[[Int]!]!", [None], None, [("at.grid.0", NULL)]),
    ("[[[Int]]]", [[[1], []], None, [None, [2, 3]]], {"grid": [[[1], []], None, [None, [2, 3]]]}, []),
    ("[[[Int!]!]]", [[[1], [None]], [[2]]], {"grid": [None, [[2]]]}, [("at.grid.0.1.0", NULL)]),
]


@cases(
    *(grid(type_, value, answer, *errors) for type_, value, answer, errors in GRIDS),
    *(cells(type_, value) for type_, value, _, _ in GRIDS),
)
async def test_lists_of_lists(case: Case, mode: str) -> None:
    await check(case, mode)
