"""Leaves: what the built-in scalars accept as output, enums with internal values, scalars that fail."""

from __future__ import annotations

from typing import Any

from graphql import GraphQLEnumType, GraphQLEnumValue, GraphQLScalarType, GraphQLSchema, Undefined

from tests.executor.behaviours.compare import Case, cases, check
from tests.executor.behaviours.plain import PLAIN_MODES

SCALARS = "type Query { at: At } type At { int: Int float: Float string: String boolean: Boolean id: ID }"


def leaf(name: str, value: Any, answer: Any, message: str | None = None) -> Case:
    """Return a case with one leaf."""
    errors = [] if message is None else [(f"at.{name}", message)]
    said = {"answer": {"at": {name: answer}}, "errors": errors}
    given = {"at": {name: value}}
    modes = ("dicts", "resolvers") if isinstance(value, list | dict) else ()
    said["modes"] = modes
    return Case(f"{name} {value!r}", SCALARS, f"{{ at {{ {name} }} }}", given, **said)  # type: ignore[arg-type]


@cases(
    leaf("int", 1, 1),
    leaf("int", 1.0, 1),
    leaf("int", "3", 3),
    leaf("int", True, 1),
    leaf("int", 2**31 - 1, 2**31 - 1),
    leaf("int", -(2**31), -(2**31)),
    leaf("int", 2**31, None, "Int cannot represent non 32-bit signed integer value: 2147483648"),
    leaf("int", 1.5, None, "Int cannot represent non-integer value: 1.5"),
    leaf("int", "one", None, "Int cannot represent non-integer value: 'one'"),
    leaf("int", "", None, "Int cannot represent non-integer value: ''"),
    leaf("int", [1], None, "Int cannot represent non-integer value: [1]"),
    leaf("float", 1, 1),
    leaf("float", "2.5", 2.5),
    leaf("float", float("nan"), None, "Float cannot represent non numeric value: nan"),
    leaf("float", float("inf"), None, "Float cannot represent non numeric value: inf"),
    leaf("float", "x", None, "Float cannot represent non numeric value: 'x'"),
    leaf("string", 7, "7"),
    leaf("string", True, "true"),
    leaf("string", {"a": 1}, None, "String cannot represent value: {'a': 1}"),
    leaf("boolean", 1, True),
    leaf("boolean", 0, False),
    leaf("boolean", "true", None, "Boolean cannot represent a non boolean value: 'true'"),
    leaf("id", 12, "12"),
    leaf("id", "x", "x"),
    leaf("id", 1.5, None, "ID cannot represent value: 1.5"),
    leaf("string", None, None),
    leaf("int", 0, 0),
    leaf("string", "", ""),
    leaf("boolean", False, False),
)
async def test_built_in_scalars(case: Case, mode: str) -> None:
    await check(case, mode)


COLORS = (
    "type Query { at: At colors: [Color] strict: [Color!]! } type At { color: Color! } enum Color { RED GREEN BLUE }"
)


def color_values(schema: GraphQLSchema) -> None:
    """Give the enum internal values."""
    old = schema.type_map["Color"]
    assert isinstance(old, GraphQLEnumType)
    values = {name: GraphQLEnumValue(number) for number, name in enumerate(old.values)}
    new = GraphQLEnumType("Color", values)
    old.values = new.values
    old.__dict__.pop("_value_lookup", None)


