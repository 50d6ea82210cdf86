// graphql-transport-ws: the reference client, and what a client must never do, frame by frame.
import { createClient } from "graphql-ws";
import WebSocket from "ws";
import {
  authorization, check, createOpportunity, graphql, main, same, socketUrl, unique, WATCH, watchAndResume, within,
} from "./support.mjs";

const PROTOCOL = "graphql-transport-ws";
const INIT = { type: "connection_init", payload: { Authorization: authorization } };
const subscribe = (id, query = "subscription { opportunityChanged { recordId } }") => ({
  type: "subscribe",
  id,
  payload: { query },
});

function connect(token = authorization) {
  return createClient({
    url: socketUrl,
    webSocketImpl: WebSocket,
    connectionParams: { Authorization: token },
    retryAttempts: 0,
  });
}

/** Send frames over a raw socket, each after the answer to init when there is one; return the close code and answers. */
function converse(frames, protocol = PROTOCOL) {
  const socket = new WebSocket(socketUrl, protocol);
  const answers = [];
  const closed = new Promise((resolve, reject) => {
    socket.on("open", () => frames.forEach((frame) => socket.send(encode(frame))));
    socket.on("message", (data) => answers.push(JSON.parse(data)));
    socket.on("close", (code) => resolve({ code, answers }));
    socket.on("error", reject);
  });
  return { socket, answers, closed };
}

const encode = (frame) => (typeof frame === "string" || Buffer.isBuffer(frame) ? frame : JSON.stringify(frame));

async function closesWith(name, code, frames, protocol) {
  const { socket, closed } = converse(frames, protocol);
  const result = await within(5_000, name, closed).catch((error) => ({ code: error.message }));
  socket.terminate();
  same(`${name} -> ${code}`, result.code, code);
  const healthy = await graphql("{ __typename }").catch(String);
  check(`${name}: the server is well`, healthy.__typename === "Query", healthy);
}

async function refusedToken() {
  const failed = connect("Bearer nonsense").iterate({ query: "{ __typename }" }).next();
  const error = await within(5_000, "a wrong token", failed).catch((reason) => reason);
  same("a wrong token -> 4401", error.code, 4401);
}

async function operations(client) {
  const once = async (payload) => {
    const results = [];
    for await (const result of client.iterate(payload)) results.push(result);
    return results;
  };
  same("a query", await once({ query: "{ __typename }" }), [{ data: { __typename: "Query" } }]);
  const variables = { input: { name: "x", probability: 400 } };
  const query = "mutation M($input: CreateOpportunityInput!) { createOpportunity(input: $input) { errors { field } } }";
  const [mutation] = await once({ query, variables });
  same("a mutation, its failure as data", mutation.data?.createOpportunity.errors[0]?.field, ["probability"]);
  const invalid = await once({ query: "{ nope }" }).catch((errors) => errors);
  same("a document that is not valid", invalid[0]?.extensions?.code, "VALIDATION_FAILED");
  const future = await once({ query: WATCH, variables: { prefix: "x", after: "nonsense" } }).catch((errors) => errors);
  same("a cursor of nowhere", future[0]?.extensions?.code, "BAD_USER_INPUT");
}

async function pings() {
  const { socket, answers } = converse([{ type: "ping" }, INIT, { type: "ping", payload: { a: 1 } }, { type: "pong" }]);
  await new Promise((resolve) => setTimeout(resolve, 500));
  same("ping and init are answered", answers.map((answer) => answer.type), ["pong", "connection_ack", "pong"]);
  socket.terminate();
}

