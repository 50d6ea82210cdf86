"""Interfaces and unions: which type an object has, which fragments apply to it, what is said where it has none."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from graphql import GraphQLInterfaceType, GraphQLObjectType, GraphQLSchema, GraphQLUnionType

from tests.executor.behaviours.compare import Case, cases, check
from tests.executor.behaviours.plain import PLAIN_MODES
from tests.executor.behaviours.test_nulls import BOOM, null_at

PETS = """
type Query { pet: Pet pets: [Pet] must: Pet! musts: [Pet!] either: Either node: Node nodes: [Node!]! }
interface Node { id: ID! }
interface Pet implements Node { id: ID! name: String friends: [Pet] owner: Owner! }
type Dog implements Pet & Node { id: ID! name: String friends: [Pet] owner: Owner! barks: Boolean }
type Cat implements Pet & Node { id: ID! name: String friends: [Pet] owner: Owner! meows: Boolean }
type Owner implements Node { id: ID! name: String pets: [Pet!] }
union Either = Dog | Owner
"""
DICTS = ("dicts", "resolvers", "async_resolvers")
"""The modes in which resolvers see the dicts of a case."""

ANN = {"__typename": "Owner", "id": "3", "name": "Ann"}
REX = {"__typename": "Dog", "id": "1", "name": "Rex", "barks": True, "owner": ANN}
TOM = {"__typename": "Cat", "id": "2", "name": "Tom", "meows": False, "owner": ANN, "friends": [REX, None]}


@cases(
    Case(
        "the common fields of an interface",
        PETS,
        "{ pets { __typename id name } }",
        {"pets": [REX, TOM, None, REX]},
        answer={
            "pets": [
                {"__typename": "Dog", "id": "1", "name": "Rex"},
                {"__typename": "Cat", "id": "2", "name": "Tom"},
                None,
                {"__typename": "Dog", "id": "1", "name": "Rex"},
            ]
        },
        errors=[],
    ),
    Case(
        "inline fragments on the concrete types",
        PETS,
        "{ pets { name ... on Dog { barks } ... on Cat { meows friends { name ... on Dog { barks } } } } }",
        {"pets": [REX, TOM]},
        answer={
            "pets": [
                {"name": "Rex", "barks": True},
                {"name": "Tom", "meows": False, "friends": [{"name": "Rex", "barks": True}, None]},
            ]
        },
        errors=[],
    ),
    Case(
        "named fragments on the interface and on a type",
        PETS,
        """
        { nodes { id ...pet ...dog ...owner } }
        fragment pet on Pet { name owner { ...owner } }
        fragment dog on Dog { barks }
        fragment owner on Owner { ownerName: name }
        """,
        {"nodes": [REX, ANN, TOM]},
        answer={
            "nodes": [
                {"id": "1", "name": "Rex", "owner": {"ownerName": "Ann"}, "barks": True},
                {"id": "3", "ownerName": "Ann"},
                {"id": "2", "name": "Tom", "owner": {"ownerName": "Ann"}},
            ]
        },
        errors=[],
    ),
    Case(
        "an interface that implements an interface, within itself",
        PETS,
        "{ node { id ... on Pet { name ... on Node { again: id ... on Cat { meows ... on Pet { __typename } } } } } }",
        {"node": TOM},
        answer={"node": {"id": "2", "name": "Tom", "again": "2", "meows": False, "__typename": "Cat"}},
        errors=[],
    ),
    Case(
        "a union",
        PETS,
        "{ either { __typename ... on Dog { barks name } ... on Owner { name } ... on Node { id } } }",
        {"either": ANN},
        answer={"either": {"__typename": "Owner", "name": "Ann", "id": "3"}},
        errors=[],
    ),
    Case(
        "fragments of a union that do not apply leave an empty object",
        PETS,
        "{ either { ... on Owner { name } } }",
        {"either": REX},
        answer={"either": {}},
        errors=[],
    ),
    Case(
        "the order of the keys is that of each type's fields",
        PETS,
        "{ pets { ... on Cat { meows id } name id ... on Dog { barks } } }",
        {"pets": [REX, TOM]},
        answer={"pets": [{"name": "Rex", "id": "1", "barks": True}, {"meows": False, "id": "2", "name": "Tom"}]},
    ),
    Case(
        "null rises through an abstract object",
        PETS,
        "{ pet { name owner { id } } must { id } }",
        {"pet": {"__typename": "Dog", "name": "Rex", "owner": None}, "must": REX},
        answer={"pet": None, "must": {"id": "1"}},
        errors=[("pet.owner", null_at("Dog.owner"))],
    ),
    Case(
        "null rises through abstract items",
        PETS,
        "{ musts { id } pets { id } }",
        {"musts": [REX, {"__typename": "Cat", "id": None}], "pets": [{"__typename": "Cat", "id": None}, TOM]},
        answer={"musts": None, "pets": [None, {"id": "2"}]},
        errors=[("musts.1.id", null_at("Cat.id")), ("pets.0.id", null_at("Cat.id"))],
    ),
    Case(
        "abstract items that fail",
        PETS,
        "{ pets { id } musts { id } }",
        {"pets": [BOOM, REX], "musts": [REX, BOOM]},
        answer={"pets": [None, {"id": "1"}], "musts": None},
        errors=[("musts.1", "boom"), ("pets.0", "boom")],
    ),
    Case(
        "a field that fails in one of the types only",
        PETS,
        "{ pets { ... on Dog { barks } ... on Cat { meows name } } }",
        {"pets": [{**REX, "barks": BOOM}, {**TOM, "name": BOOM}, REX]},
        answer={"pets": [{"barks": None}, {"meows": False, "name": None}, {"barks": True}]},
        errors=[("pets.0.barks", "boom"), ("pets.1.name", "boom")],
    ),
    Case(
        "one object at an abstract and at a concrete place",
        PETS,
        "{ pet { owner { id name } } node { id ... on Owner { pets { id } } } }",
        {"pet": {**REX, "owner": (ann := {**ANN, "pets": [TOM, BOOM]})}, "node": ann},
        answer={"pet": {"owner": {"id": "3", "name": "Ann"}}, "node": {"id": "3", "pets": None}},
        errors=[("node.pets.1", "boom")],
    ),
)
async def test_abstract_types(case: Case, mode: str) -> None:
    await check(case, mode)


def resolving(name: str, resolve: Callable[..., Any]) -> Callable[[GraphQLSchema], None]:
    """Return a preparation that gives an abstract type its `resolve_type`."""

    def prepare(schema: GraphQLSchema) -> None:
        type_ = schema.type_map[name]
        assert isinstance(type_, GraphQLInterfaceType | GraphQLUnionType)
        type_.resolve_type = resolve

    return prepare


def acknowledging(**predicates: Callable[..., Any]) -> Callable[[GraphQLSchema], None]:
    """Return a preparation that gives object types their `is_type_of`."""

    def prepare(schema: GraphQLSchema) -> None:
        for name, predicate in predicates.items():
            type_ = schema.type_map[name]
            assert isinstance(type_, GraphQLObjectType)
            type_.is_type_of = predicate

    return prepare


def fail(*_: Any) -> Any:
    """Fail, as a predicate or resolver."""
    raise BOOM


async def fail_later(*_: Any) -> Any:
    """Fail later."""
    await asyncio.sleep(0)
    raise BOOM


def later(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that answers later."""

    async def answer(*arguments: Any) -> Any:
        await asyncio.sleep(0)
        return function(*arguments)

    return answer


