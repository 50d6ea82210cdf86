"""Background work: a queue in Postgres, the worker that empties it, and what is done once per tick."""
