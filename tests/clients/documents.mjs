// The operations that the caching clients run.

export const OPPORTUNITIES = /* GraphQL */ `
  query Opportunities($prefix: String!, $first: Int!, $after: String) {
    opportunities(where: { name: { startsWith: $prefix } }, first: $first, after: $after) {
      totalCount
      nodes { id name status amount { amount currency } stage { id name } }
      pageInfo { hasNextPage endCursor }
    }
  }
`;

export const CREATE = /* GraphQL */ `
  mutation CreateDeal($input: CreateOpportunityInput!) {
    createOpportunity(input: $input) {
      opportunity { id name version }
      errors { code message field }
    }
  }
`;

export const RENAME = /* GraphQL */ `
  mutation RenameDeal($input: UpdateOpportunityInput!) {
    updateOpportunity(input: $input) {
      opportunity { id name version }
      errors { code message field }
    }
  }
`;

export const ONE = /* GraphQL */ `
  query Deal($id: ID!) {
    node(id: $id) { __typename id ... on Opportunity { name version } }
  }
`;

export const TYPENAME = "{ __typename }";
