// What relay-compiler has to accept: a paginated, refetchable list, updates of a connection, and a subscription.

graphql`
  fragment documents_deals on Customer
  @argumentDefinitions(count: { type: "Int", defaultValue: 10 }, cursor: { type: "String" })
  @refetchable(queryName: "documentsDealsPageQuery") {
    opportunities(first: $count, after: $cursor, orderBy: [{ field: AMOUNT, direction: DESC }])
      @connection(key: "documents_opportunities") {
      __id
      totalCount
      edges {
        node {
          ...documents_deal
        }
      }
    }
  }
`;

graphql`
  fragment documents_deal on Opportunity {
    name
    status
    expectedClose
    updatedAt
    version
    amount {
      amount
      currency
    }
    stage {
      name
    }
  }
`;

graphql`
  query documentsCustomerQuery($id: ID!) {
    node(id: $id) {
      ...documents_deals @alias(as: "customer")
    }
  }
`;

graphql`
  query documentsDealQuery($id: ID!) {
    opportunity(id: $id) {
      name
      version
    }
  }
`;

graphql`
  mutation documentsCreateMutation($input: CreateOpportunityInput!, $connections: [ID!]!) {
    createOpportunity(input: $input) {
      opportunity @prependNode(connections: $connections, edgeTypeName: "OpportunityEdge") {
        ...documents_deal
      }
      errors {
        code
        message
        field
      }
    }
  }
`;

graphql`
  mutation documentsRenameMutation($input: UpdateOpportunityInput!) {
    updateOpportunity(input: $input) {
      opportunity {
        name
        version
      }
      errors {
        code
        message
        field
      }
    }
  }
`;

graphql`
  mutation documentsDeleteMutation($input: DeleteOpportunityInput!, $connections: [ID!]!) {
    deleteOpportunity(input: $input) {
      deletedId @deleteRecord @deleteEdge(connections: $connections)
      errors {
        code
      }
    }
  }
`;

graphql`
  subscription documentsChangedSubscription($where: OpportunityFilter, $after: Cursor) {
    opportunityChanged(where: $where, after: $after) {
      cursor
      kind
      opportunity {
        ...documents_deal
      }
    }
  }
`;
