"""`crm-graph serve`."""

from __future__ import annotations

from pathlib import Path

import click

from crm_graph.cli.place import data_option, find_place


@click.command()
@click.option("--port", type=click.IntRange(1, 65535), default=8000, show_default=True, help="The port to serve on.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to serve on.")
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    envvar="CRM_WORKERS",
    help="How many processes serve the port, one for each core; each has database connections of its own.",
)
@data_option
def serve(port: int, host: str, workers: int, data: Path | None) -> int:
    """Serve the API, for production: no demo data, no migration, no token on the page.

    Set DATABASE_URL and CRM_SECRET; run `crm-graph migrate` first. A secret or master key that does not open what the
    database holds is refused. SIGTERM drains: streams end with their cursor,
    requests finish, then the process exits. With --workers, one that ends by itself is started anew.
    """
    from crm_graph.cli.operating.serving import serve_place

    return serve_place(find_place(data, implied=False), host, port, workers)
