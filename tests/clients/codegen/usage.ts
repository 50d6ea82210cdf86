// What a program does with the generated types; it only has to compile, and the marked lines must not.
import type { AnyObjectQuery, CreateDealMutationVariables, DealChangedSubscription, DealsQuery, DealsQueryVariables } from "./operations.js";

export function total(deals: DealsQuery): number {
  return deals.opportunities.edges.reduce((sum, { node }) => sum + Number(node.amount?.amount ?? "0"), 0);
}

export const wanted: DealsQueryVariables = {
  where: { or: [{ status: { in: ["OPEN"] } }, { amount: { gte: "10000.50" } }], customer: { name: { startsWith: "A" } } },
};

export const made: CreateDealMutationVariables = {
  input: { name: "A deal", amount: { amount: "12500.50", currency: "CNY" }, expectedClose: "2026-12-31" },
};

export function title(found: AnyObjectQuery): string | null {
  return found.node?.__typename === "Opportunity" ? found.node.name : null;
}

export function position(change: DealChangedSubscription): string {
  return change.opportunityChanged.cursor;
}

// @ts-expect-error an amount is a string: a float has lost digits before it arrives
export const inexact: CreateDealMutationVariables = { input: { name: "A deal", amount: { amount: 1.5, currency: "CNY" } } };

// @ts-expect-error a name is required
export const nameless: CreateDealMutationVariables = { input: {} };

// @ts-expect-error a customer can be absent
export const customer = (deals: DealsQuery): string => deals.opportunities.edges[0]!.node.customer.name;
