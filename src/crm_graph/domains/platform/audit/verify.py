"""Verifying the audit trail: the chain recomputed and held against the log, entry by entry, in constant memory.

Entries come in the order of their numbers, events in the order of the log, and both must go in step: an entry has its
event, an event behind which the chainer has passed has its entry, and the last entry is the one that the head names.
Of a workspace that is deferred (`deferrals.py`) the chainer has passed what lies up to there.
Entries whose events retention has removed (`event_horizon`) are held against the chain alone, and counted: whoever can
write to the database can move the horizon, so it is for people to hold that against the time that events are kept.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeAlias

import asyncpg

from crm_graph.domains.platform.audit.chain import (
    ENTRY_FIELDS,
    EVENT_COLUMNS,
    GENESIS,
    LATER_ENTRY_FIELDS,
    SealKey,
    differing,
    entry_hash,
    event_digests,
    head_seal,
)
from crm_graph.kernel.cursor import LogCursor
from crm_graph.kernel.errors import CrmError

ROWS_PER_FETCH = 2_000
LATE = timedelta(hours=1)
"""How long after its event an entry is usually sealed at most; later ones are counted, for people to judge."""
_ENTRIES = f"""
    SELECT {", ".join(ENTRY_FIELDS + LATER_ENTRY_FIELDS)}, previous_hash, hash FROM audit_entry
    WHERE workspace_id = $1 AND number >= $2 ORDER BY number
"""  # noqa: S608 - constants
_EVENTS = f"""
    SELECT {EVENT_COLUMNS} FROM event
    WHERE workspace_id = $1 AND (xid, seq) > ($2::text::xid8, $3) AND (xid, seq) <= ($4::text::xid8, $5)
    ORDER BY event.xid, seq
"""  # noqa: S608 - constants
_PENDING = "SELECT count(*) FROM event WHERE workspace_id = $1 AND (xid, seq) > ($2::text::xid8, $3)"
_HEAD = "SELECT workspace_id, number, hash, event_xid, event_seq, key_id, seal FROM audit_head"
_DEFERRED = "SELECT event_xid, event_seq FROM audit_deferral WHERE workspace_id = $1"
_HORIZON = "SELECT xid, seq FROM event_horizon WHERE id = 1"
_FIRST = "SELECT min(number) FROM audit_entry WHERE workspace_id = $1"
_COUNT = "SELECT count(*) FROM audit_entry WHERE workspace_id = $1 AND number > $2"
_WORKSPACES = """
    WITH RECURSIVE of_events AS (
        (SELECT workspace_id FROM event ORDER BY workspace_id LIMIT 1) UNION ALL
        SELECT (SELECT workspace_id FROM event WHERE workspace_id > last.workspace_id ORDER BY workspace_id LIMIT 1)
        FROM of_events AS last WHERE last.workspace_id IS NOT NULL
    )
    SELECT workspace_id FROM of_events WHERE workspace_id IS NOT NULL
    UNION SELECT workspace_id FROM audit_head
