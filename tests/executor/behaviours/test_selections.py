"""Which fields a selection has: @skip and @include, fragments, merged fields, the order of keys, depth."""

from __future__ import annotations

import itertools

from tests.executor.behaviours.compare import UNSAID, Case, cases, check
from tests.executor.behaviours.test_nulls import BOOM

SDL = """
type Query { a: String b: String thing: Thing things: [Thing] named: Named either: Either }
interface Named { name: String }
type Thing implements Named { name: String id: ID thing: Thing things: [Thing!] must: Thing! }
type Other implements Named { name: String other: Other }
union Either = Thing | Other
"""
LEAF = {"name": "leaf", "id": "3"}
THING = {"name": "thing", "id": "1", "thing": {"name": "inner", "id": "2", "thing": LEAF}, "things": [LEAF, LEAF]}
GIVEN = {"a": "a", "b": "b", "thing": THING, "things": [THING, LEAF], "named": {**THING, "__typename": "Thing"}}

CONDITIONS = (
    ("@skip(if: $s)", lambda s, i: not s),
    ("@include(if: $i)", lambda s, i: i),
    ("@skip(if: $s) @include(if: $i)", lambda s, i: not s and i),
    ("@include(if: $i) @skip(if: $s)", lambda s, i: not s and i),
)
PLACES = {
    "a field": "{ thing { id name %s } }",
    "an aliased field": "{ thing { id x: name %s } }",
    "an inline fragment": "{ thing { id ... on Thing %s { name } } }",
    "an untyped inline fragment": "{ thing { id ... %s { name } } }",
    "a spread": "{ thing { id ...f %s } } fragment f on Thing { name }",
    "a field within a fragment": "{ thing { id ...f } } fragment f on Thing { name %s }",
    "a field with selections": "{ thing { id thing %s { name } } }",
    "one of two that merge": "{ thing { id thing %s { name } thing { id } } }",
    "a root field": "{ a %s b }",
    "the only field": "{ thing { name %s } }",
    "the only root field": "{ a %s }",
    "__typename": "{ thing { id __typename %s } }",
    "a field of a list": "{ things { id thing %s { id } } }",
    "a fragment of an interface": "{ named { ... on Thing %s { id } name } }",
}


def condition_cases() -> list[Case]:
    """Return every place under every condition and outcome."""
    table = []
    for (place, operation), (directives, keeps) in itertools.product(PLACES.items(), CONDITIONS):
        for skip, include in itertools.product((True, False), repeat=2):
            head = ", ".join(f"{name}: Boolean!" for name in ("$s", "$i") if name in directives)
            case = Case(
                f"{place} {directives} {skip} {include}",
                SDL,
                f"query Q({head}) " + operation % directives,
                GIVEN,
                {"s": skip, "i": include},
                answer={"b": "b"} if place == "a root field" and not keeps(skip, include) else UNSAID,
                errors=[],
                modes=("dicts", "rows"),
            )
            table.append(case)
    return table


@cases(
    *condition_cases(),
    Case(
        "constant conditions",
        SDL,
        "{ thing { a: id @skip(if: true) b: id @skip(if: false) c: id @include(if: true) d: id @include(if: false) } }",
        GIVEN,
        answer={"thing": {"b": "1", "c": "1"}},
    ),
    Case(
        "both conditions, all four outcomes",
        SDL,
        """{ thing {
          a: id @skip(if: true) @include(if: true) b: id @skip(if: false) @include(if: true)
          c: id @skip(if: true) @include(if: false) d: id @skip(if: false) @include(if: false)
        } }""",
        GIVEN,
        answer={"thing": {"b": "1"}},
    ),
    Case(
        "a condition with a default",
        SDL,
        "query Q($i: Boolean = true, $s: Boolean! = true) { a @include(if: $i) b @skip(if: $s) }",
        GIVEN,
        answer={"a": "a"},
    ),
    Case(
        "a condition that is null",
        SDL,
        "query Q($i: Boolean = true) { a b @include(if: $i) }",
        GIVEN,
        {"i": None},
        answer=None,
    ),
    Case(
        "a condition that is null, below the root",
        SDL,
        "query Q($i: Boolean = true) { a thing { id name @include(if: $i) } }",
        GIVEN,
        {"i": None},
        answer={"a": "a", "thing": None},
        differs={"*": "selections are collected when planning, so this error ends the request; it has no path"},
    ),
)
async def test_conditions(case: Case, mode: str) -> None:
    await check(case, mode)


