"""References: from what people write (an e-mail, a name, an id of the old system) to the id of a row.

One query reads the keys of all rows of a referenced entity that the importer may see; rows that this run adds or
renames are kept up to date in memory, so that later rows find them whether or not they are written yet.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import null, select

from crm_graph.db.aliases import rows_of
from crm_graph.db.base import table_of
from crm_graph.kernel.ids import split_id
from crm_graph.kernel.naming import camel, plural, words
from crm_graph.transfer.spec import Target
from crm_graph.work import Work


class Unresolved(Exception):
    """Raised with the reason for which a text names no row. `unknown`: none, rather than several."""

    def __init__(self, reason: str, *, unknown: bool) -> None:
        super().__init__(reason)
        self.unknown = unknown


def fold(key: str, value: str) -> str:
    """Return a key's value as it is compared: e-mail addresses in any case."""
    return value.lower() if key == "email" else value


class _Known:
    """The rows of one target, by each of its keys."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.by_key: dict[str, dict[str, set[str]]] = {key: {} for key in target.keys}
        self.within: dict[str, str | None] = {}

    def add(self, id_: str, values: Mapping[str, Any]) -> None:
        self.within[id_] = values.get(self.target.within) if self.target.within else None
        for key, ids in self.by_key.items():
            if values.get(key) is not None:
                ids.setdefault(fold(key, values[key]), set()).add(id_)

    def remove(self, id_: str, values: Mapping[str, Any]) -> None:
        self.within.pop(id_, None)
        for key, ids in self.by_key.items():
            if values.get(key) is not None:
                ids.get(fold(key, values[key]), set()).discard(id_)

    def find(self, text: str, within: str | None) -> str:
        named = split_id(text)
        if named is not None and named[0] == self.target.prefix and named[1] in self.within:
            return named[1]
        matching: set[str] = set()
        for key, ids in self.by_key.items():
            matching |= ids.get(fold(key, text), set())
        if within is not None and self.target.within is not None:
            matching = {id_ for id_ in matching if self.within[id_] == within}
        type_ = self.target.policy.type
        keys = " or ".join(key.replace("_", " ") for key in self.target.keys)
        if not matching:
            raise Unresolved(f"is the {keys} of no {words(type_)}", unknown=True)
        if len(matching) > 1:
            narrower = f"; say which {self.target.within.removesuffix('_id')}" if self.target.within else ""
            raise Unresolved(
                f"could be any of {len(matching)} {plural(type_)}: use an id or another key of it{narrower}",
                unknown=False,
            )
        return next(iter(matching))


class Resolver:
    """The references of one import, over all of its steps."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._known: dict[str, _Known] = {}

    async def prepare(self, targets: Iterable[Target]) -> None:
        """Read the keys of targets that have not been read yet."""
        for target in targets:
            name = target.policy.type
            known = self._known.get(name)
            if known is None or known.target != target:
                known = self._known[name] = _Known(target)
                await self._read(known)

    async def _read(self, known: _Known) -> None:
        """Read rows through the permission compiler: a row that may not be seen cannot be named, nor a masked key."""
        target = known.target
        rows = rows_of(table_of(target.model))
        access = self._work.access.of(target.policy.type)
        fields = {key: camel(key) for key in target.keys}
        shown = {key: access.column(fields[key], rows, rows.c[key], masks=False) for key in target.keys}
        within = rows.c[target.within] if target.within else null()
        columns = [(null() if column is None else column).label(key) for key, column in shown.items()]
        query = select(rows.c.id, within.label("within"), *columns).where(*access.conditions(rows))
        for row in await self._work.session.query(query, **self._work.viewer.binds):
            values = {key: row[key] for key in target.keys}
            known.add(row["id"], {**values, target.within: row["within"]} if target.within else values)

    def find(self, target: Target, text: str, within: str | None) -> str:
        """Return the id of the one row that a text names. Raises Unresolved."""
        return self._known[target.policy.type].find(text, within)

    def add(self, type_name: str, id_: str, values: Mapping[str, Any]) -> None:
        """Note a new row, or the new values of one."""
        known = self._known.get(type_name)
        if known is not None:
            known.add(id_, values)

    def remove(self, type_name: str, id_: str, values: Mapping[str, Any]) -> None:
        """Forget the keys of a row that will not be written, or the old ones of one that changes."""
        known = self._known.get(type_name)
        if known is not None:
            known.remove(id_, values)