"""
WORKSPACES_OF_ENTRIES = "SELECT DISTINCT workspace_id FROM audit_entry"

Connection: TypeAlias = "asyncpg.Connection[Any]"
Progress = Callable[[int], None]
"""Called with the number of the entry that was reached."""


@dataclass(frozen=True, slots=True)
class Anchor:
    """An entry that is known from elsewhere: its number and its hash. Number 0 is the beginning."""

    number: int
    hash: str

    def __str__(self) -> str:
        return f"{self.number}:{self.hash}"

    @classmethod
    def parse(cls, text: str) -> Anchor | None:
        """Return the anchor that `NUMBER:HASH` spells, or None."""
        number, _, hash_ = text.strip().partition(":")
        if not (number.isascii() and number.isdigit() and 0 < len(number) < 19 and int(number) > 0):
            return None
        return cls(int(number), hash_) if len(hash_) == 64 and set(hash_) <= set("0123456789abcdef") else None


BEGINNING = Anchor(0, GENESIS)


@dataclass(frozen=True, slots=True)
class Verified:
    """A chain that is whole: its head, how many events have no entry yet, how many entries were sealed late, and of how
    many the event was removed by retention."""

    head: Anchor
    pending: int
    late: int
    first_late: int | None
    removed: int = 0
    last_removed: str | None = None
    """When the newest of the removed events happened."""


class Tampered(CrmError):
    """Raised for the first entry of a chain that is not as it was sealed; `number` is the one, `what` is wrong."""

    def __init__(self, number: int, what: str) -> None:
        super().__init__(f"entry {number}: {what}")
        self.number = number
        self.what = what


async def workspaces_of(connection: Connection) -> list[str]:
    """Return every workspace that has events, entries or a head, also one that is no more."""
    found = [*await connection.fetch(_WORKSPACES), *await connection.fetch(WORKSPACES_OF_ENTRIES)]
    return sorted({row["workspace_id"] for row in found})


async def count_entries(connection: Connection, workspace_id: str, since: Anchor = BEGINNING) -> int:
    """Return how many entries there are to verify."""
    return int(await connection.fetchval(_COUNT, workspace_id, since.number))


async def verify(
    connection: Connection,
    keys: Sequence[SealKey],
    workspace_id: str,
    *,
    since: Anchor = BEGINNING,
    expect: Anchor | None = None,
    progress: Progress = lambda _: None,
) -> Verified:
    """Verify a workspace's chain, behind `since` where that is given. Raises Tampered.

    The connection must be in a transaction of one snapshot (`repeatable_read`).
    """
    return await _Verification(connection, {key.id: key for key in keys}, workspace_id, since, expect).run(progress)


class _Verification:
    """One run over a chain: the last entry that held, and the events that come next."""

    def __init__(
        self,
        connection: Connection,
        keys: dict[str, SealKey],
        workspace_id: str,
        since: Anchor,
        expect: Anchor | None,
    ) -> None:
        self._connection = connection
        self._keys = keys
        self._workspace = workspace_id
        self._since = since
        self._expect = expect
        self._reached = since
        self._late = 0
        self._first_late: int | None = None
        self._horizon = LogCursor(0, 0)
        self._removed = 0
        self._last_removed: str | None = None
        self._events: AsyncIterator[Any]
        self._event: Any = None

    async def run(self, progress: Progress) -> Verified:
        head = await self._connection.fetchrow(f"{_HEAD} WHERE workspace_id = $1", self._workspace)
        last = await self._connection.fetchrow(f"{_HEAD} ORDER BY event_xid DESC, event_seq DESC LIMIT 1")
        for each in (head, last):
            if each is not None:
                self._check_head(each)
        if head is None and (first := await self._connection.fetchval(_FIRST, self._workspace)) is not None:
            raise Tampered(first, "the head of the chain is missing")
        passed = LogCursor(0, 0) if last is None else LogCursor(last["event_xid"], last["event_seq"])
        if (deferred := await self._connection.fetchrow(_DEFERRED, self._workspace)) is not None:
            passed = LogCursor(deferred["event_xid"], deferred["event_seq"])
        entries = self._cursor(_ENTRIES, self._workspace, max(self._since.number, 1))
        if (removed := await self._connection.fetchrow(_HORIZON)) is not None:
            self._horizon = LogCursor(removed["xid"], removed["seq"])
        start = max(await self._start(entries), self._horizon)
        self._events = self._cursor(_EVENTS, self._workspace, str(start.xid), start.seq, str(passed.xid), passed.seq)
        self._event = await anext(self._events, None)
        async for entry in entries:
            await self._take(entry)
            progress(self._reached.number)
        self._check_end(head)
        pending = await self._connection.fetchval(_PENDING, self._workspace, str(passed.xid), passed.seq)
        late = self._late, self._first_late
        return Verified(self._reached, pending, *late, self._removed, self._last_removed)

    def _cursor(self, query: str, *arguments: Any) -> AsyncIterator[Any]:
        return aiter(self._connection.cursor(query, *arguments, prefetch=ROWS_PER_FETCH))

    def _check_head(self, head: Any) -> None:
        key = self._keys.get(head["key_id"])
        if key is None:
            raise Tampered(head["number"], _unknown_key("the head of the chain", head["key_id"]))
        if head_seal(key, head) != head["seal"]:
            raise Tampered(head["number"], f"the head of the chain of workspace {head['workspace_id']} was altered")

    async def _start(self, entries: AsyncIterator[Any]) -> LogCursor:
        """Return the position behind which events are to be looked at: that of the entry to start from."""
        if self._since is BEGINNING:
            return LogCursor(0, 0)
        entry = await anext(entries, None)
        if entry is None or entry["number"] != self._since.number:
            raise Tampered(self._since.number, "it is missing; its hash was given as --since")
        if entry["hash"] != self._since.hash:
            raise Tampered(self._since.number, "it is not the one whose hash was given as --since")
        self._check_hash(entry, entry["previous_hash"])
        return LogCursor(entry["event_xid"], entry["event_seq"])

    async def _take(self, entry: Any) -> None:
        """Hold the next entry against what came before it, and against its event. Raises Tampered."""
        number = self._reached.number + 1
        if entry["number"] != number:
            raise Tampered(number, "it is missing")
        if entry["previous_hash"] != self._reached.hash:
            raise Tampered(number, "it does not follow the entry before it")
        self._check_hash(entry, self._reached.hash)
        position = LogCursor(entry["event_xid"], entry["event_seq"])
        if position <= self._horizon:
            self._removed += 1
            self._last_removed = entry["at"]
        else:
            self._hold_event(entry, number, position)
        if self._expect is not None and self._expect.number == number and self._expect.hash != entry["hash"]:
            raise Tampered(number, "it is not the one whose hash was given as --expect")
        if _time(entry["sealed_at"]) - _time(entry["at"]) > LATE:
            self._late += 1
            self._first_late = self._first_late or number
        self._reached = Anchor(number, entry["hash"])
        if position > self._horizon:
            self._event = await anext(self._events, None)

    def _hold_event(self, entry: Any, number: int, position: LogCursor) -> None:
        event = self._event
        if event is not None and LogCursor(event["xid"], event["seq"]) < position:
            raise Tampered(number, f"an event stands before it that was never sealed: {_named(event)}")
        if event is None or LogCursor(event["xid"], event["seq"]) != position:
            raise Tampered(number, f"its event is gone: {entry['type']} at {position.encode()}")
        if entry["digest"] not in event_digests(event, first_form=entry["actor_kind"] is None):
            raise Tampered(number, f"its event was altered: {', '.join(differing(entry, event))}")

    def _check_hash(self, entry: Any, previous: str) -> None:
        key = self._keys.get(entry["key_id"])
        if key is None:
            raise Tampered(entry["number"], _unknown_key("it", entry["key_id"]))
        if entry_hash(key, previous, entry) != entry["hash"]:
            raise Tampered(entry["number"], "it was altered, moved, or not sealed by this installation")

    def _check_end(self, head: Any) -> None:
        """Hold what came after the last entry against the head and the log. Raises Tampered."""
        number = self._reached.number
        sealed = 0 if head is None else head["number"]
        if sealed > number:
            raise Tampered(number + 1, f"it is missing, and what followed: the chain had {sealed} entries")
        if sealed < number:
            raise Tampered(sealed + 1, "it stands behind the head of the chain")
        if head is not None and head["hash"] != self._reached.hash:
            raise Tampered(number, "it is not the one that the head of the chain names")
        if self._event is not None:
            raise Tampered(number + 1, f"an event was never sealed though later ones were: {_named(self._event)}")
        if self._expect is not None and self._expect.number > number:
            raise Tampered(self._expect.number, "it is missing; its hash was given as --expect")


def _named(event: Any) -> str:
    return f"{event['type']} at {LogCursor(event['xid'], event['seq']).encode()}"


def _unknown_key(what: str, key_id: str) -> str:
    return (
        f"{what} is sealed under the key {key_id}, which none of the secrets makes: give the secret from back then in"
        " CRM_AUDIT_SECRETS"
    )


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
