"""Where the roles of a world get into the engine: the one place that knows the product's own form of them."""

from __future__ import annotations

from collections.abc import Mapping

from crm_graph.permissions.grants import FieldGrant, Grant, Level, Role
from tests.permissions.oracle.grants import RoleText, grant_of
from tests.permissions.oracle.kinds import Kind, kinds
from tests.support.graph import Graph

_COMES_WITH_THE_ROW = FieldGrant(Level.READ)


async def install_roles(graph: Graph, workspace: str, roles: Mapping[str, RoleText]) -> None:
    """Let these be the roles of a workspace."""
    compiler = graph.engine._access
    compiler._roles = {name: _role(name, grants) for name, grants in roles.items()}
    compiler._compiled.clear()


def _role(name: str, grants: RoleText) -> Role:
    return Role(name, {kind.name: found for kind in kinds().values() if (found := _grant(grants, kind)) is not None})


def _grant(grants: RoleText, kind: Kind) -> Grant | None:
    """Return the grant on a type, in which fields that are never null are readable. A part's is written out where its
    whole's default would withhold them."""
    given = grant_of(grants, kind)
    if given is None or (kind.name not in grants and given.default >= Level.READ):
        return None
    fields = {
        field: tuple(FieldGrant(Level(each.level), each.scope) for each in levels)
        for field, levels in given.fields.items()
    }
    for each in kind.governed:
        if each.required:
            own = fields.get(each.name, (FieldGrant(Level(given.default)),))
            fields[each.name] = (*own, _COMES_WITH_THE_ROW)
    return Grant(given.verbs, fields, Level(given.default))
