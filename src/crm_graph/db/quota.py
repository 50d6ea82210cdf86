"""What a workspace may store, held where it is written: by what was last measured and what this process wrote since.

Nobody asks the database for it: each process reads every few seconds which workspaces have come near their limit, all
in one statement, and a write looks into a dictionary.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NoReturn

import asyncpg
import orjson

from crm_graph.db.outages import OUTAGES
from crm_graph.db.pool import Database
from crm_graph.db.statements import Statement
from crm_graph.kernel.errors import RateLimited, Refused

if TYPE_CHECKING:
    from crm_graph.kernel.settings import Settings

EVENT_BYTES = 1_000
"""What a change takes beside its texts: the row, its event and its audit entry, with their index entries."""
SHORT = 100
"""Letters of a text that is not counted: it is in `EVENT_BYTES`."""
WINDOW_S = 60
SHARE = 2
"""Which part of what a workspace writes in a minute is one member's, so that none takes it from all the others."""
NEAR = 8
"""Which part of the limit is near it."""
_NEAR = Statement(
    "SELECT near.workspace_id, near.used_bytes, latest.at FROM (SELECT max(measured_at) AS at FROM workspace_usage)"
    " AS latest LEFT JOIN workspace_usage AS near ON near.used_bytes >= $1",
    ("least",),
    {},
)
_AWAY = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)

log = logging.getLogger(__name__)


def bytes_of_change(new: Iterable[Any], old: Iterable[Any] = ()) -> int:
    """Return about how many bytes a change takes: what is new stands in the row and in its event, what was before in
    the event."""
    return EVENT_BYTES + 2 * _bytes(new) + _bytes(old)


def _bytes(values: Iterable[Any]) -> int:
    size = 0
    for value in values:
        if isinstance(value, str):
            length = len(value)
            if length > SHORT:
                size += length if value.isascii() else 3 * length
        elif isinstance(value, dict | list):
            size += len(orjson.dumps(value, default=str))
    return size


class Quotas:
    """One a process: what each workspace stores, and how much it writes in a minute."""

    def __init__(self, settings: Settings, clock_s: Callable[[], float] = time.monotonic) -> None:
        self.limit = settings.workspace_max_bytes
        self.per_minute = settings.workspace_write_bytes_per_minute
        self.refused = 0
        self._poll_s = settings.storage_poll_ms / 1000
        self._clock_s = clock_s
        self._used: dict[str, int] = {}
        self._measured: Any = None
        self._since: dict[str, int] = {}
        self._window: dict[str, int] = {}
        self._shares: dict[tuple[str, str | None], int] = {}
        self._window_ends_s = 0.0

    def admit(self, workspace_id: str, size: int, *, member_id: str | None = None, always: bool = False) -> None:
        """Count what is about to be written, at most once it is certain that it may be. `always` is what must be
        possible whatever others write, to suspend one of them say: it passes, and counts. Raises Refused LIMIT where
        the workspace is full, RateLimited where it, or the member, writes too much a minute."""
        if not always:
            self._refuse_full(workspace_id, size)
        now_s = self._clock_s()
        if now_s >= self._window_ends_s:
            self._window_ends_s = now_s + WINDOW_S
            self._window.clear()
            self._shares.clear()
        member = workspace_id, member_id
        share = self.per_minute // SHARE
        if not always:  # a first write is bounded by its request alone
            if member_id is not None and member in self._shares and self._shares[member] + size > share:
                self._refuse("You", share, now_s)
            if workspace_id in self._window and self._window[workspace_id] + size > self.per_minute:
                self._refuse("This workspace", self.per_minute, now_s)
        if member_id is not None:
            self._shares[member] = self._shares.get(member, 0) + size
        self._window[workspace_id] = self._window.get(workspace_id, 0) + size
        self._count(workspace_id, size)

    def store(self, workspace_id: str, size: int) -> None:
        """Count what is about to be stored and has bounds of its own in a minute: a job's file. Raises Refused LIMIT
        where the workspace is full."""
        self._refuse_full(workspace_id, size)
        self._count(workspace_id, size)

    def _count(self, workspace_id: str, size: int) -> None:
        self._since[workspace_id] = self._since.get(workspace_id, 0) + size

    def _refuse_full(self, workspace_id: str, size: int) -> None:
        if self.limit and (used := self.used(workspace_id) + size) > self.limit:
            self.refused += 1
            raise Refused(
                "LIMIT",
                f"This workspace may store {shown(self.limit)}, and with this it would be {shown(used)}. Delete what"
                " is not needed, or ask the operator for more: reading and deleting go on. What was deleted counts no"
                " more once it is measured anew and its events are too old to be kept.",
            )

    def _refuse(self, who: str, most: int, now_s: float) -> NoReturn:
        self.refused += 1
        raise RateLimited(
            f"{who} may write {shown(most)} a minute through one process. Go on more slowly.",
            max(1, round(self._window_ends_s - now_s)),
        )

    def used(self, workspace_id: str) -> int:
        """Return what a workspace stores, about: as far as it is near its limit, and what was written here since."""
        return self._used.get(workspace_id, 0) + self._since.get(workspace_id, 0)

    @property
    def fullest(self) -> float:
        """Which part of its limit the fullest workspace uses; 0 while none is near."""
        return max(self._used.values(), default=0) / self.limit if self.limit else 0.0

    async def run(self, database: Database) -> None:
        """Read what was measured, again and again, until cancelled."""
        while self.limit:
            try:
                await self.refresh(database)
            except _AWAY as error:
                if not OUTAGES.tell(error):
                    log.warning("quotas: usage cannot be read (%s); trying again", type(error).__name__)
            await asyncio.sleep(self._poll_s)

    async def refresh(self, database: Database) -> None:
        """Read which workspaces use an eighth of what they may, or more: the others are told by what they write here
        until it is measured again."""
        rows = await database.primary_reader().fetch(_NEAR, {"least": self.limit // NEAR})
        self._used = {row["workspace_id"]: row["used_bytes"] for row in rows if row["workspace_id"] is not None}
        if rows[0]["at"] != self._measured:
            self._measured = rows[0]["at"]
            self._since.clear()


def shown(size: int) -> str:
    """Return a number of bytes for people."""
    for unit, name in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if size >= unit:
            return f"{size / unit:,.2f} {name}"
    return f"{size} bytes"
