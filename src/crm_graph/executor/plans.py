"""A compiled operation: a tree of object plans, each with the edges to fetch and the loop that builds its objects."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphql import FieldNode, GraphQLField, GraphQLObjectType, OperationDefinitionNode, OperationType
from graphql.execution.values import VariableValues

from crm_graph.executor.fields import Fetch, Shape, coordinate

Arguments = Callable[[VariableValues], Mapping[str, Any]]
Build = Callable[..., list[dict[str, Any]]]


@dataclass(slots=True)
class PlannedField:
    """One response key of an object: its definition, its AST nodes (for error locations) and what lies below it."""

    response_key: str
    parent: GraphQLObjectType
    name: str
    definition: GraphQLField
    nodes: list[FieldNode]
    objects: Mapping[str, ObjectPlan] = field(default_factory=dict)
    """The plans of the concrete object types this field may yield, by type name; empty for a leaf."""

    @property
    def coordinate(self) -> str:
        """The field's schema coordinate."""
        return coordinate(self.parent.name, self.name)


@dataclass(slots=True)
class PlannedEdge:
    """An edge of an object plan: how to read its key from a row, fetch for all keys, and complete what came."""

    field: PlannedField
    read_key: Callable[[Any], Any] | None
    """None at a root, where there is one row and no key."""
    fetch: Fetch | None
    """None where the row already carries the objects (`Nested`, or an attribute of a plain object)."""
    per_row: bool
    """Whether the key is the row itself (a resolver's parent): not to be deduplicated."""
    arguments: Arguments
    list_depth: int
    abstract: bool
    non_null: bool
    item_non_null: bool
    serialize: Callable[[Any], Any] | None = None
    needs_key: bool = False
    """Whether a null key is a null where the schema promises a value; not where the object around it is null then."""
    inner: PlannedEdge | None = None
    """How the items of a list of lists are completed."""


@dataclass(slots=True)
class ObjectPlan:
    """The plan of one object type at one place: `build(run, rows, *edge_values)` makes the response objects."""

    type: GraphQLObjectType
    shape: Shape | None
    """None where rows are plain objects, read by attribute."""
    fields: list[PlannedField] = field(default_factory=list)
    edges: list[PlannedEdge] = field(default_factory=list)
    build: Build | None = None


@dataclass(slots=True)
class Plan:
    """A compiled operation, for one document, operation name, permission fingerprint and set of conditions."""

    operation: OperationDefinitionNode
    root: ObjectPlan
    withheld: Sequence[str]
    audited: Sequence[str] = ()
    """The selected coordinates whose reading is to be written down."""

    @property
    def weight(self) -> int:
        """About how many bytes the plan takes, once its statements are compiled: 10 to 90 KB were measured."""
        return _weight(self.root)

    @property
    def serial(self) -> bool:
        """Whether the root fields must run one after the other."""
        return self.operation.operation is OperationType.MUTATION


FIELD_BYTES, EDGE_BYTES = 2_500, 20_000


def _weight(plan: ObjectPlan) -> int:
    below = sum(_weight(inner) for field in plan.fields for inner in field.objects.values())
    return len(plan.fields) * FIELD_BYTES + len(plan.edges) * EDGE_BYTES + below
