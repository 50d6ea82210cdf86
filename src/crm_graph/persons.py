"""What a unit of work tells the log of persons: their values under their keys, and nothing of who is erased.

An event of nobody's values costs a look at the columns of its type. The first one of a person makes their key, which
is written with it, in the same statement; each later one that tells values of them reads it.

Decided in D-vault-02 (ARCHITECTURE.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Table

from crm_graph.db.personal import personal_columns
from crm_graph.db.session import ReadSession
from crm_graph.events.effects import Creates, DomainEvent, Erases
from crm_graph.vault.persons import PersonCipher, make_person_key, person_cipher, person_ciphers
from crm_graph.vault.vault import Vault

Entry = dict[str, Any]
WITHHELD = (None, None)
"""What an event says in the place of a personal value that changed."""


@dataclass(frozen=True, slots=True)
class Telling:
    """An entry of the log, the event that it is of, and the table of the record."""

    entry: Entry
    event: DomainEvent
    table: Table

    @property
    def personal(self) -> Mapping[str, Any]:
        """The personal values in it, `(old, new)` by column; none where there is nothing to hide."""
        names = personal_columns(self.table)
        if not names:
            return {}
        pairs = {name: pair for name, pair in self.entry["changes"].items() if name in names}
        return pairs if any(value is not None for pair in pairs.values() for value in pair) else {}

    def sealed(self, cipher: PersonCipher) -> Entry:
        """Return the entry with personal values under a key of the person."""
        personal = self.personal
        changes = {**self.entry["changes"], **dict.fromkeys(personal, WITHHELD)}
        return {**self.entry, "changes": changes, "personal": cipher.seal(personal)}

    def erased(self) -> Entry:
        """Return the entry without what the person was: what stands there now is nobody's."""
        new = {name: (None, value) for name, (_, value) in self.personal.items()}
        return {**self.entry, "changes": {**self.entry["changes"], **new}}


async def sealed_entry(vault: Vault | None, session: ReadSession, told: Telling) -> tuple[Entry, Entry | None]:
    """Return an entry as the log is to have it, and the row of a key that is to be written with it."""
    if not told.personal:
        return told.entry, None
    if isinstance(told.event, Erases):
        return told.erased(), None
    assert vault is not None, "this unit of work was made without a vault"
    workspace_id, subject_id = told.entry["workspace_id"], told.entry["entity_id"]
    if not isinstance(told.event, Creates):
        cipher = await person_cipher(vault, session, workspace_id, subject_id)
        if cipher is not None:
            return told.sealed(cipher), None
    keys = await vault.keys(session, workspace_id)
    cipher, row = make_person_key(keys, subject_id, told.entry["at"])
    return told.sealed(cipher), row


async def sealed_entries(
    vault: Vault | None, session: ReadSession, tellings: Sequence[Telling]
) -> tuple[list[Entry], list[Entry]]:
    """Return entries of one workspace as the log is to have them, and the rows of keys that are to be written with
    them: with one statement for all."""
    personal = [told for told in tellings if told.personal]
    if not personal:
        return [told.entry for told in tellings], []
    assert vault is not None, "this unit of work was made without a vault"
    workspace_id = personal[0].entry["workspace_id"]
    known = [told.entry["entity_id"] for told in personal if not isinstance(told.event, Creates)]
    ciphers = await person_ciphers(vault, session, workspace_id, known) if known else {}
    keys = await vault.keys(session, workspace_id)
    rows: list[Entry] = []
    entries: list[Entry] = []
    for told in tellings:
        subject_id = told.entry["entity_id"]
        if told.personal and subject_id not in ciphers:
            ciphers[subject_id], row = make_person_key(keys, subject_id, told.entry["at"])
            rows.append(row)
        entries.append(told.sealed(ciphers[subject_id]) if told.personal else told.entry)
    return entries, rows
