"""The one entry point of the command line, `crm-graph`. Composition only: each command calls the layers below."""

from __future__ import annotations

from crm_graph.cli.main import main

__all__ = ["main"]
