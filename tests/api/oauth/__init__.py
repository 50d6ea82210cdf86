"""The authorization server, over HTTP and a real database."""
