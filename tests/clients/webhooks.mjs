// A receiver as the README tells to write one: node's HTTP server, and the npm package `standardwebhooks` to verify.
import { createServer } from "node:http";
import { Webhook, WebhookVerificationError } from "standardwebhooks";
import { check, graphql, main, same, within } from "./support.mjs";

const CREATE = `mutation M($input: CreateWebhookEndpointInput!) { createWebhookEndpoint(input: $input) {
  webhookEndpoint { id } secret errors { message } } }`;
const ROTATE = `mutation M($input: RotateWebhookEndpointSecretInput!) { rotateWebhookEndpointSecret(input: $input) {
  secret errors { message } } }`;
const CUSTOMER = `mutation M($input: CreateCustomerInput!) { createCustomer(input: $input) { customer { id } errors { message } } }`;

const received = [];
let arrived = () => {};
const receiver = createServer((request, response) => {
  const chunks = [];
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", () => {
    received.push({ raw: Buffer.concat(chunks).toString("utf8"), headers: request.headers });
    response.writeHead(204).end();
    arrived();
  });
});

async function request(number) {
  while (received.length < number) await within(20_000, "a request", new Promise((resolve) => (arrived = resolve)));
  return received[number - 1];
}

function refuses(name, verify) {
  try {
    verify();
    check(name, false, "it was taken");
  } catch (error) {
    check(name, error instanceof WebhookVerificationError, error);
  }
}

await main(async () => {
  await new Promise((resolve) => receiver.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${receiver.address().port}/hook`;
  const selection = "query Told($id: ID!) { customer(id: $id) { name } }";
  const input = { url, eventTypes: ["CustomerCreated"], roles: ["admin"], selection };
  const made = (await graphql(CREATE, { input })).createWebhookEndpoint;
  same("an endpoint is made", made.errors, []);
  const create = async (name) => (await graphql(CUSTOMER, { input: { name } })).createCustomer.customer.id;

  const id = await create("斑马 Zebra");
  const first = await request(1);
  const body = new Webhook(made.secret).verify(first.raw, first.headers);
  same("what is verified is the event", [body.type, body.data.recordId], ["CustomerCreated", id]);
  same("with the selection, in any script", body.data.result, { data: { customer: { name: "斑马 Zebra" } } });
  refuses("a body that was changed", () => new Webhook(made.secret).verify(first.raw.replace("Zebra", "Tiger"), first.headers));
  refuses("a time that was changed", () =>
    new Webhook(made.secret).verify(first.raw, { ...first.headers, "webhook-timestamp": `${Date.now() / 1000 - 30 | 0}` }));
  refuses("the secret of somebody else", () => new Webhook(`whsec_${btoa("x".repeat(32))}`).verify(first.raw, first.headers));

  const rotated = (await graphql(ROTATE, { input: { id: made.webhookEndpoint.id } })).rotateWebhookEndpointSecret;
  await create("Second");
  const second = await request(2);
  for (const secret of [made.secret, rotated.secret]) {
    same("both secrets verify while they overlap", new Webhook(secret).verify(second.raw, second.headers).type, "CustomerCreated");
  }
  check("each event has its own webhook-id", first.headers["webhook-id"] !== second.headers["webhook-id"]);
  receiver.close();
});
