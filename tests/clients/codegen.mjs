// GraphQL Code Generator: types from what the server says of itself, with every scalar mapped, that TypeScript accepts.
import { execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { generate } from "@graphql-codegen/cli";
import { buildClientSchema, buildSchema, getIntrospectionQuery, lexicographicSortSchema, printSchema } from "graphql";
import { check, graphql, main, same } from "./support.mjs";

const here = import.meta.dirname;
const INTROSPECTION = { descriptions: true, specifiedByUrl: true, inputValueDeprecation: true, oneOf: true };
const scalars = { Currency: "string", Cursor: "string", Date: "string", DateTime: "string", Decimal: "string", JSON: "unknown" };
const compilerOptions = {
  strict: true,
  noUncheckedIndexedAccess: true,
  exactOptionalPropertyTypes: true,
  noEmit: true,
  module: "nodenext",
  target: "es2022",
  types: [],
};

async function introspect() {
  const introspected = buildClientSchema(await graphql(getIntrospectionQuery(INTROSPECTION)));
  const committed = buildSchema(readFileSync(process.env.CRM_TEST_SCHEMA, "utf8"));
  const print = (schema) => printSchema(lexicographicSortSchema(schema)).split("\n");
  const [found, wanted] = [print(introspected), print(committed)];
  const line = found.findIndex((text, index) => text !== wanted[index]);
  check("introspection says what schema.graphql says", found.length === wanted.length && line < 0,
    `line ${line + 1}: ${found[line]} / ${wanted[line]}`);
  return introspected;
}

await main(async () => {
  const directory = mkdtempSync(join(tmpdir(), "crm-codegen-"));
  try {
    cpSync(join(here, "codegen"), directory, { recursive: true });
    writeFileSync(join(directory, "schema.graphql"), printSchema(await introspect()));
    const config = { strictScalars: true, scalars, useTypeImports: true, enumsAsTypes: true };
    const files = await generate({
      cwd: here, // where its plugins are
      schema: join(directory, "schema.graphql"),
      documents: join(directory, "documents.graphql"),
      silent: true,
      generates: {
        [join(directory, "types.ts")]: { plugins: ["typescript"], config },
        [join(directory, "operations.ts")]: { plugins: ["typescript-operations"], config },
      },
    });
    same("codegen writes the types", files.map(({ filename }) => filename.split("/").pop()).sort(), ["operations.ts", "types.ts"]);
    writeFileSync(join(directory, "package.json"), JSON.stringify({ type: "module" }));
    writeFileSync(join(directory, "tsconfig.json"), JSON.stringify({ compilerOptions, include: ["*.ts"] }));
    const tsc = createRequire(import.meta.url).resolve("typescript/bin/tsc");
    let output = "";
    try {
      execFileSync(process.execPath, [tsc, "-p", directory], { encoding: "utf8", timeout: 60_000 });
    } catch (error) {
      output = error.stdout || String(error);
    }
    check("tsc takes them, and what a program does with them", output === "", output);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});
