"""`where`: from the coerced input to a normal form and its values, and from the normal form to SQL over a view.

The normal form is a hashable tree without values, so that a statement is compiled once per form and then only bound.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, String, and_, false, not_, or_, select, true
from sqlalchemy.types import TypeEngine

from crm_graph.db.sizes import Letters, Size
from crm_graph.graph.reading.comparators import argument, condition, null_condition, refuse_null
from crm_graph.graph.reading.grams import has_grams
from crm_graph.graph.reading.sealed import Search
from crm_graph.graph.reading.sizes import column_size
from crm_graph.graph.reading.views import View
from crm_graph.graph.records.filter_limits import FilterLimits
from crm_graph.graph.records.record import Record
from crm_graph.graph.records.registry import Registry
from crm_graph.graph.records.relative import OPERATORS as RELATIVE
from crm_graph.graph.records.relative import bounds
from crm_graph.kernel.errors import BadUserInput, LimitExceeded
from crm_graph.kernel.ids import decode_id
from crm_graph.permissions.access import Access
from crm_graph.permissions.policy import in_circle, viewer_id
from crm_graph.vault.columns import Encrypted

Form = tuple[Any, ...]
Path = tuple[str | int, ...]
Entry = Callable[[str, Any, Path, int], Form]
"""`entry(name, value, path, depth)` -> the form of one field of a condition that is not `and`, `or` or `not`."""

EVERYTHING: Form = ("and",)
EDGE_WORK = 8
"""What an edge in a filter counts as, in conditions: compiling its subquery takes so much longer."""
PATTERNS = frozenset({"contains", "startsWith"})
IS_VIEWER, IN_VIEWER_TEAMS = "isViewer", "inViewerTeams"
QUANTIFIERS = ("some", "none", "every")


@dataclass(slots=True)
class Normaliser:
    """Turns one coerced `where` into its form and values; the values' binds are `w0`, `w1`, ...

    Also the `having` of the same field (`having.py`): both share the limits and the names of the binds.
    """

    registry: Registry
    values: list[Any] = field(default_factory=list)
    sought: dict[str, str] = field(default_factory=dict)
    """The binds of the texts that are looked for as they were given, by those of their patterns."""
    searches: dict[str, Search] = field(default_factory=dict)
    """What is looked for in encrypted columns, by the names of the binds: `e0`, `e1`, ... (`sealed.py`)."""
    leaves: int = 0
    objects: int = 0
    edges: int = 0
    letters: int = 0

    @property
    def limits(self) -> FilterLimits:
        """The bounds of every filter, wherever it stands."""
        return self.registry.filter_limits

    def normalise(self, record: Record, where: Mapping[str, Any] | None, path: Path, depth: int = 0) -> Form:
        """Return the form of a filter. Raises BadUserInput or LimitExceeded with the path of what is wrong."""
        return self.combined(where, path, lambda *field: self._field(record, *field), depth)

    def combined(self, given: Mapping[str, Any] | None, path: Path, entry: Entry, depth: int = 0) -> Form:
        """Return the form of an object with `and`, `or`, `not` and fields that `entry` reads. Raises as `normalise`."""
        if given is None:
            raise BadUserInput(f"`{_dotted(path)}` is null. `{{}}` matches everything.", path=path)
        if depth > self.limits.depth:
            raise LimitExceeded(f"`{_dotted(path)}` is nested deeper than {self.limits.depth} levels.", path=path)
        self.objects += 1
        if self.objects > self.limits.objects:
            raise LimitExceeded(f"A filter may have at most {self.limits.objects} objects.", path=path)
        return ("and", *(self._entry(name, value, (*path, name), entry, depth) for name, value in given.items()))

    def _entry(self, name: str, value: Any, path: Path, entry: Entry, depth: int) -> Form:
        refuse_absent(value, path)
        if name in {"and", "or"}:
            parts = (self.combined(item, (*path, index), entry, depth + 1) for index, item in enumerate(value))
            return (name, *parts)
        if name == "not":
            return ("not", self.combined(value, path, entry, depth + 1))
        return entry(name, value, path, depth)

    def _field(self, record: Record, name: str, value: Any, path: Path, depth: int) -> Form:
        if record.views and name in {IS_VIEWER, IN_VIEWER_TEAMS}:
            self.leaves += 1
            return ("viewer", name, bool(value))
        edge = self.registry.edge(record, name)
        if edge is None:
            return self._leaf(record, name, value, path)
        target = edge.target
        self.edges += len(value) if edge.many else 1
        if not edge.many:
            return ("one", name, self.normalise(target, value, path, depth + 1))
        quantified = (
            (quantifier, name, self.normalise(target, inner, (*path, quantifier), depth + 1))
            for quantifier, inner in value.items()
        )
        return ("and", *quantified)

    def _leaf(self, record: Record, name: str, comparisons: Mapping[str, Any], path: Path) -> Form:
        key = self.registry.filter_key(record, name)
        found = record.columns[key]
        prefix = self.registry.id_prefix(record, key)
        column = record.table.c[found.column]
        return self.compared(key, comparisons, path, column.type, prefix, found.encrypted, column_size(column))

    def compared(
        self,
        key: str,
        comparisons: Mapping[str, Any],
        path: Path,
        of: TypeEngine[Any],
        prefix: str | None = None,
        mark: Encrypted | None = None,
        size: Size | None = None,
    ) -> Form:
        """Return the form of a comparator of what `key` names, whose SQL type is `of` and which holds so much; a
        `prefix` is that of ids, a `mark` that of an encrypted column."""
        forms: list[Form] = []
        for operator, value in comparisons.items():
            refuse_null(operator, value, path)
            self.leaves += 1
            if self.leaves > self.limits.leaves:
                raise LimitExceeded(f"A filter may have at most {self.limits.leaves} conditions.", path=path)
            if operator == "isNull":
                forms.append(("null", key, bool(value)))
                continue
            if operator in RELATIVE:
                for comparison, relative in bounds(operator, value, of, (*path, operator)):
                    forms.append(("leaf", key, comparison, f"w{len(self.values)}"))
                    self.values.append(relative)
                continue
            if isinstance(value, list) and len(value) > self.limits.list_items:
                raise LimitExceeded(
                    f"`{_dotted((*path, operator))}` has {len(value)} items; the limit is {self.limits.list_items}.",
                    path=(*path, operator),
                )
            self._check_letters(operator, value, size, (*path, operator))
            if mark is not None:
                forms.append(self._search(key, operator, value, mark))
                continue
            decode = (lambda text: decode_id(prefix, text)) if prefix else None
            pattern = f"w{len(self.values)}"
            forms.append(("leaf", key, operator, pattern))
            self.values.append(argument(operator, value, of, decode))
            if operator in PATTERNS and has_grams(operator, value):
                self.sought[pattern] = f"w{len(self.values)}"
                self.values.append(value)
        return ("and", *forms)

    def _check_letters(self, operator: str, value: Any, size: Size | None, path: Path) -> None:
        """Raise BadUserInput for an operand that is longer than any value of its column, or than a pattern may be, and
        LimitExceeded for operands that are too long together: each row is compared with all of them."""
        if not isinstance(size, Letters):
            return
        limit = min(size.at_most, self.limits.pattern_letters) if operator in PATTERNS else size.at_most
        for index, text in enumerate(value if isinstance(value, list) else (value,)):
            if not isinstance(text, str):
                continue
            self.letters += len(text)
            if len(text) > limit:
                at = (*path, index) if isinstance(value, list) else path
                raise BadUserInput(
                    f"`{_dotted(at)}` has {len(text):,} letters; {limit:,} is the most that can be compared here.",
                    path=at,
                )
        if self.letters > self.limits.letters:
            raise LimitExceeded(
                f"The texts of a filter may have {self.limits.letters:,} letters in all. Compare with less at once.",
                path=path,
            )

    def _search(self, key: str, operator: str, value: Any, mark: Encrypted) -> Form:
        """Return the form of a comparison with an encrypted column: a text has one blind index, or for a while two."""
        name = f"e{len(self.searches)}"
        self.searches[name] = Search(tuple(value) if isinstance(value, list) else (value,), mark)
        return ("leaf", key, "in" if operator in {"eq", "in"} else "notIn", name)

    @property
    def work(self) -> int:
        """How much is to be compiled for what was normalised, in conditions."""
        return self.leaves + self.objects + EDGE_WORK * self.edges

    def binds(self) -> dict[str, Any]:
        """Return the values by the names of their binds; relative ones are as they were given (`relative.resolved`)."""
        return {f"w{index}": value for index, value in enumerate(self.values)}


_NULL_FAILS = frozenset({"eq", "in", "gt", "gte", "lt", "lte", "contains", "startsWith"})


def present(form: Form) -> frozenset[str]:
    """Return the keys that are not null in any row that matches a form."""
    match form:
        case ("and", *parts):
            return frozenset().union(*(present(part) for part in parts))
        case ("null", key, False):
            return frozenset({key})
        case ("leaf", key, operator, _) if operator in _NULL_FAILS:
            return frozenset({key})
    return frozenset()


def predicate(form: Form, view: View, registry: Registry, access: Access) -> ColumnElement[bool]:
    """Return the SQL of a form over a view. Raises Forbidden for a column that may not be read."""
    return combination(form, lambda part: _condition(part, view, registry, access))


def combination(form: Form, single: Callable[[Form], ColumnElement[bool]]) -> ColumnElement[bool]:
    """Return the SQL of a form, whose parts that are not `and`, `or` or `not` are made by `single`."""
    match form:
        case ("and", *parts):
            return and_(true(), *(combination(part, single) for part in parts))
        case ("or", *parts):
            return or_(false(), *(combination(part, single) for part in parts))
        case ("not", part):
            return combination(part, single).is_not(True)
    return single(form)


def _condition(form: Form, view: View, registry: Registry, access: Access) -> ColumnElement[bool]:
    match form:
        case ("null", key, is_null):
            return null_condition(view.comparable(key, "filter by"), is_null)
        case ("leaf", key, operator, name):
            column = view.comparable(key, "filter by")
            folds = isinstance(column.type, String) and (operator in PATTERNS or not registry.is_enum(view.record, key))
            found = condition(operator, column, name, folds)
            if key in view.record.edges and operator in _NULL_FAILS:  # its own index serves, wherever the edge leads
                return and_(condition(operator, view.clear(key, "filter by"), name, folds), found)
            return found
        case ("viewer", which, wanted):
            is_one = _of_viewer(which, view.rows.c.id)
            return is_one if wanted else not_(is_one)
        case (quantifier, name, part):
            return _across(quantifier, name, part, view, registry, access)
    raise AssertionError(f"unknown form {form}")


def _across(
    quantifier: str, name: str, part: Form, view: View, registry: Registry, access: Access
) -> ColumnElement[bool]:
    """Return the SQL of a condition on the other side of an edge, of which only what may be seen exists."""
    edge = registry.edge(view.record, name)
    assert edge is not None
    other = View.of(edge.target, access, view.compared, as_of=view.as_of)
    inner = predicate(part, other, registry, access)
    if edge.many:
        other.clear(edge.target.edge_along(edge.column), "filter by")
        joined = other.pointing(edge.column, view.rows.c.id)
    else:
        key = view.clear(name, "filter by")
        joined = and_(other.rows.c.id == key, *(_of_viewer(which, key) for which in _viewers(part)))
    if quantifier == "every":
        inner = inner.is_not(True)
    found = select(1).select_from(other.rows).where(*other.conditions(), joined, inner).correlate(view.rows).exists()
    return found if quantifier in {"one", "some"} else ~found


def _of_viewer(which: str, id_: ColumnElement[Any]) -> ColumnElement[bool]:
    """Return whether an id is the viewer's, or of somebody in the viewer's teams."""
    return id_ == viewer_id() if which == IS_VIEWER else in_circle(id_)


def _viewers(part: Form) -> list[str]:
    """Return what a form asks of the viewer in any case: asked of the key that leads there too, its index serves."""
    return [form[1] for form in part[1:] if form[0] == "viewer" and form[2]] if part[0] == "and" else []


def asks_viewer(form: Form) -> bool:
    """Return whether what matches a form depends on who asks."""
    return form[0] == "viewer" or any(asks_viewer(part) for part in form if isinstance(part, tuple))


def refuse_absent(value: Any, path: Path) -> None:
    """Raise BadUserInput for a field of a condition that is given as null."""
    if value is None:
        raise BadUserInput(f"`{_dotted(path)}` is null. Leave it out, or use a comparator.", path=path)


def _dotted(path: Path) -> str:
    return ".".join(map(str, path))
