"""Writes the body of an answer as bytes, and bounds both the bytes and the memory that writing them takes.

One text can stand in an answer hundreds of times, under as many aliases, and is in memory once until it is written out.
So a body whose texts may be long is written in pieces, counted as they come, and given up at the first too many. How
long they may be its cost says (`graph.costs.letters_of`): an ordinary answer is one piece, and nothing of it is looked
at twice.

Decided in D-api-12 (ARCHITECTURE.md).
"""

from __future__ import annotations

from typing import Any

import orjson

from crm_graph.graph.schema.costs import letters_of


class AnswerTooLong(Exception):
    """Raised when an answer has more bytes than it may have."""


def encode(body: dict[str, Any], cost: int, limit: int) -> bytes:
    """Return a body as JSON. `cost` is the operation's, `limit` the most bytes. Raises AnswerTooLong."""
    letters = letters_of(cost)
    if letters <= limit:  # a letter takes up to four bytes: so much memory, and no more, for a moment
        content = orjson.dumps(body)
        if len(content) > limit:
            raise AnswerTooLong
        return content
    pieces = _Pieces(limit)
    pieces.write(body, letters)
    return b"".join(pieces.written)


class _Pieces:
    """The bytes of a value, piece by piece. `letters` is how many a value may have, so that a list's items may have
    their part of them each: pages are counted as if they were full, which they may not be, and then it is less."""

    def __init__(self, limit: int) -> None:
        self.written: list[bytes] = []
        self._left = limit
        self._piece = max(1, limit // 4)

    def write(self, value: Any, letters: int) -> None:
        if letters > self._piece and value and isinstance(value, dict):
            self._object(value, letters)
        elif letters > self._piece and value and isinstance(value, list):
            self._list(value, -(-letters // len(value)))
        else:
            self._add(orjson.dumps(value))

    def _object(self, value: dict[str, Any], letters: int) -> None:
        separator = b"{"
        for key, item in value.items():
            self._add(separator + orjson.dumps(key) + b":")
            self.write(item, letters)
            separator = b","
        self._add(b"}")

    def _list(self, value: list[Any], letters: int) -> None:
        """Write items of so many letters each: as many at once as make a piece, or one by one where one may be more."""
        separator = b"["
        step = max(1, self._piece // letters)
        for start in range(0, len(value), step):
            self._add(separator)
            if letters > self._piece:
                self.write(value[start], letters)
            else:
                self._add(orjson.dumps(value[start : start + step])[1:-1])
            separator = b","
        self._add(b"]")

    def _add(self, piece: bytes) -> None:
        self._left -= len(piece)
        if self._left < 0:
            raise AnswerTooLong
        self.written.append(piece)
