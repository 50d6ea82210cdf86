"""The hub: one LISTEN connection and one reading position per process, feeding any number of subscribers.

A notification only wakes it; events come from the log, from its own cursor, so that a lost notification or a lost
connection delays events and never loses one. A subscriber that does not keep up is cut off with the cursor it has
reached, never buffered without bound.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager

import asyncpg

from crm_graph.db.connecting import close, connect
from crm_graph.db.outages import Outage
from crm_graph.db.pool import Database
from crm_graph.db.statements import Statement
from crm_graph.events.epoch import require_own
from crm_graph.events.horizon import horizon
from crm_graph.events.log import COLUMNS, Event, end, read_after
from crm_graph.events.relay import CHANNEL
from crm_graph.kernel.cursor import LogCursor
from crm_graph.kernel.errors import CrmError, OperatorError

log = logging.getLogger(__name__)

AWAY = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
BATCH = 1_000
AT_ONCE = 1_000
"""So often an event is put into a queue before others have a turn."""
LISTEN_CHECK_S = 10
LISTEN_TIMEOUT_S = 5
_REPLAY = Statement(
    f"SELECT {COLUMNS} FROM event WHERE workspace_id = $1 AND entity = ANY($2) AND (xid, seq) > ($3::text::xid8, $4)"  # noqa: S608
    " AND (xid, seq) <= ($5::text::xid8, $6) AND xid < crm_log_horizon()"
    " ORDER BY event.xid, seq LIMIT $7",
    ("workspace_id", "entities", "xid", "seq", "to_xid", "to_seq", "limit"),
    {},
)


class FeedOverflow(CrmError):
    """Raised in a subscriber that fell behind; `cursor` is the last event that it was given."""

    def __init__(self, cursor: LogCursor) -> None:
        super().__init__("the subscriber does not keep up")
        self.cursor = cursor


class Feed:
    """One subscriber's bounded queue of events."""

    def __init__(self, position: LogCursor, size: int) -> None:
        self.position = position
        self._queue: asyncio.Queue[Event | None] = asyncio.Queue(size)
        self._overflowed = False

    @property
    def is_empty(self) -> bool:
        """Whether no event waits."""
        return self._queue.empty() and not self._overflowed

    def put(self, event: Event | None) -> None:
        """Queue an event, or None for the end; a full queue marks the feed as overflowed."""
        try:
            self._queue.put_nowait(event)
        except asyncio.QueueFull:
            self._overflowed = True

    def interrupt(self) -> None:
        """Have the subscriber read the log by itself from where it is, and come again."""
        while not self._queue.empty():
            self._queue.get_nowait()
        self._overflowed = True
        self._queue.put_nowait(None)

    async def events(self) -> AsyncIterator[Event]:
        """Yield events until the hub stops. Raises FeedOverflow once what was queued has been yielded."""
        while True:
            if self._overflowed and self._queue.empty():
                raise FeedOverflow(self.position)
            event = await self._queue.get()
            if event is None and self._overflowed:
                raise FeedOverflow(self.position)
            if event is None:
                return
            self.position = event.cursor
            yield event


