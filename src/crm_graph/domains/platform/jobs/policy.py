"""Who may see jobs and decide on them: members their own, administrators all."""

from __future__ import annotations

from crm_graph.db.base import table_of
from crm_graph.domains.platform.jobs.model import Job
from crm_graph.permissions.grants import OWN, Level, grant
from crm_graph.permissions.policy import Policy, owned_by
from crm_graph.permissions.roles import STAFF

_OWN = grant(read=OWN, create=OWN, update=OWN, default=Level.READ)

JOB = Policy(
    "Job",
    table_of(Job),
    scopes=owned_by("created_by_id"),
    defaults=dict.fromkeys(STAFF, _OWN),
)
