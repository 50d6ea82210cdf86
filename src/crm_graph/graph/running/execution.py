"""Both executors behind one interface: `planned` (ours) and `reference` (graphql-core with aiodataloader)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from inspect import isawaitable
from typing import Any, Protocol

from graphql import (
    BooleanValueNode,
    DocumentNode,
    ExecutionResult,
    FragmentDefinitionNode,
    GraphQLError,
    MiddlewareManager,
    OperationDefinitionNode,
    VariableNode,
    Visitor,
    execute,
    visit,
)
from graphql.execution.values import VariableValues

from crm_graph.executor.execute import run_root
from crm_graph.executor.fields import Planning
from crm_graph.executor.planner import INTROSPECTION, Planner, Unplanned
from crm_graph.executor.plans import Plan
from crm_graph.executor.results import OnError, Run
from crm_graph.graph.context import GraphContext
from crm_graph.graph.running.on_error import executor_class, halted
from crm_graph.graph.running.reference import attach_reference
from crm_graph.graph.running.variables import VariableCoercer
from crm_graph.graph.schema.build import BuiltSchema
from crm_graph.graph.schema.costs import Cost
from crm_graph.graph.schema.cut import CutSchemas
from crm_graph.graph.schema.introspection import Introspection
from crm_graph.kernel.caches import ByteCache


@dataclass(slots=True)
class Operation:
    """One operation of a parsed, valid document, with what planning asks of it."""

    key: str
    """Names the document and operation in caches."""
    document: DocumentNode
    definition: OperationDefinitionNode
    fragments: Mapping[str, FragmentDefinitionNode]
    conditions: tuple[str, ...]
    """The variables that `@skip` and `@include` depend on: their values are part of a plan's cache key."""

    @property
    def document_sha256(self) -> str:
        """The SHA-256 of the document's source, in hex digits."""
        return self.key.partition(":")[0]

    cost: Cost = field(default_factory=Cost)
    """What it may cost, by its variables."""
    coerce: VariableCoercer | None = None
    """How its variables are coerced, once it was executed."""


def conditions(document: DocumentNode) -> tuple[str, ...]:
    """Return the variables that `@skip` and `@include` depend on anywhere in a document."""
    found = _Conditions()
    visit(document, found)
    return tuple(sorted(found.names))


class _Conditions(Visitor):
    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def enter_directive(self, node: Any, *_: Any) -> None:
        if node.name.value in {"skip", "include"}:
            for argument in node.arguments or ():
                if isinstance(argument.value, VariableNode):
                    self.names.add(argument.value.name.value)
                else:
                    assert isinstance(argument.value, BooleanValueNode)


@dataclass(slots=True)
class Outcome:
    """The result of one execution, and the coordinates that were withheld from it."""

    result: ExecutionResult
    withheld: Sequence[str] = ()
    request_error: bool = False
    """Whether nothing was executed: a variable that cannot be coerced, say."""


class Executor(Protocol):
    """Executes an operation for one request."""

    async def execute(
        self,
        operation: Operation,
        variables: Mapping[str, Any],
        context: GraphContext,
        root_value: Any = None,
        on_error: OnError = OnError.PROPAGATE,
    ) -> Outcome:
        """Return the outcome; field errors are in its result. `root_value` is a subscription's event."""
        ...


def coerce_variables(
    schema: BuiltSchema, operation: Operation, variables: Mapping[str, Any]
) -> VariableValues | list[GraphQLError]:
    """Return the coerced variables, or what is wrong with them."""
    if operation.coerce is None:
        operation.coerce = VariableCoercer(schema.core, operation.definition)
    return operation.coerce(variables)


class ReferenceExecutor:
    """graphql-core over the same sources."""

    def __init__(self, schema: BuiltSchema) -> None:
        self.schema = schema
        self.schemas = schema.once(CutSchemas)
        schema.once(attach_reference)

    async def execute(
        self,
        operation: Operation,
        variables: Mapping[str, Any],
        context: GraphContext,
        root_value: Any = None,
        on_error: OnError = OnError.PROPAGATE,
    ) -> Outcome:
        """See `Executor`."""
        context.loaders.clear()
        context.extras.pop("reference_planning", None)
        name = operation.definition.name
        base: Any = self.schema.strawberry.execution_context_class
        result = execute(
            self.schema.core,
            operation.document,
            root_value,
            context,
            dict(variables),
            name.value if name is not None else None,
            executor_class=executor_class(base, on_error),
            middleware=await self._introspected(operation, context),
            hide_suggestions=True,
        )
        finished = await result if isawaitable(result) else result
        planning = context.extras.pop("reference_planning", None)
        withheld: Sequence[str] = ()
        if isinstance(planning, Planning):
            withheld = tuple(sorted(planning.withheld))
            if planning.audited:
                context.note_reads(planning.audited)
        request_error = finished.data is None and all(not error.path for error in finished.errors or ())
        if on_error is OnError.HALT and not request_error:
            finished = halted(finished)
        return Outcome(finished, withheld, request_error)

    async def _introspected(self, operation: Operation, context: GraphContext) -> MiddlewareManager | None:
        """Return what makes introspection answer with the schema as the viewer's permissions cut it, if it is asked."""
        location = operation.document.loc
        if location is None or not _INTROSPECTS.search(location.source.body):
            return None
        cut = await self.schemas.of(context.access)

        def of_cut(resolve: Any, source: Any, info: Any, **arguments: Any) -> Any:
            if info.field_name in INTROSPECTION or info.parent_type.name.startswith("__"):
                info = info._replace(schema=cut)
            return resolve(source, info, **arguments)

        return MiddlewareManager(of_cut)


