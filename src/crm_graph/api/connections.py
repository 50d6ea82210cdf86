"""All connections of a process: how many there may be, how much a message may bring beside its body, and how long each
may keep us waiting.

A peer that says nothing, or says it one byte at a time, holds a file and memory for as long as it is let. So every
state in which we wait for a peer has a deadline, which is a number in the connection; one sweep a second looks at all
of them, which costs a request less than a timer of its own.

Decided in D-api-05 (ARCHITECTURE.md).
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Any, Protocol

from crm_graph.api.admission.proxies import Proxies
from crm_graph.api.admission.rates import network_of
from crm_graph.api.held import Held
from crm_graph.kernel.settings import Settings

log = logging.getLogger("crm_graph.errors")

NEVER = float("inf")
SWEEP_S = 1.0


class Connection(Protocol):
    """What the sweep needs of a connection: `deadline` is in seconds of the loop's clock, or NEVER."""

    transport: Any
    deadline: float

    def expire(self, now: float, /) -> None:
        """End, since the deadline is over; or set another one, where it was not the peer who let us wait."""
        ...


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one connection may take, in bytes, pieces and seconds; see the settings of the same names."""

    max_head_bytes: int
    max_headers: int
    max_frames_per_second: int
    idle_s: float
    head_s: float
    body_s: float
    send_s: float

    @classmethod
    def of(cls, settings: Settings) -> Bounds:
        """Return the bounds that the settings set."""
        return cls(
            settings.max_head_bytes,
            settings.max_headers,
            settings.max_messages_per_second,
            settings.idle_timeout_ms / 1000,
            settings.head_timeout_ms / 1000,
            settings.body_timeout_ms / 1000,
            settings.send_timeout_ms / 1000,
        )


class Connections:
    """Those that are open now. `max_open` is what the process has files for."""

    def __init__(self, settings: Settings, max_open: int | None = None) -> None:
        self.bounds = bounds = Bounds.of(settings)
        self.leaving = False
        """Whether each is to end with its next answer, since the process goes: who has one open comes back elsewhere,
        and does not send a request into its end."""
        self.refused = {"address": 0, "process": 0}
        """How many were closed at once, by whose limit it was."""
        self.cut_off = {"idle": 0, "head": 0, "body": 0, "send": 0, "invalid": 0, "size": 0, "frames": 0}
        """How many were ended, by what they did not finish in time, or what there was too much of."""
        self._max_open = min(settings.max_connections, max_open or settings.max_connections)
        self._by_network = Held(settings.max_connections_per_address)
        self._proxies = Proxies(settings)
        self._open: dict[Connection, str | None] = {}
        self._sweep_s = min(SWEEP_S, bounds.idle_s / 4, bounds.head_s / 4, bounds.body_s / 4, bounds.send_s / 4)

    def __len__(self) -> int:
        return len(self._open)

    def admit(self, connection: Connection, peer: str | None) -> bool:
        """Count a connection that was made, unless it is one too many of its address or of the process.

        One of our proxies brings everybody's, so it is not held to the limit of an address.
        """
        if len(self._open) >= self._max_open:
            self.refused["process"] += 1
            return False
        network = None if peer is None or self._proxies.are_at(peer) else network_of(peer)
        if network is not None and not self._by_network.take(network):
            self.refused["address"] += 1
            return False
        self._open[connection] = network
        return True

    def leave(self, connection: Connection) -> None:
        """Count a connection no more; one that was never let in is not there."""
        network = self._open.pop(connection, None)
        if network is not None:
            self._by_network.give(network)

    async def watch(self) -> None:
        """Sweep until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._sweep_s)
            self.sweep(loop.time())

    def sweep(self, now: float) -> None:
        """End what is over its deadline. One that closes and cannot, since its peer takes nothing, gets one here."""
        late = []
        for connection in self._open:
            if connection.deadline <= now:
                late.append(connection)
            elif connection.deadline == NEVER and connection.transport.is_closing():
                connection.deadline = now + self.bounds.send_s
        for connection in late:
            try:
                connection.expire(now)
            except Exception:  # one that cannot be ended is no reason to let the others go on
                log.exception("a connection could not be ended")
                connection.deadline = NEVER
                connection.transport.abort()
