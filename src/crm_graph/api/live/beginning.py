"""How a subscription begins: the one field that it selects, its arguments checked, and its share of what is live."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import orjson
from graphql import FieldNode, GraphQLError, GraphQLField, VariableNode, Visitor, visit
from graphql.execution.collect_fields import FragmentDetails, collect_fields
from graphql.execution.values import VariableValues, get_argument_values

from crm_graph.api.body import GraphQLRequest
from crm_graph.api.contexts import Contexts
from crm_graph.api.documents.cache import DocumentError
from crm_graph.api.live.groups import Key
from crm_graph.api.live.stream import Subscription
from crm_graph.api.live_shares import LiveShares
from crm_graph.db.pool import Database
from crm_graph.events.horizon import Horizon, horizon
from crm_graph.events.hub import Hub
from crm_graph.executor.fields import present
from crm_graph.graph.changes.live import Watch
from crm_graph.graph.records.record import AS_OF, WatchSpec, spec_of
from crm_graph.graph.running.execution import Operation, coerce_variables
from crm_graph.graph.schema.build import BuiltSchema
from crm_graph.identity.origin import Origin
from crm_graph.identity.tokens import Claims
from crm_graph.kernel.errors import BadUserInput


class Beginning(Protocol):
    """What the beginning of a subscription needs of the engine."""

    schema: BuiltSchema
    hub: Hub
    database: Database
    shares: LiveShares
    contexts: Contexts


async def begin(
    engine: Beginning,
    request: GraphQLRequest,
    operation: Operation,
    current: Callable[[], Claims],
    *,
    resume: str | None,
    origin: Origin,
) -> Subscription:
    """Return a subscription that has come nowhere yet. `resume` stands for `after`. Raises DocumentError and
    RequestError for what cannot, or may not, be subscribed to so."""
    coerced = coerce_variables(engine.schema, operation, request.variables)
    if isinstance(coerced, list):
        raise DocumentError("BAD_USER_INPUT", coerced)
    _refuse_as_of(operation)
    node, definition = _selected(engine.schema, operation, coerced)
    field = definition.extensions["strawberry-definition"]
    spec = spec_of(field)
    assert isinstance(spec, WatchSpec)
    try:
        arguments = present(get_argument_values(definition, node, coerced))
    except GraphQLError as error:
        raise DocumentError("BAD_USER_INPUT", [error]) from None
    if resume is not None:
        arguments = {**arguments, "after": resume}
    context = await engine.contexts.read(current(), origin)
    newest, kept = await engine.hub.newest(), Horizon()
    if arguments.get("after") is not None:
        kept = await horizon(engine.database.primary_reader())
    watch = Watch.of(spec, context, arguments, newest, kept)
    watch.read(context.access)
    form, cost = (watch.record.name, watch.form), operation.cost.of(request.variables)
    engine.shares.check(context.viewer.workspace_id, context.viewer.member_id, form, cost)
    return Subscription(
        request,
        operation,
        current,
        watch,
        change=field.type,
        asked=_key_of(request, operation, node, current().client_id),
        origin=origin,
        position=watch.after,
        scope=watch.scope,
        cost=cost,
        form=form,
    )


def _refuse_as_of(operation: Operation) -> None:
    """Raise BadUserInput where what is selected is to be read as of a time."""
    finder = _FindAsOf()
    for node in (operation.definition, *operation.fragments.values()):
        visit(node, finder)
    if finder.found:
        raise BadUserInput("A subscription tells what is so now: leave `asOf` out.", path=(AS_OF,))


class _FindAsOf(Visitor):
    def __init__(self) -> None:
        super().__init__()
        self.found = False

    def enter_argument(self, node: Any, *_: Any) -> None:
        self.found = self.found or node.name.value == AS_OF


def _selected(schema: BuiltSchema, operation: Operation, variables: VariableValues) -> tuple[FieldNode, GraphQLField]:
    """Return the one field that a subscription selects, and its definition. Raises DocumentError."""
    root = schema.core.subscription_type
    assert root is not None
    fragments = {name: FragmentDetails(node) for name, node in operation.fragments.items()}
    selected = collect_fields(schema.core, fragments, variables, root, operation.definition).grouped_field_set
    if len(selected) != 1:
        raise DocumentError("BAD_USER_INPUT", [GraphQLError("A subscription selects exactly one field.")])
    (details,) = selected.values()
    node = details[0].node
    if node.name.value.startswith("__"):
        raise DocumentError("BAD_USER_INPUT", [GraphQLError("A subscription cannot select `__typename` alone.")])
    return node, root.fields[node.name.value]


def _key_of(request: GraphQLRequest, operation: Operation, node: FieldNode, client_id: str | None) -> Key:
    """Return what makes two requests the same: all but the position that a client resumes from."""
    variables = dict(request.variables)
    after = next((argument.value for argument in node.arguments or () if argument.name.value == "after"), None)
    if isinstance(after, VariableNode) and _Uses.count(operation, after.name.value) == 1:
        variables.pop(after.name.value, None)
    return (
        operation.key,
        orjson.dumps(variables, option=orjson.OPT_SORT_KEYS, default=str),
        request.on_error,
        request.extensions.get("cost") is True,
        request.document_id,
        client_id,
    )


class _Uses(Visitor):
    """Counts the uses of a variable, apart from its definition."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name
        self._found = 0

    @classmethod
    def count(cls, operation: Operation, name: str) -> int:
        """Return how often an operation's document uses a variable."""
        uses = cls(name)
        visit(operation.document, uses)
        return uses._found

    def enter_variable_definition(self, *_: Any) -> Any:
        """Do not look into definitions."""
        return self.SKIP

    def enter_variable(self, node: Any, *_: Any) -> None:
        """Count one."""
        self._found += node.name.value == self._name
