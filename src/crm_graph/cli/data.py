"""`import`, `export` and `seed`."""

from __future__ import annotations

import click

from crm_graph.cli.exporting import export
from crm_graph.cli.importing import import_
from crm_graph.cli.seeding import seed

COMMANDS: tuple[click.Command, ...] = (import_, export, seed)
