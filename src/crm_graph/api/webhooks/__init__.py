"""Webhooks at the edge: what the log says becomes requests to endpoints."""
