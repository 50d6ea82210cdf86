"""Writing the drafts of a batch: rows, their parts, and an event for each, in the transaction of the import."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from crm_graph.db.base import DELETED_AT, Base, Row, table_of
from crm_graph.kernel.ids import new_id
from crm_graph.transfer.report import StepReport
from crm_graph.transfer.resolve import Resolver
from crm_graph.transfer.spec import Draft, ImportSpec, Part
from crm_graph.transfer.write import Told, all_of, delete_rows, event_row, insert_rows, update_rows, write_events
from crm_graph.wholes import PARTS
from crm_graph.work import Work


class Saver:
    """Writes batches of one entity and counts what it wrote."""

    def __init__(self, work: Work, spec: ImportSpec, resolver: Resolver, report: StepReport) -> None:
        self.work = work
        self.spec = spec
        self.resolver = resolver
        self.report = report

    async def save(
        self,
        drafts: Sequence[Draft],
        changes: Mapping[str, Mapping[str, tuple[Any, Any]]],
        parts: Mapping[str, Sequence[Part]],
    ) -> None:
        """Write drafts that are complete; `changes` are those of stored rows, by id."""
        new = [draft for draft in drafts if draft.is_new()]
        changed = [draft for draft in drafts if self._moves(draft, changes, parts)]
        await self._insert(self.spec.model, [draft.values for draft in new])
        await self._update(changed, changes)
        await self._save_parts([part for draft in drafts for part in parts.get(draft.id, ())])
        await self.spec.afterwards(self.work, [*new, *changed])
        await self._log(drafts, changes, parts)
        touched = sum(1 for draft in drafts if not draft.is_new() and (changes.get(draft.id) or parts.get(draft.id)))
        self.report.inserted += len(new)
        self.report.updated += touched
        self.report.unchanged += len(drafts) - len(new) - touched

    async def _insert(self, model: type[Base], rows: Sequence[Mapping[str, Any]]) -> None:
        await insert_rows(self.work, model, rows)
        self.report.written[table_of(model).name] += len(rows)

    async def _update(self, drafts: Sequence[Draft], changes: Mapping[str, Mapping[str, tuple[Any, Any]]]) -> None:
        """Update changed rows together: each gets all columns that any of them changes, with its own value."""
        names = {name for draft in drafts for name in changes.get(draft.id, ())}
        rows = []
        for draft in drafts:
            assert draft.before is not None
            values = {name: draft.get(name) for name in names}
            rows.append({"id": draft.id, "version": draft.before["version"], **values})
        await update_rows(self.work, self.spec.model, sorted(names), rows)

    def _moves(
        self,
        draft: Draft,
        changes: Mapping[str, Mapping[str, tuple[Any, Any]]],
        parts: Mapping[str, Sequence[Part]],
    ) -> bool:
        """Return whether the version of a stored row moves: it changes, or something that its version covers."""
        covered = any(
            part.policy is not None and (part.policy is self.spec.policy or part.policy.in_version)
            for part in parts.get(draft.id, ())
        )
        return not draft.is_new() and (covered or bool(changes.get(draft.id)))

    def _told(self, draft: Draft, changes: Mapping[str, tuple[Any, Any]], parts: Sequence[Part]) -> list[Told]:
        """Return the event of a stored row, which names the parts that its version covers; none where nothing is to be
        told."""
        covered = {part.policy.type: part.policy.in_version for part in parts if part.policy and part.policy.in_version}
        if not changes and not covered:
            return []
        event = self.spec.updated(draft, changes) if changes else next(iter(covered.values()))()
        told = event_row(self.work, self.spec.policy, draft.id, event, changes)
        if covered:
            told.telling.entry["data"][PARTS] = list(covered)
        return [told]

    async def _save_parts(self, parts: Sequence[Part]) -> None:
        rows: dict[type[Base], list[Mapping[str, Any]]] = defaultdict(list)
        for part in parts:
            if part.instead_of is not None:
                await delete_rows(self.work, part.model, part.instead_of)
            rows[part.model] += [self._filled(part.model, row) for row in part.rows]
        for model, inserted in rows.items():
            await self._insert(model, inserted)

    def _filled(self, model: type[Base], row: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a part's row with what every row has."""
        filled = {"workspace_id": self.work.viewer.workspace_id, **row}
        if issubclass(model, Row):
            now = self.work.now
            me = self.work.viewer.actor.member_id
            by = {"created_at": now, "updated_at": now, "created_by_id": me, "updated_by_id": me}
            filled = {"id": new_id(), "version": 1, **by, DELETED_AT: None, **filled}
        return filled

    async def _log(
        self,
        drafts: Sequence[Draft],
        changes: Mapping[str, Mapping[str, tuple[Any, Any]]],
        parts: Mapping[str, Sequence[Part]],
    ) -> None:
        rows = []
        for draft in drafts:
            if draft.is_new():
                event, changed = self.spec.created(draft), all_of(draft.values)
                rows.append(event_row(self.work, self.spec.policy, draft.id, event, changed))
            else:
                rows += self._told(draft, changes.get(draft.id, {}), parts.get(draft.id, ()))
            rows += [
                event_row(self.work, part.policy, part.entity_id, part.event, part.changes)
                for part in parts.get(draft.id, ())
                if part.event is not None and part.policy is not None
            ]
        self.report.events.update(row.telling.entry["type"] for row in rows)
        await write_events(self.work, rows)
