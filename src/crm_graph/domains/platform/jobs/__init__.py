"""Jobs: larger work that goes on behind a request, and what became of it."""
