"""Postgres: the embedded server, pools, sessions, the declarative base and compiled statements."""
