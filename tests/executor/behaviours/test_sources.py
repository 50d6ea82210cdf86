"""The kinds themselves: what is asked of a source, what each of its values becomes, rows that dicts cannot say."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from graphql import ExecutionResult, GraphQLError, get_variable_values, parse
from graphql.execution.values import VariableValues

from crm_graph.executor.execute import execute
from crm_graph.executor.fields import Column, Computed, Edge, Fetch, FieldKind, Nested, Planning, Resolver, Same, Shape
from crm_graph.executor.planner import Planner
from tests.executor.behaviours.compare import definitions, response, run_planned, schema_of
from tests.executor.behaviours.tables import Tables
from tests.executor.behaviours.test_nulls import null_at
from tests.executor.behaviours.test_selections import GIVEN
from tests.executor.behaviours.test_selections import SDL as SELECTIONS

Rows = Mapping[Any, Mapping[str, Any]]
"""Rows by their key, as columns by name."""


class Table:
    """A source of rows by key; it notes what it was asked."""

    def __init__(self, rows: Rows, form: Callable[[Any], Any] | None = None) -> None:
        self.rows = rows
        self.form = form
        self.asked: list[Sequence[Any]] = []
        self.columns: dict[str, list[str]] = {}

    def plan(self, shapes: Mapping[str, Shape], planning: Planning) -> Fetch:
        """See `Source`."""
        self.columns = {name: list(shape.columns) for name, shape in shapes.items()}

        async def fetch(context: Any, keys: Sequence[Any], arguments: Mapping[str, Any]) -> Sequence[Any]:
            self.asked.append(list(keys))
            return [self.value(key, shapes) for key in keys]

        return fetch

    def value(self, key: Any, shapes: Mapping[str, Shape]) -> Any:
        """Return what is under a key, by the shape of the only type."""
        found = self.form(key) if self.form is not None else self.rows.get(key)
        if not isinstance(found, dict):
            return found
        (shape,) = shapes.values()
        return tuple(found[column] for column in shape.columns)


class Kinds(dict[tuple[str, str], FieldKind]):
    """Implements `executor.fields.Bindings`."""

    def kind(self, type_name: str, field_name: str) -> FieldKind | None:
        """See `Bindings`."""
        return self.get((type_name, field_name))


async def ask(sdl: str, kinds: Mapping[str, FieldKind], operation: str, context: Any = None) -> dict[str, Any]:
    """Return the response of our executor; kinds by coordinate."""
    bindings = Kinds({(name.split(".")[0], name.split(".")[1]): kind for name, kind in kinds.items()})
    result: ExecutionResult = await run_planned(schema_of(sdl), bindings, parse(operation), {}, context)
    return response(result)


def errors_of(answer: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the errors of a response as dotted path and message."""
    return [(".".join(str(key) for key in error["path"]), error["message"]) for error in answer["errors"]]


PEOPLE = "type Query { people: [Person] } type Person { id: ID! name: String boss: Person must: Person! tag: Int }"
STAFF: dict[Any, dict[str, Any]] = {
    1: {"id": "1", "name": "Ann", "boss": None},
    2: {"id": "2", "name": "Bob", "boss": 1},
    3: {"id": "3", "name": "Cy", "boss": 1},
    4: {"id": "4", "name": "Di", "boss": 9},
    5: {"id": "5", "name": "Ed", "boss": "bad"},
}


def people(*keys: Any) -> Table:
    """Return a source of a root list of people."""

    class Listed(Table):
        def value(self, key: Any, shapes: Mapping[str, Shape]) -> Any:
            return [Table.value(self, each, shapes) for each in keys]

    return Listed(STAFF)


def staff(boss: Table, root: Table, **more: FieldKind) -> dict[str, FieldKind]:
    """Return the kinds of people."""
    return {
        "Query.people": Edge(root, None),
        "Person.id": Column("id", "per_"),
        "Person.name": Column("name"),
        "Person.boss": Edge(boss, "boss"),
        "Person.must": Edge(boss, "boss"),
        **{f"Person.{name}": kind for name, kind in more.items()},
    }


