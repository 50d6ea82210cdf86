"""Who may see and change pipelines: everybody who sells sees them, sales managers change them."""

from __future__ import annotations

from crm_graph.db.base import table_of
from crm_graph.domains.sales.pipelines.events import PipelineUpdated
from crm_graph.domains.sales.pipelines.model import Pipeline, Stage
from crm_graph.permissions.grants import ALL, Level, grant, read_only
from crm_graph.permissions.policy import Policy
from crm_graph.permissions.roles import ANALYST, INTEGRATION, SALES_MANAGER, STAFF

_SEE = grant(read=ALL, default=Level.READ)
_DEFAULTS = {
    **dict.fromkeys(STAFF, _SEE),
    ANALYST: read_only(),
    SALES_MANAGER: grant(read=ALL, create=ALL, update=ALL),
    INTEGRATION: grant(read=ALL, create=ALL, update=ALL, export=ALL),
}

PIPELINE = Policy("Pipeline", table_of(Pipeline), defaults=_DEFAULTS)
STAGE = Policy("Stage", table_of(Stage), parent=(PIPELINE, "pipeline_id"), in_version=PipelineUpdated)
