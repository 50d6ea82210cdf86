// What both servers in Node share: the pool of 10 on the benchmark's database, and how its values arrive.

import pg from 'pg';

// Text as Postgres sends it, where the driver would build an object only for it to be printed again.
for (const oid of [pg.types.builtins.TIMESTAMPTZ, pg.types.builtins.DATE, pg.types.builtins.NUMERIC])
  pg.types.setTypeParser(oid, (text) => text);
pg.types.setTypeParser(pg.types.builtins.INT8, Number);

export const workspace = process.env.BENCH_WORKSPACE;
export const member = process.env.BENCH_MEMBER;
export const port = Number(process.env.BENCH_PORT);
export const url = process.env.BENCH_URL;

export const openPool = () => new pg.Pool({ connectionString: url, max: 10, min: 10, idleTimeoutMillis: 0 });