def bosses() -> Table:
    """Return a source of bosses of which one key fails."""
    return Table(STAFF, lambda key: ValueError("bad key") if key == "bad" else STAFF.get(key))


async def test_keys_are_asked_once_without_nulls() -> None:
    boss, root = bosses(), people(1, 2, 3, 4, 5, 2)
    answer = await ask(PEOPLE, staff(boss, root), "{ people { name boss { name } } }")
    assert boss.asked == [[1, 9, "bad"]]
    assert root.asked == [[None]]
    assert [person and person["boss"] for person in answer["data"]["people"]] == [
        None,
        {"name": "Ann"},
        {"name": "Ann"},
        None,
        None,
        {"name": "Ann"},
    ]
    assert errors_of(answer) == [("people.4.boss", "bad key")]


async def test_only_the_selected_columns_are_asked_for() -> None:
    boss, root = bosses(), people(1, 2)
    await ask(PEOPLE, staff(boss, root), "{ people { x: id boss { name again: name __typename } } }")
    assert root.columns == {"Person": ["id", "boss"]}
    assert boss.columns == {"Person": ["name"]}


async def test_nothing_is_fetched_for_no_keys() -> None:
    boss = bosses()
    answer = await ask(PEOPLE, staff(boss, people(1, 1)), "{ people { name boss { boss { name } } } }")
    assert boss.asked == []
    assert answer == {"data": {"people": [{"name": "Ann", "boss": None}] * 2}, "errors": []}


async def test_a_null_key_at_a_non_null_edge_nulls_that_parent_only() -> None:
    answer = await ask(PEOPLE, staff(bosses(), people(1, 2, 4, 5)), "{ people { must { name } } }")
    assert answer["data"] == {"people": [None, {"must": {"name": "Ann"}}, None, None]}
    assert errors_of(answer) == [
        ("people.0.must", null_at("Person.must")),
        ("people.2.must", null_at("Person.must")),
        ("people.3.must", "bad key"),
    ]


async def test_each_alias_of_an_edge_is_fetched_for_itself() -> None:
    boss = bosses()
    answer = await ask(PEOPLE, staff(boss, people(2)), "{ people { a: boss { name } b: boss { id } } }")
    assert boss.asked == [[1], [1]]
    assert answer["data"] == {"people": [{"a": {"name": "Ann"}, "b": {"id": "per_1"}}]}


async def test_a_failing_fetch_fails_at_every_parent() -> None:
    class Broken(Table):
        def plan(self, shapes: Mapping[str, Shape], planning: Planning) -> Fetch:
            async def fetch(context: Any, keys: Sequence[Any], arguments: Mapping[str, Any]) -> Sequence[Any]:
                raise GraphQLError("no database", extensions={"code": "DOWN"})

            return fetch

    answer = await ask(PEOPLE, staff(Broken({}), people(2, 1, 3)), "{ people { name boss { id } } }")
    assert answer["data"] == {"people": [{"name": name, "boss": None} for name in ("Bob", "Ann", "Cy")]}
    assert errors_of(answer) == [(f"people.{index}.boss", "no database") for index in range(3)]
    assert answer["errors"][0]["extensions"] == {"code": "DOWN"}


@pytest.mark.parametrize("count", [0, 3])
async def test_a_source_that_returns_too_few_or_too_many_values_is_an_error(count: int) -> None:
    class Wrong(Table):
        def plan(self, shapes: Mapping[str, Shape], planning: Planning) -> Fetch:
            async def fetch(context: Any, keys: Sequence[Any], arguments: Mapping[str, Any]) -> Sequence[Any]:
                return [None] * count

            return fetch

    answer = await ask(PEOPLE, staff(Wrong({}), people(2, 4)), "{ people { boss { id } } }")
    assert answer["data"] == {"people": [{"boss": None}, {"boss": None}]}
    assert [path for path, _ in errors_of(answer)] == ["people.0.boss", "people.1.boss"]


