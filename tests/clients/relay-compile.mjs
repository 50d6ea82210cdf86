// Relay's compiler on our documents: artifacts in `artifacts`, from the sources of relay/.
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const CONFIG = {
  src: "src",
  schema: "schema.graphql",
  language: "javascript",
  artifactDirectory: "artifacts",
  eagerEsModules: false,
  requireCustomScalarTypes: true,
  customScalarTypes: { Currency: "string", Cursor: "string", Date: "string", DateTime: "string", Decimal: "string" },
};

/** Compile into a directory; `more` is added to Relay's configuration. */
export function compile(directory, more = {}) {
  mkdirSync(join(directory, "artifacts"));
  cpSync(join(import.meta.dirname, "relay"), join(directory, "src"), { recursive: true });
  cpSync(process.env.CRM_TEST_SCHEMA, join(directory, "schema.graphql"));
  writeFileSync(join(directory, "relay.config.json"), JSON.stringify({ ...CONFIG, ...more }));
  const compiler = createRequire(import.meta.url)("relay-compiler");
  execFileSync(compiler, ["relay.config.json"], { cwd: directory, encoding: "utf8", stdio: "pipe", timeout: 30_000 });
}
