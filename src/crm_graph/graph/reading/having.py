"""`having`: from the coerced input to a normal form, and from that to SQL over the measures of an aggregate.

The form is one of `filters.py`, with measures (`count`, `sum.amount`) in the place of columns. Which expression a
measure is, the aggregate says: what is compared is what is answered, and refused where that is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import ColumnElement, Numeric
from sqlalchemy.types import TypeEngine

from crm_graph.graph.reading.comparators import condition, null_condition
from crm_graph.graph.reading.filters import Form, Normaliser, Path, combination, refuse_absent

_COUNT: TypeEngine[Any] = Numeric()


def having_form(
    normaliser: Normaliser, given: Mapping[str, Any] | None, path: Path, type_of: Callable[[str], TypeEngine[Any]]
) -> Form:
    """Return the form of a `having`; `type_of` tells the type of a measure, by its name. Raises BadUserInput
    or LimitExceeded with the path of what is wrong."""

    def entry(name: str, value: Mapping[str, Any], path: Path, _depth: int) -> Form:
        if name == "count":
            return normaliser.compared(name, value, path, _COUNT)
        forms = []
        for key, comparisons in value.items():
            refuse_absent(comparisons, (*path, key))
            forms.append(normaliser.compared(f"{name}.{key}", comparisons, (*path, key), type_of(f"{name}.{key}")))
        return ("and", *forms)

    return normaliser.combined(given, path, entry)


def having_predicate(form: Form, measure: Callable[[str], ColumnElement[Any]]) -> ColumnElement[bool]:
    """Return the SQL of a form over measures. Raises what `measure` raises: Forbidden for one that may not be read."""

    def single(part: Form) -> ColumnElement[bool]:
        match part:
            case ("null", key, is_null):
                return null_condition(measure(key), is_null)
            case ("leaf", key, operator, name):
                return condition(operator, measure(key), name, folds=False)
        raise AssertionError(f"unknown form {part}")

    return combination(form, single)
