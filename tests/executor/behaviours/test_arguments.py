"""Arguments and variables: defaults, null and absent, input objects, lists, enums, @oneOf, what cannot be coerced."""

from __future__ import annotations

from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLEnumValue,
    GraphQLInputObjectType,
    GraphQLObjectType,
    GraphQLScalarType,
    GraphQLSchema,
)

from tests.executor.behaviours.compare import Case, Context, cases, check

SDL = """
type Query {
  text(a: String, b: String = "b", c: String! = "c"): String
  must(a: String!): String
  numbers(list: [Int], strict: [Int!]! = [7], grid: [[Int]]): String
  input(in: In): String
  inputs(list: [In!]): String
  pick(one: One, must: One!): String
  color(of: Color = GREEN, all: [Color!]): String
  scalar(of: Odd): String
  at: At
  ats: [At]
}
type At { text(a: String, b: String = "b"): String id: ID }
input In { a: String b: Int = 5 c: String! = "c" more: In list: [String!] color: Color }
input One @oneOf { id: ID email: String nested: In }
enum Color { RED GREEN }
scalar Odd
"""


def echo(_context: Context, **arguments: Any) -> str:
    """Return the arguments as a resolver sees them, in the order in which it does."""
    return repr(arguments)


FIELDS = ("text", "must", "numbers", "input", "inputs", "pick", "color", "scalar")
ECHO = {**{f"Query.{name}": echo for name in FIELDS}, "At.text": echo}


def internal_values(schema: GraphQLSchema) -> None:
    """Give the enum internal values and the scalar an input coercion."""
    color = schema.type_map["Color"]
    assert isinstance(color, GraphQLEnumType)
    color.values = GraphQLEnumType("Color", {"RED": GraphQLEnumValue(1), "GREEN": GraphQLEnumValue(2)}).values
    odd = schema.type_map["Odd"]
    assert isinstance(odd, GraphQLScalarType)

    def parse_value(value: Any) -> Any:
        if value == "bad":
            raise ValueError("not odd")
        return {"parsed": value}

    odd.coerce_input_value = parse_value


def asked(selection: str, *said: Any, head: str = "", name: str = "", **variables: Any) -> Case:
    """Return a case that asks for one field `x`; what is said is the echo, or nothing for the comparison only."""
    operation = f"query Q{head} {{ x: {selection} }}" if head else f"{{ x: {selection} }}"
    case_name = name or f"{head} {selection} {variables or ''}".strip()
    more: dict[str, Any] = {"answer": {"x": said[0]}, "errors": []} if said else {}
    return Case(
        case_name,
        SDL,
        operation,
        variables=variables,
        answers=ECHO,
        prepare=internal_values,
        modes=("dicts", "async_resolvers", "rows"),
        valid="$unused" not in head,
        **more,
    )


@cases(
    asked("text", "{'b': 'b', 'c': 'c'}"),
    asked('text(a: "1", b: "2", c: "3")', "{'a': '1', 'b': '2', 'c': '3'}"),
    asked('text(c: "3", a: "1")', "{'a': '1', 'b': 'b', 'c': '3'}"),
    asked("text(a: null, b: null)", "{'a': None, 'b': None, 'c': 'c'}"),
    asked("numbers(list: 1, strict: 2, grid: 3)", "{'list': [1], 'strict': [2], 'grid': [[3]]}"),
    asked("numbers(list: [], grid: [[1, null], null])", "{'list': [], 'strict': [7], 'grid': [[1, None], None]}"),
    asked("numbers(grid: [1, 2])"),
    asked("numbers(list: null)", "{'list': None, 'strict': [7]}"),
    asked("input(in: {})", "{'in': {'b': 5, 'c': 'c'}}"),
    asked('input(in: {a: null, b: null, list: "x"})', "{'in': {'a': None, 'b': None, 'c': 'c', 'list': ['x']}}"),
    asked(
        'input(in: {more: {more: {a: "deep", color: RED}, list: []}})',
        "{'in': {'b': 5, 'c': 'c', 'more': {'b': 5, 'c': 'c', 'more': "
        "{'a': 'deep', 'b': 5, 'c': 'c', 'color': 1}, 'list': []}}}",
    ),
    asked("inputs(list: {b: 1})", "{'list': [{'b': 1, 'c': 'c'}]}"),
    asked("color", "{'of': 2}"),
    asked("color(of: RED, all: GREEN)", "{'of': 1, 'all': [2]}"),
    asked('pick(must: {id: "1"})', "{'must': {'id': '1'}}"),
    asked("pick(one: null, must: {nested: {b: 2}})", "{'one': None, 'must': {'nested': {'b': 2, 'c': 'c'}}}"),
    asked('scalar(of: "x")', "{'of': {'parsed': 'x'}}"),
    asked("scalar(of: {a: [1, {b: null}]})"),
)
async def test_literals(case: Case, mode: str) -> None:
    await check(case, mode)