class Hub:
    """The process's reader of the log."""

    def __init__(self, database: Database, queue_size: int = 1_000, fallback_ms: int = 1_000) -> None:
        self._database = database
        self._queue_size = queue_size
        self._fallback = fallback_ms / 1000
        self._feeds: dict[tuple[str, str], set[Feed]] = defaultdict(set)
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self.position = LogCursor(0, 0)
        self._epoch: int | None = None
        self._is_continued = False
        """Whether the log goes on under another epoch than before, which the reader has not followed yet."""

    async def start(self) -> None:
        """Take the log's end as position and start reading from there."""
        self.position = await end(self._database.primary_reader())
        self._tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._read())]

    async def stop(self) -> None:
        """Stop reading and end every feed; subscribers then tell their clients the cursor to resume from."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for feeds in self._feeds.values():
            for feed in feeds:
                feed.put(None)

    async def newest(self) -> LogCursor:
        """Return the position behind which no cursor can have been handed out yet."""
        return max(self.position, await end(self._database.primary_reader()))

    @contextmanager
    def registered(self, workspace_id: str, entities: Sequence[str]) -> Iterator[Feed]:
        """Lend a feed of a workspace's events of some entity types from the hub's position on."""
        feed = Feed(self.position, self._queue_size)
        keys = [(workspace_id, entity) for entity in entities]
        for key in keys:
            self._feeds[key].add(feed)
        try:
            yield feed
        finally:
            for key in keys:
                self._feeds[key].discard(feed)
                if not self._feeds[key]:
                    del self._feeds[key]

    async def events(self, workspace_id: str, entities: Sequence[str], after: LogCursor) -> AsyncIterator[Event]:
        """Yield a workspace's events of some entity types: those after the cursor from the log, then the live ones.

        The feed is registered before the log is read, and the log is read up to the feed's start, so that nothing falls
        between the two and nothing comes twice. Raises FeedOverflow, and CursorTooOld.
        """
        with self.registered(workspace_id, entities) as feed:
            async for event in self.replay(workspace_id, entities, after, feed.position):
                yield event
            async for event in feed.events():
                if event.cursor > after:
                    yield event

    async def replay(
        self, workspace_id: str, entities: Sequence[str], after: LogCursor, to: LogCursor
    ) -> AsyncIterator[Event]:
        """Yield the events after one position up to another one, from the log."""
        while after < to:
            values = {
                "workspace_id": workspace_id,
                "entities": list(entities),
                "xid": str(after.xid),
                "seq": after.seq,
                "to_xid": str(to.xid),
                "to_seq": to.seq,
                "limit": BATCH,
            }
            rows = await self._database.primary_reader().fetch(_REPLAY, values)
            kept = await horizon(self._database.primary_reader())  # it can have moved before the rows
            kept.require_kept(after)
            for row in rows:
                event = Event.of(row)
                after = event.cursor
                yield event
            if len(rows) < BATCH:
                return

    async def _read(self) -> None:
        reading = Outage(log, "hub: the log cannot be read")
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), self._fallback)
            self._wake.clear()
            try:
                if self._is_continued:
                    await self._follow()
                await self._drain()
                reading.ends()
            except AWAY as error:
                reading.fails(error)
                await asyncio.sleep(0.1)
                self._wake.set()

    async def _follow(self) -> None:
        """Go on at the end of a log that was continued in a cluster that took the place of the one before: each
        subscriber finds out by its own position whether what it has seen is there still."""
        self.position = await end(self._database.primary_reader())
        self._is_continued = False
        for feed in {feed for feeds in self._feeds.values() for feed in feeds}:
            feed.interrupt()

    async def _drain(self) -> None:
        while True:
            events = await read_after(self._database.primary_reader(), self.position, BATCH)
            given = 0
            for event in events:
                feeds = self._feeds.get((event.workspace_id, event.entity), ())
                for feed in feeds:
                    feed.put(event)
                self.position = event.cursor
                given += len(feeds)
                if given > AT_ONCE:
                    given = 0
                    await asyncio.sleep(0)
            if len(events) < BATCH:
                return

    async def _listen(self) -> None:
        listening = Outage(log, "hub: the LISTEN connection is lost")
        while True:
            try:
                await self._listen_once(listening)
            except (*AWAY, OperatorError) as error:
                listening.fails(error)
            self._wake.set()
            await asyncio.sleep(0.2)

    async def _listen_once(self, listening: Outage) -> None:
        """Listen until the connection is lost. One that only listens would not notice that nobody is there any more:
        so it asks, now and then."""
        connection = await connect(self._database.url, LISTEN_TIMEOUT_S)
        lost = asyncio.Event()
        try:
            connection.add_termination_listener(lambda _: lost.set())
            await connection.add_listener(CHANNEL, lambda *_: self._wake.set())
            epoch = await require_own(connection)  # a connection does not outlive its server
            self._is_continued |= self._epoch not in {None, epoch.number}
            self._epoch = epoch.number
            listening.ends()
            self._wake.set()
            while not lost.is_set():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(lost.wait(), LISTEN_CHECK_S)
                if not lost.is_set():
                    await connection.execute("SELECT 1")
        finally:
            await close(connection)
