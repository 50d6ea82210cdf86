"""Plain resolvers: what they are called with, what they may return and raise, and the default one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from types import MappingProxyType, SimpleNamespace
from typing import Any

import pytest
from graphql import GraphQLError, GraphQLResolveInfo, Undefined

from tests.executor.behaviours.compare import Case, cases, check, failing
from tests.executor.behaviours.plain import Later
from tests.executor.behaviours.test_nulls import BOOM, null_at

Info = GraphQLResolveInfo[Any]

SDL = """
type Query { value: Int must: Int! thing: Thing things: [Thing!] greet(name: String = "you"): String }
type Thing { id: ID value: Int must: Int! greet(name: String = "you"): String thing: Thing things: [Thing] }
"""


def later(value: Any) -> Any:
    """Return a coroutine that returns, or raises, a value."""

    async def wait() -> Any:
        await asyncio.sleep(0)
        if isinstance(value, Exception):
            raise value
        return value

    return wait()


def future(value: Any) -> asyncio.Future[Any]:
    """Return a future that has a value."""
    made: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    made.set_result(value)
    return made


def raising(error: Exception) -> Any:
    """Raise an error, as a resolver does."""
    raise error


class Told(Exception):
    """An error with the attributes that graphql-core reads of any exception."""

    message = "told"
    extensions = MappingProxyType({"code": "NOT_A_DICT"})


class Extended(Exception):
    """An error with extensions."""

    extensions: Mapping[str, Any] = {"code": "EXTENDED"}


def returning(name: str, make: Callable[[], Any], answer: Any, *errors: tuple[str, str], **more: Any) -> Case:
    """Return a case whose resolver does what `make` does."""
    resolvers = {"Query.value": lambda *_: make()}
    return Case(name, SDL, "{ value }", resolvers=resolvers, answer={"value": answer}, errors=errors, **more)


@cases(
    returning("a value", lambda: 1, 1),
    returning("a coroutine", lambda: later(1), 1),
    returning("a future", lambda: future(1), 1),
    returning("a task", lambda: asyncio.ensure_future(later(1)), 1),
    returning("an object with __await__", lambda: Later(1), 1),
    returning("None", lambda: None, None),
    returning("Undefined", lambda: Undefined, None),
    returning("Undefined later", lambda: later(Undefined), None),
    returning("an exception, returned", lambda: BOOM, None, ("value", "boom")),
    returning("an exception, returned later", lambda: Later(BOOM), None, ("value", "boom")),
    returning("an exception, raised", lambda: raising(BOOM), None, ("value", "boom")),
    returning("an exception, raised later", lambda: later(BOOM), None, ("value", "boom")),
    returning(
        "an exception without words", lambda: raising(ValueError()), None, ("value", "An unknown error occurred.")
    ),
    returning("a GraphQLError", lambda: raising(GraphQLError("no")), None, ("value", "no")),
    returning("an error with extensions", lambda: raising(failing("no", code="NO")), None, ("value", "no")),
    returning("any error with extensions", lambda: raising(Extended("x")), None, ("value", "x")),
    returning("any error with a message", lambda: raising(Told("y")), None, ("value", "told")),
    returning(
        "a GraphQLError that has a path", lambda: raising(GraphQLError("no", path=["else", 1])), None, ("else.1", "no")
    ),
    Case(
        "a GraphQLError that has nodes",
        SDL,
        "{ other: value\n value }",
        resolvers={"Query.value": lambda _, info: raising(GraphQLError("no", info.operation))},
        answer={"other": None, "value": None},
        errors=[("other", "no"), ("value", "no")],
    ),
    Case(
        "null where a resolver must not return it",
        SDL,
        "{ must }",
        resolvers={"Query.must": lambda *_: later(None)},
        answer=None,
        errors=[("must", null_at("Query.must"))],
    ),
    Case(
        "resolvers of several fields, together",
        SDL,
        "{ a: value b: value c: must }",
        resolvers={"Query.value": lambda *_: later(1), "Query.must": lambda *_: 2},
        answer={"a": 1, "b": 1, "c": 2},
        errors=[],
    ),
    Case(
        "a resolver that takes any keyword",
        SDL,
        '{ a: greet b: greet(name: "Ann") c: greet(name: null) }',
        resolvers={"Query.greet": lambda *_, **arguments: f"{arguments}"},
        answer={"a": "{'name': 'you'}", "b": "{'name': 'Ann'}", "c": "{'name': None}"},
        errors=[],
    ),
    Case(
        "a resolver that takes no such keyword",
        SDL,
        "{ greet value }",
        resolvers={"Query.greet": lambda source, info: "", "Query.value": lambda *_: 1},
    ),
)
async def test_what_resolvers_return_and_raise(case: Case, mode: str) -> None:
    await check(case, mode)


class Methods:
    """An object with an attribute, a method, an async one, a property that fails, and a class attribute."""

    id = "class"

    def value(self, _info: Info) -> int:
        """Return a value."""
        return 1

    async def greet(self, info: Info, name: str) -> str:
        """Return arguments and the field's name."""
        await asyncio.sleep(0)
        return f"{info.field_name} {name}"

    @property
    def must(self) -> int:
        """Fail."""
        raise ValueError("no property")

    @staticmethod
    def thing(_info: Info) -> Any:
        """Return another sort of object."""
        return {"id": "inner", "value": lambda _info: later(7)}


