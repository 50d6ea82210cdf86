"""The steps of an import, as the command line's options or a TOML file say them.

    [[steps]]
    entity = "customer"
    file = "accounts.csv"              # or rows = [{ name = "..." }, ...], written out
    match = ["external_id"]            # rows with the same key are updated
    ignore = ["region"]                # columns of the file that are meant to be left out
    distinct = ["account"]             # take each combination of these columns once

    [steps.columns]                    # field = column of the file, or:
    external_id = "account"
    name = { template = "{account} {city|upper}" }
    annual_revenue = { from = "revenue", multiply = 1000000 }
    opened_on = { from = "opened", format = "%m/%d/%Y" }
    currency = { value = "USD" }

    [steps.fix.sector]                 # values of a column of the file, before anything else reads them
    technolgy = "technology"

Without `columns`, columns of the file go to the fields of the same name, and `set = { currency = "USD" }` adds
constants.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from crm_graph.kernel.errors import OperatorError

_STEP_KEYS = {"entity", "file", "rows", "match", "ignore", "distinct", "columns", "fix", "set", "encoding"}
_SOURCE_KEYS = {"from", "template", "value", "multiply", "format"}


@dataclass(frozen=True, slots=True)
class Source:
    """Where a field's text comes from: a column of the file, a template over columns, or a constant."""

    column: str | None = None
    template: str | None = None
    value: str | None = None
    multiply: Decimal | None = None
    format: str | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One file (or the rows written out) and how it becomes rows of one entity."""

    entity: str
    file: str | None = None
    rows: Sequence[dict[str, Any]] = ()
    columns: Mapping[str, Source] | None = None
    renamed: Mapping[str, str] = field(default_factory=dict)
    """Columns of the file to fields, where `columns` does not list them all."""
    constants: Mapping[str, str] = field(default_factory=dict)
    fixes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    match: tuple[str, ...] | None = None
    ignore: frozenset[str] = frozenset()
    distinct: tuple[str, ...] | None = None
    encoding: str | None = None


def read_recipe(path: Path) -> list[Step]:
    """Return the steps of a recipe. Raises OperatorError naming the step and what is wrong with it."""
    try:
        with path.open("rb") as file:
            content = tomllib.load(file)
    except OSError as error:
        raise OperatorError(f"cannot read {path}: {error.strerror}", "check the path") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise OperatorError(f"{path.name} is no TOML: {error}", "correct that line") from error
    steps = content.pop("steps", None)
    if content or not isinstance(steps, list) or not steps:
        unknown = f" and has {', '.join(content)}" if content else ""
        raise OperatorError(f"{path.name} has no list of [[steps]]{unknown}", "write one [[steps]] table for each file")
    return [_Reading(path.name, number, step).step() for number, step in enumerate(steps, 1)]


@dataclass(frozen=True, slots=True)
class _Reading:
    """A step being read, with where it stands for the messages."""

    recipe: str
    number: int
    given: Any

    def step(self) -> Step:
        given = self.given
        if not isinstance(given, dict) or not isinstance(given.get("entity"), str):
            raise self._wrong("does not say its `entity`")
        self._check_keys(given, _STEP_KEYS, "")
        if ("file" in given) == ("rows" in given):
            raise self._wrong("needs either `file` or `rows`")
        columns = self._table("columns") if "columns" in given else None
        if columns is not None and "set" in given:
            raise self._wrong("has `columns` and `set`: write the constants as `field = { value = ... }`")
        rows = given.get("rows", [])
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise self._wrong("`rows` is no list of tables")
        return Step(
            entity=given["entity"],
            file=self._text("file"),
            rows=rows,
            columns=None if columns is None else {name: self._source(name, column) for name, column in columns.items()},
            constants={name: _plain(value) for name, value in self._table("set").items()},
            fixes={
                name: {old: _plain(new) for old, new in self._inner("fix", name, values).items()}
                for name, values in self._table("fix").items()
            },
            match=self._texts("match"),
            ignore=frozenset(self._texts("ignore") or ()),
            distinct=self._texts("distinct"),
            encoding=self._text("encoding"),
        )

    def _source(self, name: str, given: Any) -> Source:
        if isinstance(given, str):
            return Source(column=given)
        given = self._inner("columns", name, given)
        self._check_keys(given, _SOURCE_KEYS, f" in columns.{name}")
        if len(given.keys() & {"from", "template", "value"}) != 1:
            raise self._wrong(f"columns.{name} needs one of `from`, `template` and `value`")
        value = given.get("value")
        try:
            multiply = Decimal(str(given["multiply"])) if "multiply" in given else None
        except InvalidOperation:
            raise self._wrong(f"columns.{name}: `multiply` is no number") from None
        return Source(
            given.get("from"),
            given.get("template"),
            None if value is None else _plain(value),
            multiply,
            given.get("format"),
        )

    def _inner(self, key: str, name: str, given: Any) -> dict[str, Any]:
        if not isinstance(given, dict):
            raise self._wrong(f"{key}.{name} is no table")
        return given

    def _table(self, key: str) -> dict[str, Any]:
        table = self.given.get(key, {})
        if not isinstance(table, dict):
            raise self._wrong(f"`{key}` is no table")
        return table

    def _text(self, key: str) -> str | None:
        text = self.given.get(key)
        if text is not None and not isinstance(text, str):
            raise self._wrong(f"`{key}` is no text")
        return text

    def _texts(self, key: str) -> tuple[str, ...] | None:
        listed = self.given.get(key)
        if listed is None:
            return None
        listed = [listed] if isinstance(listed, str) else listed
        if not isinstance(listed, list) or not all(isinstance(item, str) for item in listed):
            raise self._wrong(f"`{key}` is no list of names")
        return tuple(listed)

    def _check_keys(self, given: Mapping[str, Any], known: set[str], where: str) -> None:
        unknown = [key for key in given if key not in known]
        if unknown:
            raise self._wrong(f"has {unknown[0]!r}{where}; there are: {', '.join(sorted(known))}")

    def _wrong(self, what: str) -> OperatorError:
        return OperatorError(f"{self.recipe}, step {self.number}: {what}", "correct the recipe")


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return ";".join(map(_plain, value)) if isinstance(value, list) else str(value)
