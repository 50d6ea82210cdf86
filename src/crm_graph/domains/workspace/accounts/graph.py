"""Accounts in the schema."""

from __future__ import annotations

from crm_graph.domains.workspace.accounts import events, model
from crm_graph.graph.build import Slice

SLICE = Slice("accounts", events=events.EVENTS)

__all__ = ["SLICE", "model"]
