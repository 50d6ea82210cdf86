// Relay: its compiler takes the schema and our documents, and its runtime runs what was compiled against the server.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildSchema, isObjectType } from "graphql";
import relay from "relay-runtime";
import { compile } from "./relay-compile.mjs";
import { authorization, check, createOpportunity, main, same, unique, url } from "./support.mjs";

const schemaPath = process.env.CRM_TEST_SCHEMA;

async function fetchOperation(request, variables) {
  const response = await fetch(url, {
    method: "POST",
    headers: { "Content-Type": "application/json", Authorization: authorization },
    body: JSON.stringify({ query: request.text, variables }),
  });
  return response.json();
}

async function run(load) {
  const environment = new relay.Environment({
    network: relay.Network.create(fetchOperation),
    store: new relay.Store(new relay.RecordSource()),
  });
  const id = await createOpportunity(unique("relay"));
  const query = load("documentsDealQuery");
  const [before] = [await relay.fetchQuery(environment, query, { id }).toPromise()];
  same("a compiled query", before.opportunity.version, 1);

  const rename = await new Promise((onCompleted, onError) =>
    relay.commitMutation(environment, {
      mutation: load("documentsRenameMutation"),
      variables: { input: { id, name: "relay renamed", ifVersion: 1 } },
      onCompleted,
      onError,
    }),
  );
  same("a compiled mutation", rename.updateOpportunity.errors, []);
  const operation = relay.createOperationDescriptor(relay.getRequest(query), { id });
  same("its answer is in the store by id", environment.lookup(operation.fragment).data.opportunity.name, "relay renamed");
}

await main(async () => {
  const directory = mkdtempSync(join(tmpdir(), "crm-relay-"));
  try {
    compile(directory);
    const require = createRequire(join(directory, "artifacts", "x.js"));
    const load = (name) => require(`./${name}.graphql.js`);
    check("relay-compiler takes the documents", load("documentsDealsPageQuery").kind === "Request");
    await run(load);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
  // Relay's store has one record per id, whatever its type: an `id` that is not the node's own would overwrite the node.
  const types = Object.values(buildSchema(readFileSync(schemaPath, "utf8")).getTypeMap()).filter(isObjectType);
  const strangers = types.filter((type) => type.getFields().id && !type.getInterfaces().some(({ name }) => name === "Node"));
  same("only a Node has an `id`", strangers.map(String), []);
});
