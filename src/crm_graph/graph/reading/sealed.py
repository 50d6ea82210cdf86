"""Encrypted columns: what a viewer may see is decrypted on the way out, what is looked for is blinded on the way in.

Permissions stay where they are: the compiled expression yields a ciphertext only on rows where something may be shown,
marked with how much (`permissions.policy.READABLE`, `MASKED_ONLY`); what is hidden does not leave the database. A
statement whose rows have no encrypted column has no `Opening`, and costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Text, cast

from crm_graph.db.session import ReadSession
from crm_graph.executor.fields import BEYOND, Shape
from crm_graph.graph.context import GraphContext
from crm_graph.graph.records.record import Record, is_about_viewer
from crm_graph.kernel.errors import Unreadable
from crm_graph.permissions.policy import READABLE, MaskDecrypted
from crm_graph.vault.columns import Encrypted
from crm_graph.vault.keys import WorkspaceKeys
from crm_graph.vault.vault import Vault

SEPARATOR = ":"


def sealed_expression(row_id: ColumnElement[Any], column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return what a view reads of an encrypted column: how much may be shown, whose it is, and the ciphertext."""
    return READABLE + cast(row_id, Text) + SEPARATOR + column


@dataclass(frozen=True, slots=True)
class SealedColumn:
    """A position of a statement's rows that holds ciphertext, and how a mask of it is shown."""

    position: int
    mark: Encrypted
    mask: Callable[[str], str] | None


@dataclass(frozen=True, slots=True)
class Opening:
    """Decrypts the rows of a statement."""

    columns: tuple[SealedColumn, ...]

    async def __call__(self, context: GraphContext, rows: Sequence[Any]) -> Sequence[Any]:
        """Return the rows of a request with what may be seen of their encrypted columns in clear."""
        return await self.rows(context.vault, context.reader, context.viewer.workspace_id, rows)

    async def rows(
        self, vault: Vault, session: ReadSession, workspace_id: str, rows: Sequence[Any]
    ) -> Sequence[Sequence[Any]]:
        """Return rows as tuples, decrypted. For a text that cannot be stands its Unreadable, which is raised by whoever
        reads it from the row (`executor.rows.value_or_raise`)."""
        values = [row[each.position] for each in self.columns for row in rows]
        texts = [value.rpartition(SEPARATOR)[2] for value in values if value is not None]
        if not texts:
            return rows
        keys = await vault.existing(session, workspace_id, texts)
        return [self._opened(keys, row) for row in rows]

    def _opened(self, keys: WorkspaceKeys | None, row: Sequence[Any]) -> tuple[Any, ...]:
        values = list(row)
        for each in self.columns:
            if values[each.position] is not None:
                values[each.position] = _open(keys, each, values[each.position])
        return tuple(values)


def _open(keys: WorkspaceKeys | None, column: SealedColumn, value: str) -> str | Unreadable:
    """Return what may be seen of a value that `sealed_expression` made."""
    row_id, _, text = value[1:].partition(SEPARATOR)
    place = column.mark.place(row_id.replace("-", ""))
    if keys is None:
        return Unreadable(place.column, place.row)
    try:
        clear = keys.decrypt(text, place).decode()
    except Unreadable as error:
        return error
    if value.startswith(READABLE):
        return clear
    assert column.mask is not None, f"{place.column} is masked, and its policy names no mask for texts in clear"
    return column.mask(clear)


def opening(record: Record, shape: Shape) -> Opening | None:
    """Return what decrypts the rows of a shape; None where nothing in them is encrypted."""
    found = [
        sealed_column(record, key, position)
        for key, position in shape.columns.items()
        if not key.endswith(BEYOND) and (BEYOND in key or key in record.columns)
        if not is_about_viewer(key.rpartition(BEYOND)[2])
    ]
    columns = tuple(each for each in found if each is not None)
    return Opening(columns) if columns else None


def sealed_column(record: Record, key: str, position: int) -> SealedColumn | None:
    """Return the position of a key that is encrypted; None for any other."""
    owner, found = record.find(key)
    if found.encrypted is None:
        return None
    mask = owner.policy.masks.get(found.field)
    return SealedColumn(position, found.encrypted, mask.show if isinstance(mask, MaskDecrypted) else None)


@dataclass(frozen=True, slots=True)
class Search:
    """Texts that are looked for in an encrypted column."""

    texts: tuple[str, ...]
    mark: Encrypted


async def blind_values(context: GraphContext, searches: Mapping[str, Search]) -> dict[str, list[str]]:
    """Return the values of the binds of searches: the blind indexes of their texts. Without keys nothing is stored that
    could be found."""
    keys = await context.vault.existing(context.reader, context.viewer.workspace_id)
    return {
        name: []
        if keys is None
        else [blind for text in each.texts for blind in keys.blind(each.mark.normal(text), each.mark.name)]
        for name, each in searches.items()
    }
