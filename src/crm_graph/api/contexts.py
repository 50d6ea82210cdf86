"""The contexts that operations run in: who asks, on which connections, and how a mutation begins and commits."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

import asyncpg

from crm_graph.api.admission.payers import Payers
from crm_graph.db.lending import Lease, Payer
from crm_graph.db.session import ReadSession, Session, Trust, Unconfirmed
from crm_graph.graph.context import GraphContext
from crm_graph.graph.cursors import CursorSealer
from crm_graph.graph.schema.build import BuiltSchema
from crm_graph.idempotency.keys import Sent
from crm_graph.identity.authenticate import Authenticator
from crm_graph.identity.cookies import CookieJar
from crm_graph.identity.origin import NOWHERE, Origin
from crm_graph.identity.services import Services
from crm_graph.identity.tokens import Claims
from crm_graph.identity.viewer import Viewer
from crm_graph.kernel.errors import Unauthenticated
from crm_graph.kernel.ids import encode_id, new_id
from crm_graph.permissions.compiler import AccessCompiler
from crm_graph.work import Work

Transaction = Callable[[], AbstractAsyncContextManager[Session]]


@dataclass(frozen=True, slots=True)
class Asking:
    """Who asks, from where, under which request id."""

    claims: Claims
    origin: Origin = NOWHERE
    cookies: CookieJar | None = None
    request_id: str = field(default_factory=new_id)
    sent: Sent | None = None
    """By what a mutation is known again when it is sent again."""


@dataclass(slots=True, kw_only=True)
class Contexts:
    """Makes the contexts of a process."""

    schema: BuiltSchema
    services: Services
    authenticator: Authenticator
    access: AccessCompiler
    payers: Payers
    sealer: CursorSealer
    ports: Mapping[type, object]
    """What the edge does for slices, by the protocol that a slice asks it by."""

    async def confirm(self, claims: Claims) -> None:
        """Raise Unauthenticated when a credential is good no more: its member suspended, its session or key revoked.

        For what stays open between two events. A database that is away says nothing about anybody: then it passes.
        """
        try:
            await self.authenticator.viewer(claims, self.services.database.primary_reader())
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return

    async def read(self, claims: Claims, origin: Origin = NOWHERE) -> GraphContext:
        """Return a context that outlives an operation, its viewer read anew, on the primary: it reads what was just
        written. Raises Unauthenticated."""
        reader = self.services.database.primary_reader(self.payers.of(claims, origin))
        viewer = await self.authenticator.viewer(claims, reader)
        return self.live(viewer, asking=Asking(claims, origin))

    def live(
        self, viewer: Viewer, trust: Trust | None = None, *, asking: Asking | None = None, payer: Payer | None = None
    ) -> GraphContext:
        """Return a context of a viewer who was just read, or whom a trust guards, on the primary; the viewer pays for
        what it reads unless somebody else does."""
        payer = payer or self.payers.of_viewer(viewer)
        reader = self.services.database.primary_reader(payer)
        reader.trust = trust
        if asking is None:
            asking = Asking(Claims(viewer.workspace_id, viewer.member_id, datetime.max.replace(tzinfo=UTC)))
        return self._context(viewer, reader, partial(self.services.database.transaction, payer), asking)

    def lent(self, viewer: Viewer, lease: Lease, asking: Asking, trust: Trust | None = None) -> GraphContext:
        """Return the context of one operation on the connections that are lent to it."""
        return self._context(viewer, ReadSession(lease, trust), lease.transaction, asking)

    def _context(self, viewer: Viewer, reader: ReadSession, transaction: Transaction, asking: Asking) -> GraphContext:
        context = GraphContext(
            viewer=viewer,
            access=self.access.of(viewer),
            reader=reader,
            sealer=self.sealer,
            begin=lambda: self._begin(context, transaction, asking),
            services=self.services,
            compiler=self.access,
            look_up=partial(self.authenticator.look_up, viewer.workspace_id, reader),
            registry=self.schema.registry,
            vocabulary=self.schema.vocabulary,
            request_id=asking.request_id,
            origin=asking.origin,
            cookies=asking.cookies,
            sent=asking.sent,
            ports=self.ports,
        )
        return context

    @asynccontextmanager
    async def _begin(self, context: GraphContext, transaction: Transaction, asking: Asking) -> AsyncIterator[Work]:
        """Open the unit of work of one mutation field; it is committed for a viewer who is confirmed, for no other."""
        viewer = context.viewer
        if viewer.is_anonymous:
            raise Unauthenticated("Send a bearer token: `Authorization: Bearer <token>`.")
        async with transaction() as session:
            session.trust = context.reader.trust
            services = self.services
            now = services.clock()
            work = Work(
                session,
                viewer,
                context.access,
                lambda: now,
                asking.origin,
                asking.request_id,
                services.vault,
                quotas=services.quotas,
            )
            try:
                yield work
                await session.confirm()
            except Unconfirmed:
                raise Unauthenticated(
                    "The member's roles or teams changed at this very moment: send the request again."
                ) from None
            finally:
                for type_, field_, id_ in work.noted:  # of what was refused too: a message may tell what was read
                    prefix = self.schema.registry.records[type_].prefix
                    context.note_reads((f"{type_}.{field_}",), (encode_id(prefix, id_),))
