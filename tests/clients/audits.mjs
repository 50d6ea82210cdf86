// GraphQL over HTTP, as its own conformance suite sees it: every audit, the optional ones too.
import { auditServer } from "graphql-http";
import { authorization, check, main, same, url } from "./support.mjs";

const AUDITS = 61;

await main(async () => {
  const fetchFn = (address, options = {}) =>
    fetch(address, { ...options, headers: { ...options.headers, Authorization: authorization } });
  const results = await auditServer({ url, fetchFn });
  same("the suite still has as many audits", results.length, AUDITS);
  for (const result of results) {
    check(`${result.id} ${result.name}`, result.status === "ok", `${result.status}: ${result.reason}`);
  }
});
