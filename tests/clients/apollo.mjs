// @apollo/client without React: queries, its normalised cache, mutations, pages, and subscriptions over GraphQLWsLink.
import { ApolloClient, ApolloLink, CombinedGraphQLErrors, gql, HttpLink, InMemoryCache } from "@apollo/client";
import { GraphQLWsLink } from "@apollo/client/link/subscriptions";
import { OperationTypeNode } from "graphql";
import { createClient } from "graphql-ws";
import WebSocket from "ws";
import { CREATE, ONE, OPPORTUNITIES, RENAME } from "./documents.mjs";
import { authorization, createOpportunity, iterate, main, same, socketUrl, unique, url, WATCH, watchAndResume } from "./support.mjs";

const sockets = createClient({
  url: socketUrl,
  webSocketImpl: WebSocket,
  connectionParams: { Authorization: authorization },
  retryAttempts: 0,
});

const client = new ApolloClient({
  cache: new InMemoryCache({
    possibleTypes: { Node: ["Opportunity"] },
    typePolicies: { Query: { fields: { node: { read: (found, { args, toReference }) => found ?? toReference({ __typename: "Opportunity", id: args.id }) } } } },
  }),
  link: ApolloLink.split(
    ({ operationType }) => operationType === OperationTypeNode.SUBSCRIPTION,
    new GraphQLWsLink(sockets),
    new HttpLink({ uri: url, headers: { Authorization: authorization } }),
  ),
});

const watch = (variables) =>
  iterate((push) => {
    const source = client.subscribe({ query: gql(WATCH), variables, fetchPolicy: "no-cache" });
    const subscription = source.subscribe(({ data, error }) => push(error ? { errors: [error] } : { data }));
    return () => subscription.unsubscribe();
  });

await main(async () => {
  const prefix = unique("apollo");
  for (const number of [1, 2, 3]) await createOpportunity(`${prefix} ${number}`);

  const names = [];
  let after = null;
  do {
    const { data } = await client.query({ query: gql(OPPORTUNITIES), variables: { prefix, first: 2, after } });
    names.push(data.opportunities.nodes.map((node) => node.name.slice(prefix.length + 1)));
    after = data.opportunities.pageInfo.hasNextPage ? data.opportunities.pageInfo.endCursor : null;
  } while (after !== null);
  same("a query with variables, page by page", names, [["1", "2"], ["3"]]);

  const failed = await client.mutate({ mutation: gql(CREATE), variables: { input: { name: "x", probability: 400 } } });
  same("a mutation, its failure as data", failed.data.createOpportunity.errors[0].field, ["probability"]);

  const made = await client.mutate({ mutation: gql(CREATE), variables: { input: { name: `${prefix} 4` } } });
  const { id } = made.data.createOpportunity.opportunity;
  await client.mutate({ mutation: gql(RENAME), variables: { input: { id, name: `${prefix} renamed` } } });
  const cached = client.readQuery({ query: gql(ONE), variables: { id } });
  same("a mutation's answer updates the cache by id", cached?.node.name, `${prefix} renamed`);
  const fetched = await client.query({ query: gql(ONE), variables: { id }, fetchPolicy: "network-only" });
  same("and the server agrees", fetched.data.node, cached?.node);

  const invalid = await client.query({ query: gql`query { nope }` }).catch((error) => error);
  same("a document that is not valid", CombinedGraphQLErrors.is(invalid) && invalid.errors[0].extensions.code, "VALIDATION_FAILED");
  await watchAndResume("apollo", watch);
  client.stop();
  await sockets.dispose();
});
