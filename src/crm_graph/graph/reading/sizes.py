"""How much inputs may hold: declared once, with the column or beside it, then printed, refused and counted from there.

    @sized(model.Ticket)
    @strawberry.input(description="...")
    class CreateTicketInput: ...

gives every field that is called like a column of the table the size of that column. A field that is no column says its
own: `@sized(token=Letters(200))`. A text of which nothing is said is a line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from copy import copy
from dataclasses import dataclass, fields
from itertools import islice
from types import MappingProxyType
from typing import Any, TypeVar

from graphql import (
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    get_named_type,
    get_nullable_type,
    is_list_type,
    is_non_null_type,
)
from strawberry.types.base import StrawberryMaybe, StrawberryOptional, get_object_definition

from crm_graph.db.base import Base, table_of
from crm_graph.db.sizes import LINE, SIZE_KEY, Fault, Items, JsonBytes, Letters, Size, size_of
from crm_graph.graph.payloads import UserError, UserErrorCode
from crm_graph.graph.records.record import ColumnSpec, Record, spec_of
from crm_graph.graph.records.registry import Registry
from crm_graph.kernel.errors import BadUserInput
from crm_graph.vault.columns import mark_of

EACH_KEY = "crm_graph.judges_each"
DEFINITION = "strawberry-definition"
MAX_FAULTS = 20
LIST = 100
"""Items of a list of which nothing is said."""
EMAIL, CODE, ROLES = Letters(254), Letters(100), Items(50, Letters(63))
PASSWORD, TOKEN = Letters(10_000), Letters(4_096)
"""How long a new password may be, `CRM_PASSWORD_MAX_LENGTH` says, which is less; one that is shown to sign in is judged
like any that is wrong, so that nothing is learned from it."""
T = TypeVar("T", bound=type)


def sized(model: type[Base] | None = None, /, **sizes: Size) -> Callable[[T], T]:
    """Return the decorator of an input type that says how much its fields hold, by their Python names: as much as the
    columns of a table that are called like them, or what is given."""
    columns = {} if model is None else {column.name: column_size(column) for column in table_of(model).columns}
    known = {name: size for name, size in columns.items() if size is not None} | sizes

    def decorate(cls: T) -> T:
        definition = get_object_definition(cls, strict=True)
        for index, each in enumerate(definition.fields):
            size = known.get(each.python_name)
            if size is not None:  # a field may be inherited, and be another type's too
                own = definition.fields[index] = copy(each)
                own.metadata = MappingProxyType({**each.metadata, SIZE_KEY: size})
        missing = sizes.keys() - {each.python_name for each in definition.fields}
        assert not missing, f"{cls.__name__} has no {', '.join(sorted(missing))}"
        return cls

    return decorate


def column_size(column: Any) -> Size | None:
    """Return how much the texts of a column may hold; of an encrypted one, in clear."""
    mark = mark_of(column)
    return size_of(column) if mark is None else mark.size


def size_in(definition: Any) -> Size | None:
    """Return how much an argument or a field of an input may hold; None for what is neither text, list nor JSON."""
    name, listed = get_named_type(definition.type).name, is_list_type(get_nullable_type(definition.type))
    if name not in _USUAL and not listed:
        return None
    usual = Items(LIST, Letters(LINE) if name == "String" else None) if listed else _USUAL[name]
    return _said(definition) or usual


def size_out(definition: GraphQLField, record: Record | None, name: str) -> Size | None:
    """Return how much a field of a type may hold; None for what is neither text nor JSON."""
    named = get_named_type(definition.type).name
    if named not in _USUAL:
        return None
    of = definition.extensions.get(DEFINITION)
    if record is not None and of is not None and isinstance(spec_of(of), ColumnSpec):
        return column_size(record.table.c[record.columns[name].column])
    size = _said(definition) or _USUAL[named]
    listed = is_list_type(get_nullable_type(definition.type))
    return Items(LIST, size) if listed and isinstance(size, Letters) else size


_USUAL: Mapping[str, Size] = {"String": Letters(LINE), "JSON": JsonBytes(20_000)}


def _said(definition: Any) -> Size | None:
    of = definition.extensions.get(DEFINITION)
    size: Size | None = None if of is None else of.metadata.get(SIZE_KEY)
    return size


def _judges_each(definition: Any) -> bool:
    """Return whether each item of a list is judged by itself: one that is wrong does not refuse all."""
    of = definition.extensions.get(DEFINITION)
    return of is not None and EACH_KEY in of.metadata


def tell_sizes(core: GraphQLSchema, registry: Registry) -> None:
    """Put the sizes into the descriptions of what mutations take, of other arguments, and of the columns of records."""
    mutation = core.mutation_type
    for name, type_ in core.type_map.items():
        if isinstance(type_, GraphQLObjectType | GraphQLInterfaceType) and not name.startswith("__"):
            record = registry.records.get(name)
            for key, field in type_.fields.items():
                of = field.extensions.get(DEFINITION)
                if record is not None and of is not None and isinstance(spec_of(of), ColumnSpec):
                    _tell(field, size_out(field, record, key))
                if type_ is not mutation:
                    for argument in _plain_arguments(field):
                        _tell(argument, size_in(argument))
    for type_ in _inputs_of(core).values():
        for of_input in type_.fields.values():
            _tell(of_input, size_in(of_input))


def _tell(definition: Any, size: Size | None) -> None:
    if size is not None:
        definition.description = f"{definition.description or ''} {size}".strip()


def _plain_arguments(field: GraphQLField) -> Iterator[Any]:
    """Yield the arguments of a field that are texts, JSON, or lists of these."""
    for argument in field.args.values():
        if get_named_type(argument.type).name in _USUAL:
            yield argument


def _inputs_of(core: GraphQLSchema) -> dict[str, GraphQLInputObjectType]:
    """Return the input types of mutations, by name; those of filters, which are bounded as filters, have no place."""
    found: dict[str, GraphQLInputObjectType] = {}

    def visit(type_: GraphQLNamedType) -> None:
        if not isinstance(type_, GraphQLInputObjectType) or type_.name in found or is_filter(type_):
            return
        found[type_.name] = type_
        for each in type_.fields.values():
            visit(get_named_type(each.type))

    for field in core.mutation_type.fields.values() if core.mutation_type is not None else ():
        for argument in field.args.values():
            visit(get_named_type(argument.type))
    return found


def is_filter(type_: GraphQLInputObjectType) -> bool:
    """Return whether an input type is a record's filter, whose operands are judged by the columns they compare."""
    return type_.name.endswith("Filter")