_INTROSPECTS = re.compile(r"__(?:schema|type)\b")


class PlanCache:
    """The most recently used plans, bounded by the memory they take."""

    def __init__(self, max_bytes: int = 64 * 1024 * 1024) -> None:
        self._plans: ByteCache[Any, tuple[Plan | None]] = ByteCache(max_bytes)
        self.hits = 0
        self.misses = 0

    @property
    def bytes(self) -> int:
        """How many bytes the plans take, about."""
        return self._plans.bytes

    @property
    def plans(self) -> list[Plan | None]:
        """The plans, the most recently used one last."""
        return [plan for (plan,) in self._plans.values()]

    @property
    def evictions(self) -> int:
        """How many plans were dropped for others."""
        return self._plans.evictions

    def get(self, key: Any) -> Plan | None:
        """Return the plan under a key; None stands for an operation that cannot be planned. Raises KeyError."""
        found = self._plans.get(key)
        if found is None:
            self.misses += 1
            raise KeyError
        self.hits += 1
        return found[0]

    def put(self, key: Any, plan: Plan | None) -> None:
        """Keep a plan, dropping the least recently used ones."""
        self._plans.put(key, (plan,), PLAN_BYTES if plan is None else PLAN_BYTES + plan.weight)


PLAN_BYTES = 2_000
"""What a cached plan costs beside its fields and edges."""


class PlannedExecutor:
    """Ours: compiled plans, run breadth-first; what cannot be planned goes to the reference."""

    def __init__(self, schema: BuiltSchema, cache: PlanCache | None = None) -> None:
        self.schema = schema
        self.reference = ReferenceExecutor(schema)
        self.cache = cache or PlanCache()
        self.introspection = Introspection(self.reference.schemas)

    async def execute(
        self,
        operation: Operation,
        variables: Mapping[str, Any],
        context: GraphContext,
        root_value: Any = None,
        on_error: OnError = OnError.PROPAGATE,
    ) -> Outcome:
        """See `Executor`."""
        coerced = coerce_variables(self.schema, operation, variables)
        if isinstance(coerced, list):
            return Outcome(ExecutionResult(None, coerced), request_error=True)
        try:
            plan = self._plan(operation, coerced, context)
        except GraphQLError as error:
            return Outcome(ExecutionResult(None, [error]), request_error=True)
        if plan is None:
            return await self.reference.execute(operation, variables, context, root_value, on_error)
        context.loaders.clear()  # one that outlives an operation, a subscription's, must not answer from the last one
        if plan.audited:
            context.note_reads(plan.audited)
        run = Run(context, coerced, on_error=on_error)
        return Outcome(await run_root(plan, run, root_value), plan.withheld)

    def _plan(self, operation: Operation, variables: VariableValues, context: GraphContext) -> Plan | None:
        conditions = tuple(variables.coerced.get(name) for name in operation.conditions)
        key = operation.key, context.access.fingerprint, conditions
        try:
            return self.cache.get(key)
        except KeyError:
            pass
        planner = Planner(
            self.schema.core,
            self.schema.bindings,
            Planning(context.access, context.access.hides),
            operation.definition,
            operation.fragments,
            variables,
            self.introspection,
        )
        plan: Plan | None
        try:
            plan = planner.plan()
        except Unplanned:
            plan = None
        self.cache.put(key, plan)
        return plan


def make_executor(kind: str, schema: BuiltSchema, cache: PlanCache | None = None) -> Executor:
    """Return the executor that the setting `CRM_EXECUTOR` names: `planned`, with its cache, or `reference`."""
    return ReferenceExecutor(schema) if kind == "reference" else PlannedExecutor(schema, cache)
