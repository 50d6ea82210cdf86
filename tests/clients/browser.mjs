// A browser's own rules: which pages may call the API from elsewhere, with a token or with a cookie.
import { createServer } from "node:http";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { authorization, check, main, same, socketUrl, url } from "./support.mjs";

const PORT = Number(process.env.CRM_TEST_PAGE_PORT); // http://127.0.0.1:PORT is an allowed origin, http://localhost:PORT none
const ASK = { method: "POST", body: JSON.stringify({ query: "{ viewer { roles } }" }) };

/** Fetch as the page, and return what its scripts may know. */
function ask(page, headers, credentials = "omit") {
  const options = { ...ASK, headers: { "Content-Type": "application/json", ...headers }, credentials };
  return page.evaluate(
    ([to, given]) =>
      fetch(to, given)
        .then(async (answer) => ({
          status: answer.status,
          roles: (await answer.json()).data?.viewer.roles,
          rate: answer.headers.get("ratelimit") !== null,
        }))
        .catch((error) => error.name),
    [url, options],
  );
}

/** Open a WebSocket as the page, and return the first message or the close. */
function dial(page, payload) {
  return page.evaluate(
    ([to, given]) =>
      new Promise((resolve) => {
        const socket = new WebSocket(to, "graphql-transport-ws");
        socket.onopen = () => socket.send(JSON.stringify({ type: "connection_init", payload: given }));
        socket.onmessage = (message) => (resolve(JSON.parse(message.data).type), socket.close());
        socket.onclose = (event) => resolve(event.code);
      }),
    [socketUrl, payload],
  );
}

await main(async () => {
  const pages = createServer((_, answer) => answer.setHeader("Content-Type", "text/html").end("<p>a page</p>")).listen(PORT);
  const profile = mkdtempSync(join(tmpdir(), "crm-browser-"));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.CRM_TEST_CHROMIUM,
    args: ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"],
  });
  try {
    const ours = await context.newPage();
    await ours.goto(`http://127.0.0.1:${PORT}/`);
    const theirs = await context.newPage();
    await theirs.goto(`http://localhost:${PORT}/`);
    const token = { Authorization: authorization };
    same("an allowed page calls with a token", await ask(ours, token), { status: 200, roles: ["admin"], rate: true });
    same("and reads why it may not", (await ask(ours, { Authorization: "Bearer x" })).status, 401);
    same("another page reads nothing", await ask(theirs, token), "TypeError");
    same("an allowed page opens a socket", await dial(ours, token), "connection_ack");
    same("another page does not", await dial(theirs, token), 1006);

    const value = authorization.replace("Bearer ", "");
    await context.addCookies([
      { name: "__Host-crm_access", value, domain: "127.0.0.1", path: "/", secure: true, httpOnly: true, sameSite: "Strict" },
    ]);
    const csrf = { "X-CRM-CSRF": "1" };
    same("a cookie with the header", (await ask(ours, csrf, "include")).roles, ["admin"]);
    same("a cookie without the header", (await ask(ours, {}, "include")).status, 403);
    same("a cookie opens a socket of an allowed page", await dial(ours, {}), "connection_ack");
    same("another page's request carries it nowhere", await ask(theirs, csrf, "include"), "TypeError");
    check("no script sees it", !(await ours.evaluate(() => document.cookie)).includes("crm"));
  } finally {
    await context.close();
    pages.close();
    rmSync(profile, { recursive: true, force: true });
  }
});
