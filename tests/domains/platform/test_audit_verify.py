"""Whatever somebody does to the log or the trail by plain SQL is found and named."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from crm_graph.domains.platform.audit.verify import Anchor
from tests.support.trail import SECRET, Trail, now, trail_of

EVENTS = 6
_EVENT_OF = "(SELECT event_seq FROM audit_entry WHERE workspace_id = $1 AND number = {})"
_SWAP = (
    "UPDATE audit_entry SET number = -1 WHERE workspace_id = $1 AND number = 2",
    "UPDATE audit_entry SET number = 2 WHERE workspace_id = $1 AND number = 3",
    "UPDATE audit_entry SET number = 3 WHERE workspace_id = $1 AND number = -1",
)
_RENUMBER = "UPDATE audit_entry SET number = number - 1 WHERE workspace_id = $1 AND number > 3"
_COPY = (
    "INSERT INTO event (workspace_id, seq, xid, type, entity, entity_id, actor, at, changes, data) OVERRIDING SYSTEM"
    " VALUE SELECT workspace_id, seq + 100000, xid, type, entity, entity_id, actor, at, changes, data FROM event"
    f" WHERE workspace_id = $1 AND seq = {_EVENT_OF.format(2)}"
)
_FORGE = (
    "INSERT INTO audit_entry SELECT workspace_id, number + 1, gen_random_uuid(), event_xid, event_seq + 100000, type,"
    " entity, record_id, record_ids, fields, actor_id, client_id, address, request_id, at, sealed_at, key_id, digest,"
    f" hash, repeat('a', 64) FROM audit_entry WHERE workspace_id = $1 AND number = {EVENTS}"
)


@pytest.fixture
async def trail(postgres: str, database_url: str) -> AsyncIterator[Trail]:
    """A sealed trail of six events, in transactions of their own."""
    assert database_url, "makes the template"
    async with trail_of(postgres, "verify") as made:
        for _ in range(EVENTS):
            await made.write()
        await made.seal(batch=4)
        yield made


def _event(change: str, number: int = 4) -> str:
    return f"UPDATE event SET {change} WHERE workspace_id = $1 AND seq = {_EVENT_OF.format(number)}"


def _entry(change: str, number: int = 4) -> str:
    return f"UPDATE audit_entry SET {change} WHERE workspace_id = $1 AND number = {number}"


ALTERED = "altered, moved, or not sealed"
OTHER = "gen_random_uuid()"
TAMPERING: dict[str, tuple[tuple[str, ...], int, str]] = {
    "event's actor": ((_event(f"actor = {OTHER}"),), 4, "its event was altered: actor"),
    "event's record": ((_event(f"entity_id = {OTHER}"),), 4, "its event was altered: entity_id"),
    "event's type": ((_event("type = 'CustomerCreated'"),), 4, "its event was altered: type"),
    "event's entity": ((_event("entity = 'Contact'"),), 4, "its event was altered: entity"),
    "event's address": ((_event("address = NULL"),), 4, "its event was altered: address"),
    "event's client": ((_event("client_id = NULL"),), 4, "its event was altered: client_id"),
    "event's request": ((_event(f"request_id = {OTHER}"),), 4, "its event was altered: request_id"),
    "event's kind of actor": ((_event("actor_kind = 'RULE'"),), 4, "its event was altered: actor_kind"),
    "event's kind of actor forgotten": ((_event("actor_kind = NULL"),), 4, "its event was altered"),
    "event's cause": ((_event("cause_seq = 1"),), 4, "its event was altered: changes or data"),
    "event's time": ((_event("at = at - interval '1 microsecond'"),), 4, "its event was altered: at"),
    "event's data": ((_event("""data = '{"a": 1}'"""),), 4, "its event was altered: changes or data"),
    "the 20th digit of a change": (
        (_event("""changes = jsonb_set(changes, '{score,1}', '12345678901234567891')"""),),
        4,
        "its event was altered: changes or data",
    ),
    "event deleted": ((f"DELETE FROM event WHERE workspace_id = $1 AND seq = {_EVENT_OF.format(4)}",), 4, "is gone"),
    "first event deleted": (
        (f"DELETE FROM event WHERE workspace_id = $1 AND seq = {_EVENT_OF.format(1)}",),
        1,
        "is gone",
    ),
    "last event deleted": (
        (f"DELETE FROM event WHERE workspace_id = $1 AND seq = {_EVENT_OF.format(EVENTS)}",),
        EVENTS,
        "is gone",
    ),
    "event inserted into the past": ((_COPY,), 3, "an event stands before it that was never sealed"),
    "events' order": ((_event("xid = '4'"),), 1, "an event stands before it that was never sealed"),
    "entry's actor": ((_entry(f"actor_id = {OTHER}"),), 4, ALTERED),
    "entry's kind of actor": ((_entry("actor_kind = 'RULE'"),), 4, ALTERED),
    "entry's kind of actor forgotten": ((_entry("actor_kind = NULL"),), 4, ALTERED),
    "entry's fields": ((_entry("fields = '{}'"),), 4, ALTERED),
    "entry's records": ((_entry("record_ids = '{cus_1}'"),), 4, ALTERED),
    "entry's record": ((_entry("record_id = 'cus_1'"),), 4, ALTERED),
    "entry's time": ((_entry("at = at + interval '1 second'"),), 4, ALTERED),
    "entry's sealing time": ((_entry("sealed_at = sealed_at - interval '1 second'"),), 4, ALTERED),
    "entry's digest": ((_entry("digest = repeat('0', 64)"),), 4, ALTERED),
    "entry's id": ((_entry(f"id = {OTHER}"),), 4, ALTERED),
    "entry's hash": ((_entry("hash = repeat('0', 64)"),), 4, ALTERED),
    "entry's key": ((_entry("key_id = '00'"),), 4, "none of the secrets"),
    "entry's predecessor": ((_entry("previous_hash = repeat('0', 64)"),), 4, "does not follow"),
    "entry and event alike": (
        (_event("address = '192.0.2.1'"), _entry("address = '192.0.2.1'")),
        4,
        ALTERED,
    ),
    "entry deleted": (("DELETE FROM audit_entry WHERE workspace_id = $1 AND number = 3",), 3, "missing"),
    "first entry deleted": (("DELETE FROM audit_entry WHERE workspace_id = $1 AND number = 1",), 1, "missing"),
    "entry and event deleted, the rest renumbered": (
        (
            f"DELETE FROM event WHERE workspace_id = $1 AND seq = {_EVENT_OF.format(3)}",
            "DELETE FROM audit_entry WHERE workspace_id = $1 AND number = 3",
            _RENUMBER,
        ),
        3,
        "does not follow",
    ),
    "entries swapped": (_SWAP, 2, "does not follow"),
    "cut off at the end": (
        ("DELETE FROM audit_entry WHERE workspace_id = $1 AND number > 4",),
        5,
        f"the chain had {EVENTS} entries",
    ),
    "cut off with their events": (
        (
            f"DELETE FROM event WHERE workspace_id = $1 AND seq >= {_EVENT_OF.format(5)}",
            "DELETE FROM audit_entry WHERE workspace_id = $1 AND number > 4",
        ),
        5,
        f"the chain had {EVENTS} entries",
    ),
    "cut off with their events, and the head set back": (
        (
            f"DELETE FROM event WHERE workspace_id = $1 AND seq >= {_EVENT_OF.format(5)}",
            "DELETE FROM audit_entry WHERE workspace_id = $1 AND number > 4",
            "UPDATE audit_head SET (number, hash, event_xid, event_seq) = (SELECT number, hash, event_xid, event_seq"
            " FROM audit_entry WHERE workspace_id = $1 AND number = 4) WHERE workspace_id = $1",
        ),
        4,
        "head of the chain",
    ),
    "head deleted": (("DELETE FROM audit_head WHERE workspace_id = $1",), 1, "the head of the chain is missing"),
    "everything of the trail deleted, another workspace's left": (
        ("DELETE FROM audit_head WHERE workspace_id = $1", "DELETE FROM audit_entry WHERE workspace_id = $1"),
        1,
        "an event was never sealed though later ones were",
    ),
    "entry put behind the end": ((_FORGE,), EVENTS + 1, ALTERED),
}


@pytest.mark.parametrize("kind", TAMPERING)
async def test_tampering_is_found_and_named(trail: Trail, kind: str) -> None:
    statements, number, what = TAMPERING[kind]
    if "another workspace" in kind:
        await trail.write(1, trail.second)
        await trail.seal()
    assert (await trail.verify()).head.number == EVENTS
    for statement in statements:
        await trail.sql(statement)
    found = await trail.wrong()
    assert found[0] == number, found
    assert what in found[1], found


async def test_an_entry_of_another_workspace_is_none_of_this_one(trail: Trail) -> None:
    await trail.write(1, trail.second)
    await trail.seal()
    await trail.connection.execute("DELETE FROM audit_entry WHERE workspace_id = $1", trail.second)
    await trail.connection.execute("DELETE FROM audit_head WHERE workspace_id = $1", trail.second)
    await trail.sql("UPDATE audit_entry SET workspace_id = $2 WHERE workspace_id = $1 AND number = 1", trail.second)
    assert (await trail.wrong(trail.second))[0] == 1
    assert await trail.wrong() == (1, "it is missing")


async def test_a_head_that_was_kept_finds_a_trail_made_anew_with_the_secret(trail: Trail) -> None:
    """Whoever has database and secret can change an event and seal everything again: only the kept head tells."""
    kept = (await trail.verify()).head
    await trail.verify(expect=kept)
    await trail.sql(_event("address = '192.0.2.1'"))
    for table in ("audit_entry", "audit_head"):
        await trail.connection.execute(f"TRUNCATE {table}")
    await trail.seal()
    assert (await trail.verify()).head.number == EVENTS
    assert await trail.wrong(expect=kept) == (EVENTS, "it is not the one whose hash was given as --expect")


async def test_a_head_that_was_kept_finds_what_was_cut_off(trail: Trail) -> None:
    kept = (await trail.verify()).head
    head = (await trail.sql("SELECT * FROM audit_head WHERE workspace_id = $1"))[0]
    await trail.write(2)
    await trail.seal()
    later = (await trail.verify()).head
    await trail.sql(f"DELETE FROM event WHERE workspace_id = $1 AND seq >= {_EVENT_OF.format(EVENTS + 1)}")
    await trail.sql("DELETE FROM audit_entry WHERE workspace_id = $1 AND number > $2", EVENTS)
    await trail.sql(  # from a backup: the one way without the secret
        "UPDATE audit_head SET number = $2, hash = $3, event_xid = $4, event_seq = $5, seal = $6"
        " WHERE workspace_id = $1",
        *(head[name] for name in ("number", "hash", "event_xid", "event_seq", "seal")),
    )
    await trail.verify(expect=kept)
    assert await trail.wrong(expect=later) == (later.number, "it is missing; its hash was given as --expect")


async def test_a_trail_made_anew_shows_by_its_times(trail: Trail) -> None:
    for table in ("audit_entry", "audit_head"):
        await trail.connection.execute(f"TRUNCATE {table}")
    await trail.seal(clock=lambda: now() + timedelta(days=2))
    found = await trail.verify()
    assert (found.late, found.first_late) == (EVENTS, 1)


async def test_verification_goes_on_from_where_it_was(trail: Trail) -> None:
    first = (await trail.verify()).head
    await trail.write(2)
    await trail.seal()
    whole, rest = await trail.verify(), await trail.verify(since=first)
    assert whole == rest
    assert whole.head.number == EVENTS + 2
    await trail.sql(_event("address = 'x'", 2))
    await trail.verify(since=first)  # what lies before was verified then
    await trail.sql(_event("address = 'x'", EVENTS + 2))
    assert (await trail.wrong(since=first))[0] == EVENTS + 2
    assert await trail.wrong(since=Anchor(3, first.hash)) == (
        3,
        "it is not the one whose hash was given as --since",
    )
    assert await trail.wrong(since=Anchor(99, first.hash)) == (99, "it is missing; its hash was given as --since")


async def test_what_is_not_sealed_yet_is_counted(trail: Trail) -> None:
    await trail.write(3)
    found = await trail.verify()
    assert (found.head.number, found.pending) == (EVENTS, 3)


async def test_another_secret_verifies_nothing(trail: Trail) -> None:
    trail.secrets = [b"x" * 32]
    assert "none of the secrets" in (await trail.wrong())[1]
    trail.secrets = [SECRET]
    await trail.verify()


@pytest.mark.parametrize("text", ["", "1", "0:" + "a" * 64, "1:" + "A" * 64, "1:" + "a" * 63, "-1:" + "a" * 64, "²:1"])
def test_an_anchor_is_a_number_and_a_hash(text: str) -> None:
    assert Anchor.parse(text) is None
    assert Anchor.parse("12:" + "a" * 64) == Anchor(12, "a" * 64)