def told(name: str, answer: Any, *messages: str) -> Case:
    """Return a case in which `resolve_type` of Pet returns `answer` for the second of three pets."""
    resolve = answer if callable(answer) else lambda value, *_: answer if value["id"] == "2" else "Dog"
    return Case(
        name,
        PETS,
        "{ pets { id } }",
        {"pets": [REX, {"id": "2"}, REX]},
        prepare=resolving("Pet", resolve),
        errors=[("pets.1", message) for message in messages],
        modes=DICTS,
    )


MUST = "Abstract type 'Pet' must resolve to an Object type at runtime for field 'Query.pets'"


@cases(
    told("a name", "Cat"),
    told("a name later", later(lambda value, *_: "Cat" if value["id"] == "2" else "Dog")),
    told(
        "nothing",
        None,
        f"{MUST}. Either the 'Pet' type should provide a 'resolve_type' function"
        " or each possible type should provide an 'is_type_of' function.",
    ),
    told("a number", 7, f"{MUST} with value {{'id': '2'}}, received '7', which is not a valid Object type name."),
    told(
        "an unknown name",
        "Cow",
        "Abstract type 'Pet' was resolved to a type 'Cow' that does not exist inside the schema.",
    ),
    told("the name of an interface", "Node", "Abstract type 'Pet' was resolved to a non-object type 'Node'."),
    told("the name of a scalar", "String", "Abstract type 'Pet' was resolved to a non-object type 'String'."),
    told("a type that is not possible", "Owner", "Runtime Object type 'Owner' is not a possible type for 'Pet'."),
    told("a failure", lambda value, *_: fail() if value["id"] == "2" else "Dog", "boom"),
    told("a failure later", lambda value, *_: fail_later() if value["id"] == "2" else "Dog", "boom"),
    Case(
        "resolve_type is given the value, the info and the type",
        PETS,
        "{ p: pet { id } }",
        {"pet": REX},
        prepare=resolving(
            "Pet",
            lambda value, info, type_: (
                "Dog" if (value["id"], info.field_name, type_.name) == ("1", "pet", "Pet") else 0
            ),
        ),
        answer={"p": {"id": "1"}},
        modes=("dicts",),
    ),
    Case(
        "each abstract type has its own resolve_type",
        PETS,
        "{ either { ... on Dog { id } } }",
        {"either": REX},
        prepare=resolving("Either", lambda *_: "Dog"),
        answer={"either": {"id": "1"}},
        modes=PLAIN_MODES,
    ),
    Case(
        "the null of an unknown type rises",
        PETS,
        "{ must { id } }",
        {"must": {"id": "1"}},
        answer=None,
        modes=PLAIN_MODES,
    ),
)
async def test_resolve_type(case: Case, mode: str) -> None:
    await check(case, mode)


