"""`dev`, `serve` and `worker`."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import click
import uvicorn

from crm_graph.api.admission.hosts import Hosts
from crm_graph.api.admission.origins import LOOPBACK
from crm_graph.api.schema import make_schema
from crm_graph.app import Installation, background_work, make_mailer, make_services, make_worker
from crm_graph.asgi import Application
from crm_graph.cli.access.accounts import Account, demo_accounts
from crm_graph.cli.access.passwords import demo_password
from crm_graph.cli.console import console
from crm_graph.cli.operating.bootstrap import ensure_workspace
from crm_graph.cli.operating.listening import listen, room_for_connections
from crm_graph.cli.operating.probes import answering
from crm_graph.cli.place import Place, data_option, find_place, installation, opened, run, settings
from crm_graph.db.migrate import upgrade
from crm_graph.domains.identity.accounts.sessions import start_operator_session
from crm_graph.identity.services import Services
from crm_graph.kernel.errors import OperatorError
from crm_graph.kernel.settings import Settings

DEMO_TOKEN_LIFETIME = timedelta(hours=12)


class _Server(uvicorn.Server):
    """uvicorn that ends our streams before it waits for connections to close."""

    def __init__(self, config: uvicorn.Config, application: Application) -> None:
        super().__init__(config)
        self._application = application

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take SIGINT and SIGTERM as the wish to stop, and no more: uvicorn would raise them again at the end, and
        the process would die of a signal instead of exiting with 0."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain, then shut down."""
        await self._application.drain()
        await super().shutdown(sockets)


class _WithoutQueries(logging.Filter):
    """Cuts query strings out of what uvicorn logs of WebSockets: people put tokens there."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return True: the line stays, shorter."""
        if "WebSocket" in str(record.msg) and isinstance(record.args, tuple):
            record.args = tuple(each.partition("?")[0] if isinstance(each, str) else each for each in record.args)
        return True


