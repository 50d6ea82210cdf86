"""The stage move by hand, for both floors: what it checks and what it writes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from crm_graph.kernel.ids import new_id

MOVED = (
    "id, name, customer_id, pipeline_id, stage_id, stage_since, status, amount, probability, expected_close,"
    " next_step, version"
)
UPDATE = """
    UPDATE opportunity SET stage_id = $4, stage_since = $5, status = $6, probability = $7, version = version + 1,
        updated_at = $5
    WHERE workspace_id = $1 AND id = $2 AND version = $3
"""
INSERT_EVENT = """
    INSERT INTO event (workspace_id, type, entity, entity_id, actor, at, changes, data)
    VALUES ($1, 'OpportunityStageChanged', 'Opportunity', $2, $3, $4, $5, $6)
"""
INSERT_MOVE = """
    INSERT INTO stage_move (workspace_id, opportunity_id, id, from_stage_id, to_stage_id, member_id, moved_at,
        seconds_in_stage, version, created_at, updated_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 1, $7, $7)
"""


class Moved:
    """A legal move of a deal to a stage, now. Raises ValueError for one that is not legal."""

    def __init__(self, deal: Mapping[str, Any], stage: Mapping[str, Any]) -> None:
        if deal["status"] != "OPEN" or stage["kind"] != "OPEN" or stage["id"] == deal["stage_id"]:
            raise ValueError("ILLEGAL_TRANSITION")
        if stage["pipeline_id"] != deal["pipeline_id"]:
            raise ValueError("INVALID")
        present = {
            "amount": deal["amount"],
            "expectedClose": deal["expected_close"],
            "customer": deal["customer_id"],
            "nextStep": deal["next_step"],
        }
        if any(present[name] is None for name in stage["required_fields"]):
            raise ValueError("REQUIRED")
        now = datetime.now(UTC)
        self._at = now.isoformat()
        self._member = os.environ["BENCH_MEMBER"]
        self._deal, self._stage = deal, stage
        self._seconds = max(0, int((now - datetime.fromisoformat(deal["stage_since"])).total_seconds()))

    def updated(self) -> tuple[Any, ...]:
        """Return the values of UPDATE after the version."""
        return self._stage["id"], self._at, self._stage["kind"], self._stage["probability"]

    def logged(self) -> tuple[Any, ...]:
        """Return the values of INSERT_EVENT after the deal's id."""
        deal, stage = self._deal, self._stage
        changes = {
            "stage_id": (deal["stage_id"], stage["id"]),
            "stage_since": (deal["stage_since"], self._at),
            "probability": (deal["probability"], stage["probability"]),
        }
        data = {"from_stage_id": deal["stage_id"], "to_stage_id": stage["id"], "seconds_in_stage": self._seconds}
        return self._member, self._at, changes, data

    def remembered(self) -> tuple[Any, ...]:
        """Return the values of INSERT_MOVE after the deal's id."""
        return new_id(), self._deal["stage_id"], self._stage["id"], self._member, self._at, self._seconds
