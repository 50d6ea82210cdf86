"""What a request carries through the graph: who asks, what they may do, how to read and how to write."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

import strawberry
from aiodataloader import DataLoader

from crm_graph.db.session import ReadSession
from crm_graph.graph.cursors import CursorSealer
from crm_graph.graph.reads import Reads
from crm_graph.graph.records.registry import Registry
from crm_graph.graph.records.relative import Moment, resolved
from crm_graph.idempotency.keys import Sent
from crm_graph.identity.cookies import CookieJar
from crm_graph.identity.origin import NOWHERE, Origin
from crm_graph.identity.services import Services
from crm_graph.identity.viewer import Viewer
from crm_graph.kernel.errors import LimitExceeded
from crm_graph.permissions.access import Access
from crm_graph.permissions.compiler import AccessCompiler
from crm_graph.permissions.definitions import Vocabulary
from crm_graph.vault.vault import Vault
from crm_graph.work import Work

P = TypeVar("P")


@dataclass(slots=True)
class GraphContext:
    """One request's context; also Strawberry's `info.context`.

    `loaders` is the request's one registry of aiodataloader loaders, for plain resolvers and the reference executor.
    """

    viewer: Viewer
    access: Access
    reader: ReadSession
    sealer: CursorSealer
    begin: Callable[[], AbstractAsyncContextManager[Work]]
    """Opens the unit of work of one mutation field: commits on exit, rolls back on an exception."""
    services: Services
    compiler: AccessCompiler
    look_up: Callable[[str], Awaitable[Viewer | None]]
    """Finds another member of the workspace as a viewer."""
    registry: Registry
    vocabulary: Vocabulary
    request_id: str = ""
    origin: Origin = NOWHERE
    loaders: dict[Any, DataLoader[Any, Any]] = field(default_factory=dict)
    extras: dict[str, Any] = field(default_factory=dict)
    cookies: CookieJar | None = None
    """The cookies of a request that may use them: whoever signs somebody in or out sets or clears them here."""
    ports: Mapping[type, object] = field(default_factory=dict)
    """What the edge does for slices, by the protocol that a slice asks it by."""
    sent: Sent | None = None
    """By what the request of a mutation is known again; None for what is no mutation."""
    filter_work: int = 0
    reads: Reads | None = None
    """The sensitive reads of this operation; None while there are none."""
    _moment: Moment | None = None
    binds: Mapping[str, Any] = field(init=False)
    """The values of the binds that every compiled read carries."""

    @property
    def vault(self) -> Vault:
        """What encrypts and decrypts."""
        return self.services.vault

    def __post_init__(self) -> None:
        self.binds = self.viewer.binds

    def bound(self, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the values of a filter's binds, those that are relative as of this request."""
        return resolved(values, self.moment)

    def moment(self) -> Moment:
        """Return the time of this request, the same for all of it, and the workspace's calendar."""
        if self._moment is None:
            viewer = self.viewer
            self._moment = Moment(self.services.clock(), viewer.time_zone, viewer.fiscal_year_start)
        return self._moment

    def note_reads(self, fields: Iterable[str] = (), records: Iterable[str] = ()) -> None:
        """Note coordinates, and ids of records, that must be written down before the answer leaves."""
        reads = self.reads
        if reads is None:
            reads = self.reads = Reads()
        reads.fields.update(dict.fromkeys(fields))
        reads.records.update(dict.fromkeys(records))

    def port(self, protocol: type[P]) -> P:
        """Return what implements a slice's protocol at the edge. Raises KeyError where nothing does."""
        return cast(P, self.ports[protocol])

    def count_filter(self, work: int, limit: int, argument: str = "where") -> None:
        """Add the work of one filter of this operation. Raises LimitExceeded when all together are too much."""
        self.filter_work += work
        if self.filter_work > limit:
            raise LimitExceeded(
                f"The filters of one operation may have {limit:,} conditions in all, an edge counted as 8.",
                path=(argument,),
            )


Info = strawberry.Info[GraphContext, None]
