// Relay: its compiler takes the schema and our documents, and its runtime runs what was compiled against the server.
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildSchema, isObjectType } from "graphql";
import relay from "relay-runtime";
import { authorization, check, createOpportunity, main, same, unique, url } from "./support.mjs";

const here = import.meta.dirname;
const schemaPath = process.env.CRM_TEST_SCHEMA;

const CONFIG = {
  src: "src",
  schema: "schema.graphql",
  language: "javascript",
  artifactDirectory: "artifacts",
  eagerEsModules: false,
  requireCustomScalarTypes: true,
  customScalarTypes: { Currency: "string", Cursor: "string", Date: "string", DateTime: "string", Decimal: "string" },
};

function compile(directory) {
  mkdirSync(join(directory, "artifacts"));
  cpSync(join(here, "relay"), join(directory, "src"), { recursive: true });
  cpSync(schemaPath, join(directory, "schema.graphql"));
  writeFileSync(join(directory, "relay.config.json"), JSON.stringify(CONFIG));
  const compiler = createRequire(import.meta.url)("relay-compiler");
  execFileSync(compiler, ["relay.config.json"], { cwd: directory, encoding: "utf8", stdio: "pipe", timeout: 30_000 });
}

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
