"""Validation of `@idempotent`: it stands at fields of Mutation that can be done under a key, and nowhere else."""

from __future__ import annotations

from typing import Any

from graphql import DirectiveNode, GraphQLError, ValidationRule

from crm_graph.graph.idempotency.asked import KEYLESS, NAME


class KeysRule(ValidationRule):
    """Reports each place where the directive would do nothing: who writes it relies on it."""

    def enter_directive(self, node: DirectiveNode, *_: Any) -> None:
        """Look at the field that a directive stands at."""
        field, parent = self.context.get_field_def(), self.context.get_parent_type()
        if node.name.value != NAME or field is None or parent is None:
            return
        if parent is not self.context.schema.mutation_type:
            message = f"`@{NAME}` stands at fields of Mutation alone: what only reads may be sent again as it is."
            self.report_error(GraphQLError(message, node))
        elif KEYLESS in field.extensions:
            message = (
                f"This mutation takes no `@{NAME}`: of the passwords, codes and tokens that it is given and answers"
                " nothing is kept. Leave the directive out."
            )
            self.report_error(GraphQLError(message, node))
