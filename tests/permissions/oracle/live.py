"""Who must be told of a change, and as what: told from the rows before and after it."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from crm_graph.api.body import GraphQLRequest
from crm_graph.api.live.subscriptions import Subscriptions
from crm_graph.events.hub import Feed
from crm_graph.events.log import COLUMNS, Event
from crm_graph.kernel.cursor import LogCursor
from crm_graph.wholes import PARTS
from tests.permissions.oracle.answer import Answer, Oracle
from tests.permissions.oracle.ask import Asker
from tests.permissions.oracle.conditions import Conditions
from tests.permissions.oracle.documents import Printer, Select, Where
from tests.permissions.oracle.filters import matches
from tests.permissions.oracle.judge import Judge, claims_of
from tests.permissions.oracle.kinds import kinds
from tests.permissions.oracle.sight import Sight
from tests.permissions.oracle.world import Row, World

WATCHERS = 3
_NEW = f"SELECT {COLUMNS} FROM event WHERE workspace_id = $1 AND entity = $2 ORDER BY seq"


class WrittenLog:
    """The events of this transaction, which the log itself does not give out before it is committed."""

    position = LogCursor(0, 0)

    def __init__(self, events: Sequence[Event]) -> None:
        self.written = events

    async def newest(self) -> LogCursor:
        """Return a position before all events."""
        return LogCursor(0, 0)

    @contextmanager
    def registered(self, _workspace: str, _entities: Sequence[str]) -> Iterator[Feed]:
        """Lend a feed of the events, which then ends, as the hub would."""
        feed = Feed(LogCursor(0, 0), len(self.written) + 1)
        for event in (*self.written, None):
            feed.put(event)
        yield feed

    async def replay(
        self, _workspace: str, _entities: Sequence[str], _after: LogCursor, _to: LogCursor
    ) -> AsyncIterator[Event]:
        """Yield nothing: all of them are live."""
        for event in self.written[:0]:
            yield event

    async def events(self, _workspace: str, _entities: Sequence[str], _after: LogCursor) -> AsyncIterator[Event]:
        """Yield the events, as the hub would, to whoever reads alone."""
        for event in self.written:
            yield event


@dataclass(slots=True)
class Told:
    """A change of a world, whose watchers are asked what they are told."""

    judge: Judge
    dice: random.Random
    before: World
    after: World


async def check_told(told: Told) -> list[str]:
    """Return what some members are told otherwise than they must be of the changes of opportunities."""
    graph, kind = told.judge.graph, kinds()["Opportunity"]
    rows = await graph.rows(_NEW, told.after.workspace, kind.name)
    events = [Event.of(row) for row in rows]
    if not events:
        return []
    event = events[-1]
    image = _with_image(told.after, told.before.of(kind.name).get(event.entity_id))
    for member in told.dice.sample(told.after.others, min(WATCHERS, len(told.after.others))):
        now = Sight(told.after, member)
        where = _where(told, now)
        select = Asker(told.dice, now, careful=True).select(kind, 1, "change")
        expected = _expected(Sight(image, member), now, event, where, select)
        actual = await _actual(told, member, events, where, select)
        told.judge.counts["changes judged"] += 1
        found = _difference(told.judge, expected, actual)
        if found:
            return [f"{member} watching {where} is told of {event.type}: {found[0]}"]
    return []


def _where(told: Told, sight: Sight) -> Where:
    """Return a filter; none by the version or the time of the last change, whose old values no event keeps."""
    while True:
        where = Conditions(told.dice, sight, careful=True).where(kinds()["Opportunity"], 0)
        if not where.keys() & {"version", "updatedAt"}:
            return where


def _changed_parts(sight: Sight, event: Event) -> Iterator[str]:
    """Yield the connections to parts that changed with the opportunity, where its member may follow them."""
    for each in kinds()["Opportunity"].all("many"):
        target = kinds()[each.target]
        if target.name in event.data.get(PARTS, ()) and sight.reads(target):
            assert target.part is not None
            if not sight.withheld(target, target.fields[target.part]):
                yield each.name


def _difference(judge: Judge, expected: Answer | None, actual: Mapping[str, Any] | None) -> list[str]:
    if expected is None or actual is None:
        return [] if expected is None and actual is None else [f"must be {expected}, is {actual}"]
    data = actual.get("data")
    if data is not None:
        data["opportunityChanged"]["changedFields"].sort()
    return list(judge.compare(expected, actual, "planned"))


def _with_image(after: World, row: Row | None) -> World:
    """Return the world as it is now, but for one opportunity as it was before."""
    rows = {key: value for key, value in after.of("Opportunity").items() if row is None or key != row["id"]}
    if row is not None:
        rows[row["id"]] = row
    return replace(after, rows={**after.rows, "Opportunity": rows})


def _expected(before: Sight, after: Sight, event: Event, where: Where, select: Select) -> Answer | None:
    """Return what must be sent, or None where nothing may be."""
    kind = kinds()["Opportunity"]
    was = event.type not in {"OpportunityCreated", "OpportunityRestored"} and _matches(before, event.entity_id, where)
    is_ = event.type != "OpportunityDeleted" and _matches(after, event.entity_id, where)
    if not was and not is_:
        return None
    record = Oracle(after).record(select, event.entity_id if is_ else "")
    change = {"recordId": f"opp_{event.entity_id}", "changedFields": [], "opportunity": record.data}
    if is_:
        change["kind"] = "CREATED" if event.type == "OpportunityCreated" else "UPDATED" if was else "ENTERED"
        changed = [
            each.name
            for each in kind.governed
            if not after.withheld(kind, each) and any(column in event.changes for column in each.columns)
        ]
        change["changedFields"] = sorted([*changed, *_changed_parts(after, event)])
    else:
        change["kind"] = "DELETED" if event.type == "OpportunityDeleted" else "LEFT"
    return Answer({"opportunityChanged": change}, record.forbidden, record.withheld)


def _matches(sight: Sight, key: str, where: Where) -> bool:
    kind = kinds()["Opportunity"]
    row = sight.world.of(kind.name).get(key)
    return row is not None and sight.sees(kind, row) and matches(sight, kind, row, where)


async def _actual(
    told: Told, member: str, events: Sequence[Event], where: Where, select: Select
) -> Mapping[str, Any] | None:
    """Return what the member is sent for the last event."""
    engine = told.judge.graph.engine
    claims = claims_of(Sight(told.after, member))
    log: Any = WrittenLog(events[-1:])
    hub, subscriptions, engine.hub = engine.hub, engine.subscriptions, log
    engine.subscriptions = Subscriptions(engine)
    try:
        printer = Printer({})
        selected = f"kind recordId changedFields opportunity {printer.select(select)}"
        declared = "".join(f", ${name}: {type_}" for name, (type_, _) in printer.variables.items())
        body = f"opportunityChanged(where: $where) {{ {selected} }}"
        source = f"subscription($where: OpportunityFilter{declared}) {{ {body} }}"
        variables = {"where": where, **{name: value for name, (_, value) in printer.variables.items()}}
        request = GraphQLRequest(source, None, variables)
        operation = await engine.admission.operation(request, claims)
        refusal, stream = await engine.subscribe(request, operation, lambda: claims)
        if refusal is not None:
            return refusal.body
        sent = [answer.body async for _, answer in stream]
    finally:
        engine.hub, engine.subscriptions = hub, subscriptions
    return sent[0] if sent else None
