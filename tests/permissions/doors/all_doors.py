"""The doors, by name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from tests.permissions.doors import comparing, following, leaving, measuring, reading, remembering, writing
from tests.permissions.doors.visit import Visit

DOORS: Mapping[str, Callable[[Visit], Awaitable[None]]] = {
    "by id": reading.leaf,
    "node": reading.node,
    "edge": reading.edge,
    "count": reading.count,
    "filter": comparing.filter_,
    "filter across edges": comparing.filter_across,
    "order": comparing.order,
    "measure": measuring.measure,
    "having": measuring.having,
    "group": measuring.group,
    "mutation and payload": writing.write,
    "subscription": leaving.subscription,
    "feed": following.feed,
    "as of": remembering.as_of,
    "history": remembering.history,
    "export": leaving.export,
    "schema cut to the role": leaving.cut,
}
