"""Idempotency in the graph: the key of a field of Mutation, and what of a payload is kept under it."""
