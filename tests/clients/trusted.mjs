// Trusted documents as clients' own tools make and ask for them: Apollo's persisted query link, Relay's compiler and
// network, and a client that may run nothing else.
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { ApolloClient, ApolloLink, CombinedGraphQLErrors, gql, HttpLink, InMemoryCache } from "@apollo/client";
import { PersistedQueryLink } from "@apollo/client/link/persisted-queries";
import { print } from "@apollo/client/utilities";
import { GraphQLWsLink } from "@apollo/client/link/subscriptions";
import { createClient } from "graphql-ws";
import relay from "relay-runtime";
import WebSocket from "ws";
import { OPPORTUNITIES } from "./documents.mjs";
import { compile } from "./relay-compile.mjs";
import { authorization, check, createOpportunity, graphql, main, same, socketUrl, unique, url } from "./support.mjs";

globalThis.WebSocket ??= WebSocket; // Apollo's link looks for it in an error, and Node 20 has none
const directory = mkdtempSync(join(tmpdir(), "crm-trusted-"));
const sha256 = (text) => createHash("sha256").update(text).digest("hex");

const PERSISTED = join(directory, "persisted.json");
const MANIFEST = join(directory, "manifest.json");
const CREATE = "mutation ($input: CreateApiClientInput!) { createApiClient(input: $input) { errors { message } } }";

/** Run a command; not synchronously, or connections that the server closes meanwhile are used again. */
async function command(...given) {
  const line = [...given, "--client", "trusted", "--data", process.env.CRM_TEST_DATA];
  return (await promisify(execFile)(process.env.CRM_TEST_COMMAND, line, { timeout: 45_000 })).stdout.trim();
}

/** Make a client that may run only what both tools wrote; return the header of a token that names it. */
async function prepare() {
  const query = new InMemoryCache().transformDocument(gql(OPPORTUNITIES)); // as Apollo's manifest generator prints it
  const body = print(query);
  const operations = [{ id: sha256(body), name: "Opportunities", type: "query", body }];
  writeFileSync(MANIFEST, JSON.stringify({ format: "apollo-persisted-query-manifest", version: 1, operations }, null, 2));
  writeFileSync(PERSISTED, "{}"); // Relay adds to a file that must be there
  compile(directory, { persistConfig: { file: "./persisted.json", algorithm: "MD5" } });
  const wanted = Object.keys(JSON.parse(readFileSync(PERSISTED, "utf8"))).length + 1;

  const { createApiClient } = await graphql(CREATE, { input: { name: "trusted", documentMode: "TRUSTED_ONLY" } });
  same("the client is made", createApiClient.errors, []);
  const [said, token] = await Promise.all([command("documents", "push", MANIFEST, PERSISTED), command("token", "--role", "admin")]);
  check("every document of both files is trusted", said.split("\n").filter((line) => line.startsWith("added")).length === wanted, said);
  return `Bearer ${token}`;
}

/** An Apollo client that notes what it sends: "hash", "query" or "both". */
function apollo(Authorization, options) {
  const sent = [];
  const noting = (input, init) => {
    const { searchParams } = new URL(input);
    const body = init.method === "GET" ? Object.fromEntries(searchParams) : JSON.parse(init.body);
    sent.push(`${init.method} ${body.query ? (body.extensions?.persistedQuery ? "both" : "query") : "hash"}`);
    return fetch(input, init);
  };
  const http = new HttpLink({ uri: url, headers: { Authorization }, fetch: noting });
  const link = ApolloLink.from([new PersistedQueryLink({ sha256, ...options }), http]);
  return { client: new ApolloClient({ cache: new InMemoryCache(), link }), sent };
}

const variables = { prefix: "nobody", first: 1, after: null };
const ask = (client, query = gql(OPPORTUNITIES)) => client.query({ query, variables, fetchPolicy: "network-only" });

async function apolloFallsBack() {
  for (const options of [{}, { useGETForHashedQueries: true }]) {
    const { client, sent } = apollo(authorization, options);
    const { data } = await ask(client);
    same("apollo: an unknown hash, then the whole query", data.opportunities.totalCount, 0);
    same("apollo: it was asked in that order", sent, [options.useGETForHashedQueries ? "GET hash" : "POST hash", "POST both"]);
    await ask(client);
    same("apollo: it goes on trying the hash", sent.length, 4);
    client.stop();
  }
}

async function apolloRunsItsManifest(Authorization) {
  for (const options of [{}, { useGETForHashedQueries: true }]) {
    const { client, sent } = apollo(Authorization, options);
    same("apollo: its manifest's document runs by its hash", (await ask(client)).data.opportunities.totalCount, 0);
    same("apollo: only the hash was sent", sent, [options.useGETForHashedQueries ? "GET hash" : "POST hash"]);
    const other = await ask(client, gql`query Other { __typename }`).catch((error) => error);
    same("apollo: another one is refused", CombinedGraphQLErrors.is(other) && other.errors[0].extensions.code,
      "PERSISTED_DOCUMENT_NOT_FOUND");
    same("apollo: and not sent again as a query", sent.length, 2);
    client.stop();
  }
  await apolloOverWebSocket(Authorization);
}

async function apolloOverWebSocket(Authorization) {
  const sockets = createClient({ url: socketUrl, webSocketImpl: WebSocket, connectionParams: { Authorization }, retryAttempts: 0 });
  const client = new ApolloClient({ cache: new InMemoryCache(), link: new GraphQLWsLink(sockets) });
  same("apollo: a trusted query runs whole over WebSocket", (await ask(client)).data.opportunities.totalCount, 0);
  const other = await ask(client, gql`query Other { __typename }`).catch((error) => error);
  same("apollo: another one is refused there", other.errors?.[0].extensions.code, "PERSISTED_DOCUMENT_NOT_FOUND");
  client.stop();
  await sockets.dispose();
}

async function relayRunsItsPersistedQueries(Authorization) {
  const require = createRequire(join(directory, "artifacts", "x.js"));
  const query = require("./documentsDealQuery.graphql.js");
  check("relay: its artifact has an id and no text", /^[0-9a-f]{32}$/.test(query.params.id) && query.params.text === null, query.params);
  const id = await createOpportunity(unique("trusted"));
  for (const spelling of ["doc_id", "id", "documentId"]) {
    const network = relay.Network.create(async (request, given) => {
      const headers = { "Content-Type": "application/json", Authorization };
      const body = JSON.stringify({ [spelling]: request.id, query: request.text, variables: given });
      return (await fetch(url, { method: "POST", headers, body })).json();
    });
    const environment = new relay.Environment({ network, store: new relay.Store(new relay.RecordSource()) });
    const found = await relay.fetchQuery(environment, query, { id }).toPromise();
    same(`relay: a compiled query runs by its ${spelling}`, found.opportunity.version, 1);
  }
}

await main(async () => {
  try {
    await apolloFallsBack();
    const Authorization = await prepare();
    await apolloRunsItsManifest(Authorization);
    await relayRunsItsPersistedQueries(Authorization);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});
