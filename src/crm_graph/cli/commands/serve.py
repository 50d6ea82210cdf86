"""`crm-graph serve`."""

from __future__ import annotations

from pathlib import Path

import click

from crm_graph.cli.place import data_option, find_place


@click.command()
@click.option("--port", type=click.IntRange(1, 65535), default=8000, show_default=True, help="The port to serve on.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to serve on.")
@data_option
def serve(port: int, host: str, data: Path | None) -> None:
    """Serve the API, for production: no demo data, no migration, no token on the page.

    Set DATABASE_URL and CRM_SECRET; run `crm-graph migrate` first. SIGTERM drains: streams end with their cursor,
    requests finish, then the process exits.
    """
    from crm_graph.cli.operating.serving import serve_place

    serve_place(find_place(data), host, port)
