"""No two stages of a pipeline have the same place

Revision: 2026_12_01_stage_positions
Follows: 2026_12_01_stage_fields
"""

from __future__ import annotations

from alembic import op

revision = "2026_12_01_stage_positions"
down_revision = "2026_12_01_stage_fields"
branch_labels = None
depends_on = None

CHECK, UNIQUE = "ck_stage_position", "uq_stage_workspace_id_pipeline_id_position"
RENUMBER = """
WITH numbered AS (
  SELECT workspace_id, id, position AS was,
    row_number() OVER (PARTITION BY workspace_id, pipeline_id ORDER BY position, created_at, id)::int - 1 AS place
  FROM stage
  WHERE (workspace_id, pipeline_id) IN (
    SELECT workspace_id, pipeline_id FROM stage GROUP BY workspace_id, pipeline_id
    HAVING count(DISTINCT position) < count(*) OR min(position) < 0 OR max(position) > 9999
  )
), moved AS (
  UPDATE stage SET position = numbered.place, version = stage.version + 1, updated_at = now() FROM numbered
  WHERE stage.workspace_id = numbered.workspace_id AND stage.id = numbered.id AND was <> place
  RETURNING stage.workspace_id, stage.id, stage.pipeline_id, was, place
), wholes AS (
  UPDATE pipeline SET version = version + 1, updated_at = now()
  WHERE (workspace_id, id) IN (SELECT workspace_id, pipeline_id FROM moved)
  RETURNING workspace_id, id
)
INSERT INTO event (workspace_id, type, entity, entity_id, at, changes, data)
SELECT workspace_id, 'StageUpdated', 'Stage', id, now(),
  jsonb_build_object('position', jsonb_build_array(was, place)), '{}'::jsonb
FROM moved
UNION ALL
SELECT workspace_id, 'PipelineUpdated', 'Pipeline', id, now(), '{}'::jsonb, '{"parts": ["Stage"]}'::jsonb FROM wholes
"""
"""Of pipelines with a place that two stages have, or that is none; it is told, as any change is."""


def upgrade() -> None:
    """Nobody writes stages meanwhile: there are few of them."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("LOCK TABLE pipeline, stage IN SHARE ROW EXCLUSIVE MODE")
    op.execute(RENUMBER)
    op.execute(f"ALTER TABLE stage DROP CONSTRAINT {CHECK}")
    op.execute(f"ALTER TABLE stage ADD CONSTRAINT {CHECK} CHECK (position BETWEEN 0 AND 9999)")
    op.execute(
        f"ALTER TABLE stage ADD CONSTRAINT {UNIQUE} UNIQUE (workspace_id, pipeline_id, position)"
        " DEFERRABLE INITIALLY IMMEDIATE"
    )


def downgrade() -> None:
    """The way back."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute(f"ALTER TABLE stage DROP CONSTRAINT {UNIQUE}")
    op.execute(f"ALTER TABLE stage DROP CONSTRAINT {CHECK}")
    op.execute(f"ALTER TABLE stage ADD CONSTRAINT {CHECK} CHECK (position >= 0) NOT VALID")
