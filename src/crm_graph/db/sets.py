"""A statement over many sets of arguments, which are rows of a list: one statement in place of many of one text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from crm_graph.db.codecs import json_argument
from crm_graph.db.statements import Statement

NUMBER = "together_n"
"""The last column of the rows of a statement over many: which of them they answer."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How a statement of some kind becomes one over many: what it matches, and the text of that."""

    pattern: re.Pattern[str]
    text: str


SELECT = Shape(
    re.compile(r"(?P<all>(?:SELECT|WITH)\b.*)\Z", re.DOTALL),
    "SELECT asked.*, rows.together_n FROM {rows} CROSS JOIN LATERAL ({all}) AS asked ORDER BY rows.together_n",
)
INSERT = Shape(
    re.compile(r"(?P<head>INSERT INTO \S+ \([^()]*\)) VALUES \((?P<values>[^()]*(?:\([^()]*\)[^()]*)*)\)\Z", re.DOTALL),
    "{head} SELECT {values} FROM {rows} ORDER BY rows.together_n",
)
UPSERT = Shape(
    re.compile(
        INSERT.pattern.pattern.removesuffix(r"\Z") + r"(?P<tail> ON CONFLICT (?:(?!RETURNING|\$).)*)\Z", re.DOTALL
    ),
    INSERT.text + "{tail}",
)
"""Only of writes that wait, which name their rows, so that none is written twice in one statement."""
UPDATE = Shape(
    re.compile(
        r"(?P<head>UPDATE \S+ SET (?:(?!RETURNING| WHERE ).)*) WHERE (?P<rest>(?:(?!RETURNING).)*)\Z", re.DOTALL
    ),
    "{head} FROM {rows} WHERE {rest}",
)
DELETE = Shape(
    re.compile(r"(?P<head>DELETE FROM \S+) WHERE (?P<rest>(?:(?!RETURNING).)*)\Z", re.DOTALL),
    "{head} USING {rows} WHERE {rest}",
)
_PLACEHOLDER = re.compile(r"\$(\d+)")


def shape_of(text: str) -> Shape | None:
    """Return how a statement becomes one over many; None for one that does not."""
    return next((each for each in (SELECT, INSERT, UPDATE, DELETE) if each.pattern.match(text)), None)


def over_many(statement: Statement, many: Sequence[Sequence[Any]]) -> tuple[str, list[Any]]:
    """Return a statement whose types are known as one over many sets of arguments, and its own arguments: those that
    all have in common stay as they are, the others are columns of rows. Of new rows all are columns: their statement is
    then the same whatever they hold, and prepared once."""
    shape, types = shape_of(statement.text), statement.types
    if shape is None and UPSERT.pattern.match(statement.text):
        shape = UPSERT
    assert shape is not None and types is not None, statement.text  # noqa: PT018 - both are the caller's to know
    columns = list(zip(*many, strict=True))
    first = many[0]
    vary = [
        place
        for place, column in enumerate(columns)
        if shape in (INSERT, UPSERT) or any(value != first[place] for value in column)
    ]
    kept = [place for place in range(len(first)) if place not in vary]
    arguments = [first[place] for place in kept]
    names = {place: f"${number}" for number, place in enumerate(kept, 1)}
    declared, listed = [], []
    for place in vary:
        of = types[place]
        name = f"a{place + 1}"
        declared.append(name)
        arguments.append([_listed(of, value) for value in columns[place]])
        listed.append(f"${len(arguments)}::{_row_type(of)}[]")
        names[place] = _read(of, f"rows.{name}")
    found = shape.pattern.match(statement.text)
    assert found is not None
    parts = {
        key: _PLACEHOLDER.sub(lambda each: f"({names[int(each[1]) - 1]})::{types[int(each[1]) - 1]}", part)
        for key, part in found.groupdict().items()
    }
    rows = f"unnest({', '.join(listed)}) WITH ORDINALITY AS rows({', '.join((*declared, NUMBER))})"
    if not vary:  # the same for all: as many rows as there are operations
        arguments.append(len(many))
        rows = f"generate_series(1, ${len(arguments)}::int) AS rows({NUMBER})"
    return shape.text.format(rows=rows, **parts), arguments


def _row_type(of: str) -> str:
    """Return the type of an argument as an element of a list. What may itself be a list travels as JSON, in a text: the
    driver takes a list of lists for an array of two dimensions."""
    return "text" if _is_nested(of) else of


def _is_nested(of: str) -> bool:
    return of.endswith("[]") or of.lower() == "jsonb"


def _listed(of: str, value: Any) -> Any:
    return json_argument(value) if value is not None and _is_nested(of) else value


def _read(of: str, column: str) -> str:
    if not of.endswith("[]"):
        return column
    items = f"ARRAY(SELECT jsonb_array_elements_text({column}::jsonb))::{of}"
    return f"CASE WHEN {column} IS NULL THEN NULL ELSE {items} END"
