"""Commands about accounts, clients, providers and roles."""
