"""`crm-graph dev`."""

from __future__ import annotations

from pathlib import Path

import click

from crm_graph.cli.place import data_option, find_place


@click.command()
@click.option("--port", type=click.IntRange(1, 65535), default=8000, show_default=True, help="The port to serve on.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to serve on.")
@data_option
@click.option("--no-demo", is_flag=True, help="An empty workspace instead of demo data.")
def dev(port: int, host: str, data: Path | None, no_demo: bool) -> None:
    """Start everything in one process: Postgres, migrations, demo data, the API and GraphiQL.

    Prints the address, the demo accounts and a token to paste. Ctrl-C stops it all; the data stays.
    """
    from crm_graph.cli.operating.serving import serve_dev

    serve_dev(find_place(data, makes=True), host, port, demo=not no_demo)
