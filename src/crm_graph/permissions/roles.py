"""The built-in roles, assembled from what each slice's policy says about them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from crm_graph.permissions.grants import ALL, Grant, Level, Role, grant

if TYPE_CHECKING:
    from crm_graph.permissions.policy import Policy

ADMIN = "admin"
SALES_MANAGER = "sales_manager"
SALES_REP = "sales_rep"
MARKETER = "marketer"
SUPPORT_AGENT = "support_agent"
SERVICE_MANAGER = "service_manager"
FINANCE = "finance"
ANALYST = "analyst"
INTEGRATION = "integration"

BUILT_IN = (ADMIN, SALES_MANAGER, SALES_REP, MARKETER, SUPPORT_AGENT, SERVICE_MANAGER, FINANCE, ANALYST, INTEGRATION)
STAFF = tuple(role for role in BUILT_IN if role != ADMIN)


def everything(policy: Policy) -> Grant:
    """Return the grant of all that can be done to a type."""
    verbs: dict[str, Any] = dict.fromkeys(policy.by_name, ALL)
    return grant(read=ALL, create=ALL, update=ALL, delete=ALL, export=ALL, default=Level.WRITE, **verbs)


def built_in_roles(policies: Iterable[Policy]) -> Mapping[str, Role]:
    """Return the built-in roles by name. `admin` may do everything; the others what the policies list."""
    policies = tuple(policies)
    roles = {}
    for name in BUILT_IN:
        grants = {
            policy.type: policy.defaults.get(name) or everything(policy)
            for policy in policies
            if name in policy.defaults or (name == ADMIN and policy.parent is None)
        }
        roles[name] = Role(name, grants)
    return roles