@cases(
    asked("text(a: $v)", "{'a': 'x', 'b': 'b', 'c': 'c'}", head="($v: String)", v="x"),
    asked("text(a: $v, b: $v)", "{'b': 'b', 'c': 'c'}", head="($v: String)", name="an absent variable is no argument"),
    asked("text(a: $v, b: $v)", "{'a': None, 'b': None, 'c': 'c'}", head="($v: String)", v=None),
    asked("text(a: $v, b: $v)", "{'a': 'd', 'b': 'd', 'c': 'c'}", head='($v: String = "d")'),
    asked("text(a: $v, b: $v)", "{'a': None, 'b': None, 'c': 'c'}", head='($v: String = "d")', v=None),
    asked("text(a: $v)", "{'a': None, 'b': 'b', 'c': 'c'}", head="($v: String = null)"),
    asked("text(c: $v)", "{'b': 'b', 'c': 'c'}", head="($v: String)", name="absent at a non-null place with default"),
    asked("text(c: $v)", head="($v: String)", v=None, name="null at a non-null place with a default"),
    asked("must(a: $v)", "{'a': 'd'}", head='($v: String! = "d")'),
    asked("must(a: $v)", head="($v: String!)", name="an absent required variable"),
    asked("must(a: $v)", head="($v: String!)", v=None, name="a null required variable"),
    asked("must(a: $v)", head="($v: String!)", v=["x"], name="a list for a string"),
    asked("numbers(list: $v)", "{'list': [1], 'strict': [7]}", head="($v: [Int])", v=1),
    asked("numbers(list: [1, $v])", "{'list': [1, 2], 'strict': [7]}", head="($v: Int)", v=2),
    asked("numbers(list: [1, $v])", "{'list': [1, None], 'strict': [7]}", head="($v: Int)", name="absent in a list"),
    asked("numbers(strict: [1, $v])", head="($v: Int = 3)", v=None, name="null in a list of non-null items"),
    asked("numbers(grid: $v)", "{'strict': [7], 'grid': [[1, None], None]}", head="($v: [[Int]])", v=[[1, None], None]),
    asked("numbers(list: $v)", head="($v: [Int])", v=[1, "2", 2**40], name="items that are no Int"),
    asked("input(in: $v)", "{'in': {'a': 'x', 'b': 5, 'c': 'c'}}", head="($v: In)", v={"a": "x"}),
    asked(
        "input(in: {a: $v, b: $n})",
        "{'in': {'b': 5, 'c': 'c'}}",
        head="($v: String, $n: Int)",
        name="absent in an object",
    ),
    asked(
        "input(in: {a: $v, b: $n})",
        "{'in': {'a': None, 'b': None, 'c': 'c'}}",
        head="($v: String, $n: Int)",
        v=None,
        n=None,
    ),
    asked("input(in: {more: {list: [$v]}})", head="($v: String!)", v="x"),
    asked("input(in: $v)", head="($v: In)", v={"unknown": 1}, name="an unknown input field"),
    asked("input(in: $v)", head="($v: In)", v={"more": {"b": "x"}, "c": None}, name="several wrong input fields"),
    asked("input(in: $v)", head="($v: In)", v="text", name="a string for an input object"),
    asked("inputs(list: $v)", "{'list': [{'b': 1, 'c': 'c'}]}", head="($v: [In!])", v={"b": 1}),
    asked("color(of: $v, all: [$v, GREEN])", "{'of': 1, 'all': [1, 2]}", head="($v: Color!)", v="RED"),
    asked("color(of: $v)", head="($v: Color)", v="PINK", name="an unknown enum value"),
    asked("color(of: $v)", head="($v: Color)", v=1, name="an internal enum value"),
    asked("pick(must: $v)", "{'must': {'email': 'x'}}", head="($v: One!)", v={"email": "x"}),
    asked("pick(must: $v)", head="($v: One!)", v={"email": "x", "id": "1"}, name="two of one"),
    asked("pick(must: $v)", head="($v: One!)", v={}, name="none of one"),
    asked("pick(must: $v)", head="($v: One!)", v={"email": None}, name="null of one"),
    asked("pick(must: $v)", head="($v: One!)", v={"email": "x", "id": None}, name="one and null of one"),
    asked("pick(must: {id: $v})", "{'must': {'id': 'x'}}", head="($v: ID!)", v="x"),
    asked("scalar(of: $v)", "{'of': {'parsed': [1, {}]}}", head="($v: Odd)", v=[1, {}]),
    asked("scalar(of: $v)", head="($v: Odd)", v="bad", name="a scalar that refuses a variable"),
    asked(
        "text(a: $v)", head="($v: String, $unused: Int!, $x: Color!)", unused="no", name="several wrong variables", v=1
    ),
)
async def test_variables(case: Case, mode: str) -> None:
    await check(case, mode)


