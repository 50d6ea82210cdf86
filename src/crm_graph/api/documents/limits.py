"""What an operation asks for, in one memoised pass: its depth, aliases, root fields, statements and cost.

The usual limiters walk fragments anew at each spread: 18 fragments that spread the next one twice cost them seconds.
Here a fragment is measured once, so the pass is linear in the document, and cycles (which validation refuses) end. It
runs before validation and takes whatever parses.

`@skip` and `@include` count in the cost only, where they are honoured; every other number is of what is written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from graphql import (
    DirectiveNode,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLNamedType,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
    VariableNode,
    get_introspection_query,
    parse,
)

from crm_graph.graph.reading.counts import CAP, Factor, Variables, literal
from crm_graph.graph.schema.build import BuiltSchema
from crm_graph.graph.schema.costs import (
    NOTHING,
    Amount,
    Cost,
    FieldCost,
    FieldCosts,
    Steps,
    cost_of_letters,
    defaults,
)

Path = tuple[str, Any] | None
"""The response keys down to a field, as nested pairs: fragments are measured without knowing where they stand."""


@dataclass(frozen=True, slots=True)
class ShapeLimits:
    """Bounds of one operation, whatever its variables."""

    depth: int = 12
    aliases: int = 30
    root_fields: int = 20
    fields: int = 5_000
    statements: int = 100
    introspected: int = 100_000


class LimitError(GraphQLError):
    """Raised when a document's shape exceeds a limit; code COST_LIMIT_EXCEEDED."""


def check_cost(cost: Cost, variables: Variables, limit: int) -> None:
    """Raise LimitError, naming the most expensive path, when an operation costs too much with these variables."""
    requested = cost.of(variables)
    if requested <= limit:
        return
    said = f"{requested:,}" if requested < CAP else "huge"
    raise LimitError(
        f"The cost of this operation is {said}; the limit is {limit:,}. The most expensive path is "
        f"`{cost.explain(cost.given(variables))}`: ask for smaller pages there, or for less below them."
    )


def check_values(variables: Variables, limit: int) -> None:
    """Raise LimitError when the variables hold too many values: coercing them takes 10 µs each."""
    count = 0
    waiting: list[Any] = [variables]
    while waiting:
        value = waiting.pop()
        items = value.values() if isinstance(value, Mapping) else value
        count += len(items)
        if count > limit:
            raise LimitError(f"The variables hold more than {limit:,} values. Send less at once.")
        waiting += [item for item in items if isinstance(item, dict | list)]


@dataclass(slots=True)
class Shape:
    """What a selection expands to. `per_row` is the part of the cost that each row of the page around it has."""

    depth: int = 0
    aliases: int = 0
    fields: int = 0
    width: int = 0
    statements: int = 0
    introspected: int = 0
    letters: int = 0
    """How long the texts may be that are selected of the object itself."""
    cost: Amount = NOTHING
    per_row: Amount = NOTHING
    heaviest: tuple[int, Path] = (0, None)
    heaviest_per_row: tuple[int, Path] = (0, None)

    def add(self, other: Shape) -> None:
        """Put the other selection beside this one, in one set."""
        self.depth = max(self.depth, other.depth)
        self.aliases = min(CAP, self.aliases + other.aliases)
        self.fields = min(CAP, self.fields + other.fields)
        self.width = min(CAP, self.width + other.width)
        self.statements = min(CAP, self.statements + other.statements)
        self.introspected = min(CAP, self.introspected + other.introspected)
        self.letters = min(CAP, self.letters + other.letters)
        self.cost += other.cost
        self.per_row += other.per_row
        if other.heaviest[0] > self.heaviest[0]:
            self.heaviest = other.heaviest
        if other.heaviest_per_row[0] > self.heaviest_per_row[0]:
            self.heaviest_per_row = other.heaviest_per_row


def check_shape(
    document: DocumentNode, limits: ShapeLimits, costs: FieldCosts
) -> Sequence[tuple[OperationDefinitionNode, Cost]]:
    """Return the operations of a document with their costs. Raises LimitError when one exceeds another limit."""
    fragments = {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}
    measure = _Measure(fragments, costs)
    costed = []
    for node in document.definitions:
        if not isinstance(node, OperationDefinitionNode):
            continue
        shape = measure.selections(node.selection_set, costs.root(node))
        for name, value, limit in (
            ("depth", shape.depth, limits.depth),
            ("number of aliases", shape.aliases, limits.aliases),
            ("number of root fields", shape.width, limits.root_fields),
            ("number of fields, fragments expanded,", shape.fields, limits.fields),
            ("number of statements", shape.statements, limits.statements),
            ("number of objects introspected", shape.introspected, limits.introspected),
        ):
            if value > limit:
                raise LimitError(
                    f"The {name} of this operation is {value if value < CAP else 'huge'}; the limit is {limit}."
                )
        cost = Cost(shape.cost, measure.steps.steps, defaults(node), _explained(node, fragments, costs))
        costed.append((node, cost))
    return costed


def introspected_by_tools(schema: BuiltSchema) -> int:
    """Return how many objects the query yields that all tools send, with all of its options: it grows with the schema,
    and a limit that does not would shut tools out with some later record type."""
    source = get_introspection_query(
        specified_by_url=True, directive_is_repeatable=True, schema_description=True, input_value_deprecation=True
    )
    document = parse(source)
    fragments = {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}
    (operation,) = (node for node in document.definitions if isinstance(node, OperationDefinitionNode))
    costs = schema.once(FieldCosts)
    return _Measure(fragments, costs).selections(operation.selection_set, costs.root(operation)).introspected


INTROSPECTION_ROOM = 2
"""How many times as much an introspection may yield as the one that tools send."""


