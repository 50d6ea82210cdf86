"""The document cache: parse, limit and validate once per source."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass, field

from graphql import (
    DocumentNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLSchema,
    parse,
    specified_rules,
    validate,
)
from graphql.validation import validation_context
from graphql.validation.rules import overlapping_fields_can_be_merged
from strawberry.schema.validation_rules.maybe_null import MaybeNullValidationRule

from crm_graph.api.limits import LimitError, ShapeLimits, check_shape
from crm_graph.graph.costs import FieldCosts
from crm_graph.graph.execution import Operation, conditions

OVERLAP_BUDGET = 30_000
FRAGMENT_WORK_BUDGET = 5_000
"""graphql-core's budgets for comparing overlapping fields, tightened: they keep the worst document of 5,000 tokens
under 0.2 s, where the defaults let it block the loop for seconds."""

ABORTED = "Validation aborted."
"""What graphql-core says, and no more, when a budget is used up."""

RULES = (*specified_rules, MaybeNullValidationRule)

NODE_BYTES = 60
"""What a byte of source costs in memory once it is parsed, about."""


class DocumentError(Exception):
    """Raised for a document that cannot be executed: `errors` say why, `code` names the kind."""

    def __init__(self, code: str, errors: list[GraphQLError]) -> None:
        super().__init__(code)
        self.code = code
        self.errors = errors


@dataclass(slots=True)
class Document:
    """A valid document and its operations by name."""

    key: str
    node: DocumentNode
    operations: dict[str | None, Operation]

    def operation(self, name: str | None) -> Operation:
        """Return the operation to run, as the specification's GetOperation does. Raises DocumentError."""
        if name is None or name == "":
            if len(self.operations) == 1:
                return next(iter(self.operations.values()))
            message = "The document has several operations: say which by `operationName`."
            raise DocumentError("BAD_USER_INPUT", [GraphQLError(message)])
        if name not in self.operations:
            message = "The document has no operation of the name given as `operationName`."
            raise DocumentError("BAD_USER_INPUT", [GraphQLError(message)])
        return self.operations[name]


@dataclass(slots=True)
class DocumentCache:
    """The most recently used documents, bounded by the memory they take."""

    schema: GraphQLSchema
    costs: FieldCosts
    shape_limits: ShapeLimits
    max_source_bytes: int
    max_tokens: int
    max_bytes: int
    max_errors: int = 20
    hits: int = 0
    misses: int = 0
    _documents: OrderedDict[bytes, Document] = field(default_factory=OrderedDict)
    _bytes: int = 0
    _sizes: dict[bytes, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        overlapping_fields_can_be_merged.MAX_COMPLEXITY_BUDGET = OVERLAP_BUDGET
        validation_context.MAX_FRAGMENT_WORK = FRAGMENT_WORK_BUDGET

    def get(self, source: str) -> Document:
        """Return the document of a source. Raises DocumentError. Only valid documents are kept."""
        try:
            raw = source.encode()
        except UnicodeEncodeError:
            raise DocumentError("PARSE_FAILED", [GraphQLError("The document has an unpaired surrogate.")]) from None
        if len(raw) > self.max_source_bytes:
            message = f"The document has {len(raw)} bytes; the limit is {self.max_source_bytes}."
            raise DocumentError("COST_LIMIT_EXCEEDED", [GraphQLError(message)])
        key = hashlib.sha256(raw).digest()
        found = self._documents.get(key)
        if found is not None:
            self.hits += 1
            self._documents.move_to_end(key)
            return found
        self.misses += 1
        document = self._load(source, key.hex())
        self._keep(key, document, len(raw) * NODE_BYTES)
        return document

    def _load(self, source: str, key: str) -> Document:
        try:
            node = parse(source, max_tokens=self.max_tokens)
        except GraphQLError as error:
            code = "COST_LIMIT_EXCEEDED" if "tokens" in error.message else "PARSE_FAILED"
            raise DocumentError(code, [error]) from None
        except RecursionError:
            raise DocumentError("PARSE_FAILED", [GraphQLError("The document is nested too deep.")]) from None
        try:
            measured = check_shape(node, self.shape_limits, self.costs)
            errors = validate(self.schema, node, RULES, max_errors=self.max_errors, hide_suggestions=True)
        except LimitError as error:
            raise DocumentError("COST_LIMIT_EXCEEDED", [error]) from None
        except RecursionError:
            raise DocumentError("COST_LIMIT_EXCEEDED", [GraphQLError("The document is nested too deep.")]) from None
        if errors and errors[0].message == ABORTED:
            message = "Validating the document takes too long: use fewer fragments, and fewer fields of one name."
            raise DocumentError("COST_LIMIT_EXCEEDED", [GraphQLError(message)])
        if errors:
            raise DocumentError("VALIDATION_FAILED", [_of_the_document(error) for error in errors])
        fragments = {each.name.value: each for each in node.definitions if isinstance(each, FragmentDefinitionNode)}
        depends_on = conditions(node)
        operations = {
            name: Operation(f"{key}:{name or ''}", node, definition, fragments, depends_on, cost)
            for definition, cost in measured
            for name in (definition.name.value if definition.name else None,)
        }
        if not operations:
            raise DocumentError("VALIDATION_FAILED", [GraphQLError("The document has no operation.")])
        return Document(key, node, operations)

    def _keep(self, key: bytes, document: Document, size: int) -> None:
        self._documents[key] = document
        self._sizes[key] = size
        self._bytes += size
        while self._bytes > self.max_bytes and len(self._documents) > 1:
            oldest, _ = self._documents.popitem(last=False)
            self._bytes -= self._sizes.pop(oldest)


def _of_the_document(error: GraphQLError) -> GraphQLError:
    """Return the error without its cause when that is a literal that Python cannot take, like an Int of 5,000 digits.

    graphql-core keeps the ValueError as the cause, and an error with a cause is answered as one of ours.
    """
    if isinstance(error.original_error, ValueError):
        return GraphQLError("A literal of the document is out of range.", error.nodes)
    return error