/** The token of an open connection is renewed by a ping of the reference client's own socket. */
async function renewal() {
  let socket;
  const pongs = [];
  const client = createClient({
    url: socketUrl,
    webSocketImpl: WebSocket,
    connectionParams: { Authorization: authorization },
    retryAttempts: 0,
    on: {
      opened: (opened) => (socket = opened),
      pong: (received, payload) => received && pongs.push(payload),
    },
  });
  const changes = client.iterate({ query: WATCH, variables: { prefix: "renewed" } });
  const first = changes.next();
  while (!socket) await new Promise((resolve) => setTimeout(resolve, 20));
  await new Promise((resolve) => setTimeout(resolve, 500));
  socket.send(JSON.stringify({ type: "ping", payload: { authorization } }));
  for (let attempt = 0; attempt < 100 && !pongs.length; attempt += 1) await new Promise((resolve) => setTimeout(resolve, 50));
  check("a ping with a token is answered with its end", Date.parse(pongs[0]?.expiresAt) > Date.now(), pongs);
  await createOpportunity(unique("renewed"));
  const change = await within(10_000, "a change after the renewal", first);
  check("what ran goes on", change.value?.data?.opportunityChanged != null, change);
  socket.send(JSON.stringify({ type: "ping", payload: { authorization: "Bearer nonsense" } }));
  const ended = await within(5_000, "the end", changes.next()).catch((reason) => reason);
  same("a renewal by nonsense -> 4401", ended.code, 4401);
}

async function completeFreesTheId() {
  const { socket, answers } = converse([INIT, subscribe("1"), { type: "complete", id: "1" }, { type: "complete", id: "2" },
    subscribe("1", "{ __typename }")]);
  await new Promise((resolve) => setTimeout(resolve, 500));
  same("complete frees the id; of an unknown id it is ignored", answers.map((answer) => answer.type), [
    "connection_ack", "next", "complete",
  ]);
  socket.terminate();
}

async function violations() {
  const deep = "[".repeat(100_000) + "]".repeat(100_000);
  await closesWith("a binary frame", 4400, [Buffer.from(JSON.stringify(INIT))]);
  await closesWith("a binary frame after init", 4400, [INIT, Buffer.from([0, 255])]);
  await closesWith("not JSON", 4400, ["{"]);
  await closesWith("an empty frame", 4400, [""]);
  await closesWith("null", 4400, ["null"]);
  await closesWith("a number", 4400, ["1"]);
  await closesWith("an array", 4400, ["[]"]);
  await closesWith("an object without a type", 4400, ["{}"]);
  await closesWith("deep JSON", 4400, [deep]);
  await closesWith("deep JSON after init", 4400, [INIT, deep]);
  await closesWith("an integer of 5,000 digits", 4400, [`{"type":"ping","payload":{"a":${"9".repeat(5_000)}}}`]);
  await closesWith("an unpaired surrogate", 4400, ['{"type":"\\ud800"}']);
  await closesWith("an unknown type", 4400, [{ type: "start" }]);
  await closesWith("a server's type", 4400, [INIT, { type: "next", id: "1", payload: {} }]);
  await closesWith("subscribe without an id", 4400, [INIT, { type: "subscribe", payload: { query: "{ __typename }" } }]);
  await closesWith("subscribe without a payload", 4400, [INIT, { type: "subscribe", id: "1" }]);
  await closesWith("a payload of init that is no object", 4400, [{ type: "connection_init", payload: [] }]);
  await closesWith("a frame over the limit", 1009, [INIT, JSON.stringify({ type: "ping", payload: { a: "x".repeat(300_000) } })]);
  await closesWith("subscribe before init", 4401, [subscribe("1")]);
  await closesWith("init without a token", 4401, [{ type: "connection_init" }]);
  await closesWith("a token that is a number", 4401, [{ type: "connection_init", payload: { Authorization: 7 } }]);
  await closesWith("no protocol", 4406, [], []);
  await closesWith("no init in time", 4408, []);
  await closesWith("an id in use", 4409, [INIT, subscribe("1"), subscribe("1")]);
  await closesWith("two inits", 4429, [INIT, INIT]);
}

await main(async () => {
  const client = connect();
  await operations(client);
  await watchAndResume("graphql-ws", (variables) => client.iterate({ query: WATCH, variables }));
  await refusedToken();
  await pings();
  await renewal();
  await completeFreesTheId();
  await violations();
  await client.dispose();
});
