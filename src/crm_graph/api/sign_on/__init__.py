"""Sign-in pages of providers and accounts."""
