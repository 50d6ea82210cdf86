"""`crm-graph worker`: a process that does background work alone."""

from __future__ import annotations

import asyncio
import signal
import socket
from contextlib import nullcontext

from crm_graph.api.schema import make_schema
from crm_graph.app import background_work, check_start, make_worker
from crm_graph.cli.console import console
from crm_graph.cli.installed import installation
from crm_graph.cli.opening import opened
from crm_graph.cli.operating.listening import listen
from crm_graph.cli.operating.logs import traced, write_logs
from crm_graph.cli.operating.openable import require_openable
from crm_graph.cli.operating.probes import answering, metrics_listener, metrics_page, probes
from crm_graph.cli.place import Place, run, settings
from crm_graph.identity.installation import make_services
from crm_graph.kernel.settings import Settings


def work_at(place: Place, host: str, port: int | None) -> None:
    """Do the background work of a place until it is told to stop, and answer probes on a port, if one is given. Raises
    OperatorError."""
    options = settings()
    write_logs(options)
    check_start(options)
    keepalive_s = options.tcp_keepalive_seconds
    with (
        listen(host, port, keepalive_s) if port is not None else nullcontext() as listener,
        metrics_listener(options) as of_metrics,
        traced(options),
    ):
        run(_worker(place, options, listener, of_metrics))


async def _worker(
    place: Place, options: Settings, listener: socket.socket | None, of_metrics: socket.socket | None
) -> None:
    with place.database_url() as url:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        async with opened(Place(None, url)) as database:
            installed = await installation(database)
            await require_openable(installed, database)
            schema, services = make_schema(), make_services(installed, options, database)
            work = background_work(installed, options, schema, services, make_worker(schema, services))
            async with (
                work as metrics,
                database.watched(),
                answering(listener, probes(database)),
                answering(of_metrics, metrics_page(lambda: metrics, options.metrics_token)),
            ):
                console.print("crm-graph worker runs; what one process does for all is elected")
                await stop.wait()
