// A browser's EventSource: it can only GET, sets no header, comes back by itself, and must not do so for ever.
import { createServer } from "node:http";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { authorization, check, createOpportunity, main, same, sleep, unique, url, within } from "./support.mjs";

const PORT = Number(process.env.CRM_TEST_PAGE_PORT); // http://127.0.0.1:PORT is an allowed origin, http://localhost:PORT none
const SUBSCRIPTION = "subscription ($prefix: String!) { opportunityChanged(where: { name: { startsWith: $prefix } }) { opportunity { name } } }";

const to = (query, variables = {}) => `${url}?${new URLSearchParams({ query, variables: JSON.stringify(variables) })}`;

/** Open one in the page, and keep what it says in `window.said`. */
const open = (page, address) =>
  page.evaluate((given) => {
    window.said = [];
    window.source?.close();
    window.source = new EventSource(given, { withCredentials: true });
    for (const type of ["open", "next", "complete", "error"])
      window.source.addEventListener(type, (event) => window.said.push([type, event.data ?? window.source.readyState]));
  }, address);

const said = (page) => page.evaluate(() => window.said);

async function until(page, what, holds) {
  for (let waited = 0; waited < 800; waited += 1) { // 40 s: longer than the short token is good
    if (holds(await said(page))) return;
    await sleep(50);
  }
  check(what, false, await said(page));
}

const names = (all) => all.filter(([type]) => type === "next").map(([, data]) => JSON.parse(data).data.opportunityChanged.opportunity.name);

/** It is over when it says so with readyState 2; with 0 it would come back. */
async function refused(name, page, address) {
  await open(page, address);
  await until(page, name, (all) => all.length > 0);
  await sleep(300);
  same(name, await said(page), [["error", 2]]);
}

await main(async () => {
  const pages = createServer((_, answer) => answer.setHeader("Content-Type", "text/html").end("<p>a page</p>")).listen(PORT);
  const profile = mkdtempSync(join(tmpdir(), "crm-events-"));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.CRM_TEST_CHROMIUM,
    args: ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"],
  });
  const cookie = (value) => context.addCookies([
    { name: "__Host-crm_access", value, domain: "127.0.0.1", path: "/", secure: true, httpOnly: true, sameSite: "Strict" },
  ]);
  const long = authorization.replace("Bearer ", "");
  try {
    const [allowed, foreign, own] = [await context.newPage(), await context.newPage(), await context.newPage()];
    await allowed.goto(`http://127.0.0.1:${PORT}/`);
    await foreign.goto(`http://localhost:${PORT}/`);
    await own.goto(url);
    await refused("without a cookie", own, to(SUBSCRIPTION, { prefix: "x" }));
    await cookie(long);
    await refused("a document that is not valid", own, to("subscription { nope }"));
    await refused("a variable that is missing", own, to(SUBSCRIPTION));
    await refused("a mutation", own, to('mutation { deleteCustomer(input: { id: "x" }) { errors { code } } }'));
    await refused("a page of another origin", foreign, to(SUBSCRIPTION, { prefix: "x" }));
    for (const [name, page] of [["our own page", own], ["an allowed page", allowed]]) {
      const prefix = unique(name);
      await open(page, to(SUBSCRIPTION, { prefix }));
      await until(page, name, (all) => all.some(([type]) => type === "open"));
      await createOpportunity(`${prefix} 1`);
      await until(page, name, (all) => names(all).length === 1);
      same(`${name} is told`, names(await said(page)), [`${prefix} 1`]);
    }
    const prefix = unique("resumed");
    await cookie(process.env.CRM_TEST_SHORT_TOKEN);
    await open(own, to(SUBSCRIPTION, { prefix }));
    await until(own, "it opens", (all) => all.some(([type]) => type === "open"));
    await createOpportunity(`${prefix} 1`);
    await until(own, "the first", (all) => names(all).length === 1);
    await cookie(long); // as a refreshed session does
    await until(own, "the token is over", (all) => all.some(([type, state]) => type === "error" && state === 0));
    await createOpportunity(`${prefix} 2`);
    await until(own, "it comes back", (all) => names(all).length === 2);
    same("it resumes by itself, and misses nothing", names(await said(own)), [`${prefix} 1`, `${prefix} 2`]);
    same("it came back once", (await said(own)).filter(([type]) => type === "open").length, 2);
  } finally {
    await within(10_000, "the browser's end", context.close());
    pages.close();
    rmSync(profile, { recursive: true, force: true });
  }
});
