// @urql/core: queries, mutations, pages and subscriptions. Its Accept header merely lists text/event-stream: it wants JSON.
import { cacheExchange, Client, fetchExchange, subscriptionExchange } from "@urql/core";
import { createClient } from "graphql-ws";
import WebSocket from "ws";
import { CREATE, TYPENAME, OPPORTUNITIES } from "./documents.mjs";
import { authorization, createOpportunity, iterate, main, same, socketUrl, unique, url, WATCH, watchAndResume } from "./support.mjs";

const mediaTypes = new Set();
const accepted = new Set();

async function watchedFetch(address, options) {
  const response = await fetch(address, options);
  accepted.add(new Headers(options.headers).get("accept"));
  mediaTypes.add(response.headers.get("content-type").split(";")[0]);
  return response;
}

const sockets = createClient({
  url: socketUrl,
  webSocketImpl: WebSocket,
  connectionParams: { Authorization: authorization },
  retryAttempts: 0,
});

const client = new Client({
  url,
  fetch: watchedFetch,
  fetchOptions: { headers: { Authorization: authorization } },
  preferGetMethod: false,
  exchanges: [
    cacheExchange,
    fetchExchange,
    subscriptionExchange({
      forwardSubscription: ({ query, variables, operationName }) => ({
        subscribe: (sink) => ({ unsubscribe: sockets.subscribe({ query, variables, operationName }, sink) }),
      }),
    }),
  ],
});

const watch = (variables) =>
  iterate((push) => {
    const source = client.subscription(WATCH, variables);
    return source.subscribe(({ data, error }) => push(error ? { errors: error.graphQLErrors } : { data })).unsubscribe;
  });

await main(async () => {
  const prefix = unique("urql");
  for (const number of [1, 2, 3]) await createOpportunity(`${prefix} ${number}`);

  const names = [];
  let after = null;
  do {
    const { data, error } = await client.query(OPPORTUNITIES, { prefix, first: 2, after }).toPromise();
    if (error) throw error;
    names.push(data.opportunities.nodes.map((node) => node.name.slice(prefix.length + 1)));
    after = data.opportunities.pageInfo.hasNextPage ? data.opportunities.pageInfo.endCursor : null;
  } while (after !== null);
  same("a query with variables, page by page", names, [["1", "2"], ["3"]]);

  const failed = await client.mutation(CREATE, { input: { name: "x", probability: 400 } }).toPromise();
  same("a mutation, its failure as data", [failed.error, failed.data.createOpportunity.errors[0].field], [undefined, ["probability"]]);
  const made = await client.mutation(CREATE, { input: { name: `${prefix} 4` } }).toPromise();
  same("a mutation", made.data.createOpportunity.opportunity.name, `${prefix} 4`);

  const invalid = await client.query("{ nope }", {}).toPromise();
  same("a document that is not valid", invalid.error?.graphQLErrors[0]?.extensions.code, "VALIDATION_FAILED");
  const got = await client.query(TYPENAME, {}, { preferGetMethod: "force" }).toPromise();
  same("a query by GET", got.data?.__typename, "Query");

  same("it lists text/event-stream", [...accepted].every((header) => header.includes("text/event-stream")), true);
  same("and gets JSON", [...mediaTypes], ["application/graphql-response+json"]);
  await watchAndResume("urql", watch);
  await sockets.dispose();
});
