"""The GraphQL toolkit that all slices share: records, connections, filters, orders, aggregates, scalars, payloads."""
