"""Completing drafts: what is new, what changes, and every reason why a row cannot be, before anything is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any
from zoneinfo import ZoneInfo

from crm_graph.db.base import Base, columns_of, table_of
from crm_graph.db.coherence import misfits_of
from crm_graph.db.minor_units import too_fine_of
from crm_graph.db.rules import closed_of, currencies_of, disorder_of, faults_of, rules_of
from crm_graph.db.valued import CURRENCY, Valued
from crm_graph.kernel.errors import Forbidden, Refused
from crm_graph.kernel.naming import snake
from crm_graph.permissions.grants import CREATE, UPDATE
from crm_graph.permissions.rights import hold_to_rights
from crm_graph.transfer.coherence import incoherent
from crm_graph.transfer.mapping import BoundStep
from crm_graph.transfer.match import Existing, find_beyond_scope
from crm_graph.transfer.report import StepReport
from crm_graph.transfer.spec import Draft, ImportSpec, Kind, Part
from crm_graph.transfer.values import BadValue, parse
from crm_graph.valuing import Known, base_amount_of
from crm_graph.vault.columns import encrypted_columns
from crm_graph.vault.rows import encrypted_values
from crm_graph.work import Work


class Drafts:
    """Makes drafts of one step and judges them; what is wrong goes to the report."""

    def __init__(self, work: Work, spec: ImportSpec, bound: BoundStep, report: StepReport) -> None:
        self.work = work
        self.spec = spec
        self.bound = bound
        self.report = report
        self.labels = {column.name: label for column, label in zip(bound.columns, bound.labels, strict=True)}
        self.access = work.access.of(spec.policy.type)
        table = table_of(spec.model)
        self.rules = rules_of(table)
        self.required = frozenset(column.name for column in table.columns if not column.nullable)
        self.marks = encrypted_columns(spec.model)
        stored = {mark.column for mark in self.marks}
        self.unquoted = frozenset(column.name for column in spec.columns if column.stored in stored)
        self.rates: Known = {}
        self.create_verb = CREATE if spec.policy.parent is None else UPDATE

    def check_rights(self) -> None:
        """Check what the columns given need on any row. Raises Forbidden naming what is missing."""
        verb = UPDATE if self.access.allows(UPDATE) else self.create_verb
        self.work.may(self.spec.policy, verb)
        for column in self.bound.columns:
            if column.policy is not None:
                self.work.may(column.policy, UPDATE, (column.field,))
            elif column.kind is not Kind.ID and not self.access.may_write(column.field, self.create_verb):
                self.work.may(self.spec.policy, verb, (column.field,))

    def check_match(self, match: Sequence[str]) -> None:
        """Check that rows may be recognised by these columns. Raises Forbidden for one that is hidden on some rows:
        which rows of the file are new would tell its values."""
        for column in self.spec.columns:
            if column.stored in match and column.kind is not Kind.ID and self.access.partial(column.field):
                raise Forbidden(
                    f"Rows cannot be recognised by {column.name}: your roles hide it, or a part of it, on some rows."
                )

    def make(self, number: int, cells: Sequence[str]) -> Draft:
        """Return the draft of a row; every cell that is no value of its column is reported. References stay texts."""
        draft = Draft(number)
        for column, text in zip(self.bound.columns, self.bound.texts(cells), strict=True):
            draft.texts[column.name] = text
            try:
                value = parse(column, text)
            except BadValue as reason:
                self.fail(draft, column.name, str(reason))
                continue
            rule = None if value is None or column.stored is None else self.rules.get(column.stored)
            if rule is not None and any(rule.faults(value)):
                self.fail(draft, column.name, f"must be {rule}")
            elif value is None and column.required:
                self.fail(draft, column.name, "is empty, and required")
            elif column.kind is Kind.REFERENCE and value is not None:
                draft.pending[column.name] = value
            elif column.stored is None:
                draft.extra[column.name] = value
            elif value is not None or column.stored not in self.required:
                draft.values[column.stored] = value
        return draft

    def fail(self, draft: Draft, name: str, reason: str) -> None:
        """Report what is wrong with a column of a draft."""
        if not draft.failed:
            draft.failed = True
            self.report.bad_rows += 1
        text = "" if name in self.unquoted else draft.texts.get(name, "")
        self.report.add_error(draft.number, self.labels.get(name, name), text, reason)

    def fail_stored(self, draft: Draft, stored: str, reason: str) -> None:
        """Report what is wrong with a column, by the name of the table's."""
        name = next((column.name for column in self.spec.columns if column.stored == stored), stored)
        self.fail(draft, name, reason)

    async def encrypt(self, drafts: Sequence[Draft]) -> None:
        """Encrypt what drafts give for marked columns; what cannot be stored is reported."""
        vault, session, workspace_id = self.work.vault, self.work.session, self.work.viewer.workspace_id
        for draft, mark in product(drafts, self.marks):
            assert vault is not None, "this unit of work was made without a vault"
            try:
                draft.values |= await encrypted_values(
                    vault, session, workspace_id, draft.id, (mark,), draft.before or {}, draft.values
                )
            except Refused as refused:
                self.fail_stored(draft, mark.column, refused.message)

    async def complete(self, drafts: Sequence[Draft]) -> Any:
        """Fill in the drafts' columns and judge them; returns what the slice gathered for them."""
        facts = await self.spec.gather(self.work, drafts)
        for draft in drafts:
            if draft.is_new():
                self._add_defaults(draft)
            try:
                self.spec.complete(self.work, draft, facts)
            except Refused as refused:
                self.fail(draft, refused.field[0] if refused.field else "", refused.message)
                continue
            if draft.is_new():
                self._complete_new(draft)
            await self._value(draft)
            self._check_values(draft)
            await self._hold_to_rights(draft, facts)
        new = [draft for draft in drafts if draft.is_new() and not draft.failed]
        beyond = await find_beyond_scope(self.work, self.spec, new, self.fields)
        for draft in new:
            column = beyond.get(draft.id, "")
            if column is None:
                self.fail(draft, "", f"your roles do not allow to create this {self.spec.entity} for this owner")
            elif column:
                self.fail_stored(draft, column, "your roles do not allow to write this field here")
        model, good = self.spec.model, [draft for draft in drafts if not draft.failed]
        for draft, column, why in await incoherent(self.work, model, [(draft, draft) for draft in good]):
            if not draft.failed:
                self.fail_stored(draft, column, why)
        return facts

    async def _value(self, draft: Draft) -> None:
        """Fill in what an amount comes to in the base currency, as `valuing.py` does for the API; what cannot be is
        reported."""
        valued: Valued | None = self.spec.model.__valued__
        zone = ZoneInfo(self.work.viewer.time_zone)
        before = None if draft.before is None else draft.before.get
        if valued is None or not valued.asks(before, draft.get, zone):
            return
        try:
            draft.values |= await base_amount_of(self.work, valued, draft.get, (CURRENCY,), self.rates)
        except Refused as refused:
            self.fail_stored(draft, CURRENCY, refused.message)

    async def check_parts(self, parts: Mapping[str, Sequence[Part]], drafts: Sequence[Draft]) -> None:
        """Report what comes with drafts and does not go with what it points to."""
        by_model: dict[type[Base], list[tuple[Draft, Draft]]] = {}
        for draft in drafts:
            of_whole = {**(draft.before or {}), **draft.values}
            for part in parts.get(draft.id, ()):
                if part.model.__coherent__:
                    rows = [(draft, Draft(draft.number, {**of_whole, **row})) for row in part.rows]
                    by_model.setdefault(part.model, []).extend(rows)
        for model, together in by_model.items():
            for draft, column, why in await incoherent(self.work, model, together):
                self.fail(draft, column.removesuffix("_id"), why)

    async def _hold_to_rights(self, draft: Draft, facts: Any) -> None:
        """Report what of a draft decides what somebody may do beyond what the importer may do themselves."""
        if draft.failed or not self.spec.policy.decides:
            return
        was, is_to_be = self.spec.beside(draft, facts)
        before = None if draft.before is None else {**draft.before, **was}
        after = {**(draft.before or {}), **draft.values, **is_to_be}
        try:
            await hold_to_rights(self.work, self.spec.policy, before, after)
        except Refused as refused:
            wrong = snake(refused.field[0]) if refused.field else ""
            named = (column.name for column in self.bound.columns if wrong in {column.stored, column.name})
            self.fail(draft, next(named, ""), refused.message)
        except Forbidden as forbidden:
            self.fail(draft, "", forbidden.message)

    def _add_defaults(self, draft: Draft) -> None:
        for column in self.spec.columns:
            if column.default is not None and column.stored is not None and draft.values.get(column.stored) is None:
                draft.values[column.stored] = column.default

    def _check_values(self, draft: Draft) -> None:
        """Report what its column does not take; what is stored already and stays is not judged."""
        before, table = draft.before or {}, table_of(self.spec.model)
        for column in table.columns:
            value = draft.values.get(column.name)
            if value is not None and value != before.get(column.name):
                for _, reason in faults_of(column, value):
                    self.fail_stored(draft, column.name, reason)
        for amount, currency, reason in too_fine_of(table, draft.get):
            if draft.is_new() or draft.changes_to(amount) or draft.changes_to(currency):
                self.fail_stored(draft, amount, reason)
        touched = columns_of(self.spec.model) if draft.is_new() else [*filter(draft.changes_to, draft.values)]
        for name, state, at, wanted in misfits_of(self.spec.model, draft.get, touched):
            self.fail_stored(draft, name, f"must be {wanted} where {state} is {at}")
        for last, first in disorder_of(table, draft.get):
            if draft.is_new() or draft.changes_to(last) or draft.changes_to(first):
                self.fail_stored(draft, last, f"is before {first}")
        for currency, amounts in currencies_of(table).items():
            stays = next(
                (amount for amount in amounts if amount not in draft.values and draft.get(amount) is not None), None
            )
            if stays is not None and draft.changes_to(currency):
                self.fail_stored(
                    draft, currency, f"differs from the currency of {stays}, which is not in the file: give both"
                )

    def _complete_new(self, draft: Draft) -> None:
        given = draft.values
        now, workspace_id, me = self.work.now, self.work.viewer.workspace_id, self.work.viewer.actor.member_id
        housekeeping = {
            "id": draft.id,
            "workspace_id": workspace_id,
            "version": 1,
            "created_at": now,
            "updated_at": now,
            "created_by_id": me,
            "updated_by_id": me,
        }
        draft.values = {name: given.get(name) for name in columns_of(self.spec.model)} | housekeeping
        for name in sorted(self.required):
            if draft.values[name] is None:
                self.fail_stored(draft, name, "is needed for a new row")
        if not self.access.allows(self.create_verb):
            self.fail(draft, "", f"your roles do not allow to create {self.spec.entity} rows")
        for column in self.spec.columns:
            value = None if column.stored is None else given.get(column.stored)
            verb = None if value is None or value == column.default else column.verb(value)
            if verb is not None and not self.access.allows(verb):
                self.fail(draft, column.name, f"needs the right to {verb}, which your roles do not give")

    @property
    def fields(self) -> dict[str, str]:
        """The GraphQL fields behind the columns of the file, by the names of the table's columns."""
        return {
            column.stored: column.field
            for column in self.bound.columns
            if column.stored is not None and column.policy is None and column.kind is not Kind.ID
        }

    def changes(self, draft: Draft, existing: Existing) -> dict[str, tuple[Any, Any]]:
        """Return what a draft changes of its stored row; reports what the importer may not change."""
        assert draft.before is not None
        before, permitted = draft.before, existing.permitted
        changed = {name: (before[name], value) for name, value in draft.values.items() if before[name] != value}
        changed.pop("id", None)
        if changed and not permitted[UPDATE]:
            self.fail(draft, "", f"your roles do not allow to update this {self.spec.entity}")
        for name in sorted(existing.frozen & changed.keys()):
            self.fail_stored(draft, name, f"your roles do not allow to change this field of this {self.spec.entity}")
        for name, at in closed_of(self.spec.model, before.__getitem__, sorted(changed)):
            self.fail_stored(draft, name, f"cannot be changed: this {self.spec.entity} is {at}")
        for column in self.spec.columns:
            if column.stored in changed:
                verb = column.verb(draft.values[column.stored])
                if verb is not None and not permitted[verb]:
                    self.fail(draft, column.name, f"your roles do not allow to {verb} this {self.spec.entity}")
        return changed

    def verbs(self) -> list[str]:
        """Return the named transitions that a row may need, by what its file says or what follows from that."""
        return sorted({verb for column in self.spec.columns for verb in column.verbs.values()})
