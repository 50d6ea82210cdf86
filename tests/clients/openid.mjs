// The package `openid-client` with a real browser: discovery, code and PKCE, ID token, userinfo, refresh, revocation.
import { createServer } from "node:http";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as openid from "openid-client";
import { chromium } from "playwright-core";
import { check, main, same, url } from "./support.mjs";

const env = process.env;
const issuer = new URL(url).origin;
const ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"];

/** A client of the server, which checks the signature of ID tokens too. */
async function discover(id, secret) {
  const authentication = secret ? openid.ClientSecretBasic(secret) : openid.None();
  const config = await openid.discovery(new URL(issuer), id, undefined, authentication, {
    execute: [openid.allowInsecureRequests, openid.enableNonRepudiationChecks],
  });
  return config;
}

/** An address of this machine that browsers are sent back to; `next()` is the next one that arrives. */
async function callback(port) {
  const arrived = [];
  let wake = () => {};
  const server = createServer((request, response) => {
    if (request.url.startsWith("/callback")) {
      arrived.push(new URL(request.url, `http://127.0.0.1:${server.address().port}`));
      wake();
    }
    response.end("done");
  });
  await new Promise((resolve) => server.listen(port, "127.0.0.1", resolve));
  return {
    uri: `http://127.0.0.1:${server.address().port}/callback`,
    close: () => server.close(),
    async next() {
      while (arrived.length === 0) await new Promise((resolve) => (wake = resolve));
      return arrived.shift();
    },
  };
}

async function request(config, redirectUri, more = {}) {
  const checks = {
    pkceCodeVerifier: openid.randomPKCECodeVerifier(),
    expectedState: openid.randomState(),
    expectedNonce: openid.randomNonce(),
    idTokenExpected: true,
  };
  const to = openid.buildAuthorizationUrl(config, {
    redirect_uri: redirectUri,
    scope: "openid profile crm",
    state: checks.expectedState,
    nonce: checks.expectedNonce,
    code_challenge: await openid.calculatePKCECodeChallenge(checks.pkceCodeVerifier),
    code_challenge_method: "S256",
    ...more,
  });
  return { checks, to };
}

async function asks(token) {
  const response = await fetch(url, {
    method: "POST",
    headers: { "Content-Type": "application/json", Authorization: `Bearer ${token}` },
    body: JSON.stringify({ query: "{ viewer { member { name } } }" }),
  });
  return [response.status, (await response.json()).data?.viewer?.member?.name ?? null];
}

const refused = (promise) => promise.then(() => "accepted", (error) => error.error ?? error.code ?? error.name);

async function publicClient(page) {
  const back = await callback(0);
  const config = await discover(env.CRM_TEST_PUBLIC_ID);
  check("the server says that it names itself", config.serverMetadata().authorization_response_iss_parameter_supported);
  const { checks, to } = await request(config, back.uri);
  await page.goto(to.href);
  await page.fill("#email", env.CRM_TEST_EMAIL);
  await page.fill("#password", env.CRM_TEST_PASSWORD);
  await page.click("button[type=submit]");
  await page.getByRole("button", { name: "Allow", exact: true }).click();
  const arrived = await back.next();

  const mixed = new URL(arrived);
  mixed.searchParams.set("iss", "https://evil.example");
  same("an answer of another issuer is refused", await refused(openid.authorizationCodeGrant(config, mixed, checks)), "OAUTH_INVALID_RESPONSE");
  const replayed = { ...checks, expectedState: openid.randomState() };
  same("an answer to another request is refused", await refused(openid.authorizationCodeGrant(config, arrived, replayed)), "OAUTH_INVALID_RESPONSE");

  const tokens = await openid.authorizationCodeGrant(config, arrived, checks);
  const claims = tokens.claims();
  same("the ID token is of this server, for this client", [claims.iss, claims.aud], [issuer, [env.CRM_TEST_PUBLIC_ID]]);
  same("the token works", await asks(tokens.access_token), [200, env.CRM_TEST_NAME]);
  const info = await openid.fetchUserInfo(config, tokens.access_token, claims.sub);
  same("userinfo knows the name", info.name, env.CRM_TEST_NAME);

  const fresh = await openid.refreshTokenGrant(config, tokens.refresh_token);
  same("the refreshed token works", await asks(fresh.access_token), [200, env.CRM_TEST_NAME]);
  await openid.tokenRevocation(config, fresh.refresh_token);
  same("after revocation none works", (await asks(fresh.access_token))[0], 401);
  same("nor can be refreshed", await refused(openid.refreshTokenGrant(config, fresh.refresh_token)), "invalid_grant");

  const again = await request(config, back.uri, { prompt: "none" });
  await page.goto(again.to.href);
  const silent = await back.next();
  const second = await openid.authorizationCodeGrant(config, silent, again.checks);
  same("who agreed once is not asked again", await asks(second.access_token), [200, env.CRM_TEST_NAME]);
  same("a code is good once", await refused(openid.authorizationCodeGrant(config, silent, again.checks)), "invalid_grant");
  same("and its second use ended the session", (await asks(second.access_token))[0], 401);
  back.close();
}

