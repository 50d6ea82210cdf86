"""Groups of subscribers: an event is judged once for all who filter alike, and executed once for all who see the same.

Subscribers who asked for the same and may see the same are one group: document and variables, grants, and the member
ids that the predicates depend on. Groups that have the same grants and the same form of filter are one family, which
reads a feed of the hub. An event costs a family one statement, which says for which of its groups something changed,
one execution for each of these, and one statement that confirms all who are to receive it. So the cost grows with the
groups to which an event matters, not with their subscribers, and whoever was suspended or revoked receives nothing.

Decided in D-api-13 (ARCHITECTURE.md).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from crm_graph.api.admission.payers import Payer, Payers
from crm_graph.api.body import Answer
from crm_graph.api.contexts import Contexts
from crm_graph.api.live_shares import LiveShares, patience
from crm_graph.db.outages import OUTAGES
from crm_graph.db.session import Trust
from crm_graph.events.hub import Feed, FeedOverflow, Hub
from crm_graph.events.log import Event
from crm_graph.graph.changes.judging import Told, Verdict
from crm_graph.graph.changes.live import Watch, moves_rights
from crm_graph.graph.context import GraphContext
from crm_graph.identity.authenticate import Authenticator
from crm_graph.identity.viewer import Viewer
from crm_graph.kernel.cursor import LogCursor

log = logging.getLogger(__name__)

RETRIES = 50
RETRY_S = 0.2
"""For so many times so long a family waits for a database that is away, before its subscribers are told so."""
AWAY = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)

Key = tuple[Any, ...]
Execute = Callable[[Event, GraphContext, Sequence[Told]], Awaitable[Sequence[Answer] | None]]
"""Returns the answers that a group's subscribers get for an event; None where they may not ask so any more."""


class Moved(Exception):
    """Raised in a subscriber whose rights can have changed: to be read anew, and to go on from its position."""


@dataclass(slots=True, eq=False)
class Subscriber:
    """One subscriber's bounded queue of events, each with its answers."""

    viewer: Viewer
    family: Family
    start: LogCursor
    """Up to here the subscriber replays the log by itself; what the queue holds comes after, or is known to it."""
    queue: asyncio.Queue[tuple[LogCursor, float, Sequence[Answer]] | None]
    covered: LogCursor
    """Up to here it was told to read its list anew: nothing more need be told it."""
    error: Exception | None = None
    passed: LogCursor | None = None
    """Up to here nothing is missing: known where the subscriber was ended with nothing waiting for it."""
    in_hand: bool = False
    """Whether an answer was taken that need not have been sent yet."""

    @property
    def is_idle(self) -> bool:
        """Whether everything that the hub has read was judged, and what it became was sent."""
        return self.error is None and not self.in_hand and self.queue.empty() and self.family.is_idle

    def put(self, cursor: LogCursor, now: float, answers: Sequence[Answer]) -> None:
        """Queue the answers to an event; a full queue ends the subscriber, once what it holds was taken."""
        if self.error is not None:
            return
        try:
            self.queue.put_nowait((cursor, now, answers))
        except asyncio.QueueFull:
            self.error = FeedOverflow(cursor)

    def end(self, passed: LogCursor, error: Exception | None = None) -> None:
        """End with an error, at once: answers that wait are not for somebody whose rights have changed. Or, where the
        hub stops, behind what waits."""
        if error is None and self.error is None and not self.queue.full():
            self.queue.put_nowait(None)
            return
        if self.error is None and self.queue.empty() and not self.in_hand:
            self.passed = passed
        self.error = error
        while not self.queue.empty():
            self.queue.get_nowait()
        self.queue.put_nowait(None)

    async def answers(self) -> AsyncIterator[tuple[LogCursor, float, Sequence[Answer]]]:
        """Yield the answers to an event with its cursor and the time since which they wait, until the hub stops. Raises
        Moved, and FeedOverflow when the subscriber does not keep up."""
        while True:
            if self.error is not None and self.queue.empty():
                raise self.error
            item = await self.queue.get()
            if item is None:
                if self.error is not None:
                    raise self.error
                return
            self.in_hand = True
            yield item
            self.in_hand = False


@dataclass(slots=True)
class Group:
    """Subscribers who get the same answers."""

    viewer: Viewer
    """Any one of them: they may see the same."""
    watch: Watch
    execute: Execute
    subscribers: set[Subscriber] = field(default_factory=set)


class Family:
    """Groups that one statement judges."""

    def __init__(self, context: GraphContext, watch: Watch, feed: Feed, payer: Payer) -> None:
        self.viewer = context.viewer
        self.payer = payer
        self.watch = watch
        self._feed = feed
        position = feed.position
        self.taken = position
        """The event that is being judged, or was judged last."""
        self.done = position
        """The event that was judged last."""
        self.groups: dict[Key, Group] = {}

    @property
    def is_idle(self) -> bool:
        """Whether every event of the feed was judged."""
        return self.taken == self.done and self._feed.is_empty

    def end(self, error: Exception | None = None) -> None:
        """End all subscribers."""
        groups, self.groups = self.groups, {}
        for group in groups.values():
            for subscriber in group.subscribers:
                subscriber.end(self.done, error)


