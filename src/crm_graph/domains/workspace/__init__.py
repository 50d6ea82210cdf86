"""Tenants, members, teams and their roles."""
