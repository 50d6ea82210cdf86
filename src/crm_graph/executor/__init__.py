"""Compiles a GraphQL operation to a plan once and runs it breadth-first. Imports graphql-core only."""
