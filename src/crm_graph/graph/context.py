"""What a request carries through the graph: who asks, what they may do, how to read and how to write."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any

import strawberry
from aiodataloader import DataLoader

from crm_graph.db.session import ReadSession
from crm_graph.graph.cursors import CursorSealer
from crm_graph.identity.viewer import Viewer
from crm_graph.permissions.access import Access
from crm_graph.work import Work


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
    request_id: str = ""
    loaders: dict[Any, DataLoader[Any, Any]] = field(default_factory=dict)
    extras: dict[str, Any] = field(default_factory=dict)


Info = strawberry.Info[GraphContext, None]
