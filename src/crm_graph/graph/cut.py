"""The schema cut to what somebody may reach: the rest is not in it, neither fields nor the inputs that name them.

By `crm-graph schema --role`, and by introspection, which answers each member with the schema cut to their roles.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any

from graphql import (
    DocumentNode,
    EnumTypeDefinitionNode,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLSchema,
    InputObjectTypeDefinitionNode,
    InterfaceTypeDefinitionNode,
    ListTypeNode,
    NamedTypeNode,
    NonNullTypeNode,
    ObjectTypeDefinitionNode,
    TypeNode,
    build_schema,
    get_named_type,
    is_required_input_field,
    parse,
    print_ast,
)

from crm_graph.executor.fields import BEYOND
from crm_graph.graph.aggregates import aggregate_fields
from crm_graph.graph.build import BuiltSchema
from crm_graph.graph.orders import enum_name, order_keys
from crm_graph.graph.records import Record
from crm_graph.kernel.errors import OperatorError
from crm_graph.permissions.access import Access, compile_access
from crm_graph.permissions.grants import CREATE, DELETE, READ, UPDATE, Level
from crm_graph.permissions.roles import built_in_roles

ROOTS = ("Query", "Mutation", "Subscription")
MAX_CUT_SCHEMAS = 30
"""Cut schemas that a process keeps, about 10 MB each."""


def cut_to_role(schema: BuiltSchema, role: str) -> str:
    """Return the SDL of what a role can reach. Raises OperatorError for an unknown role."""
    roles = built_in_roles(schema.policies)
    if role not in roles:
        raise OperatorError(f"there is no role {role!r}", f"there are: {', '.join(roles)}")
    return _Cut(schema, compile_access([roles[role]], schema.policies, schema.vocabulary.inherent)).sdl()


class CutSchemas:
    """The schema as each set of permissions sees it; made when it is first asked for, which takes 0.4 s in a thread."""

    def __init__(self, schema: BuiltSchema) -> None:
        self._schema = schema
        self._cut: OrderedDict[str, GraphQLSchema] = OrderedDict()
        self._making = asyncio.Lock()

    async def of(self, access: Access) -> GraphQLSchema:
        """Return the schema cut to an access; the whole one, as it is, for whoever may do everything."""
        found = self._cut.get(access.fingerprint)
        if found is not None:
            self._cut.move_to_end(access.fingerprint)
            return found
        async with self._making:
            if access.fingerprint not in self._cut:
                self._cut[access.fingerprint] = await asyncio.to_thread(self._make, access)
                if len(self._cut) > MAX_CUT_SCHEMAS:
                    self._cut.popitem(last=False)
        return self._cut[access.fingerprint]

    def _make(self, access: Access) -> GraphQLSchema:
        cut = _Cut(self._schema, access)
        if cut.leaves_all:
            return self._schema.core
        return build_schema(cut.sdl(), assume_valid=True, assume_valid_sdl=True)


class _Cut:
    def __init__(self, schema: BuiltSchema, access: Access) -> None:
        self._schema = schema
        self._access = access
        self._hidden_types = {name for name in schema.vocabulary.policies if not access.of(name).allows(READ)}
        self._hidden_members = dict(self._members())

    @property
    def leaves_all(self) -> bool:
        """Whether nothing is hidden."""
        return not self._hidden_types and not any(self._hidden_members.values())

    def sdl(self) -> str:
        document = parse(self._schema.strawberry.as_str())
        definitions: dict[str, Any] = {}
        others: list[Any] = []
        for node in document.definitions:
            name = getattr(getattr(node, "name", None), "value", None)
            if name is None or not hasattr(node, "kind") or "directive_definition" in node.kind:
                others.append(node)
            elif not self._is_hidden(name):
                definitions[name] = self._without_hidden(node, name)
        _drop_empty(definitions)
        reachable = _reachable(definitions)
        kept = [node for name, node in definitions.items() if name in reachable]
        return print_ast(DocumentNode(definitions=(*others, *kept)))

    def _is_hidden(self, name: str) -> bool:
        """Return whether a type is one that the role may not see, or is derived from one."""
        suffixes = ("", "Connection", "Edge", "Filter", "ListFilter", "Order", "Aggregate", "Group", "Change")
        return any(name == f"{hidden}{suffix}" for hidden in self._hidden_types for suffix in suffixes)

    def _members(self) -> Iterable[tuple[str, set[str]]]:
        """Yield the members that are hidden, by the name of the type, input or enum that has them."""
        for record in self._schema.registry.records.values():
            access = self._access.of(record.name)
            fields = {each.field for each in record.columns.values() if access.level(each.field) == Level.NONE}
            clear = {each.field for each in record.columns.values() if access.level(each.field) < Level.READ}
            clear |= {name for name, edge in record.edges.items() if edge.target.name in self._hidden_types}
            if "currency" not in record.columns and self._currency(record) in clear:
                clear.add("currency")
            yield record.name, fields
            yield f"{record.name}Filter", clear | {f"{name}Id" for name in clear}
            orders = order_keys(record, self._schema.registry).items()
            yield f"{record.name}OrderField", {value for value, key in orders if not self._is_clear(record, key)}
            yield f"{record.name}GroupField", {enum_name(name) for name in clear}
            of = aggregate_fields(record, self._schema.registry)
            for derived in ("Sums", "Extremes", "GroupKey", "HavingSums", "HavingExtremes"):
                yield f"{record.name}{derived}", clear & {*of.groups, *of.extremes}
        mutations = self._mutations()
        frozen = {name: set(self._frozen(name, field)) for name, field in mutations.items()}
        yield from ((_input_of(field).name, frozen[name]) for name, field in mutations.items() if frozen[name])
        needed = {
            name: {key for key, each in _input_of(field).fields.items() if is_required_input_field(each)}
            for name, field in mutations.items()
        }
        yield "Mutation", {name for name in mutations if not self._may_mutate(name) or frozen[name] & needed[name]}

    def _currency(self, record: Record) -> str | None:
        """Return the field whose currency is compared and grouped by as `currency`; None where there is no money."""
        if not any(key.endswith(".currency") for key in record.columns):
            return None
        return record.columns[self._schema.registry.filter_key(record, "currency")].field

    def _is_clear(self, record: Record, key: str) -> bool:
        """Return whether a key may be read in clear on some row, and all edges on the way to it."""
        steps = key.split(BEYOND)
        for end in range(len(steps)):
            owner, found = record.find(BEYOND.join(steps[: end + 1]))
            access = self._access.of(owner.name)
            if not access.allows(READ) or access.level(found.field) < Level.READ:
                return False
        return True

    def _mutations(self) -> Mapping[str, GraphQLField]:
        assert self._schema.core.mutation_type is not None
        found: Mapping[str, GraphQLField] = self._schema.core.mutation_type.fields
        return found

    def _verb_of(self, mutation: str) -> tuple[str, str] | None:
        """Return the type and the verb in a mutation's name: `changeCustomerLifecycle` is `changeLifecycle` of
        Customer. A part is changed by the `update` of its whole, and what is no verb of its type is an update."""
        found = max((each for each in self._schema.vocabulary.policies if each in mutation), key=len, default=None)
        if found is None:
            return None
        policy, verb = self._access.of(found).policy, mutation.replace(found, "", 1)
        known = policy.parent is None and verb in {CREATE, DELETE, *policy.transitions}
        return found, verb if known else UPDATE

    def _may_mutate(self, name: str) -> bool:
        """Return whether the verb in a mutation's name is granted on any row of its type."""
        found = self._verb_of(name)
        return found is None or self._access.of(found[0]).allows(found[1])

    def _frozen(self, name: str, mutation: GraphQLField) -> Iterable[str]:
        """Yield the fields of a mutation's input that are fields of its record which may be written on no row."""
        found = self._verb_of(name)
        record = None if found is None else self._schema.registry.records.get(found[0])
        if found is None or record is None:
            return
        fields = {each.field for each in record.columns.values()} - {"id"}
        for key in _input_of(mutation).fields:
            field = key if key in fields else key.removesuffix("Id")
            if field in fields and not self._access.of(record.name).may_write(field, found[1]):
                yield key

    def _without_hidden(self, node: Any, name: str) -> Any:
        hidden = self._hidden_members.get(name, set())
        if isinstance(node, ObjectTypeDefinitionNode | InterfaceTypeDefinitionNode | InputObjectTypeDefinitionNode):
            fields = [
                each for each in node.fields or () if each.name.value not in hidden and not self._names_hidden(each)
            ]
            return _replaced(node, fields=tuple(fields))
        if isinstance(node, EnumTypeDefinitionNode):
            values = tuple(each for each in node.values or () if each.name.value not in hidden)
            return _replaced(node, values=values)
        return node

    def _names_hidden(self, field: Any) -> bool:
        return self._is_hidden(_named(field.type))


