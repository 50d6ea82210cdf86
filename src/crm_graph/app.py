"""What a process is made of, from settings and addresses. Commands take parts of it, `asgi.py` takes all."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from crm_graph.api.admission.credentials import Credentials
from crm_graph.api.admission.hosts import Hosts
from crm_graph.api.admission.origins import Origins
from crm_graph.api.admission.proxies import Proxies
from crm_graph.api.engine import Engine
from crm_graph.api.metrics import Metrics
from crm_graph.api.schema import make_schema
from crm_graph.api.webhooks.deliverer import Deliverer
from crm_graph.db.base import Kept
from crm_graph.db.connecting import KEEPALIVE
from crm_graph.db.pool import Database, PoolSettings
from crm_graph.domains.identity.accounts.directory import MemberDirectory
from crm_graph.domains.identity.accounts.outbox import RESET_REQUEST, Outbox
from crm_graph.domains.identity.accounts.resets import answer_request
from crm_graph.domains.identity.clients.keys import ApiKeys
from crm_graph.domains.identity.providers.bearer import ProviderTokens
from crm_graph.domains.platform.audit.chain import seal_keys
from crm_graph.domains.platform.audit.chainer import Chainer, passed_position
from crm_graph.domains.platform.jobs.exports import Exporter
from crm_graph.domains.platform.jobs.keeping import SCHEDULES, chores
from crm_graph.domains.platform.jobs.operations import EXPORT
from crm_graph.domains.platform.jobs.purging import Purger
from crm_graph.domains.platform.jobs.running import Runner
from crm_graph.events.hub import Hub
from crm_graph.events.metering import StorageMeter
from crm_graph.events.projector import Projector
from crm_graph.events.relay import Relay
from crm_graph.events.retention import Retention
from crm_graph.graph.cursors import CursorSealer
from crm_graph.graph.reading.page_requests import PageLimits
from crm_graph.graph.records.aggregate_limits import AggregateLimits
from crm_graph.graph.records.filter_limits import FilterLimits
from crm_graph.graph.running.timers import timer_handlers
from crm_graph.graph.schema.build import BuiltSchema
from crm_graph.identity.authenticate import Authenticator, Resolver
from crm_graph.identity.installation import Installation, make_services
from crm_graph.identity.mailer import Mailer
from crm_graph.identity.oidc.issuers import Issuers
from crm_graph.identity.origin import parse_networks
from crm_graph.identity.services import Services
from crm_graph.jobs.due import DueWork
from crm_graph.jobs.worker import Outcomes, Worker
from crm_graph.kernel.errors import OperatorError
from crm_graph.kernel.settings import Settings
from crm_graph.vault.vault import Vault


@dataclass(frozen=True, slots=True)
class Nearby:
    """What `dev` does for its own machine: the only hosts that are answered, and the token that its pages are shown."""

    hosts: Hosts
    token: Callable[[], str | None] = lambda: None


def chainer(installation: Installation, settings: Settings, schema: BuiltSchema) -> Chainer:
    """Return what seals the event log of this installation."""
    return Chainer(
        installation.url,
        seal_keys(installation.secrets),
        {record.name: record.prefix for record in schema.registry.records.values()},
        retired=seal_keys(installation.retired_secrets),
        poll_ms=settings.audit_poll_ms,
        batch=settings.audit_batch_size,
    )


def projector_for(url: str, settings: Settings, schema: BuiltSchema, vault: Vault) -> Projector:
    """Return what keeps the history of an installation whose database is at an address."""
    return Projector(
        url,
        {record.name: record.table for record in schema.registry.records.values()},
        schema.registry.effects,
        vault,
        poll_ms=settings.history_poll_ms,
        batch=settings.history_batch_size,
    )


def relay(installation: Installation, settings: Settings) -> Relay:
    """Return what announces the events of this installation."""
    return Relay(installation.url, settings.relay_poll_ms, failover=settings.continue_after_failover)


def retention(installation: Installation, settings: Settings) -> Retention:
    """Return what removes old events of this installation."""
    return Retention(
        installation.url,
        settings.event_retention_days,
        passed_position,
        batch=settings.event_removal_batch_size,
        every_s=settings.event_removal_minutes * 60,
    )


def make_mailer(settings: Settings) -> Mailer | None:
    """Return what hands mails over, or None where `CRM_SMTP_URL` names no server. Raises OperatorError."""
    return Mailer.of(settings.smtp_url, settings.mail_from) if settings.smtp_url else None


def make_outbox(services: Services, mailer: Mailer) -> Outbox:
    """Return what sends the mails of an installation."""
    return Outbox(services, mailer, {RESET_REQUEST: answer_request})


def make_sealer(services: Services) -> CursorSealer:
    """Return what seals cursors, and opens those of every process of an installation."""
    return CursorSealer(services.keys("cursor sealing", 64)[0])


def make_worker(schema: BuiltSchema, services: Services, outcomes: Outcomes | None = None) -> Worker:
    """Return what runs the jobs of an installation."""
    outcomes = outcomes or Outcomes()
    runner = Runner(
        services, {EXPORT: Exporter(services, schema.registry, schema.compiler(), make_sealer(services))}, outcomes
    )
    kept = {
        record.model: record.policy for record in schema.registry.records.values() if issubclass(record.model, Kept)
    }
    ticks = chores(services, Purger(services, kept))
    return Worker(services.database, services.settings, runner.tasks(), ticks, SCHEDULES, outcomes)


def make_due_work(schema: BuiltSchema, services: Services) -> DueWork:
    """Return what does the work of an installation's timers when they are due."""
    return DueWork(services.database, services.settings, timer_handlers(schema, services))


