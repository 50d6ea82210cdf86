"""The keys of a workspace as pure functions: what is encrypted opens at its place, and nothing else opens anywhere."""

from __future__ import annotations

import base64
import os
import string

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from crm_graph.kernel.errors import Unreadable
from crm_graph.vault.keys import Place, WorkspaceKeys, version_of

WORKSPACE, OTHER_WORKSPACE = "1" * 32, "2" * 32
DATA = {1: AESGCM(b"a" * 32), 2: AESGCM(b"b" * 32)}
INDEX = {1: b"i" * 32}
KEYS = WorkspaceKeys(WORKSPACE, DATA, INDEX)
HERE = Place("contact.national_id", "c" * 32)
ELSEWHERE = [
    Place("contact.national_id", "d" * 32),
    Place("contact.passport", "c" * 32),
    Place("contact.national_id"),
    Place("contact", "national_id" + "c" * 32),
    Place("", "contact.national_id" + "c" * 32),
]
ALPHABET = string.ascii_letters + string.digits + "-_"


@given(st.binary(max_size=300))
def test_what_is_encrypted_opens_at_its_place(data: bytes) -> None:
    text = KEYS.encrypt(data, HERE)
    assert KEYS.decrypt(text, HERE) == data
    assert version_of(text) == 2
    assert text != KEYS.encrypt(data, HERE), "each has its own nonce"


@given(st.binary(max_size=40), st.data())
def test_no_other_text_opens(data: bytes, draw: st.DataObject) -> None:
    text = KEYS.encrypt(data, HERE)
    start = len("e1.2.")
    at = draw.draw(st.integers(start, len(text) - 1))
    letter = draw.draw(st.sampled_from(ALPHABET.replace(text[at], "")))
    for tampered in (text[:at] + letter + text[at + 1 :], text[:at], text[:at] + text[at + 1 :], text + letter):
        with pytest.raises(Unreadable):
            KEYS.decrypt(tampered, HERE)


def test_every_flipped_bit_is_noticed() -> None:
    head, _, body = KEYS.encrypt(b"11010519491231002X", HERE).rpartition(".")
    sealed = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))
    for bit in range(len(sealed) * 8):
        flipped = bytearray(sealed)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(Unreadable):
            KEYS.decrypt(f"{head}.{base64.urlsafe_b64encode(flipped).rstrip(b'=').decode()}", HERE)


@pytest.mark.parametrize("place", ELSEWHERE, ids=str)
def test_a_moved_ciphertext_does_not_open(place: Place) -> None:
    text = KEYS.encrypt(b"11010519491231002X", HERE)
    with pytest.raises(Unreadable):
        KEYS.decrypt(text, place)


def test_another_workspace_with_the_same_keys_does_not_open_it() -> None:
    text = KEYS.encrypt(b"11010519491231002X", HERE)
    with pytest.raises(Unreadable):
        WorkspaceKeys(OTHER_WORKSPACE, DATA, INDEX).decrypt(text, HERE)


@pytest.mark.parametrize("version", ["1", "3", "02", "0", "-2", "", "2.2", "٢"])
def test_another_version_does_not_open_it(version: str) -> None:
    text = KEYS.encrypt(b"11010519491231002X", HERE)
    with pytest.raises(Unreadable):
        KEYS.decrypt(text.replace("e1.2.", f"e1.{version}."), HERE)


@pytest.mark.parametrize(
    "text", ["", "e1", "e1.2.", "e2.2." + "A" * 60, "11010519491231002X", "e1.2." + "A" * 37, " e1.2." + "A" * 60]
)
def test_what_is_no_ciphertext_is_not_taken_for_one(text: str) -> None:
    assert version_of(text) == 0 or not text.strip().startswith("e2")
    with pytest.raises(Unreadable):
        KEYS.decrypt(text, HERE)


def test_older_versions_open_and_are_not_used_any_more() -> None:
    text = WorkspaceKeys(WORKSPACE, {1: DATA[1]}, INDEX).encrypt(b"old", HERE)
    assert version_of(text) == 1
    assert KEYS.decrypt(text, HERE) == b"old"
    assert version_of(KEYS.encrypt(b"new", HERE)) == 2


@given(st.text(max_size=30), st.text(max_size=30))
def test_blind_indexes_are_equal_where_texts_are(one: str, other: str) -> None:
    blind = KEYS.blind(one, "contact.national_id")
    assert (blind == KEYS.blind(other, "contact.national_id")) == (one == other)
    assert blind != KEYS.blind(one, "contact.passport"), "columns cannot be compared"
    assert blind != WorkspaceKeys(WORKSPACE, DATA, {1: os.urandom(32)}).blind(one, "contact.national_id")


def test_while_the_index_is_made_anew_a_value_has_two() -> None:
    both = WorkspaceKeys(WORKSPACE, DATA, {1: INDEX[1], 2: b"j" * 32}).blind("x", "c")
    assert [text.partition(".")[0] for text in both] == ["b2", "b1"]
    assert both[1:] == KEYS.blind("x", "c")


def test_nothing_of_keys_or_values_is_in_what_is_printed() -> None:
    text = KEYS.encrypt(b"11010519491231002X", HERE)
    with pytest.raises(Unreadable) as caught:
        KEYS.decrypt(text, ELSEWHERE[0])
    shown = f"{KEYS!r} {caught.value}"
    assert "11010519491231002X" not in shown
    assert text not in shown
    assert "aaaa" not in shown
