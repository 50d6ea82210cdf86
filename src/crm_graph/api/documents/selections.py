"""Stored selections and filters: checked when they are stored and before each event, under an endpoint's roles."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from graphql import OperationType, specified_rules, validate

from crm_graph.api.documents.cache import DocumentCache, DocumentError
from crm_graph.api.documents.limits import LimitError, check_cost
from crm_graph.graph.changes.stored import require_askable, stored_judges
from crm_graph.graph.running.execution import Operation
from crm_graph.graph.schema.build import BuiltSchema
from crm_graph.graph.schema.cut import CutSchemas
from crm_graph.identity.viewer import Viewer
from crm_graph.kernel.errors import CrmError, Forbidden, Refused, RequestError
from crm_graph.kernel.settings import Settings
from crm_graph.permissions.compiler import AccessCompiler

MAX_SHOWN = 3
"""Of a document's validation errors, so many are told."""


class BrokenSelection(CrmError):
    """Raised for a selection or filter that is not, or not any more, valid for its endpoint's roles, with a reason."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Selections:
    """The stored selections of a process. Implements `SelectionCheck`."""

    def __init__(
        self, schema: BuiltSchema, documents: DocumentCache, access: AccessCompiler, settings: Settings
    ) -> None:
        self._schema = schema
        self._documents = documents
        self._access = access
        self._max_cost = settings.max_cost
        self._cut = schema.once(CutSchemas)
        self._types = frozenset(event.__name__ for slice_ in schema.slices for event in slice_.events)

    @property
    def event_types(self) -> Collection[str]:
        """See `SelectionCheck`."""
        return self._types

    def check_filter(self, viewer: Viewer, filter_: Any) -> None:
        """See `SelectionCheck`."""
        try:
            require_askable(stored_judges(self._schema, filter_), self._access.of(viewer))
        except Forbidden as error:
            raise Refused("INVALID", f"Under the roles of the endpoint: {error.message}", ("filter",)) from None
        except RequestError as error:
            raise Refused("INVALID", error.message, ("filter", *map(str, error.path))) from None

    async def check(self, viewer: Viewer, selection: str) -> None:
        """See `SelectionCheck`."""
        try:
            await self.operation(viewer, selection)
        except BrokenSelection as broken:
            raise Refused("INVALID", broken.reason, ("selection",)) from None

    def cost(self, selection: str) -> int:
        """See `SelectionCheck`."""
        try:
            operation = self._documents.get(selection).operation(None)
        except DocumentError:
            return 0
        return operation.cost.of(variables_of(operation, "cus_" + "0" * 32))

    async def operation(self, viewer: Viewer, selection: str) -> Operation:
        """Return a selection's operation. Raises BrokenSelection unless it is a query that the viewer sees the types
        and fields of, within the limits of queries."""
        try:
            document = self._documents.get(selection)
            operation = document.operation(None)
        except DocumentError as error:
            raise BrokenSelection(_told(error.errors)) from None
        if operation.definition.operation is not OperationType.QUERY:
            raise BrokenSelection("A selection is a query.")
        for variable in operation.definition.variable_definitions or ():
            name, type_ = variable.variable.name.value, _spelled(variable.type)
            if (name, type_) != ("id", "ID!"):
                raise BrokenSelection(f"A selection has no variable but `$id: ID!`; this one has `${name}: {type_}`.")
        try:
            check_cost(operation.cost, variables_of(operation, "cus_" + "0" * 32), self._max_cost)
        except LimitError as error:
            raise BrokenSelection(error.message) from None
        cut = await self._cut.of(self._access.of(viewer))
        errors = validate(cut, document.node, specified_rules, max_errors=MAX_SHOWN)
        if errors:
            raise BrokenSelection(f"Under the roles of the endpoint: {_told(errors)}")
        return operation


def variables_of(operation: Operation, record_id: str) -> Mapping[str, Any]:
    """Return the variables that a selection is run with."""
    return {"id": record_id} if operation.definition.variable_definitions else {}


def _told(errors: Collection[Any]) -> str:
    return " ".join(error.message for error in list(errors)[:MAX_SHOWN])


def _spelled(node: Any) -> str:
    name: str = node.loc.source.body[node.loc.start : node.loc.end] if node.loc else "?"
    return name
