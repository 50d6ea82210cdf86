"""Nulls and errors at non-null places: how far null rises, and what each list modifier does with a null item."""

from __future__ import annotations

import pytest

from tests.executor.behaviours.compare import Case, cases, check

CHAIN = """
type Query { deep: Deep strict: Deep! many: [Deep] }
type Deep { name: String id: String! next: Deep must: Deep! all: [Deep!] }
"""

BOOM = ValueError("boom")


def null_at(coordinate: str) -> str:
    """Return graphql-core's message for a null at a non-null place."""
    return f"Cannot return null for non-nullable field {coordinate}."


@cases(
    Case(
        "a nullable leaf that is null",
        CHAIN,
        "{ deep { name } }",
        {"deep": {"name": None}},
        answer={"deep": {"name": None}},
        errors=[],
    ),
    Case("a nullable object that is null", CHAIN, "{ deep { id } }", {"deep": None}, answer={"deep": None}, errors=[]),
    Case(
        "a nullable leaf that fails",
        CHAIN,
        "{ deep { name id } }",
        {"deep": {"name": BOOM, "id": "1"}},
        answer={"deep": {"name": None, "id": "1"}},
        errors=[("deep.name", "boom")],
    ),
    Case(
        "a non-null leaf that is null nulls its object",
        CHAIN,
        "{ deep { name id } }",
        {"deep": {"name": "a", "id": None}},
        answer={"deep": None},
        errors=[("deep.id", null_at("Deep.id"))],
    ),
    Case(
        "a non-null leaf that fails nulls its object",
        CHAIN,
        "{ deep { name id } }",
        {"deep": {"name": "a", "id": BOOM}},
        answer={"deep": None},
        errors=[("deep.id", "boom")],
    ),
    Case(
        "null rises through non-null objects to the nearest nullable one",
        CHAIN,
        "{ deep { name next { must { must { id } } } } }",
        {"deep": {"name": "a", "next": {"must": {"must": {"id": None}}}}},
        answer={"deep": {"name": "a", "next": None}},
        errors=[("deep.next.must.must.id", null_at("Deep.id"))],
    ),
    Case(
        "a failure rises through non-null objects to the nearest nullable one",
        CHAIN,
        "{ deep { name next { must { must { id } } } } }",
        {"deep": {"name": "a", "next": {"must": {"must": BOOM}}}},
        answer={"deep": {"name": "a", "next": None}},
        errors=[("deep.next.must.must", "boom")],
    ),
    Case(
        "null at a non-null root field is null data",
        CHAIN,
        "{ strict { id } }",
        {"strict": None},
        answer=None,
        errors=[("strict", null_at("Query.strict"))],
    ),
    Case(
        "null rises through a non-null root field",
        CHAIN,
        "{ strict { must { id } } }",
        {"strict": {"must": {"id": None}}},
        answer=None,
        errors=[("strict.must.id", null_at("Deep.id"))],
    ),
    Case(
        "a failing non-null root field is null data, with its nullable siblings",
        CHAIN,
        "{ deep { id } strict { id } }",
        {"deep": {"id": "1"}, "strict": BOOM},
        answer=None,
        errors=[("strict", "boom")],
    ),
    Case(
        "null rises through an item of a list of non-null items to the list",
        CHAIN,
        "{ deep { name all { must { id } } } }",
        {"deep": {"name": "a", "all": [{"must": {"id": "1"}}, {"must": {"id": None}}]}},
        answer={"deep": {"name": "a", "all": None}},
        errors=[("deep.all.1.must.id", null_at("Deep.id"))],
    ),
    Case(
        "only the failing items of a nullable list are null",
        CHAIN,
        "{ many { id } }",
        {"many": [{"id": "1"}, {"id": None}, {"id": "3"}, {"id": BOOM}]},
        answer={"many": [{"id": "1"}, None, {"id": "3"}, None]},
        errors=[("many.1.id", null_at("Deep.id")), ("many.3.id", "boom")],
    ),
    Case(
        "errors below aliases have the aliases in their paths",
        CHAIN,
        "{ a: deep { b: next { c: name d: id } } }",
        {"deep": {"next": {"name": BOOM, "id": "1"}}},
        answer={"a": {"b": {"c": None, "d": "1"}}},
        errors=[("a.b.c", "boom")],
    ),
    Case(
        "one field under two aliases fails twice",
        CHAIN,
        "{ deep { one: name two: name } }",
        {"deep": {"name": BOOM}},
        answer={"deep": {"one": None, "two": None}},
        errors=[("deep.one", "boom"), ("deep.two", "boom")],
    ),
    Case(
        "the fields of one object fail each for itself",
        "type Query { thing: Thing } type Thing { a: Int b: Int c: Int }",
        "{ thing { c b a } }",
        {"thing": {"a": BOOM, "b": 2, "c": KeyError("c")}},
        answer={"thing": {"c": None, "b": 2, "a": None}},
        errors=[("thing.a", "boom"), ("thing.c", "'c'")],
    ),
    Case(
        "siblings at the root fail each for itself",
        "type Query { a: Int b: Int c: Int }",
        "{ a b c }",
        {"a": BOOM, "b": 2, "c": RuntimeError("bang")},
        answer={"a": None, "b": 2, "c": None},
        errors=[("a", "boom"), ("c", "bang")],
    ),
)
async def test_null_rises_to_the_nearest_nullable_place(case: Case, mode: str) -> None:
    await check(case, mode)


