"""crm-graph: a headless CRM, one typed GraphQL graph over Postgres."""

__version__ = "0.1.0"
