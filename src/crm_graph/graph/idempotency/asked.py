"""Under which key a field of Mutation is to be done once: that of its directive, else that of its request."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from graphql import (
    DirectiveLocation,
    FieldNode,
    GraphQLArgument,
    GraphQLDirective,
    GraphQLNonNull,
    GraphQLString,
    IntValueNode,
    ListValueNode,
    ObjectValueNode,
    OperationDefinitionNode,
    Undefined,
    ValueNode,
    VariableNode,
    value_from_ast_untyped,
)

from crm_graph.graph.context import GraphContext, Info
from crm_graph.idempotency.keys import MAX_KEY_LETTERS, PURPOSE, Claim, checked, of_field, of_request
from crm_graph.kernel.errors import BadUserInput

NAME = "idempotent"
KEYLESS = "crm_graph.keyless"
"""Marks the fields of Mutation that take no key."""
IDEMPOTENT = GraphQLDirective(
    NAME,
    [DirectiveLocation.FIELD],
    {
        "key": GraphQLArgument(
            GraphQLNonNull(GraphQLString),
            description=f"A text that the client makes for this one change, a UUID say: at most {MAX_KEY_LETTERS}"
            " letters, none of them a control character.",
        )
    },
    description="Does a field of Mutation once, however often it is sent: the same key with the same arguments is"
    " answered as it was the first time, and what is selected of records is read again. With other arguments the error"
    " is IDEMPOTENCY_KEY_REUSED; while it still runs, IDEMPOTENCY_IN_PROGRESS. A key belongs to one member and client."
    " The directive goes before the header `Idempotency-Key`, which is the key of all fields of its request.",
)
_SAFE_DIGITS = 18


def claim_of(info: Info) -> Claim | None:
    """Return the claim of the field that is resolved, None where it has no key. Raises BadUserInput."""
    raw, context = info._raw_info, info.context
    sent = context.sent
    nodes: Iterable[FieldNode] = raw.field_nodes
    if any(node.directives for node in nodes):
        variables = _variables(raw.operation, context)
        key = _of_directive(nodes, variables)
        if key is not None:
            secrets = context.services.keys(PURPOSE)
            return of_field(context.viewer, key, raw.field_name, _arguments(raw.field_nodes[0], variables), secrets)
    if sent is None or sent.key is None:
        return None
    return of_request(context.viewer, sent, str(raw.path.key), context.services.keys(PURPOSE))


def _of_directive(nodes: Iterable[FieldNode], variables: Mapping[str, Any]) -> str | None:
    """Return the key that the directive says, at whichever of the places that are merged into one field."""
    keys = {
        _plain(argument.value, variables)
        for node in nodes
        for directive in node.directives or ()
        if directive.name.value == NAME
        for argument in directive.arguments or ()
    }
    if not keys:
        return None
    key, *others = keys
    if others:
        raise BadUserInput(f"The places that ask for this field have {len(keys)} keys in `@{NAME}`: give one.")
    if not isinstance(key, str):
        raise BadUserInput(f"The key of `@{NAME}` is null.")
    return checked(key, f"The key of `@{NAME}`")


def _variables(operation: OperationDefinitionNode, context: GraphContext) -> Mapping[str, Any]:
    """Return the values of an operation's variables, as they were sent or as the document says by default."""
    defaults = {
        each.variable.name.value: _plain(each.default_value, {})
        for each in operation.variable_definitions or ()
        if each.default_value is not None
    }
    return defaults if context.sent is None else {**defaults, **context.sent.variables}


def _arguments(node: FieldNode, variables: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a field as plain values; it makes no difference whether they come in variables."""
    return _present((each.name.value, _plain(each.value, variables)) for each in node.arguments or ())


def _plain(node: ValueNode, variables: Mapping[str, Any]) -> Any:
    match node:
        case VariableNode():
            return variables.get(node.name.value, Undefined)
        case ListValueNode():
            items = (_plain(item, variables) for item in node.values)
            return [None if item is Undefined else item for item in items]
        case ObjectValueNode():
            return _present((each.name.value, _plain(each.value, variables)) for each in node.fields)
        case IntValueNode() if len(node.value) > _SAFE_DIGITS:
            return node.value
    return value_from_ast_untyped(node)


def _present(items: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    return {name: value for name, value in items if value is not Undefined}