AT = {"at": {"id": "1"}, "ats": [{"id": "1"}, {"id": "2"}]}


@cases(
    Case(
        "arguments that fail, of one field of several",
        SDL,
        'query Q($v: String) { a: text(a: "1") b: text(c: $v) at { id text(a: $v) } }',
        AT,
        {"v": None},
        ECHO,
        answer={"a": "{'a': '1', 'b': 'b', 'c': 'c'}", "b": None, "at": {"id": "1", "text": "{'a': None, 'b': 'b'}"}},
    ),
    Case(
        "one field with different arguments",
        SDL,
        'query Q($v: String = "v") { ats { id one: text two: text(a: "2") three: text(a: $v, b: null) } }',
        AT,
        {},
        ECHO,
        answer={
            "ats": [
                {
                    "id": id_,
                    "one": "{'b': 'b'}",
                    "two": "{'a': '2', 'b': 'b'}",
                    "three": "{'a': 'v', 'b': None}",
                }
                for id_ in ("1", "2")
            ]
        },
        errors=[],
    ),
    Case(
        "the same variable in several fragments",
        SDL,
        """
        query Q($v: String) { at { ...a ...b } ats { ...a } }
        fragment a on At { x: text(a: $v) } fragment b on At { y: text(b: $v) }
        """,
        AT,
        {"v": "w"},
        ECHO,
        answer={
            "at": {"x": "{'a': 'w', 'b': 'b'}", "y": "{'b': 'w'}"},
            "ats": [{"x": "{'a': 'w', 'b': 'b'}"}, {"x": "{'a': 'w', 'b': 'b'}"}],
        },
        errors=[],
    ),
)
async def test_arguments_below_the_root(case: Case, mode: str) -> None:
    await check(case, mode)


def out_names(schema: GraphQLSchema) -> None:
    """Give arguments and input fields other names in Python."""
    query, in_ = schema.query_type, schema.type_map["In"]
    assert isinstance(query, GraphQLObjectType)
    assert isinstance(in_, GraphQLInputObjectType)
    query.fields["input"].args["in"].out_name = "given"
    in_.fields["b"].out_name = "number"

    def out_type(value: dict[str, Any]) -> Any:
        return "In", sorted(value)

    in_.out_type = out_type  # type: ignore[method-assign]


@cases(
    Case(
        "out names and out types",
        SDL,
        "query Q($v: In) { a: input(in: {b: 1}) b: input(in: $v) c: input }",
        variables={"v": {"a": "x"}},
        answers=ECHO,
        prepare=out_names,
        answer={"a": "{'given': ('In', ['c', 'number'])}", "b": "{'given': ('In', ['a', 'c', 'number'])}", "c": "{}"},
        errors=[],
    ),
)
async def test_python_names(case: Case, mode: str) -> None:
    await check(case, mode)
