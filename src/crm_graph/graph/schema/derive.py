"""Derives the inputs of the records: filters, orders and the arguments of connections.

Written as a synthetic module so that Strawberry resolves their mutual references by name
(`OpportunityFilter.customer: CustomerFilter` and back) when the schema is built.
"""

from __future__ import annotations

import sys
from datetime import datetime
from decimal import Decimal
from enum import Enum
from types import ModuleType
from typing import Any

import strawberry
from graphql import GraphQLObjectType, GraphQLSchema
from strawberry.annotation import StrawberryAnnotation
from strawberry.types.arguments import StrawberryArgument

from crm_graph.db.sizes import SIZE_KEY, Letters
from crm_graph.executor.fields import BEYOND
from crm_graph.graph.cursors import MAX_CURSOR_LENGTH
from crm_graph.graph.reading.aggregate_fields import use_of
from crm_graph.graph.reading.comparators import comparator
from crm_graph.graph.reading.filters import IN_VIEWER_TEAMS, IS_VIEWER
from crm_graph.graph.reading.orders import NullsOrder, OrderDirection, order_keys
from crm_graph.graph.records.aggregate_limits import AggregateLimits
from crm_graph.graph.records.record import (
    AS_OF,
    METADATA_KEY,
    HistorySpec,
    MeasuresSpec,
    MoneySpec,
    Record,
    ToManySpec,
    WatchSpec,
    graphql_name,
    own_name,
    record_of,
    spec_of,
)
from crm_graph.graph.records.registry import Registry
from crm_graph.graph.records.scalars import Currency, Cursor
from crm_graph.graph.schema.derive_aggregates import derive_aggregates
from crm_graph.kernel import naming

MODULE = "crm_graph.graph.derived"


def derive(registry: Registry) -> None:
    """Make the derived types of all records and give connection fields their arguments."""
    module = ModuleType(MODULE)
    module.Cursor, module.datetime = Cursor, datetime  # type: ignore[attr-defined] # for `derived_annotation`
    sys.modules[MODULE] = module
    comparators: dict[object, type] = {}
    for record in registry.records.values():
        _add(module, _filter(record, registry, comparators, module))
        _add(module, _list_filter(record))
        _add(module, _order(record, registry))
        derive_aggregates(record, registry, MODULE, lambda made: _add(module, made), comparators)
    for record in registry.records.values():
        for each in record.definition.fields:
            if isinstance(spec_of(each), ToManySpec):
                target = registry.edges(record)[graphql_name(each)].target
                each.arguments = [*connection_arguments(target, default=10), *as_of_arguments(target)]
            elif isinstance(spec_of(each), HistorySpec):
                each.arguments = _history_arguments()
        _measure_edges(record, registry)


def say_uses(core: GraphQLSchema, registry: Registry) -> None:
    """Say in the description of each field of a record what aggregates make of it, if anything."""
    for record in registry.records.values():
        type_ = core.type_map[record.name]
        assert isinstance(type_, GraphQLObjectType)
        for name in (*registry.leaves(record), *registry.edges(record)):
            text = use_of(record, registry, name).text
            if text and not (type_.fields[name].description or "").endswith(text):
                type_.fields[name].description = f"{type_.fields[name].description} {text}"


def _measure_edges(record: Record, registry: Registry) -> None:
    """Give a record a field of measures beside each of its edges to many: `ordersAggregate` beside `orders`."""
    fields = record.definition.fields
    fields[:] = [each for each in fields if not isinstance(spec_of(each), MeasuresSpec)]  # of an earlier schema
    for edge in [edge for edge in registry.edges(record).values() if edge.many]:
        made = strawberry.field(
            description=f"Measures over `{edge.name}`, of those you may see: one statement for all records together.",
            metadata={METADATA_KEY: MeasuresSpec(edge.target, edge.column)},
        )
        made.python_name, made.graphql_name = f"{naming.snake(edge.name)}_aggregate", f"{edge.name}Aggregate"
        made.type_annotation = derived_annotation(f"{edge.target.name}Measures")
        which = filter_argument(edge.target, "Which of them; all that you may see unless given.")
        made.arguments = [which, *as_of_arguments(edge.target)]
        fields.append(made)


def _add(module: ModuleType, made: type) -> None:
    setattr(module, made.__name__, made)


def _input(name: str, description: str, fields: dict[str, tuple[Any, str, str]]) -> type:
    """Return an input type; `fields` maps attribute to (annotation, GraphQL name, description), all optional."""
    namespace: dict[str, Any] = {
        "__module__": MODULE,
        "__annotations__": {attribute: annotation for attribute, (annotation, _, _) in fields.items()},
    }
    for attribute, (_, graphql, text) in fields.items():
        namespace[attribute] = strawberry.field(name=graphql, description=text, default=strawberry.UNSET)
    return strawberry.input(type(name, (), namespace), name=name, description=description)