def make_engine(
    schema: BuiltSchema,
    services: Services,
    hub: Hub,
    resolvers: Sequence[Resolver] = (),
    outcomes: Outcomes | None = None,
) -> Engine:
    """Return what executes operations; without resolvers, for viewers who bring no credential: webhooks."""
    authenticator = Authenticator(services.authority, MemberDirectory(), resolvers)
    return Engine(schema, services, authenticator, hub=hub, sealer=make_sealer(services), jobs=outcomes)


@asynccontextmanager
async def background_work(
    installation: Installation,
    settings: Settings,
    schema: BuiltSchema,
    services: Services,
    worker: Worker | None,
) -> AsyncIterator[Metrics]:
    """Do the work of an installation beside requests, in API processes and workers alike, each of which may do it: the
    relay of live events, the chainer of the audit trail, webhooks, the removal of old events, the meter of storage,
    mails, jobs. Yields the metrics of a process that does nothing else. Raises OperatorError for a mail server, and for
    networks of webhooks, that cannot be meant."""
    KEEPALIVE.seconds = settings.database_keepalive_seconds
    mailer = make_mailer(settings)
    outcomes = None if worker is None else worker.outcomes
    own = make_engine(schema, services, Hub(services.database), outcomes=outcomes)
    deliverer = Deliverer(own)
    own.metrics.deliveries = deliverer.durations
    tasks = [
        asyncio.create_task(relay(installation, settings).run()),
        asyncio.create_task(chainer(installation, settings, schema).run()),
        asyncio.create_task(projector_for(installation.url, settings, schema, services.vault).run()),
        asyncio.create_task(deliverer.run()),
        asyncio.create_task(retention(installation, settings).run()),
        asyncio.create_task(StorageMeter(installation.url, every_s=settings.storage_measure_seconds).run()),
        asyncio.create_task(services.quotas.run(services.database)),
        asyncio.create_task(services.rsa.run()),
    ]
    if worker is not None:
        due_work = make_due_work(schema, services)
        own.metrics.timers = due_work.outcomes
        tasks += [asyncio.create_task(worker.run()), asyncio.create_task(due_work.run())]
    if mailer is not None:
        tasks.append(asyncio.create_task(make_outbox(services, mailer).run()))
    try:
        yield own.metrics
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def page_limits(settings: Settings) -> PageLimits:
    """Return the bounds of pages."""
    filters = FilterLimits(pattern_letters=settings.max_pattern_letters, letters=settings.max_filter_letters)
    aggregates = AggregateLimits(groups=settings.max_groups, least_rows=settings.measure_least_rows)
    return PageLimits(
        settings.page_size, settings.nested_page_size, settings.max_page_size, settings.max_counted, filters, aggregates
    )


def check_settings(settings: Settings) -> None:
    """Raise OperatorError for settings of the edge that cannot be meant: before anything starts."""
    Credentials(settings, Origins(settings))
    Proxies(settings)
    parse_networks(settings.webhook_private, "CRM_WEBHOOK_PRIVATE")
    parse_networks(settings.provider_private, "CRM_PROVIDER_PRIVATE")


def check_start(settings: Settings) -> None:
    """Raise OperatorError for settings with which a process could not do its work, though it would start."""
    check_settings(settings)
    make_mailer(settings)
    if settings.breached_passwords and not os.access(settings.breached_passwords, os.R_OK):
        what = f"CRM_BREACHED_PASSWORDS={settings.breached_passwords!r} cannot be read"
        raise OperatorError(what, "correct or unset it: no password can be set as it is")


@asynccontextmanager
async def running_engine(
    installation: Installation,
    settings: Settings,
    schema: BuiltSchema | None = None,
    issuers: Issuers | None = None,
) -> AsyncIterator[Engine]:
    """Open what an API process needs, and close it in reverse order: pools, hub, background work."""
    schema = schema or make_schema(page_limits(settings))
    pool = PoolSettings(
        settings.read_pool_size,
        settings.write_pool_size,
        settings.query_timeout_ms,
        settings.mutation_timeout_ms,
        member_read_size=settings.member_read_connections,
        member_write_size=settings.member_write_connections,
        member_waiting=settings.member_waiting,
    )
    database = await Database.open(installation.url, installation.read_url, pool, installation.pool_url)
    hub = Hub(database, settings.subscription_queue_size)
    services = make_services(installation, settings, database)
    keys = ApiKeys(database, services.clock)
    issuers = issuers or Issuers.of(settings)
    try:
        outcomes = Outcomes() if settings.jobs else None
        worker = None if outcomes is None else make_worker(schema, services, outcomes)
        background = background_work(installation, settings, schema, services, worker)
        async with background as of_work, database.watched():
            await hub.start()
            # Before anybody asks: an RSA key takes a while to make, once per installation and period.
            await services.rsa.turn()
            engine = make_engine(schema, services, hub, [keys, ProviderTokens(services, issuers)], outcomes)
            engine.metrics.deliveries, engine.metrics.timers = of_work.deliveries, of_work.timers
            async with engine.replica.watched():
                yield engine
    finally:
        await hub.stop()
        await keys.close()
        await issuers.aclose()
        await database.close()
