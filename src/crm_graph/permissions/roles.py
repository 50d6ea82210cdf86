"""The built-in roles, assembled from what each slice's policy says about them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from crm_graph.permissions.grants import ALL, Level, Role, grant

if TYPE_CHECKING:
    from crm_graph.permissions.policy import Policy

ADMIN = "admin"
SALES_MANAGER = "sales_manager"
SALES_REP = "sales_rep"
MARKETER = "marketer"
SUPPORT_AGENT = "support_agent"
ANALYST = "analyst"
INTEGRATION = "integration"

BUILT_IN = (ADMIN, SALES_MANAGER, SALES_REP, MARKETER, SUPPORT_AGENT, ANALYST, INTEGRATION)
EVERYTHING = grant(read=ALL, create=ALL, update=ALL, delete=ALL, default=Level.WRITE, setRoles=ALL)


def built_in_roles(policies: Iterable[Policy]) -> Mapping[str, Role]:
    """Return the built-in roles by name. `admin` may do everything; the others what the policies list."""
    policies = tuple(policies)
    roles = {}
    for name in BUILT_IN:
        grants = {
            policy.type: policy.defaults.get(name, EVERYTHING)
            for policy in policies
            if name in policy.defaults or (name == ADMIN and policy.parent is None)
        }
        roles[name] = Role(name, grants)
    return roles
