// The stage move: the same reads and writes as ours, in one transaction on one connection, each a prepared statement.

import { randomBytes } from 'node:crypto';
import { member, workspace } from './database.js';

const statement = (name, text) => (client, ...values) => client.query({ name, text, values });

const loadOpportunity = statement(
  'move-opportunity',
  'SELECT * FROM opportunity WHERE workspace_id = $1 AND id = $2 FOR UPDATE',
);
const loadStage = statement('move-stage', 'SELECT * FROM stage WHERE workspace_id = $1 AND id = $2');
const update = statement(
  'move-update',
  `UPDATE opportunity SET stage_id = $4, stage_since = $5, status = $6, probability = $7, version = $8, updated_at = $5
   WHERE workspace_id = $1 AND id = $2 AND version = $3`,
);
const insertEvent = statement(
  'move-event',
  `INSERT INTO event (workspace_id, type, entity, entity_id, actor, at, changes, data)
   VALUES ($1, 'OpportunityStageChanged', 'Opportunity', $2, $3, $4, $5, $6)`,
);
const insertMove = statement(
  'move-history',
  `INSERT INTO stage_move (workspace_id, id, opportunity_id, from_stage_id, to_stage_id, member_id, moved_at,
     seconds_in_stage, version, created_at, updated_at)
   VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 1, $7, $7)`,
);

/** A UUIDv7, like the ids of all other rows. */
function newId() {
  const random = randomBytes(10);
  random[0] = 0x70 | (random[0] & 0x0f);
  random[2] = 0x80 | (random[2] & 0x3f);
  return Date.now().toString(16).padStart(12, '0') + random.toString('hex');
}

function check(opportunity, stage) {
  if (!opportunity || !stage) throw new Error('NOT_FOUND');
  if (opportunity.status !== 'OPEN' || stage.kind !== 'OPEN' || stage.id === opportunity.stage_id)
    throw new Error('ILLEGAL_TRANSITION');
  if (stage.pipeline_id !== opportunity.pipeline_id) throw new Error('INVALID');
  const present = {
    amount: opportunity.amount,
    expectedClose: opportunity.expected_close,
    customer: opportunity.customer_id,
    nextStep: opportunity.next_step,
  };
  for (const name of stage.required_fields) if (present[name] === null) throw new Error('REQUIRED');
}

/** Move an opportunity to another open stage of its pipeline, in the transaction of `client`; returns both rows. */
export async function move(client, id, stageId) {
  const [opportunity] = (await loadOpportunity(client, workspace, id)).rows;
  const [stage] = (await loadStage(client, workspace, stageId)).rows;
  check(opportunity, stage);
  const now = new Date();
  const at = now.toISOString();
  const seconds = Math.max(0, Math.floor((now - new Date(opportunity.stage_since)) / 1000));
  const [from, version] = [opportunity.stage_id, opportunity.version];
  const after = { stage_id: stage.id, stage_since: at, status: stage.kind, probability: stage.probability };
  const changes = {};
  for (const [column, value] of Object.entries(after))
    if (opportunity[column] !== value) changes[column] = [opportunity[column], value];
  await update(client, workspace, id, version, stage.id, at, stage.kind, stage.probability, version + 1);
  const data = { from_stage_id: from, to_stage_id: stage.id, seconds_in_stage: seconds };
  await insertEvent(client, workspace, id, member, at, JSON.stringify(changes), JSON.stringify(data));
  await insertMove(client, workspace, newId(), id, from, stage.id, member, at, seconds);
  return { opportunity: { ...opportunity, ...after, version: version + 1, updated_at: at }, stage };
}
