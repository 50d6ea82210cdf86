"""What people read: all of it goes to stderr; stdout carries what a script asked for."""

from __future__ import annotations

from rich.console import Console

console = Console(stderr=True, highlight=False)
