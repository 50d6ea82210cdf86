"""A schema without some of its members: made of the types of the whole one, of which it shares what is as it was.

A cut schema used to be printed, parsed and built anew: 1 to 2 s of CPU and 7 MB a role. Now an object is made for each
field whose type or arguments changed, and everything else is the whole schema's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from graphql import (
    DocumentNode,
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNamedType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    get_named_type,
    is_specified_scalar_type,
    parse,
    print_ast,
)

TYPE_BYTES, MEMBER_BYTES, SCHEMA_BYTES = 1_500, 700, 40_000
"""What a type, a field or argument, and a schema itself take, about, beyond what is shared."""
ROOTS = ("query_type", "mutation_type", "subscription_type")


@dataclass(frozen=True, slots=True)
class Kept:
    """What stays: of each type that does, the names of its fields or values; of a scalar, none. An argument or member
    whose type does not stay does not stay either."""

    members: Mapping[str, frozenset[str]]

    @classmethod
    def of(cls, schema: GraphQLSchema, is_hidden: Callable[[str], bool], hidden: Mapping[str, set[str]]) -> Kept:
        """Return what stays of a schema without hidden types and hidden members: types that are empty then go too, with
        what names them, and so does what no root leads to."""
        types = {name: type_ for name, type_ in schema.type_map.items() if not is_hidden(name)}
        members = {
            name: {each for each in _members(type_) if each not in hidden.get(name, ())}
            for name, type_ in types.items()
        }
        while True:
            for name, kept in members.items():
                fields = getattr(types[name], "fields", {})
                kept -= {each for each in kept & fields.keys() if get_named_type(fields[each].type).name not in members}
            empty = [name for name, kept in members.items() if not kept and _members(types[name])]
            if not empty:
                break
            for name in empty:
                del members[name]
        reachable = _reachable(schema, members)
        return cls({name: frozenset(kept) for name, kept in members.items() if name in reachable})

    def has(self, type_: Any) -> bool:
        """Return whether a type stays, of which an argument or a member is."""
        return get_named_type(type_).name in self.members


def prune(schema: GraphQLSchema, kept: Kept) -> GraphQLSchema:
    """Return the schema of what stays; it is as valid as the whole one."""
    return _Pruning(schema, kept).schema()


def printed(sdl: str, kept: Kept) -> str:
    """Return the SDL of what stays, in the order and the words of the whole one."""
    definitions = (_printed(node, kept) for node in parse(sdl).definitions)
    return print_ast(DocumentNode(definitions=tuple(node for node in definitions if node is not None)))


def weight(schema: GraphQLSchema, whole: GraphQLSchema) -> int:
    """Return how many bytes a pruned schema takes beside the whole one, about."""
    found = SCHEMA_BYTES
    for name, type_ in schema.type_map.items():
        if type_ is not whole.type_map.get(name):
            found += TYPE_BYTES
            for field in getattr(type_, "fields", {}).values():
                found += MEMBER_BYTES * (1 + len(getattr(field, "args", ())))
    return found


def _members(type_: GraphQLNamedType) -> Iterable[str]:
    return getattr(type_, "fields", None) or getattr(type_, "values", None) or ()


def _reachable(schema: GraphQLSchema, members: Mapping[str, set[str]]) -> set[str]:
    """Return the names of the types that the root types lead to, with the objects of their interfaces and the types of
    the directives' arguments."""
    found: set[str] = set()
    waiting = [root.name for name in ROOTS if (root := getattr(schema, name)) is not None]
    waiting += [get_named_type(each.type).name for of in schema.directives for each in of.args.values()]
    waiting += [name for name, type_ in schema.type_map.items() if is_specified_scalar_type(type_) or name[:2] == "__"]
    while waiting:
        name = waiting.pop()
        if name in found or name not in members:
            continue
        found.add(name)
        type_: Any = schema.type_map[name]
        for field_name, field in getattr(type_, "fields", {}).items():
            if field_name in members[name]:
                waiting.append(get_named_type(field.type).name)
                waiting += [get_named_type(each.type).name for each in getattr(field, "args", {}).values()]
        waiting += [each.name for each in getattr(type_, "interfaces", ())]
        waiting += [each.name for each in getattr(type_, "types", ())]
        if isinstance(type_, GraphQLInterfaceType):
            waiting += [each.name for each in schema.get_possible_types(type_)]
    return found


