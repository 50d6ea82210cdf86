"""Idempotency: keys by which a client names what it asks for once, and the answers that are kept under them."""