async def test_computed_fields() -> None:
    def tag(name: str, boss: Any) -> Any:
        return {"Ann": 7, "Bob": None}[name]

    kinds = staff(bosses(), people(1, 2, 3), tag=Computed(("name", "boss"), tag))
    answer = await ask(PEOPLE, kinds, "{ people { tag } }")
    assert answer["data"] == {"people": [{"tag": 7}, {"tag": None}, {"tag": None}]}
    assert errors_of(answer) == [("people.2.tag", "'Cy'")]


async def test_a_computed_field_that_may_not_be_null() -> None:
    sdl = PEOPLE.replace("tag: Int", "tag: Int!")
    kinds = staff(bosses(), people(1, 2), tag=Computed(("name",), lambda name: 7 if name == "Ann" else None))
    answer = await ask(sdl, kinds, "{ people { tag } }")
    assert answer["data"] == {"people": [{"tag": 7}, None]}
    assert errors_of(answer) == [("people.1.tag", null_at("Person.tag"))]


async def test_a_null_column_at_a_non_null_field() -> None:
    sdl = PEOPLE.replace("name: String", "name: String!")
    answer = await ask(sdl, staff(bosses(), one({"name": None})), "{ people { name } }")
    assert answer["data"] == {"people": [None]}
    assert errors_of(answer) == [("people.0.name", null_at("Person.name"))]


@pytest.mark.parametrize(("nullable", "hides"), [(True, False), (False, True), (True, True)])
async def test_a_column_that_may_be_null_or_hidden_is_looked_at(nullable: bool, hides: bool) -> None:
    schema = schema_of(PEOPLE.replace("name: String", "name: String!"))
    kinds = staff(bosses(), one({"name": None, "id": "1"}), name=Column("name", "n_", nullable=nullable))
    document = parse("{ people { id name } }")
    operation, fragments = definitions(document)
    values = get_variable_values(schema, (), {})
    assert isinstance(values, VariableValues)
    planning = Planning(None, lambda type_name, name: hides and (type_name, name) == ("Person", "name"))
    bindings = Kinds({tuple(at.split(".")): kind for at, kind in kinds.items()})  # type: ignore[misc]
    plan = Planner(schema, bindings, planning, operation, fragments, values).plan()
    answer = response(await execute(plan, None, values))
    assert answer["data"] == {"people": [None]}
    assert errors_of(answer) == [("people.0.name", null_at("Person.name"))]


def one(row: Mapping[str, Any]) -> Table:
    """Return a source of a root list of one row."""

    class Only(Table):
        def value(self, key: Any, shapes: Mapping[str, Shape]) -> Any:
            return [tuple(row[column] for column in shape.columns) for shape in shapes.values()]

    return Only({})


async def test_a_prefix_is_not_put_before_null() -> None:
    kinds = staff(bosses(), one({"name": None, "id": "1"}), name=Column("name", "n_"))
    assert (await ask(PEOPLE, kinds, "{ people { id name } }"))["data"] == {"people": [{"id": "per_1", "name": None}]}


MONEY = """
type Query { lines: [Line] } type Line { price: Money total: Total! must: Money! }
type Money { amount: Int currency: String } type Total { net: Money gross: Money }
"""
MONEY_KINDS: dict[str, FieldKind] = {
    "Money.amount": Column("amount"),
    "Money.currency": Column("currency"),
    "Line.price": Same({"amount": "price", "currency": "price.currency"}, unless_null="price"),
    "Line.must": Same({"amount": "price", "currency": "price.currency"}, unless_null="price"),
    "Line.total": Same({"net": "total.net", "gross": "total.gross", "currency": "price.currency"}),
    "Total.net": Same({"amount": "net"}, unless_null="net"),
    "Total.gross": Same({"amount": "gross"}, unless_null="gross"),
}
LINE = {"price": 5, "price.currency": "EUR", "total.net": 10, "total.gross": 12}


async def lines(selection: str, **changed: Any) -> dict[str, Any]:
    """Return what our executor says of one line."""
    kinds = {**MONEY_KINDS, "Query.lines": Edge(one({**LINE, **changed}), None)}
    return await ask(MONEY, kinds, f"{{ lines {{ {selection} }} }}")