class _Pruning:
    """Makes the types of a pruned schema. A type is made anew where a member of it goes, or where it leads, at any
    distance, to one that is; all others are shared."""

    def __init__(self, schema: GraphQLSchema, kept: Kept) -> None:
        self._whole = schema
        self._kept = kept
        self._anew = self._changed()
        self._made: dict[str, Any] = {}

    def schema(self) -> GraphQLSchema:
        """Return the schema."""
        roots = {name[: -len("_type")]: self._type(root) for name in ROOTS if (root := self._root(name)) is not None}
        types = [self._type(type_) for name, type_ in self._whole.type_map.items() if name in self._kept.members]
        return GraphQLSchema(
            **roots,
            types=types,
            directives=self._whole.directives,
            description=self._whole.description,
            assume_valid=True,
        )

    def _root(self, name: str) -> GraphQLObjectType | None:
        root: GraphQLObjectType | None = getattr(self._whole, name)
        return root if root is not None and root.name in self._kept.members else None

    def _changed(self) -> set[str]:
        """Return the names of the types that are made anew."""
        leads_to: dict[str, set[str]] = {}
        found = set()
        for name, kept in self._kept.members.items():
            type_: Any = self._whole.type_map[name]
            named = {each.name for each in (*getattr(type_, "interfaces", ()), *getattr(type_, "types", ()))}
            for field in getattr(type_, "fields", {}).values():
                named.add(get_named_type(field.type).name)
                named |= {get_named_type(each.type).name for each in getattr(field, "args", {}).values()}
            if len(kept) < len(list(_members(type_))) or not named <= self._kept.members.keys():
                found.add(name)
            for each in named:
                leads_to.setdefault(each, set()).add(name)
        waiting = list(found)
        while waiting:
            for name in leads_to.get(waiting.pop(), set()) - found:
                found.add(name)
                waiting.append(name)
        return found

    def _type(self, type_: Any) -> Any:
        """Return a type as it is in the pruned schema; lists and non-nulls of it, too."""
        if isinstance(type_, GraphQLNonNull):
            return GraphQLNonNull(self._type(type_.of_type))
        if isinstance(type_, GraphQLList):
            return GraphQLList(self._type(type_.of_type))
        if type_.name not in self._anew:
            return type_
        if type_.name not in self._made:
            self._made[type_.name] = self._make(type_)
        return self._made[type_.name]

    def _make(self, type_: GraphQLNamedType) -> GraphQLNamedType:
        given: dict[str, Any] = {**type_.to_kwargs(), "ast_node": None, "extension_ast_nodes": ()}
        if isinstance(type_, GraphQLEnumType):
            kept = self._kept.members[type_.name]
            return GraphQLEnumType(**{**given, "values": {k: v for k, v in type_.values.items() if k in kept}})
        if isinstance(type_, GraphQLUnionType):
            stay = [each for each in type_.types if each.name in self._kept.members]
            return GraphQLUnionType(**{**given, "types": lambda: [self._type(each) for each in stay]})
        if isinstance(type_, GraphQLInputObjectType):
            return GraphQLInputObjectType(**{**given, "fields": lambda: dict(self._inputs(type_))})
        assert isinstance(type_, GraphQLObjectType | GraphQLInterfaceType)
        interfaces = [each for each in type_.interfaces if each.name in self._kept.members]
        given |= {
            "fields": lambda: dict(self._fields(type_)),
            "interfaces": lambda: [self._type(i) for i in interfaces],
        }
        return type(type_)(**given)

    def _inputs(self, type_: GraphQLInputObjectType) -> Iterable[tuple[str, GraphQLInputField]]:
        for name in type_.fields:
            if name in self._kept.members[type_.name]:
                field = type_.fields[name]
                yield name, self._of(field, GraphQLInputField)

    def _fields(self, type_: GraphQLObjectType | GraphQLInterfaceType) -> Iterable[tuple[str, GraphQLField]]:
        for name, field in type_.fields.items():
            if name not in self._kept.members[type_.name]:
                continue
            arguments = {key: each for key, each in field.args.items() if self._kept.has(each.type)}
            touched = [each for each in arguments.values() if self._is_anew(each.type)]
            if not touched and len(arguments) == len(field.args) and not self._is_anew(field.type):
                yield name, field
                continue
            args = {key: self._of(each, GraphQLArgument) for key, each in arguments.items()}
            yield name, GraphQLField(**{**field.to_kwargs(), "type_": self._type(field.type), "args": args})

    def _of(self, each: Any, make: Any) -> Any:
        """Return an argument or input field with its type of the pruned schema, and as it is where that is the same."""
        return make(**{**each.to_kwargs(), "type_": self._type(each.type)}) if self._is_anew(each.type) else each

    def _is_anew(self, type_: Any) -> bool:
        return get_named_type(type_).name in self._anew


def _printed(node: Any, kept: Kept) -> Any:
    """Return a definition of the SDL with what stays of it, None where it does not."""
    name = getattr(getattr(node, "name", None), "value", None)
    if name is None or "directive_definition" in node.kind:
        return node
    if name not in kept.members:
        return None
    stay = kept.members[name]
    changes: dict[str, Any] = {}
    for part in ("fields", "values"):
        if getattr(node, part, None):
            changes[part] = tuple(_member(each, kept) for each in getattr(node, part) if each.name.value in stay)
    for part in ("interfaces", "types"):
        if getattr(node, part, None):
            changes[part] = tuple(each for each in getattr(node, part) if each.name.value in kept.members)
    return _replaced(node, **changes)


def _member(node: Any, kept: Kept) -> Any:
    arguments = getattr(node, "arguments", None)
    if not arguments:
        return node
    return _replaced(node, arguments=tuple(each for each in arguments if _named(each.type) in kept.members))


def _named(type_: Any) -> str:
    while hasattr(type_, "type"):
        type_ = type_.type
    name: str = type_.name.value
    return name


def _replaced(node: Any, **changes: Any) -> Any:
    return type(node)(**{**{key: getattr(node, key, None) for key in node.keys}, **changes})