@cases(
    Case("an enum", COLORS, "{ at { color } }", {"at": {"color": "RED"}}, answer={"at": {"color": "RED"}}, errors=[]),
    Case(
        "an enum with internal values",
        COLORS,
        "{ at { color } colors }",
        {"at": {"color": 0}, "colors": [1, 2, None]},
        prepare=color_values,
        answer={"at": {"color": "RED"}, "colors": ["GREEN", "BLUE", None]},
        errors=[],
    ),
    Case(
        "an unknown enum value",
        COLORS,
        "{ at { color } }",
        {"at": {"color": "PINK"}},
        answer={"at": None},
        errors=[("at.color", "Enum 'Color' cannot represent value: 'PINK'")],
    ),
    Case(
        "the name is no internal value",
        COLORS,
        "{ colors }",
        {"colors": [0, "GREEN"]},
        prepare=color_values,
        answer={"colors": ["RED", None]},
        errors=[("colors.1", "Enum 'Color' cannot represent value: 'GREEN'")],
    ),
    Case(
        "an unknown enum value in a list of non-null values",
        COLORS,
        "{ strict }",
        {"strict": ["RED", "PINK"]},
        answer=None,
        errors=[("strict.1", "Enum 'Color' cannot represent value: 'PINK'")],
    ),
    Case("a value that cannot be hashed", COLORS, "{ colors }", {"colors": [{"a": 1}, [2]]}),
)
async def test_enums(case: Case, mode: str) -> None:
    await check(case, mode)


ODD = "scalar Odd type Query { at: At list: [Odd] strict: [Odd!] } type At { odd: Odd must: Odd! }"


def odd(schema: GraphQLSchema) -> None:
    """Give the scalar an output coercion with each way to go wrong."""

    def serialize(value: Any) -> Any:
        match value:
            case "raise":
                raise ValueError("not odd")
            case "null":
                return None
            case "undefined":
                return Undefined
            case "object":
                return {"any": ["JSON", 1, None]}
            case _:
                return value + 1

    scalar = schema.type_map["Odd"]
    assert isinstance(scalar, GraphQLScalarType)
    scalar.coerce_output_value = serialize


def null_from(value: str, returned: str = "None") -> str:
    """Return graphql-core's message for a scalar that returns nothing."""
    return f"Expected `Odd.coerce_output_value({value!r})` to return non-nullable value, returned: {returned}"


@cases(
    Case("a scalar is output", ODD, "{ at { odd } }", {"at": {"odd": 1}}, prepare=odd, answer={"at": {"odd": 2}}),
    Case(
        "a scalar may be any JSON",
        ODD,
        "{ at { odd } }",
        {"at": {"odd": "object"}},
        prepare=odd,
        answer={"at": {"odd": {"any": ["JSON", 1, None]}}},
    ),
    Case(
        "a scalar whose output raises",
        ODD,
        "{ at { odd } list }",
        {"at": {"odd": "raise"}, "list": [1, "raise", 3]},
        prepare=odd,
        answer={"at": {"odd": None}, "list": [2, None, 4]},
        errors=[("at.odd", "not odd"), ("list.1", "not odd")],
    ),
    Case(
        "a scalar whose output is null",
        ODD,
        "{ at { odd } list }",
        {"at": {"odd": "null"}, "list": [1, "null"]},
        prepare=odd,
        answer={"at": {"odd": None}, "list": [2, None]},
        errors=[("at.odd", null_from("null")), ("list.1", null_from("null"))],
        modes=PLAIN_MODES,
    ),
    Case(
        "a non-null scalar whose output is null",
        ODD,
        "{ at { must } strict }",
        {"at": {"must": "null"}, "strict": ["undefined"]},
        prepare=odd,
        answer={"at": None, "strict": None},
        errors=[("at.must", null_from("null")), ("strict.0", null_from("undefined", "Undefined"))],
        modes=PLAIN_MODES,
    ),
    Case(
        "a scalar fails in one row of several only",
        "scalar Odd type Query { many: [At] } type At { odd: Odd }",
        "{ many { odd } }",
        {"many": [{"odd": 1}, {"odd": "raise"}, {"odd": 3}, {"odd": "x"}]},
        prepare=odd,
        answer={"many": [{"odd": 2}, {"odd": None}, {"odd": 4}, {"odd": None}]},
        errors=[("many.1.odd", "not odd"), ("many.3.odd", 'can only concatenate str (not "int") to str')],
    ),
)
async def test_custom_scalars(case: Case, mode: str) -> None:
    await check(case, mode)
