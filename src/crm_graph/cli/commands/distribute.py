"""`crm-graph distribute`."""

from __future__ import annotations

from pathlib import Path

import click

from crm_graph.cli.console import console
from crm_graph.cli.place import data_option, find_place, run


@click.command()
@data_option
@click.option(
    "--shards",
    type=click.IntRange(1, 64_000),
    help="Over how many shards, the first time. Default: citus.shard_count of the coordinator, 32 as shipped.",
)
def distribute(data: Path | None, shards: int | None) -> None:
    """Place the tables over the workers of a Citus cluster: workspaces apart, all rows of one together.

    DATABASE_URL names the coordinator. Run it once the schema is there, and as often as you like: it does what is not
    done yet. What is interrupted leaves the tables as they were.
    """
    from crm_graph.cli.operating.distributing import distribute_place

    done: list[str] = []

    def tell(text: str) -> None:
        done.append(text)
        console.print(text, soft_wrap=True)

    cluster = run(distribute_place(find_place(data), shards, tell))
    if not done:
        console.print("everything lies where it is to lie")
    console.print(f"workers: {', '.join(cluster.workers)}", soft_wrap=True)
