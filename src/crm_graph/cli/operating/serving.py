"""`crm-graph serve` and `dev`: an API process, for production and for one's own machine."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial

import uvicorn

from crm_graph.api.admission.hosts import Hosts
from crm_graph.api.admission.origins import LOOPBACK
from crm_graph.app import Nearby, check_start
from crm_graph.asgi import Application
from crm_graph.cli.access.accounts import Account, demo_accounts
from crm_graph.cli.access.passwords import demo_password
from crm_graph.cli.console import console
from crm_graph.cli.installed import installation
from crm_graph.cli.opening import opened
from crm_graph.cli.operating.bootstrap import ensure_workspace
from crm_graph.cli.operating.listening import listen, listen_together, room_for_connections
from crm_graph.cli.operating.logs import traced, write_logs
from crm_graph.cli.operating.migrating import bring_to
from crm_graph.cli.operating.openable import require_openable
from crm_graph.cli.operating.probes import answering, metrics_listener, metrics_page
from crm_graph.cli.operating.workers import Lifeline, Workers
from crm_graph.cli.place import Place, run, settings
from crm_graph.domains.identity.accounts.sessions import start_operator_session
from crm_graph.identity.installation import Installation, make_services
from crm_graph.identity.services import Services
from crm_graph.kernel.errors import OperatorError
from crm_graph.kernel.settings import Settings

DEMO_TOKEN_LIFETIME = timedelta(hours=12)


class _Server(uvicorn.Server):
    """uvicorn that ends our streams before it waits for connections to close."""

    def __init__(
        self, config: uvicorn.Config, application: Application, lifeline: Lifeline | None, unready_s: float
    ) -> None:
        super().__init__(config)
        self._unready_s = unready_s
        self._application = application
        self._lifeline = lifeline

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and tell the parent, whose end is the wish to stop."""
        await super().startup(sockets)
        if self._lifeline is not None and self.started:
            self._lifeline.started()
            asyncio.get_running_loop().add_reader(self._lifeline.held, self._be_alone)

    def _be_alone(self) -> None:
        assert self._lifeline is not None
        asyncio.get_running_loop().remove_reader(self._lifeline.held)
        self.should_exit = True

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take SIGINT and SIGTERM as the wish to stop, and no more: uvicorn would raise them again at the end, and
        the process would die of a signal instead of exiting with 0. A terminal sends SIGINT to all processes: one of
        several leaves it to its parent, whose SIGTERM it would else take for the first of two."""
        loop = asyncio.get_running_loop()
        numbers = (signal.SIGTERM,) if self._lifeline is not None else (signal.SIGINT, signal.SIGTERM)
        for number in numbers:
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in numbers:
                loop.remove_signal_handler(number)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Be not ready for as long as whoever sends requests takes to notice, then drain and shut down. A second
        SIGINT ends the wait."""
        self._application.leave()
        until = time.monotonic() + self._unready_s
        while time.monotonic() < until and not self.force_exit:  # noqa: ASYNC110 - uvicorn sets a flag
            await asyncio.sleep(0.1)
        await self._application.drain()
        await super().shutdown(sockets)


async def _serve(
    installed: Installation,
    sockets: list[socket.socket],
    options: Settings,
    nearby: Nearby | None = None,
    lifeline: Lifeline | None = None,
    process: int = 0,
) -> None:
    application = Application(installed, options, room_for_connections(), nearby)
    config = uvicorn.Config(
        application,
        log_config=None,
        access_log=False,
        http=application.protocol,  # type: ignore[arg-type] # called as the class is
        proxy_headers=False,
        ws=application.socket_protocol,  # type: ignore[arg-type] # called as the class is
        ws_max_size=options.max_body_bytes,
        timeout_graceful_shutdown=max(1, options.drain_ms // 1000),
        server_header=False,
    )
    server = _Server(config, application, lifeline, options.unready_ms / 1000)
    page = metrics_page(lambda: application.metrics, options.metrics_token)
    with traced(options), metrics_listener(options, process) as listener:
        async with answering(listener, page):
            await server.serve(sockets)
    if not server.started:
        raise OperatorError(
            "the server could not start", "read the lines above; `crm-graph doctor` checks the installation"
        )


def serve_dev(place: Place, host: str, port: int, *, demo: bool) -> None:
    """Bring the database of a place up, with demo data where it is empty, and serve it until it is told to stop. Raises
    OperatorError."""
    options = settings()
    write_logs(options)
    check_start(options)
    with listen(host, port, options.tcp_keepalive_seconds) as listener:
        run(_dev(place, listener, Hosts.listening_on(host), demo=demo))


async def _dev(place: Place, listener: socket.socket, hosts: Hosts, *, demo: bool) -> None:
    with place.database_url() as url:
        await bring_to(url)
        async with opened(Place(None, url)) as database:
            workspace = await ensure_workspace(database, demo=demo)
            accounts = await demo_accounts(database, workspace)
            installed = await installation(database)
            await require_openable(installed, database)
            services = make_services(installed, settings(), database)
            password = await demo_password(services, place.data, workspace) if demo else None
            demo_token = await _demo_tokens(services, workspace, accounts[0]) if accounts else lambda: None
        host, port = listener.getsockname()[:2]
        _banner(f"http://{host}:{port}", place, accounts, demo_token(), password)
        options = settings()
        if not options.allowed_origins:  # a frontend's own dev server, on whatever port
            options = replace(options, allowed_origins=LOOPBACK)
        await _serve(installed, [listener], options, Nearby(hosts, demo_token))


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


def serve_place(place: Place, host: str, port: int, workers: int) -> int:
    """Serve a place with so many processes until it is told to stop, and return the code to exit with. Raises
    OperatorError."""
    options = settings()
    write_logs(options)
    check_start(options)
    with ExitStack() as stack:
        listeners = listen_together(host, port, options.tcp_keepalive_seconds, workers)
        for listener in listeners:
            stack.enter_context(listener)
        at = Place(None, stack.enter_context(place.database_url()))
        address = f"http://{host}:{port}/graphql"
        if workers == 1:
            console.print(f"crm-graph serves {address}", soft_wrap=True)
            run(_serve_place(at, listeners[0]))
            return 0
        said = f"crm-graph serves {address} with {workers} processes"
        together = Workers(
            listeners,
            lambda listener, lifeline: run(_serve_place(at, listener, lifeline, listeners.index(listener))),
            lambda: console.print(said, soft_wrap=True),
        )
        return together.run()


async def _serve_place(
    place: Place, listener: socket.socket, lifeline: Lifeline | None = None, process: int = 0
) -> None:
    async with opened(place) as database:
        installed = await installation(database)
        await require_openable(installed, database)
    await _serve(installed, [listener], settings(), lifeline=lifeline, process=process)
