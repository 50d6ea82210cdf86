"""Who may see and change pipelines: everybody who sells sees them, sales managers change them."""

from __future__ import annotations

from crm_graph.db.base import table_of
from crm_graph.domains.sales.pipelines.events import PipelineUpdated
from crm_graph.domains.sales.pipelines.model import Pipeline, Stage
from crm_graph.permissions.grants import ALL, Level, grant
from crm_graph.permissions.policy import Policy
from crm_graph.permissions.roles import ANALYST, INTEGRATION, MARKETER, SALES_MANAGER, SALES_REP, SUPPORT_AGENT

_SEE = grant(read=ALL, default=Level.READ)
_DEFAULTS = {
    **dict.fromkeys((SALES_REP, MARKETER, SUPPORT_AGENT, ANALYST), _SEE),
    SALES_MANAGER: grant(read=ALL, create=ALL, update=ALL),
    INTEGRATION: grant(read=ALL, create=ALL, update=ALL),
}

PIPELINE = Policy("Pipeline", table_of(Pipeline), defaults=_DEFAULTS)
STAGE = Policy("Stage", table_of(Stage), parent=(PIPELINE, "pipeline_id"), in_version=PipelineUpdated)
