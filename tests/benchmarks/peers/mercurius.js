// mercurius with JIT on, and resolvers and loaders written by hand: one prepared statement per level of a query.

import Fastify from 'fastify';
import mercurius from 'mercurius';
import { openPool, port, workspace } from './database.js';
import { move } from './move.js';

const schema = `
  type Query {
    customer(id: ID!): Customer
    customers(first: Int!): [Customer!]!
    opportunities(first: Int!, status: String, minAmount: String, largestFirst: Boolean): Opportunities!
    opportunitiesByStage: [StageGroup!]!
  }
  type Mutation { moveOpportunity(id: ID!, stageId: ID!): Opportunity! }
  type Member { id: ID! name: String! }
  type Stage { id: ID! name: String! }
  type Customer {
    id: ID! name: String! kind: String! lifecycle: String! industry: String city: String version: Int!
    createdAt: String! owner: Member
    opportunities(first: Int!): [Opportunity!]! tickets(first: Int!): [Ticket!]! orders(first: Int!): [Order!]!
  }
  type Opportunity {
    id: ID! name: String! status: String! amount: String currency: String! probability: Int! expectedClose: String
    source: String createdAt: String! customer: Customer owner: Member stage: Stage!
  }
  type Opportunities { totalCount: Int! nodes: [Opportunity!]! }
  type Ticket { id: ID! number: String! subject: String! status: String! }
  type Order { id: ID! number: String! status: String! lines: [OrderLine!]! }
  type OrderLine { id: ID! quantity: String! total: String! currency: String! }
  type StageGroup { stage: Stage! count: Int! amount: String }
`;

const CUSTOMER = 'id, name, kind, lifecycle, industry, city, version, created_at, owner_id';
const OPPORTUNITY = `id, name, status, amount, currency, probability, expected_close, source, created_at, customer_id,
  owner_id, stage_id`;

const pool = openPool();

/** Run a statement that is prepared once per connection, under its name; the workspace is always $1. */
async function rows(name, text, ...values) {
  return (await pool.query({ name, text, values: [workspace, ...values] })).rows;
}

// Loaders find equal keys themselves: their cache would serialise every parent, which costs more than it saves.
const opts = { cache: false };

/** Return a loader of the records that rows point to by a column. */
function toOne(name, table, columns, key) {
  const text = `SELECT ${columns} FROM ${table} WHERE workspace_id = $1 AND id = ANY($2::uuid[])`;
  const loader = async (queries) => {
    const keys = new Set();
    for (const { obj } of queries) if (obj[key] !== null) keys.add(obj[key]);
    const found = new Map();
    for (const row of await rows(name, text, [...keys])) found.set(row.id, row);
    return queries.map(({ obj }) => found.get(obj[key]) ?? null);
  };
  return { loader, opts };
}

/** Return a loader of the first records that point to each row by a column; of all of them without `first`. */
function toMany(name, table, columns, key) {
  const text = `SELECT parent.id AS parent_id, child.* FROM unnest($2::uuid[]) AS parent(id)
    CROSS JOIN LATERAL (SELECT ${columns} FROM ${table} WHERE workspace_id = $1 AND ${key} = parent.id
      ORDER BY id LIMIT $3) AS child`;
  const loader = async (queries) => {
    const found = new Map(queries.map(({ obj }) => [obj.id, []]));
    for (const row of await rows(name, text, [...found.keys()], queries[0].params.first ?? null))
      found.get(row.parent_id).push(row);
    return queries.map(({ obj }) => found.get(obj.id));
  };
  return { loader, opts };
}

function opportunitiesWhere({ status = null, minAmount = null }) {
  const values = [];
  let text = 'workspace_id = $1';
  if (status !== null) text += ` AND status = $${values.push(status) + 1}`;
  if (minAmount !== null) text += ` AND amount >= $${values.push(minAmount) + 1}`;
  return { name: `${status !== null}-${minAmount !== null}`, text, values };
}

const timestamp = (text) => (text === null ? null : `${text.slice(0, 10)}T${text.slice(11).replace('+00', 'Z')}`);

const resolvers = {
  Query: {
    async customer(_, { id }) {
      const text = `SELECT ${CUSTOMER} FROM customer WHERE workspace_id = $1 AND id = $2`;
      return (await rows('customer', text, id))[0] ?? null;
    },
    customers(_, { first }) {
      const text = `SELECT ${CUSTOMER} FROM customer WHERE workspace_id = $1 ORDER BY id LIMIT $2`;
      return rows('customers', text, first);
    },
    opportunities: (_, args) => args,
    async opportunitiesByStage() {
      const text = `SELECT stage_id, count(*) AS count, sum(amount) AS amount FROM opportunity WHERE workspace_id = $1
        GROUP BY stage_id ORDER BY stage_id`;
      return rows('by-stage', text);
    },
  },
  Mutation: {
    async moveOpportunity(_, { id, stageId }) {
      const client = await pool.connect();
      try {
        await client.query('BEGIN');
        const moved = await move(client, id, stageId);
        await client.query('COMMIT');
        return moved.opportunity;
      } catch (error) {
        await client.query('ROLLBACK');
        throw error;
      } finally {
        client.release();
      }
    },
  },
  Opportunities: {
    async totalCount(args) {
      const where = opportunitiesWhere(args);
      const text = `SELECT count(*) FROM opportunity WHERE ${where.text}`;
      return (await rows(`count-${where.name}`, text, ...where.values))[0].count;
    },
    nodes(args) {
      const { largestFirst, minAmount, first } = args;
      const where = opportunitiesWhere(args);
      const nulls = minAmount === undefined ? 'NULLS LAST' : ''; // with a least amount there are none: the index serves
      const text = `SELECT ${OPPORTUNITY} FROM opportunity WHERE ${where.text}
        ORDER BY ${largestFirst ? `amount DESC ${nulls}, id DESC` : 'id'} LIMIT ${first}`;
      return rows(`opportunities-${where.name}-${largestFirst}-${first}`, text, ...where.values);
    },
  },
  Customer: { createdAt: (row) => timestamp(row.created_at) },
  Opportunity: { createdAt: (row) => timestamp(row.created_at), expectedClose: (row) => row.expected_close },
};

const loaders = {
  Customer: {
    owner: toOne('owner', 'member', 'id, name', 'owner_id'),
    opportunities: toMany('customer-opportunities', 'opportunity', OPPORTUNITY, 'customer_id'),
    tickets: toMany('customer-tickets', 'ticket', 'id, number, subject, status', 'customer_id'),
    orders: toMany('customer-orders', 'sales_order', 'id, number, status', 'customer_id'),
  },
  Opportunity: {
    customer: toOne('customer-of', 'customer', CUSTOMER, 'customer_id'),
    owner: toOne('owner', 'member', 'id, name', 'owner_id'),
    stage: toOne('stage', 'stage', 'id, name', 'stage_id'),
  },
  Order: { lines: toMany('order-lines', 'order_line', 'id, quantity, total, currency', 'order_id') },
  StageGroup: { stage: toOne('stage', 'stage', 'id, name', 'stage_id') },
};

const app = Fastify({ logger: false });
app.register(mercurius, { schema, resolvers, loaders, jit: 1, cache: true, graphiql: false });
await app.listen({ port, host: '127.0.0.1' });
