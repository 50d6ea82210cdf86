"""Record ids."""

from __future__ import annotations

import uuid

from crm_graph.kernel.cursor import LogCursor, scope_in
from crm_graph.kernel.ids import decode_id, encode_id, new_id, split_id


def test_new_ids_are_uuid_version_7_in_order() -> None:
    ids = [new_id() for _ in range(10_000)]
    assert ids == sorted(ids)
    assert len(set(ids)) == 10_000
    assert {uuid.UUID(each).version for each in ids} == {7}
    assert {uuid.UUID(each).variant for each in ids} == {uuid.RFC_4122}


def test_an_id_says_its_type() -> None:
    id_ = new_id()
    assert decode_id("cus", encode_id("cus", id_)) == id_
    assert split_id(f"cus_{id_}") == ("cus", id_)
    for wrong in ("", "cus", f"opp_{id_}", f"cus_{id_}0", f"cus_{id_.upper()}", f"cus_{id_[:-1]}\n", f"_{id_}"):
        assert decode_id("cus", wrong) is None


def test_cursors_round_trip_and_refuse_nonsense() -> None:
    cursor = LogCursor(1234567, 89)
    assert LogCursor.decode(cursor.encode()) == cursor
    for wrong in ("", "-", "1", "1-", "-1", "1-2-3", "g-1", "1-" + "f" * 17, "0x1-1", "１-1", "ffffffffffffffff-1"):
        assert LogCursor.decode(wrong) is None, wrong


def test_cursors_may_say_what_their_reader_could_see() -> None:
    cursor, scope = LogCursor(1234567, 89), "0123456789abcdef"
    text = cursor.encode(scope)
    assert (LogCursor.decode(text), scope_in(text)) == (cursor, scope)
    assert scope_in(cursor.encode()) == ""
    for wrong in (f"{text}0", text[:-1], f"1-{scope}-{scope}-{scope}", f"-{scope}", f"1-2-{scope.upper()}"):
        assert (LogCursor.decode(wrong), scope_in(wrong)) == (None, ""), wrong
