"""From a viewer to what they may do: their roles' definitions, built in or the workspace's own, compiled once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from crm_graph.identity.viewer import Viewer
from crm_graph.permissions.access import Access, compile_access
from crm_graph.permissions.definitions import parse_role
from crm_graph.permissions.grants import Role, reading
from crm_graph.permissions.policy import Policy
from crm_graph.permissions.roles import ADMIN, built_in_roles

MAX_COMPILED = 2_000
"""Sets of roles that a process keeps compiled, about 20 KB each."""


class AccessCompiler:
    """The compiled access of viewers. Compiled from values alone, so that there is nothing to invalidate."""

    def __init__(self, policies: Iterable[Policy], inherent: Mapping[str, frozenset[str]] | None = None) -> None:
        self._policies = tuple(policies)
        self._inherent = inherent
        self.built_in: Mapping[str, Role] = built_in_roles(self._policies)
        self._compiled: OrderedDict[tuple[Any, ...], Access] = OrderedDict()

    def of(self, viewer: Viewer) -> Access:
        """Return the union of a viewer's roles; a role that is defined nowhere grants nothing."""
        key = viewer.roles, viewer.definitions, viewer.read_only
        access = self._compiled.get(key)
        if access is None:
            access = self._compiled[key] = self._compile(self.roles(viewer), read_only=viewer.read_only)
            if len(self._compiled) > MAX_COMPILED:
                self._compiled.popitem(last=False)
        return access

    def alone(self, role: Role, *, read_only: bool = False) -> Access:
        """Return the access that one role gives: to explain, and to cut the schema to."""
        return self._compile([role], read_only=read_only)

    def _compile(self, roles: Sequence[Role], *, read_only: bool) -> Access:
        if read_only:
            roles = [Role(role.name, {name: reading(grants) for name, grants in role.grants.items()}) for role in roles]
        return compile_access(roles, self._policies, self._inherent)

    def roles(self, viewer: Viewer) -> list[Role]:
        """Return the roles of a viewer. What an older version wrote of types and fields that are gone is kept: it
        grants nothing."""
        defined = dict(viewer.definitions)
        return [
            parse_role(name, orjson.loads(defined[name])) if name in defined else self.built_in[name]
            for name in viewer.roles
            if name in defined or name in self.built_in
        ]


def administrator(*policies: Policy) -> Access:
    """Return what an administrator may do with the types of some policies, and with no other: for what the operator,
    or the installation by itself, does to them."""
    return compile_access([built_in_roles(policies)[ADMIN]], policies)
