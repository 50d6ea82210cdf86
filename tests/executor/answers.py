"""Two answers to one operation, brought to the form in which they must be equal byte by byte.

Two things may differ, and only these. *Withheld coordinates*: a plan knows of all that are selected, the reference only
of those below rows that are there. *Errors below a null that rose*: once a place is null because something non-null
below it failed, the specification lets an executor stop collecting further errors below that place; both must name at
least one of the same.
"""

from __future__ import annotations

import json
from collections.abc import Sequence, Set
from typing import Any

import orjson

Path = tuple[Any, ...]
Body = dict[str, Any]


def comparable(bodies: Sequence[Body], executed: Set[str]) -> tuple[str, str]:
    """Return the reference's and our answer as text. `executed` are the coordinates that the data shows."""
    reference, planned = ({**body, "errors": _errors(body)} for body in bodies)
    _keep_common_errors(reference, planned)
    unreached = withheld(planned) - withheld(reference) - executed
    return _text(reference, frozenset()), _text(planned, unreached)


def withheld(body: Body) -> set[str]:
    """Return the coordinates that an answer says are withheld."""
    return set(body.get("extensions", {}).get("withheld", ()))


def _text(body: Body, unreached: Set[str]) -> str:
    errors = sorted(body["errors"], key=lambda error: (json.dumps(error.get("path")), error["message"]))
    extensions = {**body.get("extensions", {}), "withheld": sorted(withheld(body) - unreached)}
    data = {"data": body["data"]} if "data" in body else {}
    return orjson.dumps({**data, "errors": errors, "extensions": extensions}, option=orjson.OPT_INDENT_2).decode()


def _errors(body: Body) -> list[Body]:
    """Return the errors without their request ids."""
    return [
        {**error, "extensions": {name: value for name, value in error["extensions"].items() if name != "requestId"}}
        for error in body.get("errors", ())
    ]


def _keep_common_errors(one: Body, other: Body) -> None:
    """Where a null rose and both name a same error for it, leave only these, without the indexes of list items."""
    places = {_risen_to(body, error) for body in (one, other) for error in body["errors"]} - {None}
    for place in places:
        groups = [[_anywhere(e) for e in body["errors"] if _risen_to(body, e) == place] for body in (one, other)]
        common = [error for error in groups[0] if error in groups[1]]
        if common:
            for body in (one, other):
                body["errors"] = [*common, *(e for e in body["errors"] if _risen_to(body, e) != place)]


def _anywhere(error: Body) -> Body:
    """Return the error of a field at any index: which item of a list that became null is named first is by chance."""
    return {**error, "path": ["*" if isinstance(step, int) else step for step in error["path"]]}


def risen(bodies: Sequence[Body]) -> list[Body]:
    """Return the errors, of all of these answers, that made a null rise."""
    return [error for body in bodies for error in body.get("errors", ()) if _risen_to(body, error) is not None]


def _risen_to(body: Body, error: Body) -> Path | None:
    """Return the place that is null because of an error, or None where it is the error's own."""
    path: Path = tuple(error.get("path") or ())
    value = body.get("data")
    for length, step in enumerate(path):
        if value is None:
            return path[:length]
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return None
    return None
