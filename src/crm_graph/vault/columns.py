"""The mark on a table's column: the column stores ciphertext, and a blind index stands beside it.

    __table_args__ = (..., *encrypted("contact", "national_id"))

is all that a table says. Writers (`work.py`, `transfer/`) encrypt what is marked, readers (`graph/reading/sealed.py`)
decrypt it, so that nobody can forget to; and the database itself takes nothing into the column that is no ciphertext.

Decided in D-vault-01 (ARCHITECTURE.md).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import CheckConstraint, Column, Index, Table

from crm_graph.db.base import Row, table_of
from crm_graph.db.session import Record
from crm_graph.db.sizes import Letters, SizedText
from crm_graph.kernel.errors import Refused
from crm_graph.kernel.naming import camel
from crm_graph.vault.keys import Place

CIPHERTEXT_LETTERS, CIPHERTEXT_LETTERS_PER_LETTER = 200, 6
"""What a ciphertext is at most: nonce, tag and version, and base64 of four bytes for each letter of the text."""
_MARK, _SECRET = "encrypted", "sealed"
_CONTROLS = frozenset({"Cc", "Cf", "Zl", "Zp"})
"""Control and format characters, line and paragraph separators, by Unicode category."""


@dataclass(frozen=True, slots=True)
class Encrypted:
    """What an encrypted column is: its name, its bounds, and which texts count as equal."""

    table: str
    column: str
    max_length: int
    ignoring: str
    """Characters that do not count when values are compared: people write numbers with spaces and hyphens."""

    @property
    def name(self) -> str:
        """What its ciphertexts are bound to."""
        return f"{self.table}.{self.column}"

    @property
    def size(self) -> Letters:
        """How long a text may be, in clear."""
        return Letters(self.max_length)

    @property
    def blind(self) -> str:
        """The column of the blind index."""
        return f"{self.column}_blind"

    def place(self, row_id: str) -> Place:
        """Return the place of a row's ciphertext."""
        return Place(self.name, row_id)

    def normal(self, text: str) -> str:
        """Return the text as it is compared: compatible forms (full width digits) made one, in any case, without what
        does not count."""
        folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
        return folded.translate({ord(letter): None for letter in self.ignoring})

    def check(self, text: str) -> str:
        """Return a text that may be stored. Raises Refused INVALID, without quoting it."""
        if len(text) > self.max_length:
            raise self._refused(f"cannot be longer than {self.max_length} characters")
        if any(unicodedata.category(letter) in _CONTROLS for letter in text):
            raise self._refused("cannot contain control characters")
        if not self.normal(text).strip():
            raise self._refused("cannot be blank; null clears it")
        return text

    def _refused(self, reason: str) -> Refused:
        field = camel(self.column)
        return Refused("INVALID", f"`{field}` {reason}.", (field,))


def encrypted(table: str, column: str, *, max_length: int = 100, ignoring: str = " -") -> tuple[Any, ...]:
    """Return what a table has for an encrypted text: the column, its blind index, the constraint that holds both."""
    mark = Encrypted(table, column, max_length, ignoring)
    return (
        _column(column, CIPHERTEXT_LETTERS + CIPHERTEXT_LETTERS_PER_LETTER * max_length, info={_MARK: mark}),
        _column(mark.blind, CIPHERTEXT_LETTERS),
        CheckConstraint(ciphertext_only(mark.column, mark.blind), name=column),
        Index(f"ix_{table}_{mark.blind}", "workspace_id", mark.blind, "id"),
    )


@dataclass(frozen=True, slots=True)
class Sealed:
    """What a column of secrets is, which its slice makes with `Vault.seal` and opens itself: the purpose that it gives
    there, and the column whose value is the holder."""

    purpose: str
    holder: str | None


def sealed(purpose: str, holder: str | None = None) -> dict[str, Any]:
    """Return the mark (`mapped_column(info=sealed("totp secret", "member_id"))`) by which a new key reaches secrets."""
    return {_SECRET: Sealed(purpose, holder)}


@dataclass(frozen=True, slots=True)
class Ciphertexts:
    """A column of ciphertexts, of either kind, as they are encrypted anew, and where each of them belongs.

    `key` is the column that names a row in its workspace.
    """

    table: Table
    column: str
    key: str
    place: str
    holder: str | None
    mark: Encrypted | None

    def place_of(self, row: Record) -> Place:
        """Return the place of a row's ciphertext."""
        return Place(self.place, "" if self.holder is None else str(row[self.holder]))


def ciphertexts(tables: Iterable[Table]) -> list[Ciphertexts]:
    """Return the columns of these tables that hold ciphertexts."""
    marked = []
    for column in (column for table in tables for column in table.columns):
        mark, secret = mark_of(column), column.info.get(_SECRET)
        if mark is None and secret is None:
            continue
        table: Table = column.table
        _, key = (primary.name for primary in table.primary_key.columns)
        if mark is not None:
            marked.append(Ciphertexts(table, column.name, key, mark.name, key, mark))
        elif secret is not None:
            marked.append(Ciphertexts(table, column.name, key, secret.purpose, secret.holder, None))
    return marked


def _column(name: str, letters: int, **options: Any) -> Column[str]:
    """Return a column named as the declarative mapping names its own: by a plain str, which JSON takes as a key."""
    column = Column(SizedText(letters), **options)
    column.name = column.key = name
    return column


def ciphertext_only(column: str, blind: str) -> str:
    """Return the condition that a column holds ciphertext or nothing, and its blind index likewise."""
    return rf"{column} ~ '^e1\.[0-9]+\.[A-Za-z0-9_-]+$' AND ({column} IS NULL) = ({blind} IS NULL)"


def mark_of(column: Column[Any]) -> Encrypted | None:
    """Return the mark of a column; None for one that is stored as it is."""
    mark: Encrypted | None = column.info.get(_MARK)
    return mark


@cache
def encrypted_columns(model: type[Row]) -> tuple[Encrypted, ...]:
    """Return the marks of a model's columns."""
    return tuple(mark for column in table_of(model).columns if (mark := mark_of(column)) is not None)
