"""`crm-graph worker`."""

from __future__ import annotations

from pathlib import Path

import click

from crm_graph.cli.place import data_option, find_place


@click.command()
@click.option("--port", type=click.IntRange(1, 65535), envvar="CRM_WORKER_PORT", help="Answer /health and /ready here.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to answer on.")
@data_option
def worker(port: int | None, host: str, data: Path | None) -> None:
    """Run the background work of an installation: jobs, the relay of live events, the chainer of the audit trail,
    mails. SIGTERM stops it: a job that runs gives its place back."""
    from crm_graph.cli.operating.working import work_at

    work_at(find_place(data, implied=False), host, port)
