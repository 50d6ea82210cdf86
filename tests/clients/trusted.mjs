// Trusted documents as clients' own tools make and ask for them: Apollo's persisted query link, Relay's compiler and
// network, and a client that may run nothing else.
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
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
import { authorization, check, createOpportunity, main, same, socketUrl, unique, url } from "./support.mjs";

globalThis.WebSocket ??= WebSocket; // Apollo's link looks for it in an error, and Node 20 has none
const directory = mkdtempSync(join(tmpdir(), "crm-trusted-"));
const sha256 = (text) => createHash("sha256").update(text).digest("hex");

/** Run a command; not synchronously, or connections that the server closes meanwhile are used again. */
async function command(...given) {
  const line = [...given, "--data", process.env.CRM_TEST_DATA];
  return (await promisify(execFile)(process.env.CRM_TEST_COMMAND, line, { timeout: 30_000 })).stdout.trim();
}

async function push(client, name, content) {
  const file = join(directory, name);
  writeFileSync(file, JSON.stringify(content, null, 2));
  return command("documents", "push", "--client", client, file);
}

async function bearer(client, mode) {
  await command("client", "create", client, "--mode", mode);
  return `Bearer ${await command("token", "--role", "admin", "--client", client)}`;
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

async function apolloRunsItsManifest() {
  const Authorization = await bearer("apollo", "trusted-only");
  const query = new InMemoryCache().transformDocument(gql(OPPORTUNITIES)); // as its manifest generator prints it
  const body = print(query);
  const operations = [{ id: sha256(body), name: "Opportunities", type: "query", body }];
  await push("apollo", "manifest.json", { format: "apollo-persisted-query-manifest", version: 1, operations });
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

async function relayRunsItsPersistedQueries() {
  const Authorization = await bearer("relay", "trusted-only");
  writeFileSync(join(directory, "persisted.json"), "{}"); // it adds to a file that must be there
  compile(directory, { persistConfig: { file: "./persisted.json", algorithm: "MD5" } });
  const said = await command("documents", "push", "--client", "relay", join(directory, "persisted.json"));
  const pushed = said.split("\n");
  check("relay: every operation of its file is trusted", pushed.length >= 5 && pushed.every((line) => line.startsWith("added")), pushed);
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
    await apolloRunsItsManifest();
    await relayRunsItsPersistedQueries();
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});