def _explained(
    node: OperationDefinitionNode, fragments: Mapping[str, FragmentDefinitionNode], costs: FieldCosts
) -> Callable[[Variables], str]:
    """Return the way to an operation's most expensive path: it is measured again, with its variables known."""

    def explain(variables: Variables) -> str:
        shape = _Measure(fragments, costs, variables).selections(node.selection_set, costs.root(node))
        keys: list[str] = []
        path = shape.heaviest[1]
        while path is not None:
            keys.append(path[0])
            path = path[1]
        return ".".join(keys)

    return explain


class _Measure:
    """Measures selections; with `variables`, all costs are constants and the heaviest paths are known."""

    def __init__(
        self, fragments: Mapping[str, FragmentDefinitionNode], costs: FieldCosts, variables: Variables | None = None
    ) -> None:
        self._fragments = fragments
        self._costs = costs
        self._variables = variables
        self._shapes: dict[str, Shape] = {}
        self.steps = Steps()

    def selections(self, selection_set: SelectionSetNode, type_: GraphQLNamedType | None) -> Shape:
        total = Shape()
        for node in selection_set.selections:
            shape = self._selection(node, type_)
            if node.directives:
                shape = self._conditional(shape, node.directives)
            total.add(shape)
        return total

    def _selection(self, node: SelectionNode, type_: GraphQLNamedType | None) -> Shape:
        if isinstance(node, FieldNode):
            return self._field(node, self._costs.of(type_, node.name.value))
        if isinstance(node, InlineFragmentNode):
            on = node.type_condition
            return self.selections(node.selection_set, self._costs.type(on.name.value) if on else type_)
        assert isinstance(node, FragmentSpreadNode)
        return self._fragment(node.name.value)

    def _field(self, node: FieldNode, field_cost: FieldCost | None) -> Shape:
        alias = 1 if node.alias is not None and node.alias.value != node.name.value else 0
        inner = (
            self.selections(node.selection_set, field_cost.type if field_cost else None)
            if node.selection_set
            else Shape()
        )
        shape = Shape(
            1 if node.name.value.startswith("__") else min(CAP, inner.depth + 1),
            min(CAP, inner.aliases + alias),
            min(CAP, inner.fields + 1),
            1,
            inner.statements,
        )
        if field_cost is not None and field_cost.introspected:
            shape.introspected = min(CAP, field_cost.introspected * (field_cost.each + inner.introspected))
        elif field_cost is not None:
            shape.statements = min(CAP, inner.statements + field_cost.statements)
            shape.introspected = inner.introspected
            shape.letters = field_cost.letters
            cost, below = self._field_cost(node, field_cost, inner)
            heaviest = cost.base, ((node.alias or node.name).value, below)
            if field_cost.per_row:
                shape.per_row, shape.heaviest_per_row = cost, heaviest
            else:
                shape.cost, shape.heaviest = cost, heaviest
        return shape

    def _field_cost(self, node: FieldNode, field_cost: FieldCost, inner: Shape) -> tuple[Amount, Path]:
        """Return what a field costs with all below it, and the heaviest path below it."""
        texts = cost_of_letters(inner.letters)
        if field_cost.size is None:
            return self.steps.shared(Amount(field_cost.own) + texts + inner.cost), inner.heaviest[1]
        size = self._known(field_cost.size.of(node))
        items = Amount(field_cost.each) + (inner.per_row if field_cost.pages else texts + inner.cost)
        cost = Amount(field_cost.own) + self.steps.times(items, size)
        if not field_cost.pages:
            return cost, inner.heaviest[1]
        below = inner.heaviest
        if isinstance(size, int) and inner.heaviest_per_row[0] * size >= below[0]:
            below = inner.heaviest_per_row
        return self.steps.shared(cost + inner.cost), below[1]

    def _fragment(self, name: str) -> Shape:
        if name not in self._shapes:
            self._shapes[name] = Shape()
            fragment = self._fragments.get(name)
            if fragment is not None:
                type_ = self._costs.type(fragment.type_condition.name.value)
                shape = self.selections(fragment.selection_set, type_)
                shape.cost = self.steps.shared(shape.cost)
                shape.per_row = self.steps.shared(shape.per_row)
                self._shapes[name] = shape
        return self._shapes[name]

    def _conditional(self, shape: Shape, directives: Sequence[DirectiveNode]) -> Shape:
        for directive in directives:
            condition = _condition(directive)
            if condition is None:
                continue
            included = self._known(condition)
            if included == 1:
                continue
            cost, per_row = self.steps.times(shape.cost, included), self.steps.times(shape.per_row, included)
            letters = 0 if included == 0 else shape.letters
            heaviest = (0, None) if included == 0 else shape.heaviest
            per_row_heaviest = (0, None) if included == 0 else shape.heaviest_per_row
            shape = replace(
                shape,
                letters=letters,
                cost=cost,
                per_row=per_row,
                heaviest=heaviest,
                heaviest_per_row=per_row_heaviest,
            )
        return shape

    def _known(self, factor: int | Factor) -> int | Factor:
        return factor if isinstance(factor, int) or self._variables is None else factor(self._variables)


def _condition(directive: DirectiveNode) -> int | Factor | None:
    """Return whether a directive includes what it stands at, as 1 or 0; None for a directive that decides nothing."""
    name = directive.name.value
    if name not in {"skip", "include"}:
        return None
    value = next((argument.value for argument in directive.arguments or () if argument.name.value == "if"), None)
    if value is None:
        return None
    excluding = name == "skip"
    if not isinstance(value, VariableNode):
        return 0 if literal(value) is excluding else 1
    variable = value.name.value
    return lambda variables: 0 if variables.get(variable) is excluding else 1
