"""From the cells of a row to the texts of an entity's columns. Every column of the file is used, or ignored by name."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation

from crm_graph.kernel.errors import OperatorError
from crm_graph.transfer.reader import Table
from crm_graph.transfer.recipe import Source, Step
from crm_graph.transfer.spec import IDENTITY, Column, ImportSpec

Getter = Callable[[Sequence[str]], str]
_PLACE = re.compile(r"\{([^{}|]+)(?:\|([a-z]+))?\}")


def slug(text: str) -> str:
    """Return a text as small letters, digits and single points: `Mei-Mei O'Neil` is `mei.mei.o.neil`."""
    plain = unicodedata.normalize("NFKD", text).lower()
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter))
    return ".".join(re.findall(r"\w+", plain.replace("_", " ")))


FILTERS: Mapping[str, Callable[[str], str]] = {"slug": slug, "lower": str.lower, "upper": str.upper, "trim": str.strip}


@dataclass(frozen=True, slots=True)
class BoundStep:
    """A step bound to the header of its file. `label` is what a column is called in messages about a row."""

    columns: tuple[Column, ...]
    getters: tuple[Getter, ...]
    labels: tuple[str, ...]
    fixes: tuple[tuple[int, Mapping[str, str]], ...]
    distinct: tuple[int, ...] | None

    def fixed(self, cells: Sequence[str]) -> Sequence[str]:
        """Return the cells with the value fixes applied."""
        if not self.fixes:
            return cells
        cells = list(cells)
        for position, fixes in self.fixes:
            cells[position] = fixes.get(cells[position], cells[position])
        return cells

    def texts(self, cells: Sequence[str]) -> list[str]:
        """Return the texts of `columns`, in that order."""
        return [get(cells) for get in self.getters]


def bind(step: Step, spec: ImportSpec, table: Table) -> BoundStep:
    """Return a step bound to its file. Raises OperatorError for a column that is missing, unknown or used twice."""
    sources = _sources(step, spec, table)
    for name, source in sources.items():
        if spec.column(name) is None:
            raise OperatorError(f"{spec.entity} has no field {name!r}", f"its fields: {_fields(spec)}")
        for column in _used(source):
            if column not in table.header:
                raise OperatorError(
                    f"{table.name} has no column {column!r}, which {spec.entity}.{name} is taken from",
                    f"its header is: {', '.join(table.header)}",
                )
    _check_named(step, table)
    _check_required(spec, sources, table)
    used = {column for source in sources.values() for column in _used(source)}
    unused = [column for column in table.header if column not in used and column not in step.ignore]
    if unused:
        raise OperatorError(
            f"{table.name} has a column {unused[0]!r} that is not a field of {spec.entity}",
            f"map it (`--map {unused[0]}=FIELD`) or leave it out (`--ignore {unused[0]}`); fields: {_fields(spec)}",
        )
    position = {column: index for index, column in enumerate(table.header)}
    columns = tuple(column for column in (IDENTITY, *spec.columns) if column.name in sources)
    return BoundStep(
        columns,
        tuple(_getter(sources[column.name], position) for column in columns),
        tuple(sources[column.name].column or column.name for column in columns),
        tuple((position[column], fixes) for column, fixes in step.fixes.items()),
        _distinct(step, spec, table, used, position),
    )


def _distinct(
    step: Step, spec: ImportSpec, table: Table, used: set[str], position: Mapping[str, int]
) -> tuple[int, ...] | None:
    if step.distinct is None:
        return None
    beyond = used - set(step.distinct)
    if beyond:
        raise OperatorError(
            f"{table.name}: {spec.entity} uses {min(beyond)!r}, which is not among the `distinct` columns",
            "add it to `distinct`, else rows that differ in it would be dropped",
        )
    return tuple(position[column] for column in step.distinct)


def _sources(step: Step, spec: ImportSpec, table: Table) -> dict[str, Source]:
    if step.columns is not None:
        return dict(step.columns)
    sources: dict[str, Source] = {}
    for column in table.header:
        name = step.renamed.get(column)
        if name is None and column not in step.ignore:
            name = _field_called(spec, column)
        if name is None:
            continue
        if name in sources:
            raise OperatorError(
                f"{spec.entity}.{name} is taken from two columns: {sources[name].column!r} and {column!r}",
                f"leave one of them out: `--ignore {column}`",
            )
        sources[name] = Source(column=column)
    for name, value in step.constants.items():
        if name in sources:
            raise OperatorError(
                f"{spec.entity}.{name} is set, and taken from the column {sources[name].column!r}",
                f"leave the column out: `--ignore {sources[name].column}`",
            )
        sources[name] = Source(value=value)
    return sources


def _field_called(spec: ImportSpec, column: str) -> str | None:
    """Return the field that a column of the file is called like: `external_id`, `externalId` or `External ID`."""
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", column.strip())
    name = re.sub(r"[\s\-_]+", "_", snake).lower()
    return name if spec.column(name) is not None else None


def _check_named(step: Step, table: Table) -> None:
    """Refuse options that name columns which the file does not have: a typo in them would do nothing, silently."""
    named = {"map": step.renamed, "ignore": step.ignore, "fix": step.fixes, "distinct": step.distinct or ()}
    for option, columns in named.items():
        for column in columns:
            if column not in table.header:
                raise OperatorError(
                    f"{table.name} has no column {column!r}, which `{option}` names",
                    f"its header is: {', '.join(table.header)}",
                )


def _check_required(spec: ImportSpec, sources: Mapping[str, Source], table: Table) -> None:
    missing = [column.name for column in spec.columns if column.required and column.name not in sources]
    if missing:
        raise OperatorError(
            f"{table.name} has no column for {spec.entity}.{missing[0]}, which is required",
            f"its header is: {', '.join(table.header)}; name the column with `--map COLUMN={missing[0]}`, "
            f"or one value for all rows with `--set {missing[0]}=VALUE`",
        )


def _fields(spec: ImportSpec) -> str:
    return ", ".join(["id", *(column.name for column in spec.columns)])


def _used(source: Source) -> list[str]:
    if source.template is not None:
        return [match[0] for match in _PLACE.findall(source.template)]
    return [] if source.column is None else [source.column]


def _getter(source: Source, position: Mapping[str, int]) -> Getter:
    if source.value is not None:
        constant = source.value
        return lambda _: constant
    if source.template is not None:
        return _template(source.template, position)
    assert source.column is not None
    index = position[source.column]
    if source.multiply is not None:
        factor = source.multiply
        return lambda cells: _multiplied(cells[index], factor)
    if source.format is not None:
        format_ = source.format
        return lambda cells: _dated(cells[index], format_)
    return lambda cells: cells[index]


def _template(template: str, position: Mapping[str, int]) -> Getter:
    """Return the template's text for a row; what an empty column leaves (`{account} {product}`) is closed up."""
    parts: list[str | tuple[int, Callable[[str], str]]] = []
    end = 0
    for match in _PLACE.finditer(template):
        column, name = match.groups()
        if name is not None and name not in FILTERS:
            raise OperatorError(f"there is no filter {name!r}", f"there are: {', '.join(FILTERS)}")
        parts += [template[end : match.start()], (position[column], FILTERS[name] if name else str)]
        end = match.end()
    parts.append(template[end:])

    def fill(cells: Sequence[str]) -> str:
        text = "".join(part if isinstance(part, str) else part[1](cells[part[0]]) for part in parts)
        return " ".join(text.split())

    return fill


def _multiplied(text: str, factor: Decimal) -> str:
    """Return the product; a text that is no number stays, to be refused where it is parsed."""
    try:
        return f"{Decimal(text.strip()) * factor:f}" if text.strip() else ""
    except InvalidOperation:
        return text


def _dated(text: str, format_: str) -> str:
    """Return the ISO date of a text in another format; one that is not stays, to be refused where it is parsed."""
    try:
        moment = datetime.strptime(text.strip(), format_)  # noqa: DTZ007 - a date, or a time whose format has an offset
    except ValueError:
        return text
    return moment.isoformat() if moment.tzinfo is not None else moment.date().isoformat()
