// Server-sent events, one connection per operation: the reference client of graphql-sse.
import { createClient } from "graphql-sse";
import { authorization, check, main, same, url, WATCH, watchAndResume, within } from "./support.mjs";

const connect = (token = authorization) =>
  createClient({ url, headers: { Authorization: token }, retryAttempts: 0, singleConnection: false });

async function first(client, payload) {
  const iterator = client.iterate(payload);
  const result = await within(5_000, "a result", iterator.next()).catch((error) => error);
  if (!(result instanceof Error)) await iterator.return();
  return result;
}

await main(async () => {
  const client = connect();
  const results = [];
  for await (const result of client.iterate({ query: "{ __typename }" })) results.push(result);
  same("a query is one result, then complete", results, [{ data: { __typename: "Query" } }]);

  const query = "mutation M($input: CreateOpportunityInput!) { createOpportunity(input: $input) { errors { field } } }";
  const mutation = await first(client, { query, variables: { input: { name: "x", probability: 400 } } });
  same("a mutation, its failure as data", mutation.value?.data.createOpportunity.errors, [{ field: ["probability"] }]);

  const code = async (payload) => (await first(client, payload)).value?.errors?.[0]?.extensions.code;
  same("a document that is not valid", await code({ query: "subscription { nope }" }), "VALIDATION_FAILED");
  same("a cursor of nowhere", await code({ query: WATCH, variables: { prefix: "x", after: "nonsense" } }), "BAD_USER_INPUT");
  same("a variable that is missing", await code({ query: WATCH }), "BAD_USER_INPUT");

  const refused = await first(connect("Bearer nonsense"), { query: "{ __typename }" });
  same("a wrong token is a 401", refused.response?.status, 401);

  await watchAndResume("graphql-sse", (variables) => client.iterate({ query: WATCH, variables }));
  await lastEventId();
  client.dispose();
});

/** What a browser's EventSource does by itself: come back with the id of the last event that it saw. */
async function lastEventId() {
  const listen = async (headers, count) => {
    const abort = new AbortController();
    const response = await fetch(url, {
      method: "POST",
      headers: { Accept: "text/event-stream", "Content-Type": "application/json", Authorization: authorization, ...headers },
      body: JSON.stringify({ query: WATCH, variables: { prefix: "graphql-sse" } }),
      signal: abort.signal,
    });
    let text = "";
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    const next = /^id: (.*)\nevent: next\ndata: (.*)\n\n/gm; // beside them, heartbeats have an id alone
    while ((text.match(next) ?? []).length < count) {
      const { value, done } = await within(5_000, "an event", reader.read());
      if (done) break;
      text += value;
    }
    abort.abort();
    check("frames end in LF alone", !text.includes("\r"), text);
    return [...text.matchAll(next)].map(([, id, data]) => [id, JSON.parse(data)]);
  };
  const all = await listen({ "Last-Event-ID": "0-0" }, 4);
  check("the id of an event is its cursor", all.every(([id, result]) => id === result.data.opportunityChanged.cursor), all);
  const rest = await listen({ "Last-Event-ID": all[1][0] }, 2);
  same("Last-Event-ID resumes behind that event", rest.slice(0, 2).map(([id]) => id), all.slice(2, 4).map(([id]) => id));
}
