"""What a key is: how the header spells it, whose it is, and what it stands for."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import Any

import pytest

from crm_graph.idempotency.keys import Claim, Sent, checked, of_field, of_request, read_header
from crm_graph.identity.viewer import Viewer
from crm_graph.kernel.errors import BadUserInput

SECRETS = [b"new" * 8, b"old" * 8]
VIEWER = Viewer("0" * 32, "1" * 32, (), (), client_id="2" * 32)
SENT = Sent("d" * 64, "Make", {"a": 1, "b": {"x": [1, None], "y": "名"}}, "key")

SPELLINGS = {
    "a string of RFC 8941": ('"8e03978e-40d5"', "8e03978e-40d5"),
    "bare, as Stripe's clients send it": ("8e03978e-40d5", "8e03978e-40d5"),
    "blanks around it": (' \t"a"  ', "a"),
    "blanks in it": ('"a b, c"', "a b, c"),
    "escaped": (r'"a\"b\\c"', r'a"b\c'),
    "with parameters, which mean nothing": ('"a";v=1; w', "a"),
    "Base64": ("q+/4=", "q+/4="),
    "255 letters": (f'"{"x" * 255}"', "x" * 255),
    "255 letters after escapes": ('"' + r"\"" * 255 + '"', '"' * 255),
}
BAD = {
    "empty": ("", "`Idempotency-Key` is empty. Send one that you make for this one request, a UUID say"),
    "an empty string": ('""', "is empty"),
    "a blank string": ('"  "', "is empty"),
    "300 letters": ("x" * 300, "has 300 letters: 255 is the most. Send one that you make"),
    "300 letters in a string": (f'"{"x" * 300}"', "has 300 letters: 255 is the most"),
    "not closed": ('"abc', 'is no string: write it as `Idempotency-Key: "8e03978e'),
    "something behind it": ('"abc" def', "is no string"),
    "two in one": ("abc, def", "is no string"),
    "another escape": (r'"a\nb"', "is no string"),
    "a tab within": ('"a\tb"', "is no string"),
    "a control character": ('"a\x01b"', "is no string"),
    "a bare control character": ("a\x7fb", "is no string"),
    "no ASCII": ("clé", "is no string"),
    "no ASCII in a string": ('"clé"', "is no string"),
    "30,000 backslashes": ('"' + "\\" * 30_001, "is no string"),
}


@pytest.mark.parametrize(("text", "key"), SPELLINGS.values(), ids=SPELLINGS.keys())
def test_how_the_header_spells_it(text: str, key: str) -> None:
    assert read_header([text]) == key


@pytest.mark.parametrize(("text", "says"), BAD.values(), ids=BAD.keys())
def test_what_is_no_key_is_said_with_what_to_do(text: str, says: str) -> None:
    with pytest.raises(BadUserInput) as caught:
        read_header([text])
    assert says in caught.value.message
    assert len(caught.value.message) < 250, "it does not repeat what was sent"


def test_two_headers_are_refused() -> None:
    with pytest.raises(BadUserInput, match="came 2 times: send one key"):
        read_header(["a", "a"])


@pytest.mark.parametrize("key", ["\0", "a\nb", "\x7f", "\x85", "a\x9f"])
def test_a_control_character_in_a_directive(key: str) -> None:
    with pytest.raises(BadUserInput, match=r"The key of `@idempotent` has a control character"):
        checked(key, "The key of `@idempotent`")


def test_letters_and_not_bytes_are_counted() -> None:
    assert checked("名" * 255, "It") == "名" * 255
    with pytest.raises(BadUserInput, match="It has 256 letters"):
        checked("名" * 256, "It")


def of(viewer: Viewer = VIEWER, sent: Sent = SENT, field: str = "make") -> Claim:
    return of_request(viewer, sent, field, SECRETS)


def test_the_same_request_makes_the_same_claim() -> None:
    again = Sent("d" * 64, "Make", {"b": {"y": "名", "x": [1, None]}, "a": 1}, "key")
    assert of(sent=again) == of()


OTHERS: dict[str, Viewer] = {
    "workspace": replace(VIEWER, workspace_id="3" * 32),
    "member": replace(VIEWER, member_id="3" * 32),
    "client": replace(VIEWER, client_id="3" * 32),
    "no client": replace(VIEWER, client_id=None),
    "may only read": replace(VIEWER, read_only=True),
}


@pytest.mark.parametrize("viewer", OTHERS.values(), ids=OTHERS.keys())
def test_a_key_is_of_one_member_and_client(viewer: Viewer) -> None:
    assert of(viewer).key != of().key
    assert of(viewer).lock != of().lock
    assert of_field(viewer, "key", "make", {}, SECRETS).key != of_field(VIEWER, "key", "make", {}, SECRETS).key


def test_session_and_roles_make_no_difference() -> None:
    """Who signs in again, or is given a role, is who they were."""
    assert of(replace(VIEWER, session_id="3" * 32, roles=("admin",), key_id="4" * 32, version=9)) == of()


def test_header_and_directive_have_keys_of_their_own() -> None:
    assert of().key != of_field(VIEWER, "key", "make", {}, SECRETS).key


CONTENTS: dict[str, Sent] = {
    "document": replace(SENT, document="e" * 64),
    "operation": replace(SENT, operation=None),
    "a value": replace(SENT, variables={**SENT.variables, "a": 2}),
    "its type": replace(SENT, variables={**SENT.variables, "a": "1"}),
    "a null for nothing": replace(SENT, variables={**SENT.variables, "c": None}),
    "the order of a list": replace(SENT, variables={"a": 1, "b": {"x": [None, 1], "y": "名"}}),
}


def test_other_content_is_another_request_under_the_same_key() -> None:
    claims = [of(), *(of(sent=sent) for sent in CONTENTS.values())]
    assert {(each.key, each.field) for each in claims} == {(of().key, of().field)}
    for one, other in combinations(claims, 2):
        assert not {*one.requests} & {*other.requests}


def test_fields_of_a_request_are_kept_apart() -> None:
    one, other = of(field="a"), of(field="b")
    assert (one.key, one.requests) == (other.key, other.requests)
    assert one.field != other.field
    assert len(of(field="x" * 60_000).field) == 32, "an alias of any length has an entry of an index"


def test_a_fingerprint_cannot_be_tried_out() -> None:
    """It is of what may be encrypted elsewhere, an identity number say: without the installation's secret nobody finds
    it by trying. One under an older secret is known again."""
    one, other = (of_field(VIEWER, "key", "make", {"input": {"id": "1"}}, [secret]) for secret in SECRETS)
    both: Any = of_field(VIEWER, "key", "make", {"input": {"id": "1"}}, SECRETS)
    assert one.requests != other.requests
    assert both.requests == (*one.requests, *other.requests)
    assert one.key == other.key, "where it is kept does not depend on the secret: it is found after a rotation"