def _input_of(mutation: GraphQLField) -> GraphQLInputObjectType:
    """Return the type of a mutation's one argument; one without any takes nothing that could be hidden."""
    found = next((get_named_type(each.type) for each in mutation.args.values()), None)
    return found if isinstance(found, GraphQLInputObjectType) else GraphQLInputObjectType("None", {})


def _drop_empty(definitions: dict[str, Any]) -> None:
    """Drop types without members, which are no types, and the fields and arguments that name them."""
    while True:
        empty = {
            name
            for name, node in definitions.items()
            for members in ("fields", "values")
            if hasattr(node, members) and not getattr(node, members)
        }
        if not empty:
            return
        for name in empty:
            del definitions[name]
        for name, node in definitions.items():
            if hasattr(node, "fields"):
                definitions[name] = _without_types(node, empty)


def _without_types(node: Any, names: set[str]) -> Any:
    fields = []
    for field in node.fields or ():
        if _named(field.type) in names:
            continue
        arguments = getattr(field, "arguments", None)
        if arguments:
            kept = tuple(each for each in arguments if _named(each.type) not in names)
            field = _replaced(field, arguments=kept)
        fields.append(field)
    return _replaced(node, fields=tuple(fields))


def _reachable(definitions: Mapping[str, Any]) -> set[str]:
    """Return the names of the types that the root types lead to, and of the objects of their interfaces."""
    found: set[str] = set()
    waiting = [name for name in ROOTS if name in definitions]
    while waiting:
        name = waiting.pop()
        if name in found or name not in definitions:
            continue
        found.add(name)
        node = definitions[name]
        for field in getattr(node, "fields", None) or ():
            waiting.append(_named(field.type))
            waiting += [_named(argument.type) for argument in getattr(field, "arguments", None) or ()]
        waiting += [each.name.value for each in getattr(node, "interfaces", None) or ()]
        waiting += [each.name.value for each in getattr(node, "types", None) or ()]
        if isinstance(node, InterfaceTypeDefinitionNode):
            waiting += [other for other, of in definitions.items() if _implements(of, name)]
    return found


def _implements(node: Any, interface: str) -> bool:
    return any(each.name.value == interface for each in getattr(node, "interfaces", None) or ())


def _named(type_: TypeNode) -> str:
    while isinstance(type_, NonNullTypeNode | ListTypeNode):
        type_ = type_.type
    assert isinstance(type_, NamedTypeNode)
    return type_.name.value


def _replaced(node: Any, **changes: Any) -> Any:
    return type(node)(**{**{key: getattr(node, key, None) for key in node.keys}, **changes})
