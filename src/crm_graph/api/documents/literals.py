"""Validation of literals that says where in the document a wrong value stands, as that of variables says it.

graphql-core reports what a scalar raises as it is, without a place, and objects and lists it has copied before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphql import GraphQLError, GraphQLInputType, ListValueNode, ObjectValueNode, ValueNode, ValuesOfCorrectTypeRule
from graphql.language.visitor import SKIP, VisitorAction
from graphql.utilities import validate_input_literal


class LocatedValuesRule(ValuesOfCorrectTypeRule):
    """graphql-core's rule, each of whose errors has a place in the document."""

    def is_valid_value_node(self, node: ValueNode, input_type: GraphQLInputType | None) -> VisitorAction:
        """Report what is wrong with a literal and all that is in it."""
        if input_type:

            def report(error: GraphQLError, path: Sequence[str | int]) -> None:
                if not error.locations:
                    error = GraphQLError(error.message, _inner(node, path), original_error=error.original_error)
                self.report_error(error)

            validate_input_literal(node, input_type, report, None, None, self.context.hide_suggestions)
        return SKIP


def _inner(node: Any, path: Sequence[str | int]) -> ValueNode:
    """Return the innermost literal on a path that is part of the document."""
    for step in path:
        child = None
        if isinstance(node, ObjectValueNode):
            child = next((field.value for field in node.fields or () if field.name.value == step), None)
        elif isinstance(node, ListValueNode) and isinstance(step, int):
            child = (node.values or ())[step]
        if child is None:
            break
        node = child
    literal: ValueNode = node
    return literal