def source(name: str, thing: Any, selection: str, answer: Any = None, **more: Any) -> Case:
    """Return a case that reads an object by the default resolver."""
    said: dict[str, Any] = {"answer": {"thing": answer}} if answer is not None else {}
    return Case(
        name, SDL, f"{{ thing {{ {selection} }} }}", resolvers={"Query.thing": lambda *_: thing}, **said, **more
    )


@cases(
    source("a dict", {"id": "1", "value": 2}, "id value greet", {"id": "1", "value": 2, "greet": None}),
    source("any mapping", MappingProxyType({"id": "1"}), "id value", {"id": "1", "value": None}),
    source("attributes", SimpleNamespace(id="1", value=2), "id value greet", {"id": "1", "value": 2, "greet": None}),
    source("no attributes", object(), "id value", {"id": None, "value": None}),
    source("a number", 7, "id value", {"id": None, "value": None}),
    source("a string", "seven", "id", {"id": None}),
    source("False", False, "id", {"id": None}),
    source("an empty dict", {}, "id", {"id": None}),
    source(
        "methods",
        Methods(),
        'id value greet other: greet(name: "Ann") thing { id value }',
        {"id": "class", "value": 1, "greet": "greet you", "other": "greet Ann", "thing": {"id": "inner", "value": 7}},
    ),
    source("a property that fails", Methods(), "id must"),
    source(
        "a callable in a dict", {"greet": lambda info, name: f"{info.path.key} {name}"}, "greet", {"greet": "greet you"}
    ),
    source("a callable with other parameters", {"value": lambda: 1, "id": "1"}, "value id", {"value": None, "id": "1"}),
    source("a class", Methods, "id", {"id": "class"}),
    source("an attribute that is an exception", SimpleNamespace(value=BOOM), "value", {"value": None}),
    source("an attribute that is awaitable", SimpleNamespace(value=Later(3)), "value", {"value": 3}),
    source("an attribute that is None where it must not be", SimpleNamespace(must=None), "must"),
)
async def test_the_default_resolver(case: Case, mode: str) -> None:
    await check(case, mode)


def seen(take: Callable[[Info], Any]) -> dict[str, Callable[..., Any]]:
    """Return resolvers that answer `greet` with what they see of their info."""

    def greet(_source: Any, info: Info, **_arguments: Any) -> str:
        return repr(take(info))

    thing = {"id": "1", "thing": {"id": "2"}, "things": [{"id": "3"}, {"id": "4"}, None]}
    things: dict[str, Callable[..., Any]] = {
        "Query.thing": lambda *_: thing,
        "Query.things": lambda *_: [thing, {"id": "5", "things": [{"id": "6"}]}],
    }
    return {**things, "Query.greet": greet, "Thing.greet": greet}