def _filter(record: Record, registry: Registry, comparators: dict[object, type], module: ModuleType) -> type:
    name = f"{record.name}Filter"
    fields: dict[str, tuple[Any, str, str]] = {
        "and_": (f"list[{name}] | None", "and", "All of these hold. An empty list matches everything."),
        "or_": (f"list[{name}] | None", "or", "At least one of these holds. An empty list matches nothing."),
        "not_": (f"{name} | None", "not", "This does not hold."),
    }

    if record.views:
        fields |= {name: ("bool | None", graphql, text) for name, (graphql, text) in OF_VIEWER.items()}

    def compare(key: str, of: Any, text: str) -> None:
        made = comparator(of, comparators, registry.filter_limits)
        if made is not None:
            _add(module, made)
            fields[f"f_{key}"] = (f"{made.__name__} | None", key, text)

    for key, of in registry.leaves(record).items():
        if of is MoneySpec:
            compare(key, Decimal, f"Conditions on the amount of `{key}`.")
            compare("currency", Currency, "Conditions on the currency.")
        elif key in record.columns:
            compare(key, of, f"Conditions on `{key}`.")
    for edge in registry.edges(record).values():
        if edge.many:
            fields[f"f_{edge.name}"] = (
                f"{edge.target.name}ListFilter | None",
                edge.name,
                f"Conditions on `{edge.name}`, of those you may see.",
            )
        else:
            fields[f"f_{edge.name}"] = (f"{edge.target.name}Filter | None", edge.name, f"Conditions on `{edge.name}`.")
            compare(f"{edge.name}Id", strawberry.ID, f"Conditions on the id of `{edge.name}`; `isNull` for none.")
    text = f"Which {record.name} records match: all conditions given must hold. `{{}}` matches all."
    return _input(name, text, fields)


OF_VIEWER = {
    "is_viewer": (IS_VIEWER, "Is (true) or is not (false) whoever asks: in a stored filter, whoever it is used for."),
    "in_viewer_teams": (
        IN_VIEWER_TEAMS,
        "Is (true) or is not (false) of the teams that whoever asks manages or belongs to, or of those below them; they"
        " themselves are.",
    ),
}


def _list_filter(record: Record) -> type:
    of = f"{record.name}Filter | None"
    return _input(
        f"{record.name}ListFilter",
        f"Conditions on linked {record.name} records, of those you may see.",
        {
            "some": (of, "some", "At least one matches."),
            "none": (of, "none", "None matches."),
            "every": (of, "every", "All match; true where there are none."),
        },
    )


def _order(record: Record, registry: Registry) -> type:
    names = order_keys(record, registry)
    enum: Any = Enum(f"{record.name}OrderField", {name: name for name in names})  # type: ignore[misc]
    enum.__module__ = MODULE
    text = f"What {record.name} records can be ordered by."
    made: Any = strawberry.enum(enum, name=f"{record.name}OrderField", description=text)
    for value in made.__strawberry_definition__.values:
        value.description = f"By `{names[value.name].replace(BEYOND, '.')}`."
    _add(sys.modules[MODULE], made)

    def field(graphql: str, text: str, default: Any = strawberry.UNSET) -> Any:
        return strawberry.field(name=graphql, description=text, default=default)

    namespace: dict[str, Any] = {
        "__module__": MODULE,
        "__annotations__": {
            "field": f"{record.name}OrderField",
            "direction": OrderDirection | None,
            "nulls": NullsOrder | None,
        },
        "field": strawberry.field(name="field", description="What to order by."),
        "direction": field("direction", "Ascending unless said otherwise.", OrderDirection.ASC),
        "nulls": field("nulls", "Last unless said otherwise.", NullsOrder.LAST),
    }
    return strawberry.input(
        type(f"{record.name}Order", (), namespace),
        name=f"{record.name}Order",
        description=f"One key of an order of {record.name} records; the id decides between equals.",
    )


def derived_annotation(annotation: str) -> StrawberryAnnotation:
    """Return an annotation that names derived types."""
    return StrawberryAnnotation(annotation, namespace=vars(sys.modules[MODULE]))


def _argument(
    name: str, graphql: str, annotation: str, description: str, size: Letters | None = None
) -> StrawberryArgument:
    return StrawberryArgument(
        name,
        graphql,
        derived_annotation(annotation),
        description=description,
        default=strawberry.UNSET,
        metadata={SIZE_KEY: size},
    )


