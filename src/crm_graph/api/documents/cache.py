"""The document cache: parse, limit and validate once per source."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from time import thread_time
from typing import TypeAlias

from graphql import (
    DocumentNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLSchema,
    ValuesOfCorrectTypeRule,
    parse,
    specified_rules,
    validate,
)
from graphql.validation import validation_context
from graphql.validation.rules import overlapping_fields_can_be_merged
from strawberry.schema.validation_rules.maybe_null import MaybeNullValidationRule

from crm_graph.api.documents.keys import KeysRule
from crm_graph.api.documents.limits import (
    INTROSPECTION_ROOM,
    LimitError,
    ShapeLimits,
    check_shape,
    introspected_by_tools,
)
from crm_graph.api.documents.literals import LocatedValuesRule
from crm_graph.graph.running.execution import Operation, conditions
from crm_graph.graph.schema.build import BuiltSchema
from crm_graph.graph.schema.costs import FieldCosts
from crm_graph.kernel.caches import ByteCache
from crm_graph.kernel.settings import Settings

OVERLAP_BUDGET = 30_000
FRAGMENT_WORK_BUDGET = 5_000
"""graphql-core's budgets for comparing overlapping fields, tightened: they keep the worst document of 5,000 tokens
under 0.2 s, where the defaults let it block the loop for seconds."""

ABORTED = "Validation aborted."
"""What graphql-core says, and no more, when a budget is used up."""

RULES = (
    *(LocatedValuesRule if rule is ValuesOfCorrectTypeRule else rule for rule in specified_rules),
    MaybeNullValidationRule,
    KeysRule,
)

_HINT = " Did you mean"
TOKEN_BYTES = 600
"""What a token costs in memory once it is parsed, at most: 320 to 560 were measured, by kind of document."""


class DocumentError(Exception):
    """Raised for a document that cannot be executed: `errors` say why, `code` names the kind."""

    def __init__(self, code: str, errors: list[GraphQLError]) -> None:
        super().__init__(code)
        self.code = code
        self.errors = errors


Charge: TypeAlias = Callable[[float], None]
"""Is told how many seconds of CPU a document took to be read."""


def free(_: float) -> None:
    """Charge nobody: for documents that were reviewed, and those of operators."""


Digest = bytes
"""The SHA-256 of a source."""


@dataclass(slots=True)
class Document:
    """A valid document and its operations by name."""

    key: str
    node: DocumentNode
    operations: dict[str | None, Operation]
    valid: bool
    """Whether it was validated here; if not, it was found valid against this schema when it was pushed."""

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
    _documents: ByteCache[Digest, Document] = field(init=False)

    def __post_init__(self) -> None:
        self._documents = ByteCache(self.max_bytes)
        overlapping_fields_can_be_merged.MAX_COMPLEXITY_BUDGET = OVERLAP_BUDGET
        validation_context.MAX_FRAGMENT_WORK = FRAGMENT_WORK_BUDGET

    @classmethod
    def of(cls, schema: BuiltSchema, settings: Settings) -> DocumentCache:
        """Return the cache of a schema's documents, within the limits of the settings."""
        costs = schema.once(FieldCosts)
        limits = ShapeLimits(
            settings.max_depth,
            settings.max_aliases,
            settings.max_root_fields,
            settings.max_fields,
            settings.max_statements,
            settings.max_introspected or INTROSPECTION_ROOM * schema.once(introspected_by_tools),
        )
        return cls(
            schema.core,
            costs,
            limits,
            settings.max_source_bytes,
            settings.max_tokens,
            settings.document_cache_bytes,
            settings.max_errors,
        )

    @property
    def evictions(self) -> int:
        """How many documents were dropped to make room."""
        return self._documents.evictions

    @property
    def bytes(self) -> int:
        """What the documents take, about."""
        return self._documents.bytes

    def get(self, source: str, charge: Charge = free) -> Document:
        """Return the document of a source. Raises DocumentError for one that cannot be run, which is not kept."""
        return self._get(source_key(source), source, charge, valid=False)

    def trusted(self, sha256: str, source: str, *, valid: bool) -> Document:
        """Return a trusted document by the hash of its source. Raises DocumentError.

        One that was found `valid` against this very schema is not validated again; the limits hold for it all the same.
        """
        return self._get(bytes.fromhex(sha256), source, free, valid=valid)

    def _get(self, key: Digest, source: str, charge: Charge, *, valid: bool) -> Document:
        document = self._documents.get(key)
        if document is None:
            self.misses += 1
            started_s = thread_time()
            try:
                document = self._load(source, key.hex(), valid=valid)
            finally:
                charge(thread_time() - started_s)
            self._documents.put(key, document, len(source) + document.node.token_count * TOKEN_BYTES)
            return document
        self.hits += 1
        if not (valid or document.valid):
            self._validate(document.node)
            document.valid = True
        return document

    def _load(self, source: str, key: str, *, valid: bool) -> Document:
        size = len(source.encode())
        if size > self.max_source_bytes:
            message = f"The document has {size} bytes; the limit is {self.max_source_bytes}."
            raise DocumentError("COST_LIMIT_EXCEEDED", [GraphQLError(message)])
        try:
            node = parse(source, max_tokens=self.max_tokens)
        except GraphQLError as error:
            code = "COST_LIMIT_EXCEEDED" if "tokens" in error.message else "PARSE_FAILED"
            raise DocumentError(code, [error]) from None
        except RecursionError:
            raise DocumentError("PARSE_FAILED", [GraphQLError("The document is nested too deep.")]) from None
        try:
            measured = check_shape(node, self.shape_limits, self.costs)
        except LimitError as error:
            raise DocumentError("COST_LIMIT_EXCEEDED", [error]) from None
        except RecursionError:
            raise DocumentError("COST_LIMIT_EXCEEDED", [GraphQLError("The document is nested too deep.")]) from None
        if not valid:
            self._validate(node)
        fragments = {
            definition.name.value: definition
            for definition in node.definitions
            if isinstance(definition, FragmentDefinitionNode)
        }
        depends_on = conditions(node)
        operations = {
            name: Operation(f"{key}:{name or ''}", node, definition, fragments, depends_on, cost)
            for definition, cost in measured
            for name in (definition.name.value if definition.name else None,)
        }
        if not operations:
            raise DocumentError("VALIDATION_FAILED", [GraphQLError("The document has no operation.")])
        return Document(key, node, operations, not valid)

    def _validate(self, node: DocumentNode) -> None:
        try:
            errors = validate(self.schema, node, RULES, max_errors=self.max_errors, hide_suggestions=True)
        except RecursionError:
            raise DocumentError("COST_LIMIT_EXCEEDED", [GraphQLError("The document is nested too deep.")]) from None
        if errors and errors[0].message == ABORTED:
            message = "Validating the document takes too long: use fewer fragments, and fewer fields of one name."
            raise DocumentError("COST_LIMIT_EXCEEDED", [GraphQLError(message)])
        if errors:
            raise DocumentError("VALIDATION_FAILED", [_of_the_document(error) for error in errors])


def source_key(source: str) -> bytes:
    """Return the SHA-256 of a source. Raises DocumentError for one that is no text."""
    try:
        return hashlib.sha256(source.encode()).digest()
    except UnicodeEncodeError:
        raise DocumentError("PARSE_FAILED", [GraphQLError("The document has an unpaired surrogate.")]) from None


def _of_the_document(error: GraphQLError) -> GraphQLError:
    """Return the error without its cause when that is a literal that Python cannot take, like an Int of 5,000 digits.

    graphql-core keeps the ValueError as the cause, and an error with a cause is answered as one of ours.
    """
    if isinstance(error.original_error, ValueError):
        return GraphQLError("A literal of the document is out of range.", error.nodes)
    if _HINT in error.message:  # one rule hints at a selection set whether suggestions are hidden or not
        return GraphQLError(error.message.partition(_HINT)[0], error.nodes)
    return error
