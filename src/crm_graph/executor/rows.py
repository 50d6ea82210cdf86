"""A fetched row as functions written by hand see it: plain resolvers on records, and batch functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class RowView:
    """A row's columns by key (`get("annualRevenue.currency")`), or as attributes by Python name (`row.annual_revenue`).

    It has the columns that the field asked for and no others. A value is what the database answered under the viewer's
    permissions: None where it is hidden; ids, also those that edges lead to, as 32 hex digits without prefix; money as
    its amount; an exception that stands for one (of what cannot be decrypted) is raised. Making a view costs 0.1 us, so
    a level of rows is viewed anew for each field that needs it.
    """

    __slots__ = ("_positions", "_type_name", "_values")

    def __init__(self, type_name: str, positions: Mapping[str, int], values: Sequence[Any]) -> None:
        self._type_name = type_name
        self._positions = positions
        self._values = values

    def get(self, key: str) -> Any:
        """Return the value of a column. Raises KeyError for one that the field did not ask for."""
        return value_or_raise(self._values[self._positions[key]])

    def __getattr__(self, name: str) -> Any:
        position = self._positions.get(column_key(name))
        if position is None:
            raise AttributeError(f"{self._type_name} rows have no {name}")
        return value_or_raise(self._values[position])

    def __repr__(self) -> str:
        return f"<{self._type_name} row>"


def value_or_raise(value: Any) -> Any:
    """Return a value of a row; raise one that stands for it because it could not be had."""
    if isinstance(value, Exception):
        raise value
    return value


def column_key(name: str) -> str:
    """Return the key of a column by its Python name: `created_at` is `createdAt`."""
    first, *others = name.split("_")
    return first + "".join(other.capitalize() or "_" for other in others)
