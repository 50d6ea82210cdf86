"""Values of persons in the log: under a key of each, so that deleting the key erases them, wherever the log was copied.

An event keeps the names of the columns that changed, with nulls in the place of personal values; these are beside it in
`event.personal`: `p1.<id of the key>.<base64url of nonce, ciphertext and tag>`, of a JSON object of `[old, new]` by
column. Digests of the audit trail are over that text, and stay what they are when the key is gone.

No process keeps the key of a person: whoever opens values reads it with them. So it is gone when the transaction that
deletes it is committed.

Decided in D-vault-02 (ARCHITECTURE.md).
"""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from crm_graph.db.session import ReadSession, Record
from crm_graph.db.statements import Statement
from crm_graph.kernel.errors import Unreadable
from crm_graph.kernel.ids import new_id
from crm_graph.vault.keys import KEY_BYTES, NONCE_BYTES, Place, WorkspaceKeys
from crm_graph.vault.model import PERSON_KEY
from crm_graph.vault.vault import Vault

PERSON_KEY_COLUMNS = ("workspace_id", "id", "subject_id", "wrapped", "created_at")
ADD_PERSON_KEY = Statement(
    f"INSERT INTO person_key ({', '.join(PERSON_KEY_COLUMNS)}) VALUES ($1, $2, $3, $4, $5)",  # noqa: S608 - constants
    PERSON_KEY_COLUMNS,
    {},
    ("UUID", "UUID", "UUID", "TEXT", "TIMESTAMPTZ"),
)
_OF_SUBJECT = Statement(
    "SELECT id, wrapped FROM person_key WHERE workspace_id = $1 AND subject_id = $2 ORDER BY id LIMIT 1",
    ("workspace_id", "subject_id"),
    {},
    ("UUID", "UUID"),
)
_OF_SUBJECTS = Statement(
    "SELECT DISTINCT ON (subject_id) subject_id, id, wrapped FROM person_key"
    " WHERE workspace_id = $1 AND subject_id = ANY($2::uuid[]) ORDER BY subject_id, id",
    ("workspace_id", "subjects"),
    {},
)
FORGET_PERSON = Statement(
    "DELETE FROM person_key WHERE workspace_id = $1 AND subject_id = $2", ("workspace_id", "subject_id"), {}
)
WRAPPED = (
    "(SELECT wrapped FROM person_key WHERE person_key.workspace_id = event.workspace_id"
    " AND person_key.id = substr(event.personal, 4, 32)::uuid) AS person_key"
)
"""What reads, beside an event's `personal`, the key that opens it: null where it was deleted, or there is none."""


@dataclass(frozen=True, slots=True, repr=False)
class PersonCipher:
    """A key of a person in clear: it seals what an event says of them."""

    workspace_id: str
    subject_id: str
    id: str
    cipher: AESGCM

    def seal(self, values: Mapping[str, Any]) -> str:
        """Return the ciphertext of `[old, new]` by column."""
        nonce = os.urandom(NONCE_BYTES)
        sealed = self.cipher.encrypt(nonce, orjson.dumps(values, default=str), self._associated)
        return f"p1.{self.id}.{base64.urlsafe_b64encode(nonce + sealed).decode()}"

    def open(self, text: str) -> dict[str, Any]:
        """Return what `seal` was given. Raises Unreadable for a text that was altered or moved."""
        data = base64.urlsafe_b64decode(text.rpartition(".")[2])
        try:
            opened: dict[str, Any] = orjson.loads(
                self.cipher.decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], self._associated)
            )
        except InvalidTag:
            raise Unreadable("event.personal", self.subject_id) from None
        return opened

    @property
    def _associated(self) -> bytes:
        return "\0".join(("crm-graph p1", self.workspace_id, self.subject_id)).encode()


def make_person_key(keys: WorkspaceKeys, subject_id: str, at: datetime) -> tuple[PersonCipher, dict[str, Any]]:
    """Return a new key of a person, and the row by which it is kept: `PERSON_KEY_COLUMNS` by name."""
    id_, key = new_id(), os.urandom(KEY_BYTES)
    wrapped = keys.encrypt(key, Place(PERSON_KEY, id_))
    row = {
        "workspace_id": keys.workspace_id,
        "id": id_,
        "subject_id": subject_id,
        "wrapped": wrapped,
        "created_at": at,
    }
    return PersonCipher(keys.workspace_id, subject_id, id_, AESGCM(key)), row


async def person_cipher(vault: Vault, session: ReadSession, workspace_id: str, subject_id: str) -> PersonCipher | None:
    """Return the key of a person; None where there is none that can be read."""
    row = await session.fetch_row(_OF_SUBJECT, {"workspace_id": workspace_id, "subject_id": subject_id})
    return (
        None if row is None else await _unwrapped(vault, session, workspace_id, subject_id, row["id"], row["wrapped"])
    )


async def person_ciphers(
    vault: Vault, session: ReadSession, workspace_id: str, subjects: Sequence[str]
) -> dict[str, PersonCipher]:
    """Return the keys of those persons who have one, by their records. One statement."""
    ciphers = {}
    for row in await session.fetch(_OF_SUBJECTS, {"workspace_id": workspace_id, "subjects": subjects}):
        subject_id = row["subject_id"]
        cipher = await _unwrapped(vault, session, workspace_id, subject_id, row["id"], row["wrapped"])
        if cipher is not None:
            ciphers[subject_id] = cipher
    return ciphers


async def opened_values(vault: Vault, session: ReadSession, event: Mapping[str, Any] | Record) -> dict[str, Any] | None:
    """Return the personal values of an event, read with `personal` and `WRAPPED`; None where there are none, or the key
    was deleted."""
    personal, wrapped = event["personal"], event["person_key"]
    if personal is None or wrapped is None:
        return None
    cipher = await _unwrapped(vault, session, event["workspace_id"], event["entity_id"], personal[3:35], wrapped)
    return None if cipher is None else cipher.open(personal)


async def _unwrapped(
    vault: Vault, session: ReadSession, workspace_id: str, subject_id: str, id_: str, wrapped: str
) -> PersonCipher | None:
    """Return a key in clear; None where the workspace's is gone."""
    try:
        key = await vault.open(session, workspace_id, PERSON_KEY, wrapped, id_)
    except Unreadable:
        return None
    return PersonCipher(workspace_id, subject_id, id_, AESGCM(key))
