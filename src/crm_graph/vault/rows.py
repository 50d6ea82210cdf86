"""Encrypting what is about to be written to a row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from crm_graph.db.session import ReadSession
from crm_graph.kernel.errors import Unreadable
from crm_graph.vault.columns import Encrypted
from crm_graph.vault.keys import WorkspaceKeys
from crm_graph.vault.vault import Vault


async def encrypted_values(
    vault: Vault,
    session: ReadSession,
    workspace_id: str,
    row_id: str,
    marks: Iterable[Encrypted],
    stored: Mapping[str, Any],
    given: Mapping[str, Any],
) -> dict[str, str | None]:
    """Return what to store in the marked columns of a row, and in their blind indexes, for the texts in `given`.

    A text equal to the one that is `stored` keeps its ciphertext, so that nothing counts as changed. Raises Refused
    INVALID for a text that cannot be stored.
    """
    values: dict[str, str | None] = {}
    for mark in marks:
        text, before = given.get(mark.column), stored.get(mark.column)
        if mark.column not in given or text == before:
            continue
        if text is None:
            values |= {mark.column: None, mark.blind: None}
            continue
        mark.check(text)
        keys = await vault.keys(session, workspace_id)
        if before is not None:
            keys = await vault.existing(session, workspace_id, (before,)) or keys
        if before is not None and _text(keys, mark, row_id, before) == text:
            values[mark.column] = before
        else:
            sealed = keys.encrypt(text.encode(), mark.place(row_id))
            values |= {mark.column: sealed, mark.blind: keys.blind(mark.normal(text), mark.name)[0]}
    return values


def _text(keys: WorkspaceKeys, mark: Encrypted, row_id: str, sealed: str) -> str | None:
    """Return what is stored; None where it cannot be read, so that it can be written anew."""
    try:
        return keys.decrypt(sealed, mark.place(row_id)).decode()
    except Unreadable:
        return None
