// A real OpenID Connect issuer on loopback (oidc-provider), run by tests/support/issuer.py. It prints its address, and is
// told over HTTP which clients and accounts there are, and when to sign with other keys.

import { generateKeyPairSync, randomUUID } from "node:crypto";
import { createServer } from "node:http";

import { Provider } from "oidc-provider";

const AUDIENCE = "https://api.crm.example";
let configured = { redirectUris: [], accounts: {}, algorithm: "RS256" };
let keys = newKeys();
let answer;
const counted = {};

function newKeys() {
  const kinds = [
    ["rsa", { modulusLength: 2048 }, "RS256"],
    ["ec", { namedCurve: "P-256" }, "ES256"],
    ["ed25519", {}, "EdDSA"],
  ];
  return kinds.map(([kind, options, alg]) => {
    const { privateKey } = generateKeyPairSync(kind, options);
    return { ...privateKey.export({ format: "jwk" }), kid: randomUUID(), use: "sig", ...(kind === "rsa" ? {} : { alg }) };
  });
}

function make(issuer) {
  const common = { id_token_signed_response_alg: configured.algorithm };
  const provider = new Provider(issuer, {
    jwks: { keys },
    clients: [
      {
        ...common,
        client_id: "crm",
        client_secret: "a secret that only the two know",
        redirect_uris: configured.redirectUris,
        token_endpoint_auth_method: configured.method ?? "client_secret_basic",
      },
      {
        client_id: "machine",
        client_secret: "a secret of a program",
        redirect_uris: [],
        response_types: [],
        grant_types: ["client_credentials"],
      },
    ],
    claims: { openid: ["sub", "groups"], email: ["email", "email_verified"], profile: ["name"] },
    conformIdTokenClaims: configured.conform ?? true, // then all but `sub` is in userinfo alone
    cookies: { keys: ["k"] },
    enabledJWA: { idTokenSigningAlgValues: ["RS256", "PS256", "ES256", "EdDSA"] },
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => undefined,
        getResourceServerInfo: () => ({
          scope: "crm crm.read",
          audience: AUDIENCE,
          accessTokenTTL: 600,
          accessTokenFormat: "jwt",
          jwt: { sign: { alg: "RS256" } },
        }),
      },
    },
    pkce: { required: () => true },
    findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, ...configured.accounts[id] }) }),
  });
  answer = provider.callback();
}

async function control(request, response) {
  let body = "";
  for await (const chunk of request) body += chunk;
  if (request.url === "/control/rotate") keys = newKeys();
  if (request.url === "/control/configure") configured = { ...configured, ...JSON.parse(body) };
  if (request.url !== "/control/counted") make(issuer);
  response.setHeader("Content-Type", "application/json");
  response.end(JSON.stringify(counted));
}

let issuer;
const server = createServer((request, response) => {
  if (request.url.startsWith("/control/")) return control(request, response);
  const path = request.url.split("?")[0];
  counted[path] = (counted[path] ?? 0) + 1;
  return answer(request, response);
});
server.listen(0, "127.0.0.1", () => {
  issuer = `http://127.0.0.1:${server.address().port}`;
  make(issuer);
  console.log(issuer);
});
process.stdin.on("end", () => process.exit(0)).resume(); // whoever started it is gone