@cases(
    Case(
        "keys are in the order in which they first occur",
        SDL,
        "{ b ...f a thing { name } } fragment f on Query { thing { id } a b }",
        GIVEN,
        answer={"b": "b", "thing": {"id": "1", "name": "thing"}, "a": "a"},
    ),
    Case(
        "fields merge across fragments, depth by depth",
        SDL,
        """
        { thing { ...one } ...two thing { thing { ... on Thing { thing { name } } } } }
        fragment one on Thing { id thing { id } }
        fragment two on Query { thing { thing { name ...three } name } }
        fragment three on Thing { thing { id __typename } }
        """,
        GIVEN,
        answer={
            "thing": {
                "id": "1",
                "thing": {"id": "2", "name": "inner", "thing": {"id": "3", "__typename": "Thing", "name": "leaf"}},
                "name": "thing",
            }
        },
        errors=[],
    ),
    Case(
        "an error has the locations of all fields that merged",
        SDL,
        "{ thing { name } ...f\n thing { name } } fragment f on Query { thing { ... on Named { name } } }",
        {"thing": {"name": BOOM}},
        answer={"thing": {"name": None}},
        errors=[("thing.name", "boom")],
    ),
    Case(
        "a null has the locations of all fields that merged",
        SDL,
        "{ thing { must { id } } ...f } fragment f on Query { thing { must { name } } }",
        {"thing": {"must": None}},
    ),
    Case(
        "a fragment on an interface and on a union that the type is of",
        SDL,
        "{ thing { ...named ...either ... on Either { ... on Named { again: name } } } }"
        " fragment named on Named { name } fragment either on Either { __typename ... on Other { other { name } } }",
        GIVEN,
        answer={"thing": {"name": "thing", "__typename": "Thing", "again": "thing"}},
    ),
    Case(
        "a fragment on a type that it cannot be",
        SDL,
        "{ thing { id ... on Other { name } ...f } } fragment f on Other { other { name } }",
        GIVEN,
        answer={"thing": {"id": "1"}},
        valid=False,
    ),
    Case("a fragment that is not defined", SDL, "{ thing { id ...missing } }", GIVEN, valid=False),
    Case("a fragment on a type that is not defined", SDL, "{ thing { id ... on Nothing { id } } }", GIVEN, valid=False),
    Case("a field that is not defined is left out", SDL, "{ a nothing thing { id nothing } }", GIVEN, valid=False),
    Case(
        "one fragment at two places",
        SDL,
        "{ thing { ...f thing { ...f } } } fragment f on Thing { name things { ...g } } fragment g on Thing { id }",
        GIVEN,
        answer={
            "thing": {
                "name": "thing",
                "things": [{"id": "3"}, {"id": "3"}],
                "thing": {"name": "inner", "things": None},
            }
        },
    ),
    Case(
        "aliases of one field with different selections",
        SDL,
        "{ one: thing { id } two: thing { name one: thing { id } two: thing { name } } }",
        GIVEN,
        answer={"one": {"id": "1"}, "two": {"name": "thing", "one": {"id": "2"}, "two": {"name": "inner"}}},
    ),
    Case(
        "keys that are Python's own words",
        SDL,
        "{ None: a class: b lambda: thing { def: id r: name rows: id run: name e0: id f0: name } }",
        GIVEN,
        answer={
            "None": "a",
            "class": "b",
            "lambda": {"def": "1", "r": "thing", "rows": "1", "run": "thing", "e0": "1", "f0": "thing"},
        },
    ),
    Case(
        "__typename alone and aliased",
        SDL,
        "{ __typename t: __typename thing { kind: __typename } things { __typename } }",
        GIVEN,
        answer={
            "__typename": "Query",
            "t": "Query",
            "thing": {"kind": "Thing"},
            "things": [{"__typename": "Thing"}, {"__typename": "Thing"}],
        },
    ),
    Case(
        "twenty-five levels",
        "type Query { thing: T } type T { thing: T! n: Int }",
        "{ thing { " + "thing { " * 24 + "n" + " }" * 24 + " n } }",
        lambda: {"thing": nest(24)},
    ),
    Case(
        "a failure twenty-five levels down",
        "type Query { thing: T ok: Int } type T { thing: T! n: Int }",
        "{ ok thing { " + "thing { " * 25 + "n" + " }" * 25 + " n } }",
        lambda: {"thing": nest(24), "ok": 1},
        answer={"ok": 1, "thing": None},
        errors=[("thing." + ".".join(["thing"] * 25), "Cannot return null for non-nullable field T.thing.")],
    ),
)
async def test_selections(case: Case, mode: str) -> None:
    await check(case, mode)


def nest(depth: int) -> dict[str, object]:
    """Return objects within objects."""
    return {"n": depth, "thing": nest(depth - 1)} if depth else {"n": 0}