async function confidentialClient(page) {
  const back = await callback(Number(new URL(env.CRM_TEST_CALLBACK).port));
  const config = await discover(env.CRM_TEST_CLIENT_ID, env.CRM_TEST_CLIENT_SECRET);
  const { checks, to } = await request(config, back.uri, { max_age: "3600" });
  await page.goto(to.href);
  await page.getByRole("button", { name: "Do not allow" }).click();
  const denied = await back.next();
  same("a no arrives", await refused(openid.authorizationCodeGrant(config, denied, checks)), "access_denied");
  const asked = await request(config, back.uri, { max_age: "3600" });
  await page.goto(asked.to.href);
  await page.getByRole("button", { name: "Allow", exact: true }).click();
  const tokens = await openid.authorizationCodeGrant(config, await back.next(), { ...asked.checks, maxAge: 3600 });
  const found = await openid.tokenIntrospection(config, tokens.access_token);
  same("introspection knows its own token", [found.active, found.client_id], [true, env.CRM_TEST_CLIENT_ID]);
  const own = await openid.clientCredentialsGrant(config, { scope: "crm.read" });
  same("the client acts by itself", await asks(own.access_token), [200, env.CRM_TEST_NAME]);
  const wrong = await discover(env.CRM_TEST_CLIENT_ID, `${env.CRM_TEST_CLIENT_SECRET}x`);
  same("not with a wrong secret", await refused(openid.clientCredentialsGrant(wrong, {})), "OAUTH_WWW_AUTHENTICATE_CHALLENGE");
  back.close();
}

async function framed(page) {
  const config = await discover(env.CRM_TEST_PUBLIC_ID);
  const { to } = await request(config, "http://127.0.0.1:1/callback", { prompt: "consent" });
  const host = createServer((_, response) => {
    response.setHeader("Content-Type", "text/html");
    response.end(`<iframe src="${to.href.replaceAll("&", "&amp;")}"></iframe>`);
  });
  await new Promise((resolve) => host.listen(0, "127.0.0.1", resolve));
  await page.goto(`http://127.0.0.1:${host.address().port}/`);
  await page.waitForTimeout(500);
  const texts = await Promise.all(page.frames().slice(1).map((frame) => frame.locator("form").count().catch(() => 0)));
  same("no page of ours shows in a frame", texts.reduce((sum, each) => sum + each, 0), 0);
  host.close();
}

await main(async () => {
  const profile = mkdtempSync(join(tmpdir(), "crm-chromium-"));
  const browser = await chromium.launchPersistentContext(profile, {
    executablePath: env.CRM_TEST_CHROMIUM || "/usr/bin/chromium",
    headless: true,
    args: ARGUMENTS,
    locale: "en-US",
  });
  try {
    const page = browser.pages()[0] ?? (await browser.newPage());
    const complaints = [];
    page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
    await publicClient(page);
    await confidentialClient(page);
    same("the pages break no policy of their own", complaints.filter((each) => !each.includes("favicon")), []);
    await framed(page);
  } finally {
    await browser.close();
    rmSync(profile, { recursive: true, force: true });
  }
});
