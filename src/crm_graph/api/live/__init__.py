"""Subscriptions: served, and those that ask the same in groups."""
