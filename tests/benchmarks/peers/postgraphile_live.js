// PostGraphile 5 with subscriptions, on our tables: `listen` on the topic that a subscriber names, and the record that
// the notification names, read for each subscriber. It checks no permission: whoever knows a topic hears it.

import './older_node.js';
import { createServer } from 'node:http';
import { postgraphile } from 'postgraphile';
import { makePgService } from 'postgraphile/adaptors/pg';
import { constant, context, lambda, listen } from 'postgraphile/grafast';
import { jsonParse } from 'postgraphile/@dataplan/json';
import { grafserv } from 'postgraphile/grafserv/node';
import { PostGraphileAmberPreset } from 'postgraphile/presets/amber';
import { extendSchema, gql } from 'postgraphile/utils';
import { openPool, port, workspace } from './database.js';

const live = extendSchema((build) => {
  const { opportunity } = build.pgResources;
  return {
    typeDefs: gql`
      type OpportunityChange { opportunity: Opportunity }
      extend type Subscription { opportunityChanged(topic: String!): OpportunityChange }
    `,
    objects: {
      Subscription: {
        plans: {
          opportunityChanged: {
            subscribePlan: (_, { $topic }) => listen(context().get('pgSubscriber'), $topic, jsonParse),
            plan: ($event) => $event,
          },
        },
      },
      OpportunityChange: {
        plans: {
          opportunity: ($event) =>
            opportunity.get({ workspace_id: constant(workspace), id: lambda($event, (event) => event.id) }),
        },
      },
    },
  };
});

const preset = {
  extends: [PostGraphileAmberPreset],
  plugins: [live],
  pgServices: [makePgService({ pool: openPool(), schemas: ['public'], pubsub: true })],
  grafserv: { graphqlPath: '/graphql', graphiql: false, watch: false, websockets: true },
  grafast: { explain: false },
};

const instance = postgraphile(preset).createServ(grafserv);
const server = createServer();
await instance.addTo(server);
await instance.ready();
server.listen(port, '127.0.0.1');
