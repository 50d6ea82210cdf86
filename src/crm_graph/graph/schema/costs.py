"""What a field costs, read off the schema's bindings, and what an operation costs: an expression of its variables.

The unit is an object that can have to be fetched. Objects that come with another's row (money, page information, an
edge's node) are free. A page counts each of its rows as if it were full, and an object the texts that are selected of
it as if they were as long as they may be: the first ten thousand letters are free, and a thousand more cost one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    OperationDefinitionNode,
    get_named_type,
    get_nullable_type,
    is_leaf_type,
    is_list_type,
)

from crm_graph.executor.fields import Batch, Column, Edge, Nested, Resolver, Same
from crm_graph.graph.reading.aggregates import TOTAL_GROUPS, Aggregate
from crm_graph.graph.reading.counts import CAP, SIZED_KEY, Factor, Size, Sized, Variables, literal
from crm_graph.graph.reading.history import History
from crm_graph.graph.reading.measures import DISTINCT, MATCHING
from crm_graph.graph.reading.page_requests import EXACT, TOTAL
from crm_graph.graph.reading.pages import Page
from crm_graph.graph.reading.sizes import size_out
from crm_graph.graph.reading.sources import AnyOf, Nodes
from crm_graph.graph.records.record import Record
from crm_graph.graph.schema.build import BuiltSchema

MUTATION_COST = 10
"""A mutation: a transaction with an event, whatever it returns; one of many costs 1 more for each of its inputs."""
TOTAL_COUNT_COST = 10
"""`totalCount`: a second statement over all that matches, for all parents together."""
AGGREGATE_GROUPS = 100
"""How many groups an aggregate is taken to have that does not say by `first`; each counts as an object."""
MEASURES_COST = 10
"""Measures over the records of an edge to many: a second statement over all of them, for all parents together."""
LIST_SIZE = 10
"""How many objects a list of plain objects is taken to have."""

FREE_LETTERS = 10_000
"""Letters of an object that cost nothing: twenty lines."""
LETTERS_PER_POINT = 1_000


@dataclass(frozen=True, slots=True)
class FieldCost:
    """What one field costs: `own`, plus `size` times (`each` and what is counted per item)."""

    type: GraphQLNamedType
    """The named type of what it yields."""
    own: int = 0
    each: int = 0
    statements: int = 0
    size: Size | None = None
    pages: bool = False
    """Whether the items are those below the `per_row` fields of the selection, as in a connection; else all is."""
    introspected: int = 0
    """How many objects of introspection it yields, about; they are counted apart, since none is fetched."""
    per_row: bool = False
    """Whether it stands for each row of the page that it is selected on: `nodes`, `edges`, `groups`."""
    letters: int = 0
    """How long its text may be."""

    @property
    def is_leaf(self) -> bool:
        """Whether nothing can be selected below it."""
        return is_leaf_type(self.type)


def _sized(definition: Any) -> Sized | None:
    of = definition.extensions.get("strawberry-definition")
    return None if of is None else of.metadata.get(SIZED_KEY)


class FieldCosts:
    """The costs of all fields of a schema."""

    def __init__(self, schema: BuiltSchema) -> None:
        self._schema = schema
        records = schema.registry.records
        self._costs = {
            (type_.name, name): replace(
                self._cost(type_, name, definition), letters=_letters(definition, records.get(type_.name), name)
            )
            for type_ in schema.core.type_map.values()
            if isinstance(type_, GraphQLObjectType | GraphQLInterfaceType) and not type_.name.startswith("__")
            for name, definition in type_.fields.items()
        }
        self._costs.update(_introspection(schema.core))

    def of(self, type_: GraphQLNamedType | None, name: str) -> FieldCost | None:
        """Return the cost of a field; None for `__typename`, and for what validation refuses."""
        return None if type_ is None else self._costs.get((type_.name, name))

    def type(self, name: str) -> GraphQLNamedType | None:
        """Return a type of the schema."""
        return self._schema.core.type_map.get(name)

    def root(self, operation: OperationDefinitionNode) -> GraphQLNamedType | None:
        """Return the type that an operation selects on."""
        return self._schema.core.get_root_type(operation.operation)

    def _cost(self, type_: GraphQLNamedType, name: str, definition: Any) -> FieldCost:
        of = get_named_type(definition.type)
        core = self._schema.core
        said = _sized(definition)
        if type_ is core.mutation_type:
            if said is None:
                return FieldCost(of, own=MUTATION_COST)
            return FieldCost(of, own=MUTATION_COST, each=1, size=said.size, pages=True)
        if type_ is core.subscription_type:
            return FieldCost(of, own=1)
        if said is not None and said.per_row:
            return FieldCost(of, own=1, per_row=True)
        if said is not None:
            records = len(self._schema.registry.records)
            return FieldCost(of, 1, 0, 1 + records, said.size, pages=True)
        size = Size((), LIST_SIZE, LIST_SIZE) if is_list_type(get_nullable_type(definition.type)) else None
        match self._schema.bindings.kind(type_.name, name):
            case Edge(Page(parent=parent, limits=limits), _):
                default = limits.root_default if parent is None else limits.nested_default
                asked = 1 if parent is not None else 3  # with what is asked before (`reading/few.py`)
                return FieldCost(of, 1, 0, asked, Size(("first", "last"), default, limits.maximum), pages=True)
            case Edge(Aggregate(parent=None, registry=registry), _):
                most = registry.aggregate_limits.groups
                return FieldCost(of, 1, 0, 1, Size(("first",), min(AGGREGATE_GROUPS, most), most), pages=True)
            case Edge(History(default=default, maximum=maximum), _):
                return FieldCost(of, 1, 0, 2, Size(("first",), default, maximum), pages=True)
            case Edge(Aggregate(), _):
                return FieldCost(of, own=MEASURES_COST, statements=1)
            case Edge(Nodes(max_ids=maximum, argument=argument), _):
                if size is None:
                    return FieldCost(of, own=1, statements=1)
                return FieldCost(of, 0, 1, len(self._schema.registry.records), Size((argument,), 1, maximum))
            case Edge(AnyOf(), _):
                return FieldCost(of, own=1, statements=len(self._schema.registry.records))
            case Edge():
                return FieldCost(of, own=1, statements=1)
            case Nested():
                return FieldCost(of, own=1, per_row=True)
            case Column(key) if key in {TOTAL, EXACT}:
                return FieldCost(of, own=TOTAL_COUNT_COST, statements=1)
            case Column(key) if key == TOTAL_GROUPS:
                return FieldCost(of, own=TOTAL_COUNT_COST)
            case Same() if name in {DISTINCT, MATCHING}:
                return FieldCost(of, own=1)  # values are sorted, or rows judged, for each group
            case Batch():
                return FieldCost(of, own=0 if is_leaf_type(of) else 1, statements=1, size=size)
            case Resolver() if not is_leaf_type(of):
                return FieldCost(of, own=1, statements=1, size=size)
            case _:
                return FieldCost(of, size=size)


def _letters(definition: GraphQLField, record: Record | None, name: str) -> int:
    size = size_out(definition, record, name)
    return 0 if size is None else size.letters


def _introspection(core: GraphQLSchema) -> dict[tuple[str, str], FieldCost]:
    """Return the costs of introspection's fields: how many objects each yields, where it yields any, on average."""

    def average(counts: Iterable[int]) -> int:
        some = [each for each in counts if each] or [0]
        return -(-sum(some) // len(some))

    types = core.type_map
    fields = [definition for each in types.values() for definition in getattr(each, "fields", {}).values()]
    sizes = {
        "types": len(types),
        "directives": len(core.directives),
        "fields": average(
            len(each.fields) for each in types.values() if isinstance(each, GraphQLObjectType | GraphQLInterfaceType)
        ),
        "inputFields": average(len(each.fields) for each in types.values() if isinstance(each, GraphQLInputObjectType)),
        "enumValues": average(len(each.values) for each in types.values() if isinstance(each, GraphQLEnumType)),
        "args": average(len(getattr(each, "args", ())) for each in fields),
        "possibleTypes": average(
            len(core.get_possible_types(each)) for each in types.values() if isinstance(each, GraphQLInterfaceType)
        ),
    }
    found = {
        # A type is wrapped three times at most: a query that asks for ten `ofType` below each other gets no more.
        (type_.name, name): FieldCost(
            of, each=int(name != "ofType"), introspected=0 if is_leaf_type(of) else sizes.get(name, 1)
        )
        for type_ in types.values()
        if isinstance(type_, GraphQLObjectType) and type_.name.startswith("__")
        for name, definition in type_.fields.items()
        for of in (get_named_type(definition.type),)
    }
    if core.query_type is not None:
        for name, type_name in (("__schema", "__Schema"), ("__type", "__Type")):
            found[core.query_type.name, name] = FieldCost(types[type_name], each=1, introspected=1)
    return found


@dataclass(frozen=True, slots=True)
class Amount:
    """`base` plus, for each term, a coefficient times the value of a step."""

    base: int = 0
    terms: tuple[tuple[int, int], ...] = ()

    def __add__(self, other: Amount) -> Amount:
        if other is NOTHING:
            return self
        return Amount(min(CAP, self.base + other.base), self.terms + other.terms)

    def times(self, factor: int) -> Amount:
        """Return the amount so many times."""
        return Amount(min(CAP, self.base * factor), tuple((min(CAP, each * factor), step) for each, step in self.terms))


NOTHING = Amount()


def cost_of_letters(letters: int) -> Amount:
    """Return what the texts that are selected of one object cost."""
    return Amount(-(-(letters - FREE_LETTERS) // LETTERS_PER_POINT)) if letters > FREE_LETTERS else NOTHING


def letters_of(cost: int) -> int:
    """Return how long all texts of an operation of this cost may be together, about: no object has more that is free,
    and lists of plain objects are taken to be of a usual length."""
    return (cost + 1) * FREE_LETTERS


@dataclass(slots=True)
class Steps:
    """The parts of a document's costs that depend on variables, in the order in which they are evaluated.

    A part that is used in many places, a fragment, is one step, so that evaluation is linear in the document too.
    """

    steps: list[tuple[Factor | None, Amount]] = field(default_factory=list)

    def times(self, amount: Amount, factor: int | Factor) -> Amount:
        """Return an amount so many times."""
        if not isinstance(factor, int):
            return self._step(factor, amount)
        return self.shared(amount.times(factor))

    def shared(self, amount: Amount) -> Amount:
        """Return the amount with one term at most."""
        return amount if len(amount.terms) <= 1 else self._step(None, amount)

    def _step(self, factor: Factor | None, amount: Amount) -> Amount:
        self.steps.append((factor, amount))
        return Amount(0, ((1, len(self.steps) - 1),))


@dataclass(slots=True)
class Cost:
    """The cost of one operation: a constant, unless sizes or conditions are variables."""

    amount: Amount = NOTHING
    steps: Sequence[tuple[Factor | None, Amount]] = ()
    defaults: Variables = field(default_factory=dict)
    explain: Callable[[Variables], str] = lambda _: ""
    """Returns the path of the most expensive field; not fast."""
    _needed: list[int] | None = None

    def of(self, variables: Variables) -> int:
        """Return the cost with these variables, which need not be coerced yet; capped at `CAP`."""
        amount = self.amount
        if not amount.terms:
            return amount.base
        if self._needed is None:
            self._needed = self._reachable()
        given = self.given(variables)
        values: dict[int, int] = {}
        for index in self._needed:
            factor, part = self.steps[index]
            value = part.base
            for coefficient, step in part.terms:
                value += coefficient * values[step]
            values[index] = min(CAP, value if factor is None else value * factor(given))
        return min(CAP, amount.base + sum(coefficient * values[step] for coefficient, step in amount.terms))

    def given(self, variables: Variables) -> Variables:
        """Return the variables with the operation's defaults."""
        return {**self.defaults, **variables} if self.defaults else variables

    def _reachable(self) -> list[int]:
        """Return the steps of this operation; those of the document's other ones are left out."""
        found: set[int] = set()
        waiting = [step for _, step in self.amount.terms]
        while waiting:
            step = waiting.pop()
            if step not in found:
                found.add(step)
                waiting += [below for _, below in self.steps[step][1].terms]
        return sorted(found)


def defaults(operation: OperationDefinitionNode) -> dict[str, Any]:
    """Return the defaults of an operation's variables that can be sizes or conditions."""
    return {
        each.variable.name.value: literal(each.default_value)
        for each in operation.variable_definitions or ()
        if each.default_value is not None
    }
