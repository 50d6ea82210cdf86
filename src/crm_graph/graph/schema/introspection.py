"""`__schema` and `__type` inside a plan: graphql-core executes such a field alone, and its answer is kept.

The answer depends on the selection, the variables in it, and the schema as the viewer's permissions cut it. What tools
send takes graphql-core 110 ms, in which the process answers nothing else; out of the cache it takes none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from graphql import (
    DocumentNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLSchema,
    Node,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    VariableDefinitionNode,
    VariableNode,
    Visitor,
    execute_sync,
    print_ast,
    visit,
)

from crm_graph.executor.fields import Fetch
from crm_graph.executor.plans import PlannedField
from crm_graph.executor.results import Run
from crm_graph.graph.schema.cut import CutSchemas
from crm_graph.kernel.caches import ByteCache

MAX_BYTES = 16 * 1024 * 1024
"""What all answers together may take; the one to the query that tools send is counted as 2.4 MB."""

BYTES_PER_JSON_BYTE = 5
"""What a byte of a large answer's JSON takes while it is dicts and lists: 3.1 were measured."""

BYTES_PER_ANSWER = 1024
"""What any answer takes besides: its key, and its first dicts."""


class Introspection:
    """The answers to introspection of one schema. Implements `executor.planner.Introspect`."""

    def __init__(self, schemas: CutSchemas, max_bytes: int = MAX_BYTES) -> None:
        self._schemas = schemas
        self.cache: ByteCache[tuple[Any, ...], tuple[Any]] = ByteCache(max_bytes)

    def __call__(
        self,
        planned: PlannedField,
        operation: OperationDefinitionNode,
        fragments: Mapping[str, FragmentDefinitionNode],
    ) -> Fetch:
        """Return the fetch, once a root object, of a planned introspection field."""
        document, names = _alone(planned, operation, fragments)
        text = print_ast(document)

        async def fetch(run: Run, roots: Sequence[Any], _: Mapping[str, Any]) -> Sequence[Any]:
            given = run.variables.coerced
            variables = {name: given[name] for name in names if name in given}
            access = run.context.access
            key = (access.fingerprint, text, *variables.items())
            found = self.cache.get(key)
            if found is None:
                schema = await self._schemas.of(access)
                found = self._answer(schema, document, planned.response_key, variables)
                self.cache.put(key, found, _size(text, found[0]))
            return [found[0]] * len(roots)

        return fetch

    def _answer(
        self, schema: GraphQLSchema, document: DocumentNode, response_key: str, variables: dict[str, Any]
    ) -> tuple[Any]:
        result = execute_sync(schema, document, variable_values=variables)
        if result.errors:
            raise result.errors[0]
        assert result.data is not None
        return (result.data[response_key],)


def _alone(
    planned: PlannedField, operation: OperationDefinitionNode, fragments: Mapping[str, FragmentDefinitionNode]
) -> tuple[DocumentNode, Sequence[str]]:
    """Return a document of one field with the fragments that it spreads, and the names of the variables in it.

    These are strings and booleans, all that introspection takes: coerced once, they are coerced again to themselves.
    """
    used = _Used(fragments)
    for node in planned.nodes:
        visit(node, used)
    definitions: tuple[VariableDefinitionNode, ...] = tuple(
        each for each in operation.variable_definitions or () if each.variable.name.value in used.variables
    )
    alone = OperationDefinitionNode(
        operation=OperationType.QUERY,
        variable_definitions=definitions,
        directives=(),
        selection_set=SelectionSetNode(selections=tuple(planned.nodes)),
    )
    definitions_of_fragments = (fragments[name] for name in sorted(used.fragments))
    return DocumentNode(definitions=(alone, *definitions_of_fragments)), sorted(used.variables)


def _size(text: str, answer: Any) -> int:
    return BYTES_PER_ANSWER + len(text) + BYTES_PER_JSON_BYTE * len(orjson.dumps(answer))


class _Used(Visitor):
    """Collects the variables and fragments that nodes use."""

    def __init__(self, definitions: Mapping[str, FragmentDefinitionNode]) -> None:
        super().__init__()
        self.definitions = definitions
        self.variables: set[str] = set()
        self.fragments: set[str] = set()

    def enter_variable(self, node: VariableNode, *_: Any) -> None:
        self.variables.add(node.name.value)

    def enter_fragment_spread(self, node: FragmentSpreadNode, *_: Any) -> None:
        name = node.name.value
        if name not in self.fragments:
            self.fragments.add(name)
            definition: Node = self.definitions[name]
            visit(definition, self)
