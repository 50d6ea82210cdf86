// GraphQL-ESLint's rules for schemas: names, descriptions, deprecations, and Relay's connections.
import { readFileSync } from "node:fs";
import plugin from "@graphql-eslint/eslint-plugin";
import { ESLint } from "eslint";
import { check, main } from "./support.mjs";

const path = process.env.CRM_TEST_SCHEMA;
const rule = (name) => `@graphql-eslint/${name}`;

async function findings() {
  const eslint = new ESLint({
    cwd: import.meta.dirname,
    overrideConfigFile: true,
    overrideConfig: [
      {
        files: ["**/*.graphql"],
        plugins: { "@graphql-eslint": plugin },
        languageOptions: { parser: plugin.parser, parserOptions: { graphQLConfig: { schema: path } } },
        rules: {
          ...plugin.configs["flat/schema-recommended"].rules,
          ...plugin.configs["flat/schema-relay"].rules,
          // Every node has an id, and nothing else has: relay.mjs checks that.
          [rule("strict-id-in-types")]: "off",
          // It compares letters: `Order.orderedOn` and `Team.teams` are the field's own words.
          [rule("no-typename-prefix")]: "off",
          // Aggregates, errors and `nodes` are lists of other things than edges.
          [rule("relay-edge-types")]: [
            "error",
            { withEdgeSuffix: true, shouldImplementNode: true, listTypeCanWrapOnlyEdgeType: false },
          ],
          // A history is read from its end alone, and Relay asks for one direction.
          [rule("relay-arguments")]: ["error", { includeBoth: false }],
          [rule("require-description")]: [
            "error",
            { types: true, DirectiveDefinition: true, FieldDefinition: true, InputValueDefinition: true },
          ],
          [rule("no-scalar-result-type-on-mutation")]: "error",
        },
      },
    ],
  });
  const [result] = await eslint.lintText(readFileSync(path, "utf8"), { filePath: "schema.graphql" });
  return result.messages;
}

// An entry of a history is what happened, not an object to be asked for again.
const NO_NODE = /^type HistoryEntryEdge /;

await main(async () => {
  const schema = readFileSync(path, "utf8").split("\n");
  const within = (line) => schema.slice(0, line).findLast((each) => each.startsWith("type ")) ?? "";
  const messages = (await findings()).filter(
    ({ line, ruleId }) => ruleId !== rule("relay-edge-types") || !NO_NODE.test(within(line)),
  );
  const lines = messages.map(({ line, ruleId, message }) => `line ${line}: ${ruleId}: ${message}`);
  check("the schema breaks no rule", lines.length === 0, `${lines.length} findings\n     ${lines.slice(0, 40).join("\n     ")}`);
});
