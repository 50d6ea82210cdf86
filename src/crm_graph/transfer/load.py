"""One step of an import: batch by batch, each row becomes an insert, an update, nothing, or errors in the report."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from crm_graph.db.rules import CIRCLE
from crm_graph.kernel.errors import OperatorError
from crm_graph.kernel.ids import new_id
from crm_graph.permissions.grants import UPDATE
from crm_graph.transfer.draft import Drafts
from crm_graph.transfer.mapping import BoundStep
from crm_graph.transfer.match import Existing, find_existing, find_taken, key_of, links
from crm_graph.transfer.reader import FileRow, Table
from crm_graph.transfer.report import StepReport
from crm_graph.transfer.resolve import Resolver, Unresolved
from crm_graph.transfer.save import Saver
from crm_graph.transfer.spec import Column, Draft, ImportSpec, Kind
from crm_graph.vault.columns import encrypted_columns
from crm_graph.work import Work

BATCH_ROWS = 2_000
Progress = Callable[[int], None]


def match_key(spec: ImportSpec, given: Sequence[str] | None, bound: BoundStep) -> tuple[str, ...]:
    """Return the columns of the table by which rows are recognised. Raises OperatorError when the file lacks them."""
    present = {column.name for column in bound.columns}
    candidates = [tuple(given)] if given is not None else [("id",), *spec.matches]
    for names in candidates:
        if present.issuperset(names):
            columns = [column for name in names if (column := spec.column(name)) is not None]
            _refuse_encrypted(spec, columns)
            if all(column.stored for column in columns):
                return tuple(column.stored for column in columns if column.stored)
    wanted = " or ".join(" and ".join(names) for names in candidates)
    raise OperatorError(
        f"rows of {spec.entity} are recognised by {wanted}, which this file does not give",
        f"map a column to it, or name another key: `--match` one of {', '.join(sorted(present))}",
    )


def _refuse_encrypted(spec: ImportSpec, key: Sequence[Column]) -> None:
    stored = {mark.column for mark in encrypted_columns(spec.model)}
    for column in key:
        if column.stored in stored:
            raise OperatorError(
                f"{spec.entity}.{column.name} is encrypted: rows cannot be recognised by it",
                f"name another key: `--match` one of {', '.join('+'.join(names) for names in spec.matches)}",
            )


class StepLoader:
    """Loads the rows of one step. Writes nothing any more once a row is bad, unless bad rows are to be skipped."""

    def __init__(
        self,
        work: Work,
        spec: ImportSpec,
        bound: BoundStep,
        match: tuple[str, ...],
        resolver: Resolver,
        report: StepReport,
        *,
        skip_errors: bool,
    ) -> None:
        self.work, self.spec, self.bound, self.match = work, spec, bound, match
        self.resolver, self.report, self.skip_errors = resolver, report, skip_errors
        self.drafts = Drafts(work, spec, bound, report)
        self.saver = Saver(work, spec, resolver, report)
        self.references = [column for column in bound.columns if column.kind is Kind.REFERENCE]
        self.own = [
            reference for reference in self.references if reference.target and reference.target.policy is spec.policy
        ]
        self.seen: dict[tuple[str, ...], dict[tuple[Any, ...], int]] = {}
        self.held: dict[str, Draft] = {}
        self.lost: set[str] = set()
        self.links: dict[str, dict[str, str | None]] = {}
        self.found: dict[str, Existing] = {}

    async def run(self, table: Table, progress: Progress) -> None:
        """Take all rows of a table."""
        self.drafts.check_rights()
        self.drafts.check_match(self.match)
        if self.spec.policy.directory or self.own:
            await self.work.alone()
        await self.resolver.prepare(column.target for column in self.references if column.target is not None)
        for column in self.own:
            assert column.stored is not None
            self.links[column.stored] = await links(self.work, self.spec, column.stored)
        for batch in _batches(self._rows(table), BATCH_ROWS):
            await self._take(batch)
            progress(len(batch))
        held = list(self.held.values())
        self.held.clear()
        for draft in held:
            self._resolve(draft, self.own)
        await self._finish(held)

    def _rows(self, table: Table) -> Iterator[FileRow]:
        """Return the rows that count: not the blank ones, and of those that are alike the first."""
        distinct: set[tuple[str, ...]] = set()
        for row in table.rows:
            if not row.cells and not row.problem:
                self.report.blank += 1
                continue
            if self.bound.distinct is not None and not row.problem:
                key = tuple(row.cells[position] for position in self.bound.distinct)
                if key in distinct:
                    self.report.repeated += 1
                    continue
                distinct.add(key)
            self.report.rows += 1
            yield row

    async def _take(self, rows: Sequence[FileRow]) -> None:
        drafts = []
        for row in rows:
            if row.problem:
                self.report.bad_rows += 1
                self.report.add_error(row.number, "", "", row.problem)
                continue
            draft = self.drafts.make(row.number, self.bound.fixed(row.cells))
            self._resolve(draft, [column for column in self.references if column not in self.own])
            self._check_key(draft)
            drafts.append(draft)
        good = [draft for draft in drafts if not draft.failed]
        await self._match(good)
        await self._check_unique([draft for draft in good if not draft.failed])
        good = [draft for draft in good if not draft.failed]
        for draft in good:
            self._register(draft)
        await self._finish(self._hold(good))

    def _resolve(self, draft: Draft, columns: Iterable[Column]) -> None:
        """Replace the texts of references by ids; what names no row is reported."""
        for column in columns:
            text = draft.pending.pop(column.name, None)
            if text is None:
                continue
            assert column.target is not None
            within = draft.values.get(column.target.within) if column.target.within else None
            try:
                id_ = self.resolver.find(column.target, text, within)
            except Unresolved as reason:
                self.drafts.fail(draft, column.name, str(reason))
                continue
            if column.stored is None:
                draft.extra[column.name] = id_
            else:
                draft.values[column.stored] = id_

    def _check_key(self, draft: Draft) -> None:
        """Report a row without key, and the second of two rows with the same."""
        for key in dict.fromkeys((self.match, *self.spec.unique)):
            if any(draft.values.get(name) is None for name in key):
                if key == self.match != ("id",) and not draft.failed:
                    empty = next(name for name in key if draft.values.get(name) is None)
                    self.drafts.fail_stored(draft, empty, "is empty, and rows are recognised by it")
                continue
            first = self.seen.setdefault(key, {}).setdefault(key_of(draft, key), draft.number)
            if first != draft.number:
                self.drafts.fail_stored(draft, key[-1], f"stands in row {first} already")

    async def _match(self, drafts: Sequence[Draft]) -> None:
        keyed = [draft for draft in drafts if all(draft.values.get(name) is not None for name in self.match)]
        verbs, fields = self.drafts.verbs(), self.drafts.fields
        matches = await find_existing(self.work, self.spec, self.match, keyed, verbs, fields) if keyed else []
        for draft, existing in zip(keyed, matches, strict=True):
            if len(existing) > 1:
                self.drafts.fail_stored(draft, self.match[-1], f"is the key of {len(existing)} stored rows")
            elif existing:
                draft.before = existing[0].values
                draft.id = existing[0].values["id"]
                self.found[draft.id] = existing[0]
            elif self.match == ("id",):
                self.drafts.fail(draft, "id", f"is the id of no {self.spec.entity}")
        for draft in drafts:
            draft.id = draft.id or new_id()

    async def _check_unique(self, drafts: Sequence[Draft]) -> None:
        """Report values that another row has; the database would refuse the whole batch for one of them."""
        for key in self.spec.unique:
            asking = [
                draft
                for draft in drafts
                if all(draft.values.get(name) is not None for name in key)
                and (draft.is_new() or any(draft.changes_to(name) for name in key))
            ]
            taken = await find_taken(self.work, self.spec, key, asking) if asking else {}
            for place, id_ in taken.items():
                if id_ != asking[place].id:
                    reason = f"belongs to another {self.spec.entity}, which this row does not match"
                    self.drafts.fail_stored(asking[place], key[-1], reason)

    def _register(self, draft: Draft) -> None:
        name = self.spec.policy.type
        if draft.before is not None:
            self.resolver.remove(name, draft.id, draft.before)
            self.resolver.add(name, draft.id, {**draft.before, **draft.values})
        else:
            self.resolver.add(name, draft.id, draft.values)

    def _hold(self, drafts: Sequence[Draft]) -> list[Draft]:
        """Return the drafts whose references within the file are known; the others wait until all of it is read."""
        ready: list[Draft] = []
        for draft in drafts:
            if all(
                self._is_known(column, draft.pending[column.name])
                for column in self.own
                if column.name in draft.pending
            ):
                self._resolve(draft, self.own)
                ready.append(draft)
            else:
                self.held[draft.id] = draft
        while True:
            waiting = [draft for draft in ready if any(self._own(draft, edge) in self.held for edge in self.own)]
            if not waiting:
                return ready
            self.held.update({draft.id: draft for draft in waiting})
            ready = [draft for draft in ready if draft.id not in self.held]

    def _is_known(self, column: Column, text: str) -> bool:
        assert column.target is not None
        try:
            self.resolver.find(column.target, text, None)
        except Unresolved as reason:
            return not reason.unknown
        return True

    @staticmethod
    def _own(draft: Draft, column: Column) -> str | None:
        return draft.values.get(column.stored) if column.stored else None

    async def _finish(self, drafts: Sequence[Draft]) -> None:
        """Judge drafts whose references are known, and write them."""
        await self.drafts.encrypt([draft for draft in drafts if not draft.failed])
        good = [draft for draft in drafts if not draft.failed]
        facts = await self.drafts.complete(good) if good else None
        changes = {
            draft.id: self.drafts.changes(draft, self.found[draft.id])
            for draft in good
            if not draft.is_new() and not draft.failed
        }
        self._check_circles([draft for draft in good if not draft.failed])
        parts = {draft.id: self.spec.parts(self.work, draft, facts) for draft in good if not draft.failed}
        await self.drafts.check_parts(parts, good)
        for draft in good:
            if not draft.is_new() and parts.get(draft.id) and not self.found[draft.id].permitted[UPDATE]:
                self.drafts.fail(draft, "", f"your roles do not allow to update this {self.spec.entity}")
        self._lose(drafts)
        if self.skip_errors or not self.report.error_count:
            await self.saver.save([draft for draft in good if not draft.failed], changes, parts)

    def _check_circles(self, drafts: Sequence[Draft]) -> None:
        for column in self.own:
            assert column.stored is not None
            chain = self.links[column.stored]
            moved = [draft for draft in drafts if self._moves(draft, column.stored)]
            for draft in moved:
                chain[draft.id] = draft.values[column.stored]
            for draft in moved:
                passed: set[str] = set()
                above = chain[draft.id]
                while above is not None and above != draft.id and above not in passed:
                    passed.add(above)
                    above = chain.get(above)
                if above == draft.id:
                    self.drafts.fail(draft, column.name, CIRCLE.format("row"))

    @staticmethod
    def _moves(draft: Draft, name: str) -> bool:
        """Return whether a row gets another one above it; a circle that was there before is not the file's."""
        return draft.changes_to(name) or (draft.is_new() and draft.values.get(name) is not None)

    def _lose(self, drafts: Sequence[Draft]) -> None:
        """Give up new rows that failed, and with them those that refer to them."""
        lost = [draft for draft in drafts if draft.failed]
        while lost:
            for draft in lost:
                if draft.is_new():
                    self.lost.add(draft.id)
                    self.resolver.remove(self.spec.policy.type, draft.id, draft.values)
            lost = []
            for draft in drafts:
                for column in self.own:
                    if not draft.failed and self._own(draft, column) in self.lost:
                        self.drafts.fail(draft, column.name, "names a row of this file that has errors")
                        lost.append(draft)


def _batches(rows: Iterator[FileRow], size: int) -> Iterator[list[FileRow]]:
    while batch := list(islice(rows, size)):
        yield batch