MISSING = "must have a value"


def _is_kept(definition: Any) -> bool:
    """Return whether a field of an input may be left out, and is no null where it is sent."""
    of = definition.extensions.get(DEFINITION)
    type_ = None if of is None else of.type
    return isinstance(type_, StrawberryMaybe) and not isinstance(type_.of_type, StrawberryOptional)


@dataclass(frozen=True, slots=True)
class InputCheck:
    """What is judged of an input object, or of the arguments of a field."""

    kept: tuple[str, ...]
    sizes: tuple[tuple[str, Size], ...]
    nested: tuple[tuple[str, InputCheck], ...]

    def faults(self, given: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[Fault]:
        """Yield what is null and must not be, and what is longer than it may be, with its path by GraphQL names."""
        for name in self.kept:
            if name in given and given[name] is None:
                yield (*path, name), MISSING
        for name, size in self.sizes:
            value = given.get(name)
            if value is not None:
                for below, reason in size.faults(value):
                    yield (*path, name, *below), reason
        for name, inner in self.nested:
            value = given.get(name)
            if isinstance(value, list):
                for index, item in enumerate(value):
                    yield from inner.faults(item, (*path, name, str(index)))
            elif value is not None:
                yield from inner.faults(value, (*path, name))


def _check(definitions: Mapping[str, Any]) -> InputCheck | None:
    """Return what is to be judged of arguments or of the fields of an input; None where nothing is."""
    kept, sizes, nested = [], [], []
    for name, definition in definitions.items():
        if _is_kept(definition):
            kept.append(name)
        size, type_ = size_in(definition), get_named_type(definition.type)
        if size is not None:
            sizes.append((name, size))
        if isinstance(type_, GraphQLInputObjectType) and not is_filter(type_) and not _judges_each(definition):
            inner = _check(type_.fields)
            if inner is not None:
                nested.append((name, inner))
    return InputCheck(tuple(kept), tuple(sizes), tuple(nested)) if kept or sizes or nested else None


def guard_sizes(core: GraphQLSchema) -> None:
    """Have the resolvers of the root fields judge what they are given, before anything else: a mutation answers what is
    too long in its payload, as it does all that is wrong with an input; a query refuses it."""
    for type_ in (core.query_type, core.mutation_type):
        for field in type_.fields.values() if type_ is not None else ():
            arguments = field.args if type_ is core.mutation_type else _judged_arguments(field)
            check = _check(arguments)
            if check is not None and field.resolve is not None:
                field.resolve = _guarded(field, check, payload=type_ is core.mutation_type)


def _judged_arguments(field: GraphQLField) -> Mapping[str, Any]:
    return {name: each for name, each in field.args.items() if get_named_type(each.type).name in _USUAL}


def _guarded(field: GraphQLField, check: InputCheck, *, payload: bool) -> Callable[..., Any]:
    resolve: Any = field.resolve
    lone = "input" if payload and list(field.args) == ["input"] else None
    refused = _refusal(field) if payload else None

    def guarded(source: Any, info: Any, **arguments: Any) -> Any:
        faults = list(islice(check.faults(arguments), MAX_FAULTS))
        if not faults:
            return resolve(source, info, **arguments)
        if refused is None:
            path, reason = faults[0]
            raise BadUserInput(f"`{path[-1]}` {reason}.", path=path)
        return refused([(path[1:] if lone else path, reason) for path, reason in faults])

    return guarded


def _refusal(field: GraphQLField) -> Callable[[list[Fault]], Any]:
    """Return what makes a mutation's payload of what is wrong with its input: nothing else is in it."""
    type_ = get_named_type(field.type)
    assert isinstance(type_, GraphQLObjectType)
    payload = type_.extensions[DEFINITION].origin
    shown = {each.extensions[DEFINITION].python_name: each.type for each in type_.fields.values()}
    empty = {each.name: _nothing(shown.get(each.name)) for each in fields(payload) if each.init}

    def refused(faults: list[Fault]) -> Any:
        errors = [
            UserError(
                code=UserErrorCode.REQUIRED if reason is MISSING else UserErrorCode.INVALID,
                message=f"`{_named(path)}` {reason}.",
                field=list(path),
            )
            for path, reason in faults
        ]
        return payload(**{**empty, "errors": errors})

    return refused


def _nothing(type_: Any) -> Any:
    """Return what a field of a payload holds when nothing was done."""
    if type_ is None or not is_non_null_type(type_):
        return None
    return [] if is_list_type(type_.of_type) else _NOTHING[type_.of_type.name]


_NOTHING: Mapping[str, Any] = {"Boolean": False, "Int": 0}


def _named(path: tuple[str, ...]) -> str:
    """Return what a fault is about: the field, not the number of an item in it."""
    return next((name for name in reversed(path) if not name.isdigit()), ".".join(path))
