"""The operations that GraphiQL opens with: one for each thing that the graph can do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Example:
    """A tab of GraphiQL. `fill` finds its variables: a query with a list of records under the name of each, whose first
    one's id it is. What nothing was found for stays as in `variables`, for a person to fill in."""

    title: str
    operation: str
    variables: Mapping[str, str] = field(default_factory=dict)
    fill: str = ""


EXAMPLES: tuple[Example, ...] = (
    Example(
        "Who am I",
        """
query WhoAmI {
  viewer {
    roles
    member { id name email team { name } }
    workspace { name baseCurrency timeZone }
  }
}
""",
    ),
    Example(
        "Sign in (the banner of `crm-graph dev` has the password; this needs no token)",
        """
mutation SignIn($password: String!) {
  signIn(input: {email: "rep@example.com", password: $password}) {
    accessToken
    refreshToken
    expiresAt
    secondFactorRequired
    errors { code message field }
  }
}
""",
        {"password": "the password that the banner shows"},
    ),
    Example(
        "Customers with their deals, orders and tickets, in one request",
        """
query Customers {
  customers(first: 5, orderBy: [{field: NAME}], where: {kind: {eq: COMPANY}}) {
    totalCount
    pageInfo { hasNextPage endCursor }
    nodes {
      id
      name
      lifecycle
      annualRevenue { amount currency }
      owner { name }
      contacts(first: 2) { nodes { name email } }
      opportunities(first: 3, orderBy: [{field: AMOUNT, direction: DESC}]) {
        totalCount
        nodes { name status amount { amount currency } stage { name } }
      }
      orders(first: 2) { nodes { number status total { amount currency } lines { nodes { quantity product { name } } }
      } } tickets(first: 2) { nodes { number subject status } }
      campaignMemberships(first: 2) { nodes { status campaign { name } } }
    }
  }
}
""",
    ),
    Example(
        "The pipeline, filtered across edges",
        """
query OpenDeals {
  opportunities(
    where: {status: {eq: OPEN}, amount: {gte: "10000"}, customer: {lifecycle: {in: [INTERESTED, ACTIVE]}}}
    orderBy: [{field: EXPECTED_CLOSE}]
    first: 10
  ) {
    totalCount
    nodes { id name version probability expectedClose amount { amount currency } stage { name } owner { name } }
  }
}
""",
    ),
    Example(
        "How much lies in each stage",
        """
query ByStage {
  opportunitiesAggregate(groupBy: [{field: STAGE}, {field: CURRENCY}]) {
    groups { key { stage { name position } currency } count sum { amount } avg { amount } }
  }
}
""",
    ),
    Example(
        "The top ten products, and in which countries they sell",
        """
query TopProducts {
  orderLinesAggregate(
    groupBy: [{field: PRODUCT}], first: 10, orderBy: [{measure: SUM, of: TOTAL, direction: DESC}]
  ) {
    totalGroups
    hasMoreGroups
    groups { key { product { name } } sum { total quantity } countDistinct { order orderCustomer } }
  }
  byCountry: ordersAggregate(
    groupBy: [{field: CUSTOMER_COUNTRY}, {field: CURRENCY}], orderBy: [{measure: SUM, of: TOTAL, direction: DESC}]
  ) {
    groups { key { customerCountry currency } count sum { total } }
  }
}
""",
    ),
    Example(
        "The weighted pipeline, and how long deals stay",
        """
query WeightedPipeline {
  opportunitiesAggregate(where: {status: {eq: OPEN}}, groupBy: [{field: STAGE}, {field: CURRENCY}]) {
    groups { key { stage { name } currency } count sum { amount weightedAmount } avg { daysInStage ageDays } }
  }
  stageMovesAggregate(groupBy: [{field: FROM_STAGE}]) {
    groups { key { fromStage { name } } count avg { secondsInStage } max { secondsInStage } }
  }
}
""",
    ),
    Example(
        "Response rates of campaigns, and how fast tickets are solved",
        """
query Rates {
  campaignMembersAggregate(
    groupBy: [{field: CAMPAIGN}]
    matching: {respondedAt: {isNull: false}}
    orderBy: [{measure: SHARE, direction: DESC}]
  ) {
    groups { key { campaign { name } } count share matching { count avg { responseSeconds } } }
  }
  ticketsAggregate(groupBy: [{field: CUSTOMER_INDUSTRY}, {field: PRIORITY}]) {
    groups { key { customerIndustry priority } count avg { firstResponseSeconds resolutionSeconds satisfaction } }
  }
}
""",
    ),
    Example(
        "Customers with what they bought, measured",
        """
query MeasuredCustomers {
  customers(first: 10) {
    nodes {
      name
      ordersAggregate(where: {status: {ne: CANCELLED}}) { count sum { total } max { orderedOn } }
      opportunitiesAggregate(where: {status: {eq: OPEN}}) { count sum { weightedAmount } }
    }
  }
}
""",
    ),
    Example(
        "Any object by its id",
        """
query AnyObject($id: ID!) {
  node(id: $id) {
    __typename
    id
    ... on Customer { name lifecycle }
    ... on Opportunity { name status stage { name } stageMoves { nodes { movedAt toStage { name } member { name } } } }
    ... on Order { number orderStatus: status }
    ... on Ticket { ticketNumber: number subject }
  }
}
""",
        {"id": "cus_..."},
        "{ id: customers(first: 1) { nodes { id } } }",
    ),
    Example(
        "Open a deal",
        """
mutation OpenDeal {
  createOpportunity(input: {name: "A new deal", amount: {amount: "12500.50", currency: "CNY"}}) {
    opportunity { id version name stage { id name } }
    errors { code message field }
  }
}
""",
    ),
    Example(
        "Who changed a deal, and what (add `asOf` to see how it was)",
        """
query History($id: ID!) {
  opportunity(id: $id) {
    name
    history { nodes { at event actor { name } changes { field from to } } }
  }
}
""",
        {"id": "opp_..."},
        "{ id: opportunities(first: 1, where: {status: {eq: OPEN}}) { nodes { id } } }",
    ),
    Example(
        "Move a deal to another stage",
        """
mutation MoveDeal($id: ID!, $stage: ID!) {
  moveOpportunity(input: {id: $id, stageId: $stage}) {
    opportunity { id version status probability stage { name } }
    errors { code message field }
  }
}
""",
        {"id": "opp_...", "stage": "stg_..."},
        """
{
  id: opportunities(first: 1, where: {status: {eq: OPEN}, stage: {position: {lte: 1}}}) { nodes { id } }
  stage: stages(first: 1, where: {kind: {eq: OPEN}}, orderBy: [{field: POSITION, direction: DESC}]) { nodes { id } }
}
""",
    ),
    Example(
        "Orders: submit and approve",
        """
mutation SubmitOrder($id: ID!) {
  submitOrder(input: {id: $id}) { order { number status total { amount currency } } errors { code message field } }
  approveOrder(input: {id: $id}) { order { number status approvedBy { name } } errors { code message field } }
}
""",
        {"id": "ord_..."},
        "{ id: orders(first: 1, where: {status: {eq: DRAFT}, lines: {some: {}}}) { nodes { id } } }",
    ),
    Example(
        "Tickets: resolve",
        """
mutation ResolveTicket($id: ID!) {
  resolveTicket(input: {id: $id, resolution: "Sent a replacement."}) {
    ticket { number status resolution }
    errors { code message field }
  }
}
""",
        {"id": "tic_..."},
        "{ id: tickets(first: 1, where: {status: {in: [NEW, OPEN]}}) { nodes { id } } }",
    ),
    Example(
        "Watch deals live: run it, then move a deal in another tab",
        """
subscription WatchDeals {
  opportunityChanged(where: {status: {in: [OPEN, WON]}}) {
    cursor
    kind
    event
    changedFields
    actor { name }
    opportunity { id name status amount { amount currency } stage { name } }
  }
}
""",
    ),
)
