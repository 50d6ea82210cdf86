"""What belongs to a record: the types that lead to it, each by which edges."""

from __future__ import annotations

from collections.abc import Mapping

from crm_graph.graph.records.record import Record, own_name
from crm_graph.graph.records.registry import Registry


def paths_to(record: Record, registry: Registry) -> Mapping[str, tuple[str, ...]]:
    """Return the types whose records belong to one of `record`, each with the edges that lead there: the edge that is
    called as the record is, and for a part of another type (`Policy.parent`) the edges of its whole."""
    found: dict[str, tuple[str, ...]] = {record.name: ()}
    own = own_name(record)

    def path_of(each: Record) -> tuple[str, ...] | None:
        if each.name in found:
            return found[each.name]
        edge = each.edges.get(own)
        if edge is not None and not edge.many and edge.target is record:
            return (own,)
        if each.policy.parent is None:
            return None
        whole, column = each.policy.parent
        for edge in each.edges.values():
            if edge.column == column and not edge.many and edge.target.name == whole.type:
                beyond = path_of(edge.target)
                return None if beyond is None else (edge.name, *beyond)
        return None

    for each in registry.records.values():
        path = path_of(each)
        if path is not None:
            found[each.name] = path
    return found