async def test_objects_of_the_same_row() -> None:
    assert (await lines("price { amount currency }"))["data"] == {
        "lines": [{"price": {"amount": 5, "currency": "EUR"}}]
    }
    assert (await lines("price { currency }", price=None))["data"] == {"lines": [{"price": None}]}


async def test_objects_of_the_same_row_within_each_other() -> None:
    answer = await lines("total { net { amount currency } g: gross { amount } }")
    net = {"amount": 10, "currency": "EUR"}
    assert answer == {"data": {"lines": [{"total": {"net": net, "g": {"amount": 12}}}]}, "errors": []}


async def test_a_null_object_of_the_same_row_at_a_non_null_field() -> None:
    answer = await lines("must { amount }", price=None)
    assert answer["data"] == {"lines": [None]}
    assert errors_of(answer) == [("lines.0.must", null_at("Line.must"))]


async def test_edges_and_resolvers_of_a_plain_object() -> None:
    """A mutation's payload: an object of Python that holds keys of records."""
    sdl = PEOPLE.replace("people: [Person]", "pays: [Pay]") + "type Pay { who: Person note: String }"
    schema = schema_of(sdl)
    query = schema.query_type
    assert query is not None
    pays = [SimpleNamespace(who=1, note="a"), SimpleNamespace(note="b"), SimpleNamespace(who=None, note=lambda _: "c")]
    query.fields["pays"].resolve = lambda *_: pays
    boss = bosses()
    bindings = Kinds(
        {("Query", "pays"): Resolver(), ("Pay", "who"): Edge(boss, "who"), ("Person", "name"): Column("name")}
    )
    result = response(await run_planned(schema, bindings, parse("{ pays { note who { name } } }"), {}, None))
    who = [{"name": "Ann"}, None, None]
    notes = ["a", "b", "c"]
    assert result["data"] == {"pays": [{"note": note, "who": each} for note, each in zip(notes, who, strict=True)]}
    assert errors_of(result) == [("pays.1.who", "'types.SimpleNamespace' object has no attribute 'who'")]
    assert boss.asked == [[1]]


async def test_nested_rows_have_a_shape_of_their_own() -> None:
    sdl = """
    type Query { page: Page } type Page { nodes: [Node!] edges: [E!] }
    type E { node: Node at: Int } type Node { n: Int m: Int }
    """
    shapes: list[Shape] = []

    class Pages(Table):
        def value(self, key: Any, shapes_: Mapping[str, Shape]) -> Any:
            shape = shapes_["Page"]
            shapes.append(shape)
            row = {"n": 1, "m": 2, "at": 0}
            return tuple([tuple(row[name] for name in shape.nested[column].columns)] * 2 for column in shape.columns)

    kinds: dict[str, FieldKind] = {
        "Query.page": Edge(Pages({}), None),
        "Page.nodes": Nested("rows"),
        "Page.edges": Nested("rows"),
        "E.node": Same(),
        "E.at": Column("at"),
        "Node.n": Column("n"),
        "Node.m": Column("m"),
    }
    answer = await ask(sdl, kinds, "{ page { nodes { m } edges { at node { n } } } }")
    edge = {"at": 0, "node": {"n": 1}}
    assert answer["data"] == {"page": {"nodes": [{"m": 2}] * 2, "edges": [edge] * 2}}
    assert {name: list(shape.columns) for name, shape in shapes[0].nested.items()} == {"rows": ["m", "at", "n"]}


async def test_a_level_is_one_fetch_however_many_parents() -> None:
    schema = schema_of(SELECTIONS)
    tables = Tables(schema, "Query", GIVEN, {}, "rows")
    result = await run_planned(schema, tables, parse("{ things { thing { things { id } name } id } }"), {}, None)
    inner = {"things": None, "name": "inner"}
    assert response(result) == {
        "data": {"things": [{"thing": inner, "id": "1"}, {"thing": None, "id": "3"}]},
        "errors": [],
    }
    assert tables.fetched == [("Query.things", 1), ("Thing.thing", 1)]
