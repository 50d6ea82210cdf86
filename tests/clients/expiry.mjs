// A token that expires in mid-stream: stock clients come back with the next one by themselves, and nothing is missed.
import { createClient as createSse } from "graphql-sse";
import { createClient as createWs } from "graphql-ws";
import WebSocket from "ws";
import { authorization, check, createOpportunity, live, main, same, sleep, socketUrl, unique, url, WATCH, within } from "./support.mjs";

const SHORT = `Bearer ${process.env.CRM_TEST_SHORT_TOKEN}`; // good for some seconds from the script's start

/** Give the short token first, and then the long one, as an application does that refreshes its own. */
function tokens() {
  let asked = 0;
  return () => (asked++ === 0 ? SHORT : authorization);
}

/** Watch over the end of the token: `open(payload)` returns an iterator, `ended()` how the first connection ended. */
async function survives(client, open, ended) {
  const prefix = unique(client);
  const variables = { prefix, after: null };
  const changes = open({ query: WATCH, variables });
  const names = [];
  const follow = async (name) => {
    while (!names.includes(name)) {
      const { value, done } = await within(20_000, `${client}: ${name}`, changes.next());
      if (done || value.errors) return check(`${client}: ${name}`, false, value);
      variables.after = value.data.opportunityChanged.cursor; // what is sent when it subscribes again
      names.push(value.data.opportunityChanged.opportunity.name.slice(prefix.length + 1));
    }
  };
  const first = await live(changes, prefix);
  variables.after = first.value.data.opportunityChanged.cursor;
  await createOpportunity(`${prefix} before`);
  await follow("before");
  for (let waited = 0; !ended() && waited < 200; waited += 1) await sleep(50);
  await createOpportunity(`${prefix} between`);
  await follow("between");
  await createOpportunity(`${prefix} after`);
  await follow("after");
  same(`${client}: nothing twice, nothing missed`, names.filter((name) => name !== "warm-up"), ["before", "between", "after"]);
  await changes.return();
}

async function overWebSocket() {
  const token = tokens();
  const closes = [];
  let connections = 0;
  const client = createWs({
    url: socketUrl,
    webSocketImpl: WebSocket,
    connectionParams: () => ({ Authorization: token() }),
    on: { closed: (event) => closes.push(event.code), connected: () => (connections += 1) },
  });
  await survives("graphql-ws", (payload) => client.iterate(payload), () => closes.length > 0);
  same("graphql-ws: closed with 4403, once", closes.slice(0, 1), [4403]);
  same("graphql-ws: two connections", connections, 2);
  await client.dispose();
}

async function overEvents() {
  const token = tokens();
  const connections = [];
  const client = createSse({
    url,
    headers: () => ({ Authorization: token() }),
    on: { connecting: (again) => connections.push(again) },
  });
  await survives("graphql-sse", (payload) => client.iterate(payload), () => connections.length > 1);
  same("graphql-sse: two connections", connections, [false, true]);
  client.dispose();
}

await main(() => Promise.all([overWebSocket(), overEvents()]));
