"""GraphiQL, with operations to begin with."""