class Groups:
    """All families of a process."""

    def __init__(
        self,
        hub: Hub,
        contexts: Contexts,
        authenticator: Authenticator,
        payers: Payers,
        shares: LiveShares,
        queue_size: int,
    ) -> None:
        self._hub = hub
        self._contexts = contexts
        self._shares = shares
        self._authenticator = authenticator
        self._payers = payers
        self._queue_size = queue_size
        self._families: dict[Key, Family] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def count(self) -> tuple[int, int]:
        """How many families and groups there are."""
        return len(self._families), sum(len(family.groups) for family in self._families.values())

    @contextmanager
    def joined(self, context: GraphContext, watch: Watch, asked: Key, execute: Execute) -> Iterator[Subscriber]:
        """Lend a subscriber's place in the group of what was `asked` by whoever sees what the context's viewer sees."""
        viewer, access = context.viewer, context.access
        within = viewer.workspace_id, watch.record.name, watch.form, access.fingerprint, viewer.version
        family = self._families.get(within)
        if family is None:
            family = self._begin(within, context, watch)
        who = (viewer.member_id, viewer.circle, viewer.teams) if access.asks_who or watch.asks_who else ()
        key = (*asked, watch.without, *who, viewer.time_zone, viewer.fiscal_year_start)
        group = family.groups.get(key)
        if group is None:
            group = family.groups[key] = Group(viewer, watch, execute)
        subscriber = Subscriber(viewer, family, family.taken, asyncio.Queue(self._queue_size + 1), family.taken)
        group.subscribers.add(subscriber)
        try:
            yield subscriber
        finally:
            group.subscribers.discard(subscriber)
            if not group.subscribers and family.groups.get(key) is group:
                del family.groups[key]

    def _begin(self, key: Key, context: GraphContext, watch: Watch) -> Family:
        registered = self._hub.registered(context.viewer.workspace_id, watch.read(context.access))
        feed = registered.__enter__()
        family = self._families[key] = Family(context, watch, feed, self._payers.of_viewer(context.viewer))

        async def run() -> None:
            try:
                await self._run(family, feed)
            finally:
                registered.__exit__(None, None, None)
                if self._families.get(key) is family:
                    del self._families[key]

        task = asyncio.create_task(run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return family

    async def _run(self, family: Family, feed: Feed) -> None:
        """Take event after event, until the family's rights have moved, nobody is left, or the hub stops."""
        error: Exception | None = Moved()
        try:
            async for event in feed.events():
                if not family.groups:
                    return
                family.taken = event.cursor
                if not await self._taken(family, event):
                    return
                family.done = event.cursor
            error = None
        except FeedOverflow:  # each replays the log by itself, and joins again
            return
        except Exception as failure:
            error = failure
            if not OUTAGES.tell(failure):
                log.warning("subscriptions: %s cannot be judged (%s)", family.watch.record.name, type(failure).__name__)
        finally:
            family.end(error)

    async def _taken(self, family: Family, event: Event) -> bool:
        """Take an event when it is the turn of whose family it is: of the one who came first."""
        await patience(family.payer)
        for attempt in range(RETRIES):
            try:
                async with self._shares.judging.place(family.payer.key):
                    return await self._take(family, event)
            except AWAY:
                if attempt == RETRIES - 1:
                    raise
                await asyncio.sleep(RETRY_S)
        return False

    async def _take(self, family: Family, event: Event) -> bool:
        """Give one event to the groups that it matters to. Returns False where somebody's rights in the workspace have
        moved since the family's were read."""
        groups = [
            group for group in family.groups.values() if any(one.covered < event.cursor for one in group.subscribers)
        ]
        guarded = self._contexts.live(family.viewer, Trust(self._authenticator.stands(family.viewer)))
        if moves_rights(event, guarded.access):
            return False
        concerned = family.watch.concerned(event, guarded.access)
        if not groups or not concerned:
            return True
        plain = self._contexts.live(family.viewer)
        asking = {
            name: [await group.watch.judges[name].asking(plain, group.viewer) for group in groups] for name in concerned
        }
        verdict = await family.watch.verdict(guarded, event, asking)
        if verdict is None:
            return False
        await self._give(family, event, groups, verdict, guarded)
        return True

    async def _give(
        self, family: Family, event: Event, groups: Sequence[Group], verdict: Verdict, guarded: GraphContext
    ) -> None:
        heard = [(group, group.watch.heard(event, told)) for group, told in zip(groups, verdict.told, strict=True)]
        matched = [(group, told) for group, told in heard if told]
        answers = await asyncio.gather(
            *(group.execute(event, self._contexts.live(group.viewer), told) for group, told in matched)
        )
        receivers = [
            (subscriber, answer)
            for (group, _), answer in zip(matched, answers, strict=True)
            for subscriber in group.subscribers
            if subscriber.covered < event.cursor
        ]
        confirmed = await self._authenticator.unchanged(
            guarded.reader, (subscriber.viewer for subscriber, _ in receivers)
        )
        now = asyncio.get_running_loop().time()
        for subscriber, answer in receivers:
            if answer is not None and subscriber.viewer.standing in confirmed:
                subscriber.put(event.cursor, now, answer)
                subscriber.covered = verdict.covered or subscriber.covered
            else:
                subscriber.end(family.done, Moved())