EVERYWHERE = """
query Q($v: Int = 3, $w: String) {
  hello: greet(name: $w) ...f thing { greet x: thing { greet } y: things { greet } } t: things { u: things { greet } }
  ... @include(if: true) { hello: greet(name: $w) }
}
fragment f on Query { thing { greet } things { ...g } }
fragment g on Thing { z: greet }
"""

PATHS = (
    "info.path holds the field's own key only: the executor builds a level for all parents at once and knows no index;"
    " a fix carries one Path a row beside the rows"
)


def variables(info: Info) -> list[tuple[str, Any]]:
    """Return the coerced variables: ours hands them out as Strawberry's executor does, without their sources."""
    values: Any = info.variable_values
    return sorted(getattr(values, "coerced", values).items())


def info_case(name: str, take: Callable[[Info], Any], differs: str | None = None) -> Case:
    """Return a case that compares what resolvers at every kind of place see."""
    differing = {} if differs is None else {"*": differs}
    return Case(name, SDL, EVERYWHERE, variables={"w": "w"}, resolvers=seen(take), valid=False, differs=differing)


@cases(
    info_case("field_name", lambda info: info.field_name),
    info_case("parent_type and return_type", lambda info: (info.parent_type.name, str(info.return_type))),
    info_case("field_nodes", lambda info: [(node.loc.start, node.name.value) for node in info.field_nodes if node.loc]),
    info_case("path", lambda info: info.path.as_list(), PATHS),
    info_case(
        "typenames of the path", lambda info: (info.path.prev and info.path.prev.typename, info.path.typename), PATHS
    ),
    info_case("the last key of the path", lambda info: (info.path.key, info.path.typename)),
    info_case("operation", lambda info: (info.operation.name and info.operation.name.value, info.operation.operation)),
    info_case(
        "fragments", lambda info: {name: node.type_condition.name.value for name, node in info.fragments.items()}
    ),
    info_case("variables", variables),
    info_case("root_value", lambda info: info.root_value),
    info_case("context", lambda info: type(info.context).__name__),
    info_case("schema", lambda info: info.schema.query_type and info.schema.query_type.name),
    info_case("is_awaitable", lambda info: (info.is_awaitable(Later(1)), info.is_awaitable(1))),
    info_case("abort_signal", lambda info: info.abort_signal),
)
async def test_what_resolvers_see(case: Case, mode: str) -> None:
    await check(case, mode)


@cases(
    Case(
        "async_helpers.gather",
        SDL,
        "{ value }",
        resolvers={"Query.value": lambda _, info: gathered(info)},
        answer={"value": 3},
        errors=[],
    ),
    Case(
        "async_helpers.track",
        SDL,
        "{ value }",
        resolvers={"Query.value": lambda _, info: info.async_helpers.track([later(BOOM), 1]) or 4},
        answer={"value": 4},
        errors=[],
    ),
)
async def test_async_helpers(case: Case, mode: str) -> None:
    await check(case, mode)
    await asyncio.sleep(0.001)


async def gathered(info: Info) -> int:
    """Return the sum of two values that are awaited together."""
    return sum(await info.async_helpers.gather([later(1), later(2)]))


async def test_sibling_resolvers_run_side_by_side() -> None:
    """Each of two resolvers waits for the other: one after the other they would never end."""
    begun = {"a": asyncio.Event(), "b": asyncio.Event()}

    async def wait(_source: Any, info: Info) -> int:
        key = str(info.path.key)
        begun[key].set()
        await asyncio.wait_for(begun["b" if key == "a" else "a"].wait(), 5)
        return 1

    case = Case("", SDL, "{ a: value b: value }", resolvers={"Query.value": wait}, answer={"a": 1, "b": 1})
    await check(case, "dicts")


async def test_a_base_exception_is_not_a_field_error() -> None:
    """An interrupt, or the end of the task, must not become data."""
    case = Case("", SDL, "{ value }", resolvers={"Query.value": lambda *_: raising(KeyboardInterrupt())})  # type: ignore[arg-type]
    with pytest.raises(KeyboardInterrupt):
        await check(case, "dicts")
