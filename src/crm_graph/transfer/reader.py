"""Rows of a file, one by one: CSV in any of the usual dialects, or NDJSON. Every cell is a text; empty is ''."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from crm_graph.kernel.errors import OperatorError
from crm_graph.transfer.encoding import encoding_of
from crm_graph.transfer.values import SEPARATOR

NDJSON_SUFFIXES = (".ndjson", ".jsonl")
DELIMITERS = ",;\t|"
MAX_CELL_LENGTH = 16 * 1024 * 1024
"""Letters of a cell: one that is longer is a quote that nobody closed, and the file is no CSV. What a column takes is
less, and said by row."""
_GUARDED = re.compile(r"'+[=+\-@\t\r]")
"""What an export writes for a cell that a spreadsheet would run as a formula: a leading apostrophe more than it has."""


@dataclass(frozen=True, slots=True)
class FileRow:
    """A row: its number as a spreadsheet counts, and its cells in the order of the header, or why it has none."""

    number: int
    cells: Sequence[str]
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A header and the rows below it. `opened` gives the rows; it can be used once."""

    name: str
    header: tuple[str, ...]
    rows: Iterator[FileRow]
    encoding: str = ""


@contextmanager
def _no_table(table: Table) -> Iterator[Table]:
    yield table


def open_table(path: Path, encoding: str | None) -> AbstractContextManager[Table]:
    """Lend the rows of a file. Raises OperatorError when it cannot be read as what its name says."""
    if not path.is_file():
        raise OperatorError(f"there is no file {path}", "check the path")
    if path.suffix.lower() in NDJSON_SUFFIXES:
        return _open_ndjson(path, encoding)
    if path.suffix.lower() in {".xlsx", ".xls"}:
        raise OperatorError(f"{path.name} is a workbook", "save the sheet as CSV (UTF-8) and import that")
    return _open_csv(path, encoding)


def inline_table(name: str, rows: Sequence[dict[str, Any]]) -> AbstractContextManager[Table]:
    """Lend rows that are written out in a recipe."""
    header = tuple(dict.fromkeys(key for row in rows for key in row))
    file_rows = (FileRow(number, [_cell(row.get(key)) for key in header]) for number, row in enumerate(rows, 1))
    return _no_table(Table(name, header, file_rows))


@contextmanager
def _open_csv(path: Path, given: str | None) -> Iterator[Table]:
    encoding = encoding_of(path, given)
    csv.field_size_limit(MAX_CELL_LENGTH)
    with path.open(encoding=encoding, newline="") as file:
        delimiter = _delimiter(file)
        lines = csv.reader(file, delimiter=delimiter, strict=True)
        try:
            header = tuple(cell.strip() for cell in next(lines, []))
        except csv.Error as error:
            raise OperatorError(f"{path.name} is no CSV: line {lines.line_num}: {error}", "check its quotes") from error
        _check_header(path.name, header)
        yield Table(path.name, header, _csv_rows(path.name, lines, len(header)), encoding)


def _csv_rows(name: str, lines: Any, width: int) -> Iterator[FileRow]:
    number = 1
    while True:
        number += 1
        try:
            cells = next(lines, None)
        except csv.Error as error:
            raise OperatorError(
                f"{name} is no CSV from row {number} on (line {lines.line_num}): {error}",
                "check the quotes of that row",
            ) from error
        if cells is None:
            return
        if not any(cells):
            yield FileRow(number, ())
        elif len(cells) != width:
            yield FileRow(number, (), f"has {len(cells)} cells, the header has {width}")
        else:
            yield FileRow(number, [_unguarded(cell) for cell in cells])


def _unguarded(cell: str) -> str:
    return cell[1:] if cell[:1] == "'" and _GUARDED.match(cell) else cell


def _delimiter(file: TextIO) -> str:
    """Return what separates the header's names: the most frequent candidate outside quotes."""
    line = file.readline()
    file.seek(0)
    bare = re.sub(r'"[^"]*"', "", line)
    return max(DELIMITERS, key=bare.count)


def _check_header(name: str, header: tuple[str, ...]) -> None:
    if not any(header):
        raise OperatorError(f"{name} has no header", "its first row must name the columns")
    twice = [column for position, column in enumerate(header) if column in header[:position]]
    if twice:
        raise OperatorError(f"{name} has two columns named {twice[0]!r}", "rename one of them")


@contextmanager
def _open_ndjson(path: Path, given: str | None) -> Iterator[Table]:
    encoding = encoding_of(path, given)
    with path.open(encoding=encoding) as file:
        header: dict[str, None] = {}
        for line in file:
            if line.strip():
                header.update(dict.fromkeys(_object(line)[0]))
        _check_header(path.name, tuple(header))
        file.seek(0)
        yield Table(path.name, tuple(header), _ndjson_rows(file, tuple(header)), encoding)


def _ndjson_rows(file: TextIO, header: tuple[str, ...]) -> Iterator[FileRow]:
    for number, line in enumerate(file, 1):
        if not line.strip():
            yield FileRow(number, ())
            continue
        record, problem = _object(line)
        nested = next((key for key, value in record.items() if _is_nested(value)), None)
        if nested is not None:
            problem = f"{nested!r} is not a plain value"
        yield FileRow(number, () if problem else [_cell(record.get(key)) for key in header], problem)


def _object(line: str) -> tuple[dict[str, Any], str]:
    """Return the object of a line, or why it is none. Numbers stay as they are written."""
    try:
        parsed = json.loads(line, parse_float=str, parse_int=str, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        return {}, f"is no JSON: {error}"
    return (parsed, "") if isinstance(parsed, dict) else ({}, "is no JSON object")


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def _is_nested(value: Any) -> bool:
    if isinstance(value, list):
        return any(isinstance(item, dict | list) for item in value)
    return isinstance(value, dict)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return SEPARATOR.join(map(_cell, value)) if isinstance(value, list) else str(value)
