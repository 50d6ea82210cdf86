"""Who may read the audit trail: administrators, and whom a role of the workspace grants it. Nobody writes it."""

from __future__ import annotations

from crm_graph.db.base import table_of
from crm_graph.domains.platform.audit.model import AuditEntry
from crm_graph.permissions.grants import read_only
from crm_graph.permissions.policy import Policy, owned_by
from crm_graph.permissions.roles import ADMIN

AUDIT_ENTRY = Policy("AuditEntry", table_of(AuditEntry), scopes=owned_by("actor_id"), defaults={ADMIN: read_only()})
"""OWN is what I did, TEAM what the members of my circle did."""
