"""A client that keeps a list: it reads it once, and from then on applies what a subscription tells it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from crm_graph.api.body import GraphQLRequest
from crm_graph.identity.tokens import Claims
from crm_graph.kernel.cursor import LogCursor
from tests.support.live import Running

_LAST = "SELECT xid::text::bigint AS xid, seq FROM event ORDER BY event.xid DESC, seq DESC LIMIT 1"
COMES, GOES = {"CREATED", "ENTERED"}, {"LEFT", "DELETED"}


@dataclass(slots=True, eq=False)
class Follower:
    """One member's list of the records of a type within a filter: `Opportunity`, `opportunities`."""

    live: Running
    claims: Claims
    type: str
    plural: str
    where: dict[str, Any]
    ids: set[str] = field(default_factory=set)
    told: list[tuple[str, str | None]] = field(default_factory=list)
    """Kind and id of all changes, in their order."""
    wrong: list[str] = field(default_factory=list)
    """What it was told that cannot be, for what it had."""
    cursor: str | None = None
    settled: LogCursor = LogCursor(0, 0)  # noqa: RUF009 - a tuple
    """Up to here what it is told may be older than its list, which it has read since."""
    forgets: bool = False
    """Whether the filter reads parts that go with their whole."""
    _stream: Any = None
    _waiting: asyncio.Task[Any] | None = None

    async def may(self) -> bool:
        """Return whether the member may filter so."""
        body = await self.live.answer(self.claims, self._list, {"where": self.where})
        return body.get("data") is not None

    @property
    def _list(self) -> str:
        return (
            f"query($where: {self.type}Filter!, $after: String) {{ {self.plural}(where: $where, first: 200,"
            " after: $after) { nodes { id } pageInfo { hasNextPage endCursor } } }"
        )

    async def start(self) -> None:
        """Subscribe, from the cursor where there is one, and read the list where there is none."""
        field_ = f"{self.type[0].lower()}{self.type[1:]}Changed"
        source = (
            f"subscription($where: {self.type}Filter!, $after: Cursor) {{ {field_}(where: $where, after: $after)"
            " { cursor kind recordId } }"
        )
        request = GraphQLRequest(source, None, {"where": self.where, "after": self.cursor})
        operation = await self.live.engine.admission.operation(request, self.claims)
        refusal, self._stream = await self.live.engine.subscribe(request, operation, lambda: self.claims)
        assert refusal is None, refusal.body
        if self.cursor is None:
            self.cursor, self.ids = self._stream.cursor, await self.listed()
            self.settled = await self.end()

    async def stop(self) -> None:
        """Leave; `start` goes on from where this was."""
        if self._waiting is not None:
            self._waiting.cancel()
            await asyncio.gather(self._waiting, return_exceptions=True)
            self._waiting = None
        await self._stream.aclose()

    async def listed(self) -> set[str]:
        """Return the ids of the list as queried anew."""
        found: set[str] = set()
        after = None
        while True:
            page = (await self.live.data(self.claims, self._list, {"where": self.where, "after": after}))[self.plural]
            found |= {node["id"] for node in page["nodes"]}
            after = page["pageInfo"]["endCursor"]
            if not page["pageInfo"]["hasNextPage"]:
                return found

    async def end(self) -> LogCursor:
        """Return the position of the last event that was written."""
        row = await self.live.connection.fetchrow(_LAST)
        assert row is not None
        return LogCursor(row["xid"], row["seq"])

    async def catch_up(self) -> list[tuple[str, str | None]]:
        """Apply all that there is to be told of what was written so far; return what that was."""
        end = await self.end()
        first = len(self.told)
        async with asyncio.timeout(60):
            while True:
                if self._waiting is None:
                    self._waiting = asyncio.ensure_future(anext(self._stream))
                await asyncio.wait({self._waiting}, timeout=0.01)
                if self._waiting.done():
                    cursor, answer = self._waiting.result()
                    self._waiting = None
                    await self._apply(cursor, answer.body)
                elif (LogCursor.decode(self._stream.cursor) or end) >= end:
                    self.cursor = self._stream.cursor
                    return self.told[first:]

    async def _apply(self, cursor: str, body: dict[str, Any]) -> None:
        assert "errors" not in body, body
        (change,) = body["data"].values()
        kind, id_ = change["kind"], change["recordId"]
        assert change["cursor"] == cursor
        self.cursor = cursor
        self.told.append((kind, id_))
        if kind == "RESYNC":
            self.ids = await self.listed()
            self.settled = await self.end()
            return
        # A record that is deleted may have gone with parts that the log does not keep: then it is asked without them.
        late, had = (LogCursor.decode(cursor) or self.settled) <= self.settled, id_ in self.ids
        if not late and (kind in COMES) == had and not (kind == "DELETED" and self.forgets):
            self.wrong.append(f"{kind} {id_}, which it {'had' if id_ in self.ids else 'did not have'}")
        if kind in GOES:
            self.ids.discard(id_)
        else:
            self.ids.add(id_)