SHARED = {"id": "1", "name": BOOM}


@cases(
    Case(
        "an object that several parents share fails at each place",
        CHAIN,
        "{ many { name next { id name } } }",
        {"many": [{"name": "a", "next": SHARED}, {"name": "b", "next": SHARED}, {"name": "c", "next": SHARED}]},
        answer={
            "many": [{"name": name, "next": {"id": "1", "name": None}} for name in ("a", "b", "c")],
        },
        errors=[("many.0.next.name", "boom"), ("many.1.next.name", "boom"), ("many.2.next.name", "boom")],
    ),
    Case(
        "an object that several parents share nulls the parents that must have it",
        "type Query { many: [Parent] } type Parent { may: Child must: Child! } type Child { id: Int! }",
        "{ many { must { id } may { id } } }",
        lambda: {"many": [{"must": (bad := {"id": None}), "may": bad}, {"must": {"id": 1}, "may": bad}]},
        answer={"many": [None, {"must": {"id": 1}, "may": None}]},
        errors=[("many.0.must.id", null_at("Child.id")), ("many.1.may.id", null_at("Child.id"))],
        racing=True,
    ),
    Case(
        "an object that occurs twice in one list",
        CHAIN,
        "{ many { id next { id } } }",
        lambda: {"many": [twin := {"id": "1", "next": {"id": "2"}}, twin, None, twin]},
        answer={
            "many": [
                {"id": "1", "next": {"id": "2"}},
                {"id": "1", "next": {"id": "2"}},
                None,
                {"id": "1", "next": {"id": "2"}},
            ]
        },
        errors=[],
    ),
)
async def test_shared_objects(case: Case, mode: str) -> None:
    await check(case, mode)


ITEMS = {
    "full": [1, 2],
    "empty": [],
    "a null item": [1, None, 3],
    "a failing item": [1, BOOM, 3],
    "null": None,
    "failing": BOOM,
    "null and failing items": [None, BOOM, None],
    "two failing items": [BOOM, 2, KeyError("k")],
}
"""Values of a list field, of each of the four nullabilities."""

ANSWERS: dict[str, dict[str, tuple[object, list[tuple[str, str]]]]] = {
    "[Int]": {
        "a null item": ({"list": [1, None, 3]}, []),
        "a failing item": ({"list": [1, None, 3]}, [("list.1", "boom")]),
        "null": ({"list": None}, []),
    },
    "[Int!]": {
        "a null item": ({"list": None}, [("list.1", null_at("Query.list"))]),
        "a failing item": ({"list": None}, [("list.1", "boom")]),
        "null": ({"list": None}, []),
    },
    "[Int]!": {
        "a null item": ({"list": [1, None, 3]}, []),
        "null": (None, [("list", null_at("Query.list"))]),
        "failing": (None, [("list", "boom")]),
    },
    "[Int!]!": {
        "a null item": (None, [("list.1", null_at("Query.list"))]),
        "a failing item": (None, [("list.1", "boom")]),
        "empty": ({"list": []}, []),
    },
}


def list_cases() -> list[Case]:
    """Return every value under every nullability, as leaves and as objects of a parent."""
    table = []
    for type_, known in ANSWERS.items():
        for name, items in ITEMS.items():
            sdl = f"type Query {{ list: {type_} }}"
            answer, errors = known.get(name, (None, None))
            said = {} if errors is None else {"answer": answer, "errors": errors}
            table.append(Case(f"{type_} {name}", sdl, "{ list }", {"list": items}, **said))  # type: ignore[arg-type]
            sdl = f"type Query {{ at: At }} type At {{ ok: Int list: {type_.replace('Int', 'Item')} }}"
            sdl += " type Item { n: Int }"
            objects = (
                [{"n": item} if isinstance(item, int) else item for item in items] if isinstance(items, list) else items
            )
            given = {"at": {"ok": 1, "list": objects}}
            table.append(Case(f"objects {type_} {name}", sdl, "{ at { ok list { n } } }", given))
    return table


@cases(*list_cases())
async def test_lists_of_every_nullability(case: Case, mode: str) -> None:
    await check(case, mode)


def test_the_table_of_lists_is_full() -> None:
    assert len(list_cases()) == 2 * len(ANSWERS) * len(ITEMS)
    assert pytest.approx(sum(len(known) for known in ANSWERS.values())) == 12
