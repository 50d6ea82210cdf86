// PostGraphile 5 on our tables: the `amber` preset with the official filter plugin, in production settings.
//
// Its own schema answers everything but two things that it has no words for. The sums by stage are one statement by
// hand (its aggregates plugin counts with `count(DISTINCT id)`, which is slower). The stage move is the transaction of
// `move.js` as a side effect of the plan; its payload is planned by PostGraphile.

import './older_node.js';
import { createServer } from 'node:http';
import { postgraphile } from 'postgraphile';
import { makePgService } from 'postgraphile/adaptors/pg';
import { access, constant } from 'postgraphile/grafast';
import { grafserv } from 'postgraphile/grafserv/node';
import { loadManyWithPgClient, sideEffectWithPgClientTransaction } from 'postgraphile/@dataplan/pg';
import { PostGraphileAmberPreset } from 'postgraphile/presets/amber';
import { extendSchema, gql } from 'postgraphile/utils';
import { PostGraphileConnectionFilterPreset } from 'postgraphile-plugin-connection-filter';
import { openPool, port, workspace } from './database.js';
import { move } from './move.js';

const BY_STAGE = {
  name: 'by-stage',
  text: `SELECT opportunity.stage_id AS id, stage.name, count(*)::int AS count, sum(amount)::text AS amount
    FROM opportunity JOIN stage ON stage.workspace_id = opportunity.workspace_id AND stage.id = opportunity.stage_id
    WHERE opportunity.workspace_id = $1 GROUP BY opportunity.stage_id, stage.name ORDER BY opportunity.stage_id`,
};

const additions = extendSchema((build) => {
  const { opportunity } = build.pgResources;
  const executor = opportunity.executor;

  async function sumsByStage(client, workspaces) {
    const found = workspaces.map((each) => client.query({ ...BY_STAGE, values: [each] }));
    return (await Promise.all(found)).map(({ rows }) => rows);
  }

  return {
    typeDefs: gql`
      type StageGroup { id: UUID! name: String! count: Int! amount: String }
      type MovePayload { opportunity: Opportunity }
      extend type Query { opportunitiesByStage(workspaceId: UUID!): [StageGroup!] }
      extend type Mutation { moveOpportunity(id: UUID!, stageId: UUID!): MovePayload }
    `,
    objects: {
      Query: {
        plans: {
          opportunitiesByStage: (_, { $workspaceId }) => loadManyWithPgClient(executor, $workspaceId, sumsByStage),
        },
      },
      Mutation: {
        plans: {
          moveOpportunity: (_, { $id, $stageId }) =>
            sideEffectWithPgClientTransaction(executor, [$id, $stageId], async (client, [id, stageId]) => {
              await move(client, id, stageId);
              return { id };
            }),
        },
      },
      MovePayload: {
        plans: {
          opportunity: ($moved) => opportunity.get({ workspace_id: constant(workspace), id: access($moved, 'id') }),
        },
      },
    },
  };
});

const preset = {
  extends: [PostGraphileAmberPreset, PostGraphileConnectionFilterPreset],
  plugins: [additions],
  pgServices: [makePgService({ pool: openPool(), schemas: ['public'], pubsub: false })],
  // `outputDataAsString`: answers are made as text, without the objects in between.
  grafserv: { graphqlPath: '/graphql', graphiql: false, watch: false, websockets: false, outputDataAsString: true },
  grafast: { explain: false },
};

const instance = postgraphile(preset).createServ(grafserv);
const server = createServer();
await instance.addTo(server);
await instance.ready();
server.listen(port, '127.0.0.1');

if (process.env.BENCH_PRINT_SCHEMA) {
  const { printSchema } = await import('postgraphile/graphql');
  console.log(printSchema(await instance.getSchema()));
}
