"""OpenID Connect, the side that relies on issuers of others: their metadata, their keys, their tokens."""
