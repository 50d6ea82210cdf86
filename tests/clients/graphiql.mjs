// A person with a browser: the page opens, the token is there, the examples run, and nothing leaves this origin.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { check, createOpportunity, graphql, main, same, unique, url } from "./support.mjs";

const ARGUMENTS = [
  "--no-sandbox", // the tests may run as root
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

const text = (page, selector) => page.locator(selector).first().innerText();

/** Wait until an editor's text says something. CodeMirror shows non-breaking spaces. */
async function shows(page, selector, wanted) {
  for (let attempt = 0; attempt < 100; attempt += 1) {
    const shown = (await text(page, selector).catch(() => "")).replaceAll("\u00a0", " ");
    if (shown.includes(wanted)) return true;
    await page.waitForTimeout(100);
  }
  return false;
}

async function firstExample(page) {
  const { viewer } = await graphql("{ viewer { member { name } } }");
  check("the token box is filled", (await page.inputValue("#token")).length > 100);
  await page.click("button.graphiql-execute-button");
  check("Execute shows the viewer", await shows(page, ".result-window", `"name": "${viewer.member.name}"`),
    await text(page, ".result-window"));
}

/** Open a tab as slowly as a person: GraphiQL reads the operation's name out of the editor after a pause. */
async function openTab(page, name) {
  await page.getByRole("tab", { name }).click();
  await page.waitForTimeout(700);
}

async function subscriptionExample(page) {
  await openTab(page, "WatchDeals");
  await page.click("button.graphiql-execute-button");
  const name = unique("graphiql");
  let seen = false;
  for (let attempt = 0; attempt < 10 && !seen; attempt += 1) {
    await createOpportunity(name);
    await page.waitForTimeout(300);
    seen = (await text(page, ".result-window")).replaceAll("\u00a0", " ").includes(name);
  }
  check("the subscription shows what another client does", seen, await text(page, ".result-window"));
  await page.click("button.graphiql-execute-button"); // stops it
}

async function variablesAreFilled(page) {
  await openTab(page, "MoveDeal");
  const shown = (await text(page, ".graphiql-editor-tool .cm-s-graphiql, .graphiql-editor-tools + section")).replaceAll("\u00a0", " ");
  check("an example's variables are ids of records", /opp_[0-9a-f]{32}/.test(shown) && /stg_[0-9a-f]{32}/.test(shown), shown);
}

async function otherToken(page) {
  await openTab(page, "WhoAmI");
  await page.fill("#token", "nonsense");
  await page.press("#token", "Tab");
  await page.click("button.graphiql-execute-button");
  check("a wrong token is said to be wrong", await shows(page, ".result-window", "UNAUTHENTICATED"),
    await text(page, ".result-window"));
}

await main(async () => {
  const profile = mkdtempSync(join(tmpdir(), "crm-chromium-"));
  const browser = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.CRM_TEST_CHROMIUM || "/usr/bin/chromium",
    headless: true,
    args: ARGUMENTS,
    viewport: { width: 1400, height: 900 },
  });
  try {
    const page = browser.pages()[0] ?? (await browser.newPage());
    const elsewhere = [];
    const complaints = [];
    const { origin, host } = new URL(url);
    const allowed = (address) => [origin, `ws://${host}`].includes(new URL(address).origin) || /^(data|blob):/.test(address);
    const noted = (address) => allowed(address) || elsewhere.push(address);
    page.on("request", (request) => noted(request.url()));
    page.on("websocket", (socket) => noted(socket.url()));
    page.on("pageerror", (error) => complaints.push(String(error)));
    page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));

    await createOpportunity(unique("an open deal"));
    const response = await page.goto(url);
    same("GET as a browser is a page", [response.status(), response.headers()["content-type"]], [200, "text/html; charset=utf-8"]);
    await page.waitForSelector("button.graphiql-execute-button");
    await firstExample(page);
    await variablesAreFilled(page);
    await subscriptionExample(page);
    if (process.env.CRM_TEST_SCREENSHOT) await page.screenshot({ path: process.env.CRM_TEST_SCREENSHOT });
    same("no complaint in the console", complaints, []);
    await otherToken(page);
    same("no request to another origin", elsewhere, []);
  } finally {
    await browser.close();
    rmSync(profile, { recursive: true, force: true });
  }
});
