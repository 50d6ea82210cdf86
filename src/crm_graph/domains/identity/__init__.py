"""Who may come in: accounts, clients, providers and what they were authorized for."""
