// What every script shares: the server's address and token, checks that are printed one by one, and a plain GraphQL client.

export const url = need("CRM_TEST_URL"); // http://127.0.0.1:PORT/graphql
export const socketUrl = url.replace(/^http/, "ws");
export const authorization = `Bearer ${need("CRM_TEST_TOKEN")}`;

let failures = 0;
let checks = 0;

function need(name) {
  const value = process.env[name];
  if (!value) {
    console.error(`${name} is not set`);
    process.exit(2);
  }
  return value;
}

/** Print one check; the script goes on after a failure, so that one run shows all of them. */
export function check(name, ok, detail = "") {
  checks += 1;
  if (!ok) failures += 1;
  console.log(`${ok ? "ok  " : "FAIL"} ${name}${ok || detail === "" ? "" : `\n     ${show(detail)}`}`);
}

export function same(name, found, wanted) {
  const [left, right] = [JSON.stringify(found), JSON.stringify(wanted)];
  check(name, left === right, `found ${left}\n     wanted ${right}`);
}

/** Run the checks, print their number and exit: 0 only when every one passed and at least one ran. */
export async function main(body) {
  try {
    await within(60_000, "the script", body());
  } catch (error) {
    check("no exception", false, error);
  }
  console.log(`${checks - failures} of ${checks} checks passed`);
  process.exit(failures === 0 && checks > 0 ? 0 : 1);
}

function show(value) {
  if (value instanceof Error) return value.stack;
  return typeof value === "string" ? value : JSON.stringify(value);
}

export function within(milliseconds, what, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: nothing within ${milliseconds} ms`)), milliseconds);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** POST an operation and return its data; anything else is thrown. */
export async function graphql(query, variables = {}) {
  const response = await fetch(url, {
    method: "POST",
    headers: { "Content-Type": "application/json", Authorization: authorization },
    body: JSON.stringify({ query, variables }),
  });
  const body = await response.json();
  if (response.status !== 200 || body.errors) throw new Error(`${response.status} ${JSON.stringify(body)}`);
  return body.data;
}

const CREATE = /* GraphQL */ `
  mutation Create($input: CreateOpportunityInput!) {
    createOpportunity(input: $input) { opportunity { id version } errors { code message field } }
  }
`;

const MOVE = /* GraphQL */ `
  mutation Move($input: MoveOpportunityInput!) {
    moveOpportunity(input: $input) { opportunity { id version } errors { code message field } }
  }
`;

export async function createOpportunity(name) {
  const { createOpportunity: payload } = await graphql(CREATE, { input: { name } });
  if (payload.errors.length) throw new Error(JSON.stringify(payload.errors));
  return payload.opportunity.id;
}

export async function moveOpportunity(id, stageId) {
  const { moveOpportunity: payload } = await graphql(MOVE, { input: { id, stageId } });
  if (payload.errors.length) throw new Error(JSON.stringify(payload.errors));
}

/** The first two stages of the first pipeline, as `{id, name}`; a deal needs nothing to enter them. */
export async function stages() {
  const data = await graphql(`{ pipelines(first: 1) { nodes { stages { nodes { id name } } } } }`);
  return data.pipelines.nodes[0].stages.nodes.slice(0, 2);
}

/** A name that no other test and no earlier run uses. */
export function unique(name) {
  return `${name} ${process.pid}-${Date.now()}-${Math.random().toString(36).slice(2, 8)}`;
}

/** The subscription that all clients run; it sees only the records whose names start with the prefix. */
export const WATCH = /* GraphQL */ `
  subscription Watch($prefix: String!, $after: Cursor) {
    opportunityChanged(where: { name: { startsWith: $prefix } }, after: $after) {
      cursor
      kind
      recordId
      opportunity { name stage { name } }
    }
  }
`;

/** What happened, in few words: "CREATED Prospecting". */
export function brief(result) {
  const change = result.data?.opportunityChanged;
  return change ? `${change.kind} ${change.opportunity?.stage.name ?? "-"}` : JSON.stringify(result);
}

/** Take the next `count` results about one record from an async iterator. */
export async function take(iterator, count, id) {
  const found = [];
  while (found.length < count) {
    const { value, done } = await within(10_000, `result ${found.length + 1} of ${count}`, iterator.next());
    if (done) break;
    if (value.errors || value.data.opportunityChanged.recordId === id) found.push(value);
  }
  return found;
}

/** Wait until a subscription is live: no protocol says when, so records are made until the first is heard of. */
export async function live(iterator, prefix) {
  let heard = false;
  const first = iterator.next().then((result) => {
    heard = true;
    return result;
  });
  for (let attempt = 0; attempt < 40 && !heard; attempt += 1) {
    await createOpportunity(`${prefix} warm-up`);
    await Promise.race([first, sleep(250)]);
  }
  return within(1_000, "the first result", first);
}

/**
 * The life of a subscription, for any client: `open(variables)` returns an async iterator of results.
 * Changes come live and in order; a second subscription with `after` gets exactly what was missed, and goes on live.
 */
export async function watchAndResume(client, open) {
  const prefix = unique(client);
  const [prospecting, qualified] = await stages();
  const watching = open({ prefix });
  await live(watching, prefix);

  const id = await createOpportunity(`${prefix} deal`);
  const [created] = await take(watching, 1, id);
  await moveOpportunity(id, qualified.id);
  const [moved] = await take(watching, 1, id);
  same(`${client}: changes come live and in order`, [created, moved].map(brief), [
    `CREATED ${prospecting.name}`,
    `UPDATED ${qualified.name}`,
  ]);
  await createOpportunity(unique("another prefix"));
  await watching.return();
  same(`${client}: complete ends it`, (await within(5_000, "the end", watching.next())).done, true);

  await moveOpportunity(id, prospecting.id);
  await moveOpportunity(id, qualified.id);
  const resumed = open({ prefix, after: moved.data.opportunityChanged.cursor });
  const missed = await take(resumed, 2, id);
  await moveOpportunity(id, prospecting.id);
  const [then] = await take(resumed, 1, id);
  const cursors = [created, moved, ...missed, then].map((result) => result.data.opportunityChanged.cursor);
  same(`${client}: resume brings what was missed, once, then goes on live`, [...missed, then].map(brief), [
    `UPDATED ${qualified.name}`, // a change shows the record as it is now, not as it was then
    `UPDATED ${qualified.name}`,
    `UPDATED ${prospecting.name}`,
  ]);
  same(`${client}: every change has its own cursor`, new Set(cursors).size, 5);
  await resumed.return();
}

/** Turn a subscription with callbacks into an async iterator; `start(push)` returns the function that ends it. */
export function iterate(start) {
  const results = [];
  let wake = () => {};
  let done = false;
  const stop = start((result) => {
    results.push(result);
    wake();
  });
  return {
    async next() {
      while (results.length === 0 && !done) await new Promise((resolve) => (wake = resolve));
      return results.length ? { value: results.shift(), done: false } : { value: undefined, done: true };
    },
    async return() {
      stop();
      done = true;
      wake();
    },
  };
}

export const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
