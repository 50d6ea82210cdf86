"""What may be asked without a credential: the public fields of the root types, as slices name them, and nothing else.

Looked at before a document is validated, so that nobody learns a name of the schema from the errors of a document that
they may not run: no fragments, nothing deep, nothing long.
"""

from __future__ import annotations

from graphql import FieldNode, GraphQLError, OperationDefinitionNode, SelectionSetNode, parse

MAX_BYTES = 8 * 1024
MAX_TOKENS = 400
MAX_DEPTH = 4
TYPENAME = "__typename"


def is_public(source: str, names: frozenset[str]) -> bool:
    """Return whether a document asks for nothing but public fields of the root types."""
    if len(source) > MAX_BYTES or not any(name in source for name in names):
        return False
    try:
        document = parse(source, max_tokens=MAX_TOKENS, no_location=True)
    except (GraphQLError, RecursionError):
        return False
    return bool(document.definitions) and all(
        isinstance(definition, OperationDefinitionNode)
        and all(
            isinstance(field, FieldNode) and (field.name.value in names or field.name.value == TYPENAME)
            for field in definition.selection_set.selections
        )
        and _is_plain(definition.selection_set, MAX_DEPTH)
        for definition in document.definitions
    )


def _is_plain(selections: SelectionSetNode | None, depth: int) -> bool:
    """Return whether there are fields only, nested no deeper than so."""
    if selections is None:
        return True
    return depth > 0 and all(
        isinstance(selection, FieldNode) and _is_plain(selection.selection_set, depth - 1)
        for selection in selections.selections
    )
