"""The lines of an export's file, in CSV or NDJSON, in the form in which an import reads them."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Sequence
from io import StringIO
from typing import Any

import orjson

from crm_graph.graph.exporting.exports import Export

CSV, NDJSON = "csv", "ndjson"
_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_NUMBER = re.compile(r"-?\d+(\.\d+)?\Z", re.ASCII)


def guarded(text: str) -> str:
    """Return a text that a spreadsheet shows and does not run: what starts like a formula gets an apostrophe before it.

    So does what starts with apostrophes and then like a formula, so that an import, which takes one away, gets back the
    text as it was. Numbers stay numbers.
    """
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.match(text) else text


def csv_cell(value: Any) -> str:
    """Return a value as a cell of a CSV file."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return guarded(";".join(map(str, value)))
    return guarded(value) if isinstance(value, str) else str(value)


def lines_of(export: Export, form: str) -> tuple[str, Callable[[Sequence[Any]], str]]:
    """Return what a file starts with, and what makes a line of the values of a row."""
    headers = [column.header for column in export.columns]
    if form == NDJSON:
        return "", lambda values: orjson.dumps(dict(zip(headers, values, strict=True))).decode() + "\n"
    return _csv_line(headers), lambda values: _csv_line([csv_cell(value) for value in values])


def _csv_line(cells: Sequence[str]) -> str:
    line = StringIO()
    csv.writer(line, lineterminator="\r\n").writerow(cells)
    return line.getvalue()
