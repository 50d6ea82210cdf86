"""The keys of one workspace in clear, and what they do: pure functions of keys and texts, no database.

A ciphertext is `e1.<version of the key>.<base64url of nonce, ciphertext and tag>`; a blind index is
`b<version of the key>.<base64url of 16 bytes>`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from crm_graph.kernel.errors import Unreadable

DATA, INDEX = "DATA", "INDEX"
"""What a key is for: to encrypt, or to make blind indexes."""
KEY_BYTES = 32
NONCE_BYTES = 12
BLIND_BYTES = 16
_CIPHERTEXT = re.compile(r"e1\.([1-9]\d{0,8})\.([A-Za-z0-9_-]{38,})\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a ciphertext belongs, which it is bound to: a column of a row (`contact.national_id`, its id), or a
    purpose (`oidc client secret`) with whatever tells its holders apart."""

    column: str
    row: str = ""

    def associated(self, workspace_id: str) -> bytes:
        """Return the place as AES-GCM's associated data; no part can hold the separator."""
        assert "\0" not in self.column + self.row
        return "\0".join(("crm-graph e1", workspace_id, self.column, self.row)).encode()


@dataclass(frozen=True, slots=True, repr=False)
class WorkspaceKeys:
    """The keys of a workspace by version; the highest of each makes, all of them open."""

    workspace_id: str
    data: Mapping[int, AESGCM]
    index: Mapping[int, bytes]

    @property
    def current(self) -> int:
        """The version that encrypts."""
        return max(self.data)

    def encrypt(self, data: bytes, place: Place) -> str:
        """Return the ciphertext of some bytes at a place; another one each time."""
        version, nonce = self.current, os.urandom(NONCE_BYTES)
        sealed = self.data[version].encrypt(nonce, data, place.associated(self.workspace_id))
        return f"e1.{version}.{_encode(nonce + sealed)}"

    def decrypt(self, text: str, place: Place) -> bytes:
        """Return the bytes of a ciphertext. Raises Unreadable for one that was altered, belongs to another place, or
        whose key is not here."""
        cipher = self.data.get(version_of(text))
        sealed = _decode(text.rpartition(".")[2])
        if cipher is None or sealed is None:
            raise Unreadable(place.column, place.row)
        try:
            return cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], place.associated(self.workspace_id))
        except InvalidTag:
            raise Unreadable(place.column, place.row) from None

    def blind(self, text: str, column: str) -> list[str]:
        """Return the blind indexes that a value may have, the one to be written first: there are several only while the
        index is being made anew."""
        message = f"{column}\0{text}".encode()
        digests = (
            (version, hmac.digest(self.index[version], message, hashlib.sha256))
            for version in sorted(self.index, reverse=True)
        )
        return [f"b{version}.{_encode(digest[:BLIND_BYTES])}" for version, digest in digests]


def version_of(text: str) -> int:
    """Return the version of the key of a ciphertext; 0, which no key has, for what is none."""
    match = _CIPHERTEXT.match(text)
    return int(match[1]) if match else 0


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes | None:
    """Return the bytes of a text that `_encode` made; None for any other text, however it would decode."""
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        return None
    return data if _encode(data) == text else None