BY_ID = acknowledging(Dog=lambda value, _: value["id"] == "1", Cat=lambda value, _: value["id"] == "2")
BY_ID_LATER = acknowledging(
    Dog=later(lambda value, _: value["id"] == "1"), Cat=later(lambda value, _: value["id"] == "2")
)
BARE = {"pets": [{"id": "1", "barks": True}, {"id": "2"}, {"id": "3"}, {"id": "1"}], "either": {"id": "4"}}
UNTOLD = f"{MUST}. Either the 'Pet' type should provide a 'resolve_type' function or each possible type should provide"


@cases(
    Case(
        "is_type_of finds the type",
        PETS,
        "{ pets { __typename id ... on Dog { barks } } }",
        BARE,
        prepare=BY_ID,
        modes=DICTS,
        answer={
            "pets": [
                {"__typename": "Dog", "id": "1", "barks": True},
                {"__typename": "Cat", "id": "2"},
                None,
                {"__typename": "Dog", "id": "1", "barks": None},
            ]
        },
        errors=[("pets.2", f"{UNTOLD} an 'is_type_of' function.")],
    ),
    Case("is_type_of finds the type later", PETS, "{ pets { __typename id } }", BARE, prepare=BY_ID_LATER, modes=DICTS),
    Case(
        "is_type_of fails",
        PETS,
        "{ pets { id } }",
        BARE,
        prepare=acknowledging(Dog=fail),
        modes=DICTS,
        answer={"pets": [None] * 4},
        errors=[(f"pets.{index}", "boom") for index in range(4)],
    ),
    Case("is_type_of fails later", PETS, "{ pets { id } }", BARE, prepare=acknowledging(Dog=fail_later), modes=DICTS),
    Case(
        "one is_type_of says yes before another fails",
        PETS,
        "{ pets { id } }",
        {"pets": [{"id": "1"}]},
        prepare=acknowledging(Dog=lambda *_: True, Cat=fail),
        modes=DICTS,
        answer={"pets": [{"id": "1"}]},
        errors=[],
    ),
    Case(
        "is_type_of denies an object of a concrete field",
        "type Query { dogs: [Dog] dog: Dog! } type Dog { id: ID }",
        "{ dogs { id } }",
        {"dogs": [{"id": "1"}, {"id": "2"}, None]},
        prepare=acknowledging(Dog=lambda value, _: value["id"] == "1"),
        modes=DICTS,
        answer={"dogs": [{"id": "1"}, None, None]},
        errors=[("dogs.1", "Expected value of type 'Dog' but got: {'id': '2'}.")],
    ),
    Case(
        "is_type_of denies what resolve_type named",
        PETS,
        "{ pet { id } }",
        {"pet": TOM},
        prepare=acknowledging(Cat=later(lambda *_: False)),
        modes=DICTS,
        answer={"pet": None},
    ),
    Case(
        "is_type_of denies a non-null object",
        "type Query { dog: Dog! } type Dog { id: ID }",
        "{ dog { id } }",
        {"dog": {"id": "2"}},
        prepare=acknowledging(Dog=lambda *_: False),
        modes=DICTS,
        answer=None,
        errors=[("dog", "Expected value of type 'Dog' but got: {'id': '2'}.")],
    ),
)
async def test_is_type_of(case: Case, mode: str) -> None:
    await check(case, mode)