def connection_arguments(record: Record, default: int) -> list[StrawberryArgument]:
    """Return the arguments of a connection of a record."""
    cursor = Letters(MAX_CURSOR_LENGTH)
    return [
        _argument("where", "where", f"{record.name}Filter | None", "Which records; all that you may see unless given."),
        _argument(
            "order_by",
            "orderBy",
            f"list[{record.name}Order] | None",
            "At most 3 keys; the id is always the last one. By id, which is by age, unless given.",
        ),
        _argument(
            "first", "first", "int | None", f"The size of the page, forward; {default} unless given, at most 200."
        ),
        _argument("after", "after", "str | None", "The cursor after which the page starts.", cursor),
        _argument("last", "last", "int | None", "The size of the page, backward from the end or from `before`."),
        _argument("before", "before", "str | None", "The cursor before which the page ends; goes with `last`.", cursor),
    ]


def _history_arguments() -> list[StrawberryArgument]:
    """Return the arguments of the history of a record."""
    size = "The size of the page; 10 unless given, at most 200."
    return [
        _argument("first", "first", "int | None", size),
        _argument(
            "after", "after", "str | None", "The cursor after which the page starts.", Letters(MAX_CURSOR_LENGTH)
        ),
    ]


def as_of_arguments(record: Record | None) -> list[StrawberryArgument]:
    """Return the argument by which records are read as they were, of a type whose history is kept; None for any."""
    if record is not None and not record.keeps_history:
        return []
    what = "the records" if record is None else record.plural
    return [
        _argument(
            "as_of",
            AS_OF,
            "datetime | None",
            f"Read {what}, and all below them, as they were at this time, of which your roles of today show what they"
            " show of such records; as they are unless given. What keeps no history (members, contacts, lines) is as it"
            " is.",
        )
    ]


def keeping_arguments(record: Record) -> list[StrawberryArgument]:
    """Return the arguments by which a list of all records of a type has those that it leaves out otherwise."""
    if not record.is_kept:
        return []
    archived = "Whether archived records are among them; they are not unless asked for."
    deleted = (
        "Whether these are the records in the recycle bin, archived ones too, of those that you may see and delete."
        " Their edges lead to what is not in it."
    )
    return [
        _argument("archived", "archived", "bool | None", archived),
        _argument("deleted", "deleted", "bool | None", deleted),
    ]


def aggregate_arguments(record: Record, limits: AggregateLimits) -> list[StrawberryArgument]:
    """Return the arguments of an aggregate of a record."""
    name = record.name
    return [
        filter_argument(record, "Which records; all that you may see unless given."),
        _argument(
            "group_by",
            "groupBy",
            f"list[{name}GroupBy] | None",
            f"At most {limits.keys} keys; one group unless given.",
        ),
        _argument(
            "matching",
            "matching",
            f"{name}Filter | None",
            "Which of the records of a group `matching` and `share` are about; all unless given.",
        ),
        _argument("having", "having", f"{name}Having | None", "Which groups, by their measures; all unless given."),
        _argument(
            "order_by",
            "orderBy",
            f"list[{name}GroupOrder] | None",
            f"At most {limits.order_keys} keys of the order of groups; by the keys of `groupBy` unless given.",
        ),
        _argument(
            "first",
            "first",
            "int | None",
            f"How many groups, at most {limits.groups:,}; more than so many are refused unless given.",
        ),
    ]


WITHOUT_OWN = "withoutOwn"
OWN_LEFT_OUT = (
    "Leave out the changes that you made yourself: by the API client that you use, in a session without one by you"
    " without one. What they brought or took of other records is told. False unless given."
)


def watch_arguments(spec: WatchSpec) -> list[StrawberryArgument]:
    """Return the arguments of a subscription to the records of a type, or to those within another one."""
    record = record_of(spec.record)
    if spec.argument is None:
        which = filter_argument(
            record, "Which records; all that you may see unless given. A record that stops matching is told as LEFT."
        )
    else:
        whole = own_name(record) if spec.within in {None, "id"} else spec.within
        identity = StrawberryAnnotation(strawberry.ID)
        which = StrawberryArgument(spec.argument, spec.argument, identity, description=f"The id of the {whole}.")
    return [
        which,
        _argument(
            "after",
            "after",
            "Cursor | None",
            "The cursor of the last change you have: what came later is sent first, then what happens.",
        ),
        _argument("without_own", WITHOUT_OWN, "bool | None", OWN_LEFT_OUT),
    ]


def filter_argument(record: Record, description: str) -> StrawberryArgument:
    """Return a lone `where` argument."""
    return _argument("where", "where", f"{record.name}Filter | None", description)