async def _serve(made: Installation, sockets: list[socket.socket], options: Settings) -> None:
    make_mailer(options)  # a configuration that is wrong stops it here, with one line
    application = Application(made, options, room_for_connections())
    config = uvicorn.Config(
        application,
        log_level=options.log_level,
        access_log=False,
        http=application.protocol,  # type: ignore[arg-type] # called as the class is
        proxy_headers=False,
        ws=application.socket_protocol,  # type: ignore[arg-type] # called as the class is
        ws_max_size=options.max_body_bytes,
        timeout_graceful_shutdown=max(1, options.drain_ms // 1000),
        server_header=False,
    )
    logging.getLogger("uvicorn.error").addFilter(_WithoutQueries())
    server = _Server(config, application)
    await server.serve(sockets)
    if not server.started:
        raise OperatorError(
            "the server could not start", "read the lines above; `crm-graph doctor` checks the installation"
        )


@click.command()
@click.option("--port", type=click.IntRange(1, 65535), default=8000, show_default=True, help="The port to serve on.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to serve on.")
@data_option
@click.option("--no-demo", is_flag=True, help="An empty workspace instead of demo data.")
def dev(port: int, host: str, data: Path | None, no_demo: bool) -> None:
    """Start everything in one process: Postgres, migrations, demo data, the API and GraphiQL.

    Prints the address, the demo accounts and a token to paste. Ctrl-C stops it all; the data stays.
    """
    place = find_place(data, makes=True)
    with listen(host, port, settings().tcp_keepalive_seconds) as listener:
        run(_dev(place, listener, Hosts.listening_on(host), demo=not no_demo))


async def _dev(place: Place, listener: socket.socket, hosts: Hosts, *, demo: bool) -> None:
    with place.database_url() as url:
        await upgrade(url)
        async with opened(Place(None, url)) as database:
            workspace = await ensure_workspace(database, demo=demo)
            accounts = await demo_accounts(database, workspace)
            made = await installation(database)
            services = make_services(made, settings(), database)
            password = await demo_password(services, place.data, workspace) if demo else None
            demo_token = await _demo_tokens(services, workspace, accounts[0]) if accounts else lambda: None
        made = replace(made, demo_token=demo_token, hosts=hosts)
        host, port = listener.getsockname()[:2]
        _banner(f"http://{host}:{port}", place, accounts, demo_token(), password)
        options = settings()
        if not options.allowed_origins:  # a frontend's own dev server, on whatever port
            options = replace(options, allowed_origins=LOOPBACK)
        await _serve(made, [listener], options)


async def _demo_tokens(services: Services, workspace_id: str, account: Account) -> Callable[[], str]:
    """Return what makes tokens for the pages of `dev`, all of one session."""
    lifetime = timedelta(days=services.settings.session_days)
    async with services.database.transaction() as session:
        id_ = await start_operator_session(services, session, workspace_id, account.member_id, lifetime)
    issue = services.authority.issue
    return partial(issue, workspace_id, account.member_id, DEMO_TOKEN_LIFETIME, session_id=id_)


def _banner(address: str, place: Place, accounts: list[Account], token: str | None, password: str | None) -> None:
    where = place.data.resolve() if place.data is not None else "DATABASE_URL"
    lines = [
        "",
        f"[bold]crm-graph[/bold] serves [bold]{address}/graphql[/bold]",
        "  open it in a browser for GraphiQL; POST to it from a program; WebSocket for subscriptions",
        f"  data in {where}; Ctrl-C stops everything and keeps the data",
        "",
    ]
    if accounts:
        lines.append("accounts (a token of one: `crm-graph token --email ...`):")
        lines += [f"  {account.email:32} {', '.join(account.roles):16} {account.name}" for account in accounts]
    if password is not None:
        lines += ["", f"the password of all demo accounts, made for this data directory: {password}"]
    for line in lines:
        console.print(line, soft_wrap=True)
    if token is not None:
        console.print("\na token of the first one, for 12 hours:")
        sys.stdout.write(f"\nAuthorization: Bearer {token}\n\n")
        sys.stdout.flush()


@click.command()
@click.option("--port", type=click.IntRange(1, 65535), default=8000, show_default=True, help="The port to serve on.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to serve on.")
@data_option
def serve(port: int, host: str, data: Path | None) -> None:
    """Serve the API, for production: no demo data, no migration, no token on the page.

    Set DATABASE_URL and CRM_SECRET; run `crm-graph migrate` first. SIGTERM drains: streams end with their cursor,
    requests finish, then the process exits.
    """
    place = find_place(data)
    with listen(host, port, settings().tcp_keepalive_seconds) as listener:
        run(_serve_place(place, listener))


async def _serve_place(place: Place, listener: socket.socket) -> None:
    with place.database_url() as url:
        async with opened(Place(None, url)) as database:
            made = await installation(database)
        host, port = listener.getsockname()[:2]
        console.print(f"crm-graph serves http://{host}:{port}/graphql", soft_wrap=True)
        await _serve(made, [listener], settings())


@click.command()
@click.option("--port", type=click.IntRange(1, 65535), envvar="CRM_WORKER_PORT", help="Answer /health and /ready here.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to answer on.")
@data_option
def worker(port: int | None, host: str, data: Path | None) -> None:
    """Run the background work of an installation: jobs, the relay of live events, the chainer of the audit trail,
    mails. SIGTERM stops it: a job that runs gives its place back."""
    keepalive_s = settings().tcp_keepalive_seconds
    with listen(host, port, keepalive_s) if port is not None else nullcontext() as listener:
        run(_worker(find_place(data), listener))


async def _worker(place: Place, listener: socket.socket | None) -> None:
    with place.database_url() as url:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        options = settings()
        async with opened(Place(None, url)) as database:
            made = await installation(database)
            schema, services = make_schema(), make_services(made, options, database)
            async with (
                background_work(made, options, schema, services, make_worker(schema, services)),
                answering(database, listener),
            ):
                console.print("crm-graph worker runs; what one process does for all is elected")
                await stop.wait()
