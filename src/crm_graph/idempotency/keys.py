"""What an idempotency key is: how a request says it, whose it is, and what it was given for.

The header is that of draft-ietf-httpapi-idempotency-key-header, a string of RFC 8941 (`"8e03978e-40d5"`), or bare, as
many clients send it (`8e03978e-40d5`): both spell the same key.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from crm_graph.identity.viewer import Viewer
from crm_graph.kernel.errors import BadUserInput

MAX_KEY_LETTERS = 255
PURPOSE = "idempotency"
"""What the keys of fingerprints are derived for (`Services.keys`)."""
_QUOTED = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])*)"(?: *;.*)?\Z')
"""A string of RFC 8941; the draft defines no parameters, so those that come are ignored."""
_BARE = re.compile(r"[!#-+\--\[\]-~]+\Z")
"""Printable ASCII without blanks, commas, quotes and backslashes: those need quoting."""
_ESCAPED = re.compile(r'\\(["\\])')
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_HEADER = "The header `Idempotency-Key`"
_ADVICE = "Send one that you make for this one request, a UUID say, and send it again with every retry."


@dataclass(frozen=True, slots=True)
class Sent:
    """What a request sent by which it is known again. `document` is the SHA-256 of its source, in hex digits; `key` is
    that of its header."""

    document: str
    operation: str | None
    variables: Mapping[str, Any]
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """One field that is to be done once. `key` stands for whose key it is and its text, `field` for the field of the
    request; `requests` are the fingerprints of what it asks for, under each of the installation's secrets, the newest
    first: an answer may have been kept under an older one."""

    workspace_id: str
    key: bytes
    field: bytes
    requests: tuple[bytes, ...]

    @property
    def lock(self) -> int:
        """The number of the advisory lock of all fields under this key."""
        return int.from_bytes(self.key[:8], "big", signed=True)


def of_request(viewer: Viewer, sent: Sent, response_key: str, secrets: Sequence[bytes]) -> Claim:
    """Return the claim of a field under the key of its request, which stands for the document, the operation and all
    variables; each field of it is done, and kept, by itself."""
    request = "request", sent.document, sent.operation, sent.variables
    assert sent.key is not None
    return _claim(viewer, ("header", sent.key), response_key, request, secrets)


def of_field(viewer: Viewer, key: str, name: str, arguments: Mapping[str, Any], secrets: Sequence[bytes]) -> Claim:
    """Return the claim of a field under a key of its own, which stands for the field and its arguments, as they were
    sent: what is selected of the answer may be something else."""
    return _claim(viewer, ("directive", key), "", ("field", name, arguments), secrets)


def _claim(
    viewer: Viewer, key: tuple[str, str], field: str, request: tuple[Any, ...], secrets: Sequence[bytes]
) -> Claim:
    """Return a claim. A fingerprint is keyed: it may be of values that are encrypted elsewhere, which nobody is to find
    by trying. A credential that may only read has keys of its own, so that it is answered nothing that was written."""
    owner = viewer.workspace_id, viewer.member_id, viewer.client_id, viewer.read_only
    message = orjson.dumps(request, option=orjson.OPT_SORT_KEYS)
    return Claim(
        viewer.workspace_id,
        hashlib.sha256(orjson.dumps((*owner, *key))).digest(),
        hashlib.sha256(field.encode()).digest(),
        tuple(hmac.digest(secret, message, "sha256") for secret in secrets),
    )


def read_header(values: Sequence[str]) -> str:
    """Return the key that the header says, given all of its values. Raises BadUserInput, saying how to mend it."""
    if len(values) > 1:
        raise BadUserInput(f"{_HEADER} came {len(values)} times: send one key.")
    text = values[0].strip(" \t")
    quoted = _QUOTED.match(text)
    if quoted is not None:
        return checked(_ESCAPED.sub(r"\1", quoted[1]), _HEADER)
    if not text or _BARE.match(text):
        return checked(text, _HEADER)
    raise BadUserInput(
        f"{_HEADER} is no string: write it as"
        ' `Idempotency-Key: "8e03978e-40d5-43dd-bc93-6894a57f9324"`, in printable ASCII.'
    )


def checked(key: str, what: str) -> str:
    """Return a key as it is. Raises BadUserInput, naming `what` said it and how to mend it."""
    if len(key) > MAX_KEY_LETTERS:
        raise BadUserInput(f"{what} has {len(key):,} letters: {MAX_KEY_LETTERS} is the most. {_ADVICE}")
    if _CONTROL.search(key):
        raise BadUserInput(f"{what} has a control character. {_ADVICE}")
    if not key.strip():
        raise BadUserInput(f"{what} is empty. {_ADVICE}")
    return key
