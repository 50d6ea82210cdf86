"""The unit of work that every operation receives: session, viewer, clock, permissions, and `record(event)`.

A change and its event are written together: `create`, `save` and `delete` take the event as an argument, so there is
no way to write a row and forget the log, and of the kind that says so: what creates a row is recorded by an event that
`Creates`. Nobody commits here; the edge does, once per mutation field.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from functools import partial
from typing import Any, TypeVar, cast
from zoneinfo import ZoneInfo

import asyncpg

from crm_graph.chains import is_placed, refuse_circles
from crm_graph.coherence import Question, binds_of, by_column, questions, refuse_incoherent
from crm_graph.db.base import DELETED_AT, HOUSEKEEPING, Kept, Row, columns_of, table_of
from crm_graph.db.quota import Quotas, bytes_of_change
from crm_graph.db.rows import changes, load, remember, values
from crm_graph.db.rules import defaults_of, targets_of
from crm_graph.db.sending import Operation
from crm_graph.db.session import Session
from crm_graph.db.statements import HOLD_WORKSPACE, Statement, hold_row
from crm_graph.db.together import Together, Verdict, all_together
from crm_graph.events.effects import Changes, Creates, DomainEvent, Removes
from crm_graph.events.log import Cause, append, append_all, entry
from crm_graph.identity.origin import NOWHERE, Origin
from crm_graph.identity.viewer import Viewer
from crm_graph.jobs.timers import Due, Timers
from crm_graph.keeping import let_go, put_into_bin
from crm_graph.kernel.clock import Clock
from crm_graph.kernel.errors import Forbidden, Refused
from crm_graph.kernel.naming import camel, doing, plural, words
from crm_graph.permissions.access import Access
from crm_graph.permissions.grants import CREATE, DELETE, READ, UPDATE
from crm_graph.permissions.policy import Policy
from crm_graph.permissions.rights import hold_to_rights
from crm_graph.persons import Telling, sealed_entry
from crm_graph.referring import NOTHING, Reads, Referred
from crm_graph.refusals import (
    input_field,
    input_of,
    misfit,
    refuse_closed,
    refuse_mixed,
    refuse_unfit,
    refuse_unwritable,
    settle,
    taken,
)
from crm_graph.statements import (
    FAULTS,
    NewCheck,
    delete_statement,
    get_statement,
    insert_statement,
    new_check,
    refer_statement,
    references_statement,
    update_statement,
    users_found,
)
from crm_graph.valuing import keep_base_amount
from crm_graph.vault.columns import encrypted_columns
from crm_graph.vault.persons import ADD_PERSON_KEY
from crm_graph.vault.rows import encrypted_values
from crm_graph.vault.vault import Vault
from crm_graph.wholes import Entry, Wholes

R = TypeVar("R", bound=Row)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Sent:
    """What a client sent of a record: values by column, and the GraphQL fields that they write. A value that is what
    the column holds anyway where nothing is said of it writes no field: it needs no right."""

    values: Mapping[str, Any]
    fields: tuple[str, ...] = ()
    parts: Mapping[str, Sequence[Sent]] = field(default_factory=dict)
    """What was sent of the parts that come with a new record, by the name of their field."""

    def without(self, *columns: str) -> Sent:
        """Return it without some of the values; the fields are written all the same."""
        values = {name: value for name, value in self.values.items() if name not in columns}
        return replace(self, values=values)


@dataclass(slots=True)
class Work:
    """One unit of work. `now` is fixed for its duration."""

    session: Session
    viewer: Viewer
    access: Access
    clock: Clock
    origin: Origin = NOWHERE
    request_id: str | None = None
    vault: Vault | None = None
    """None for the operator's commands that write nothing encrypted."""
    facts: dict[str, Any] = field(default_factory=dict)
    """What rules about rights have read and go on from (`permissions/rights.py`)."""
    noted: dict[tuple[str, str, str], None] = field(default_factory=dict)
    """The audited reads of operations, by type, GraphQL field and id: the edge writes them down before it answers."""
    wholes: Wholes = field(default_factory=Wholes)
    turns: dict[tuple[str, str], Operation | None] = field(default_factory=dict)
    """The records that operations of a batch are about, and which."""
    users: dict[tuple[str, str], str] = field(default_factory=dict)
    """What points to the records that are to be deleted, in words, as far as the viewer sees it."""
    _directory_touched: bool = False
    _held: set[tuple[str, str]] = field(default_factory=set)
    _agreed: set[Question] = field(default_factory=set)
    """What rows say together with what they point to, as far as it was asked and holds."""
    _doubted: set[Question] = field(default_factory=set)
    """What was asked of new rows and does not hold."""
    _checked: dict[str, tuple[NewCheck, Mapping[str, Any]]] = field(default_factory=dict)
    """The new rows that have been found permitted, by their ids, with what was asked."""
    cause: Cause | None = None
    """The event that this follows from, where no request asked for it."""
    quotas: Quotas | None = None
    """None for the operator's commands, and for what the installation does by itself: they store what they must."""

    @property
    def now(self) -> datetime:
        """The time of this unit of work."""
        return self.clock()

    @property
    def timers(self) -> Timers:
        """What sets and clears timers in this unit of work."""
        return Timers(self.session, self.viewer.workspace_id)

    @property
    def today(self) -> date:
        """The date of this unit of work in the workspace's time zone: in Shanghai it is tomorrow before it is here."""
        return self.now.astimezone(ZoneInfo(self.viewer.time_zone)).date()

    async def get(
        self,
        model: type[R],
        policy: Policy,
        id_: str | None,
        verb: str = UPDATE,
        if_version: int | None = None,
        path: str = "id",
        given: Iterable[str] = (),
        *,
        in_turn: bool = True,
        deleted: bool = False,
    ) -> R:
        """Return a row, locked, that the viewer may see and do `verb` with, writing the GraphQL fields `given`; one in
        the recycle bin where it is to be `deleted`.

        Raises Forbidden, before any SQL, when the verb, or writing one of the fields by it, is granted on no row at
        all. Raises Refused: NOT_FOUND at `path` for a row that does not exist or may not be seen (the same for both),
        FORBIDDEN for one that may be seen but not changed, or not in this field, CONFLICT when `if_version` is not its
        version. Of operations that run together, those that change the same row come one after another, unless they
        only add to it what none of them reads: not `in_turn`.
        """
        given = tuple(given)
        self.may(policy, verb, given)
        if policy.directory and verb != READ:
            await self.alone()
        if in_turn and verb != READ and id_ is not None and self.session.together is not None:
            await self.session.together.turn((policy.table.name, id_))
        found = None
        if id_ is not None:
            statement = get_statement(model, policy, self.access, verb, given, deleted=deleted)
            found = await self.session.fetch_row(statement, {**self.viewer.binds, "id": id_})
        if found is None:
            where = " in the recycle bin" if deleted else ""
            raise Refused("NOT_FOUND", f"There is no such {words(policy.type)}{where}.", (path,))
        if not found["permitted"]:
            raise Refused("FORBIDDEN", f"Your roles do not allow to {doing(verb)} this {words(policy.type)}.", (path,))
        refuse_unwritable(found, policy, given)
        row = load(model, found)
        if if_version is not None and row.version != if_version:
            raise Refused(
                "CONFLICT",
                f"This {words(policy.type)} is at version {row.version}, not {if_version}: read it again.",
                ("ifVersion",),
                current=row.id,
            )
        if verb == DELETE and not deleted and issubclass(model, Kept):
            self.users[policy.type, row.id] = users_found(policy.table, self.access, found)
        return row

    async def draft(self, model: type[R], policy: Policy, sent: Sent, **otherwise: Any) -> R:
        """Return a new row of what was sent, of `otherwise` where it was not, and else of the columns' defaults; it is
        not written yet. Raises Forbidden for what is granted on no row, Refused NOT_FOUND for a row that it would point
        to and that may not be seen: all but the whole that a part is added to, which its operation locks."""
        self.may(policy, CREATE if policy.parent is None else UPDATE, sent.fields)
        await self.check_references(
            model, sent.values, seen=None if policy.parent is None else sent.without(policy.parent[1]).values
        )
        row: R = model.make(**{**defaults_of(model), **otherwise, **sent.values})
        return row

    async def revise(
        self, model: type[R], policy: Policy, id_: str, sent: Sent, if_version: int | None, verb: str = UPDATE
    ) -> R:
        """Return a row, locked, with what was sent put into it; it is not written yet. Raises as `get` does, as `draft`
        does for what it would point to, and Refused INVALID for amounts in two currencies."""
        if is_placed(model, sent.values):
            await self.hold_workspace()
        row = await self.get(model, policy, id_, verb, if_version, given=sent.fields)
        refuse_mixed(row, sent.values, policy)
        await self.check_references(model, sent.values, row)
        for name, value in sent.values.items():
            setattr(row, name, value)
        if verb == UPDATE:
            refuse_closed(row, policy)
        return row

    async def check_references(
        self,
        model: type[Row],
        sent: Mapping[str, Any],
        row: Row | None = None,
        *,
        seen: Mapping[str, Any] | None = None,
        path: str = "",
    ) -> None:
        """Check what values that were sent of a model's columns point to, of a stored `row` or else of a new one: that
        it may be seen, all of it but what is not in `seen`, and that it goes with the row (`db/coherence.py`). Raises
        Refused at the column's field of the input, or at `path`: NOT_FOUND, INCOHERENT."""
        given = sent if seen is None else seen
        ids = {column: given[column] for column in targets_of(model) if given.get(column) is not None}
        before = {} if row is None else values(row)
        changed = None if row is None else {name for name, value in sent.items() if before[name] != value}
        asked = self._questions(model, {**before, **sent}, changed, sent=True)
        if not ids and not asked:
            return
        found = await self._ask(model, ids, asked)
        for column in ids:
            if not found.get(column):  # false, or no faults because there is no such row
                type_ = self.access.over(targets_of(model)[column]).type
                raise Refused("NOT_FOUND", f"There is no such {words(type_)}.", (path or camel(column),))
        try:
            self._agree(model, asked, found, path)
        except Refused:
            if row is not None or path:
                raise
            self._doubted.update(asked)  # a new row's rights come first: `create` asks again, after them

    def _questions(
        self, model: type[Row], of_row: Mapping[str, Any], changed: Collection[str] | None, *, sent: bool = False
    ) -> list[Question]:
        """Return what is asked of a row together with what it points to, and was not asked yet; of which some columns
        are `changed`, or None where it is new. Of the viewer it is asked where they were `sent`: whoever keeps a record
        without saying so is active."""
        return [
            question
            for question in questions(model, of_row, changed)
            if question not in self._agreed
            and (sent or question.target != self.viewer.member_id or question in self._doubted)
        ]

    async def _ask(self, model: type[Row], ids: Mapping[str, Any], asked: Sequence[Question]) -> Mapping[str, Any]:
        rules = tuple((column, tuple(each.rule for each in of_column)) for column, of_column in by_column(asked))
        statement = references_statement(self.access, model, tuple(ids), rules)
        found = await self.session.fetch_row(statement, {**self.viewer.binds, **ids, **binds_of(asked)})
        return {} if found is None else dict(found)

    def _agree(self, model: type[Row], asked: Sequence[Question], found: Mapping[str, Any], path: str = "") -> None:
        if asked:
            refuse_incoherent(asked, found, self.access, self.access.over(table_of(model)), model, path)
            self._agreed.update(asked)

    async def check_coherent(self, row: Row, changed: Collection[str] | None = None, path: str = "") -> None:
        """Check that a row goes with what it points to, as far as that was not looked up for it before: `create` and
        `save` do so. Raises Refused INCOHERENT."""
        asked = self._questions(type(row), values(row), changed) if type(row).__coherent__ else ()
        if asked:
            self._agree(type(row), asked, await self._ask(type(row), {}, asked), path)

    def take_turn(self, policy: Policy, id_: str) -> None:
        """Note that an operation is about a record. Raises Refused INVALID where another one of the same batch is: each
        would know nothing of the other."""
        together, key = self.session.together, (policy.type, id_)
        if key in self.turns:
            if together is not None:
                together.operation.after = self.turns[key]
            raise Refused("INVALID", f"Another input of this batch is about this {words(policy.type)}.", ("id",))
        self.turns[key] = None if together is None else together.operation

    async def together(self, operations: Sequence[Callable[[], Awaitable[T]]]) -> list[T | BaseException]:
        """Run operations of this unit of work side by side, so that what they ask at the same step is one statement
        (`db/together.py`); return what each returned or raised, in their order."""
        return await Together.run(self.session, operations)

    async def judge(self, operations: Sequence[Callable[[], Awaitable[T]]]) -> list[Verdict[T]]:
        """Run operations as `together` does, and say of which a refusal is in doubt."""
        return await Together.judge(self.session, operations)

    async def all_together(self, operations: Sequence[Callable[[], Awaitable[T]]]) -> list[T]:
        """Run operations of which one that fails is the end of all; return what they returned, in their order. Raises
        what the first of them raised."""
        return await all_together(self.session, operations)

    @asynccontextmanager
    async def attempt(self) -> AsyncIterator[Attempt]:
        """Lend a unit of work within this one: what it does is taken back, unless it is kept."""
        session, begun = self.session, len(self.session.finishing)
        own: dict[str, Any] = {"facts": {}, "wholes": Wholes(), "turns": {}, "_held": set(), "_agreed": set()}
        attempt = Attempt(replace(self, **own, _directory_touched=False))
        async with session.savepoint() as savepoint:
            yield attempt
            if attempt.kept:
                return
            await savepoint.undo()
            del session.finishing[begun:]

    async def tried(self, operation: Callable[[], Awaitable[T]]) -> T | Refused | Forbidden:
        """Run an operation of this unit of work and return what it returned, or its refusal: one that is refused leaves
        nothing behind. Costs two statements."""
        session, begun, wholes = self.session, len(self.session.finishing), self.wholes.copy()
        turns, held, touched = dict(self.turns), set(self._held), self._directory_touched
        agreed = set(self._agreed)
        try:
            async with session.savepoint():
                outcome = await operation()
                await session.write()
                return outcome
        except (Refused, Forbidden) as refusal:
            del session.finishing[begun:]
            self.wholes, self.turns, self._held, self._directory_touched = wholes, turns, held, touched
            self._agreed = agreed
            self.facts.clear()
            return refusal

    async def in_turn(self, policy: Policy) -> None:
        """Wait, in a batch, for the operations of the same kind that come before: those that read what others of them
        write go through one after another, as locks have them do it between transactions. Called before any read."""
        if self.session.together is not None:
            await self.session.together.turn(policy.type)

    async def alone(self, policy: Policy | None = None, id_: str | None = None) -> None:
        """Hold a row until this unit of work ends: those that check and then write go through one after another. By
        default the workspace's, for what is checked over all of it; else that of what is counted, a member's jobs say.

        Called before what is checked is read, and before other rows are locked, or two could wait for each other.
        """
        table, key = ("workspace", self.viewer.workspace_id) if policy is None else (policy.table.name, id_)
        assert key is not None
        if self.session.together is not None:
            await self.session.together.turn((table, key))
        await self._hold(table, key, HOLD_WORKSPACE if policy is None else hold_row(table))

    async def hold_workspace(self) -> None:
        """Hold the workspace until this unit of work ends, as `alone` does; but operations of a batch go on side by
        side: for a check that knows what the others of them write. Called before other rows are locked."""
        await self._hold("workspace", self.viewer.workspace_id, HOLD_WORKSPACE)

    async def _hold(self, table: str, key: str, statement: Statement) -> None:
        if (table, key) in self._held:
            return
        if not await self.session.fetch(statement, {**self.viewer.binds, "id": key}):
            await self.session.confirm()  # without a row, the guard has failed
        self._held.add((table, key))

    async def refer(
        self,
        model: type[R],
        policy: Policy,
        id_: str,
        path: str,
        reads: Reads = NOTHING,
        needs: tuple[str, ...] = (),
        as_: tuple[type[Row], str] | None = None,
    ) -> R:
        """Return a row that another one is to point to: it must be visible. Of its columns it has the id, those that
        a rule `needs`, and those that it `reads` to copy or tell (`referring.py`); any other raises AttributeError.
        `as_` is the class of the other one, and the column, where that has rules of what it points to.

        Raises Refused at `path`, NOT_FOUND or INCOHERENT; using a column that the viewer may not read raises Withheld.
        """
        pointing = [] if as_ is None else self._questions(as_[0], {as_[1]: id_}, None)
        asked = None if as_ is None or not pointing else (as_[0], tuple(each.rule for each in pointing))
        statement = refer_statement(policy, self.access, needs, tuple(reads.items()), asked)
        found = await self.session.fetch_row(statement, {**self.viewer.binds, "id": id_})
        if found is None:
            raise Refused("NOT_FOUND", f"There is no such {words(policy.type)}.", (path,))
        if asked is not None:
            self._agree(asked[0], pointing, {pointing[0].rule.column: found[FAULTS]}, path)
        access = self.access.of(policy.type)
        return cast(R, Referred(model, found, access, reads, path, partial(self.note, policy, id_)))

    def note(self, policy: Policy, id_: str, *fields: str) -> None:
        """Note that this unit of work read fields of a record whose reading is written down."""
        self.noted.update(((policy.type, field, id_), None) for field in fields)

    def may(self, policy: Policy, verb: str, given: Iterable[str] = ()) -> None:
        """Check a verb, and the write level on the GraphQL fields given. Raises Forbidden naming what is missing."""
        access = self.access.of(policy.type)
        if not access.allows(verb):
            raise Forbidden(f"Your roles do not allow to {doing(verb)} {plural(policy.type)}.")
        for name in given:
            if not access.may_write(name, verb):
                message = f"Your roles do not allow to write {policy.type}.{name}."
                raise Forbidden(message, field=(input_field(policy, name),))

    async def create(self, row: Row, policy: Policy, event: Creates, given: Iterable[str] = ()) -> None:
        """Insert a new row with its event, of which the GraphQL fields `given` were asked for.

        Raises Refused TAKEN for a value that must be unique, or an id in use; FORBIDDEN for a field that may not be
        written on such a row. Raises Forbidden for a row that its creator's own scope would not reach: an owner outside
        the team, say. Constraints of the database are heard of when the unit of work reads again, or ends.
        """
        await self.check_new(row, policy, given)
        await self._insert(row, policy)
        if policy.parent is None:
            self.wholes.moved.add((policy.type, row.id))
            self.wholes.ended.add((policy.type, row.id))
        await self.tell(row, policy, event, {name: (None, value) for name, value in _own(values(row)).items()})

    async def check_new(
        self,
        row: Row,
        policy: Policy,
        given: Iterable[str] = (),
        parts: Sequence[tuple[Policy, tuple[str, ...]]] = (),
    ) -> None:
        """Check that a row may be made, before it is: what `create` checks. Called by an operation that has something
        left to do once nothing can be refused: to take a number, which others wait for. `parts` are those that come
        with a new whole: their policies, each with the GraphQL fields that are given of them.

        Costs a statement only where what the roles grant depends on the row.
        """
        verb = CREATE if policy.parent is None else UPDATE
        given = tuple(given)
        asked = new_check(policy, self.access, verb, given, parts)
        if asked is None:
            return
        bound = {f"new_{name}": getattr(row, name) for name in asked.columns}
        if self._checked.get(row.id) == (asked, bound):
            return
        found = await self.session.fetch_row(asked.statement, {**self.viewer.binds, **bound})
        if found is None or not found["permitted"]:
            raise Forbidden(f"Your roles do not allow to create this {words(policy.type)} for this owner.")
        refuse_unwritable(found, policy, given)
        for part, of_part in parts:
            refuse_unwritable(found, part, of_part, f"write_{part.type}_")
        self._checked[row.id] = asked, bound

    def check_fit(self, row: Row) -> None:
        """Check what is known of a new row before it is written. Raises Refused at the first value that its column does
        not take; one that is not set yet, a number say, is left out."""
        settle(row, columns_of(type(row)))
        refuse_unfit(row, [name for name, value in values(row).items() if value is not None])

    async def add_part(self, row: Row, policy: Policy) -> None:
        """Insert a row that another event of this unit of work tells about: a history entry, a line of a new order."""
        await self._insert(row, policy)
        self._touch(policy, row)

    async def add_parts(self, rows: Sequence[Row], policy: Policy) -> None:
        """Insert rows as `add_part` does: in one statement, whether they wait or the operation runs beside others."""
        if self.session.together is not None:
            await self.all_together([partial(self.add_part, row, policy) for row in rows])
            return
        for row in rows:
            await self.add_part(row, policy)

    async def _insert(self, row: Row, policy: Policy) -> None:
        row.workspace_id, row.version = self.viewer.workspace_id, 1
        row.created_at = row.updated_at = self.now
        row.created_by_id = row.updated_by_id = self.viewer.actor.member_id
        if policy.directory:
            await self.alone()
        if policy.decides:
            await hold_to_rights(self, policy, None, values(row))
        settle(row, columns_of(type(row)))
        await keep_base_amount(self, row, new=True)
        await self._encrypt(row)
        refuse_unfit(row, columns_of(type(row)))
        await self.check_coherent(row)
        inserted = values(row)
        self._admit(policy, inserted.values())
        await self.session.later(insert_statement(type(row)), inserted, row.id, partial(self._refused, policy))
        remember(row)

    async def save(
        self, row: Row, policy: Policy, event: Changes, beside: Mapping[str, tuple[Any, Any]] | None = None
    ) -> bool:
        """Update a loaded row with its event, if anything changed; returns whether it did. `beside` are changes of it
        that lie elsewhere, a member's roles: with them, even none, its version moves and its event is written. Raises
        Refused: INVALID for a row that would be above itself (`chains.py`), else as `create` does."""
        changed = changes(row)
        if settle(row, changed) | await keep_base_amount(self, row, new=False) | await self._encrypt(row):
            changed = changes(row)
        if not changed and beside is None:
            return False
        if policy.decides:
            after = values(row)
            await hold_to_rights(self, policy, {**after, **{name: old for name, (old, _) in changed.items()}}, after)
        refuse_unfit(row, changed)
        await self.check_coherent(row, changed)
        await refuse_circles(self, row, policy.type, changed)
        self._admit(policy, (new for _, new in changed.values()), (old for old, _ in changed.values()))
        told = await self._told(policy, row.id, event, {**changed, **(beside or {})})
        before, key = row.version, (policy.type, row.id)
        if key not in self.wholes.moved:
            self.wholes.moved.add(key)
            row.version = before + 1
        row.updated_at, row.updated_by_id = self.now, self.viewer.actor.member_id
        names = tuple(sorted({*changed, "version", "updated_at", "updated_by_id"}))
        bound = {f"v_{name}": getattr(row, name) for name in names}
        await self.session.later(
            update_statement(type(row), names),
            {**bound, "workspace_id": row.workspace_id, "b_id": row.id, "b_version": before},
            row.id,
            partial(self._refused, policy),
        )
        remember(row)
        await self._tell(row, policy, told)
        return True

    async def delete(self, row: Row, policy: Policy, event: Removes) -> None:
        """Delete a loaded row with its event, which keeps all of its values: who could see it is asked of them. One
        that is `Kept` goes into the recycle bin.

        Raises Refused IN_USE when others need it, FORBIDDEN for a right that is not the viewer's to take.
        """
        if policy.timers is not None:
            await self.timers.clear_of((policy.type, row.id))
        if isinstance(row, Kept):
            gone = {name: (value, None) for name, value in values(row).items()}
            told = await self._told(policy, row.id, event, {**gone, DELETED_AT: (None, self.now)})
            await put_into_bin(
                self.session, row, self.now, self.viewer.actor.member_id, partial(self._needed, policy, row.id)
            )
            await self._tell(row, policy, told)
            self.wholes.ended.add((policy.type, row.id))
        else:
            await let_go(self.session, row)
            await self.remove(row, policy, event)

    async def remove(self, row: Row, policy: Policy, event: Removes) -> None:
        """Remove a loaded row for good, as `delete` does what is not kept."""
        if policy.decides:
            await hold_to_rights(self, policy, values(row), None)
        told = await self._told(policy, row.id, event, {name: (value, None) for name, value in values(row).items()})
        bound = {"workspace_id": row.workspace_id, "id": row.id}
        await self.session.later(delete_statement(type(row)), bound, row.id, partial(self._in_use, policy))
        await self._tell(row, policy, told)
        self.wholes.ended.add((policy.type, row.id))

    async def set_timers(self, row: Row, policy: Policy) -> None:
        """Set the timers that a record has by what its row holds."""
        of_row = {} if policy.timers is None else policy.timers(row)
        for key, (kind, due_at) in of_row.items():
            await self.timers.set(key, kind, due_at, (policy.type, row.id))

    async def tell(self, row: Row, policy: Policy, event: DomainEvent, changed: Mapping[str, tuple[Any, Any]]) -> None:
        """Write the event of a row that was just written: of a whole with those of its parts, which wait for it; of a
        part, together with its whole's when the transaction ends."""
        await self._tell(row, policy, await self._told(policy, row.id, event, changed))

    async def _told(
        self, policy: Policy, entity_id: str, event: DomainEvent, changed: Mapping[str, tuple[Any, Any]]
    ) -> Entry:
        """Return an entry as the log is to have it. Reads the key of a person of whom it tells values, so it is called
        before anything is written."""
        told = Telling(self.entry(policy, entity_id, event, changed), event, policy.table)
        entry, key = await sealed_entry(self.vault, self.session, told)
        if key is not None:
            await self.session.later(ADD_PERSON_KEY, key, key["id"])
        return entry

    async def _tell(self, row: Row, policy: Policy, told: Entry) -> None:
        if policy.directory:
            await self.touch_directory()
        if self._touch(policy, row, told):
            return
        waiting = self.wholes.take(policy, row.id)
        await append_all(self.session, [told] if waiting is None else waiting.told_with(told))

    def _touch(self, policy: Policy, row: Row, told: Entry | None = None) -> bool:
        waits = self.wholes.touch(policy, row, told)
        if waits and self._finish not in self.session.finishing:
            self.session.finishing.append(self._finish)
        return waits

    async def _finish(self) -> None:
        if any(touched.policy.directory for touched in self.wholes.waiting.values()):
            await self.touch_directory()
        await self.wholes.finish(self.session, self.entry)

    async def record(
        self, policy: Policy, entity_id: str, event: DomainEvent, changed: Mapping[str, tuple[Any, Any]]
    ) -> None:
        """Write one event of what is no row, or of a row that stays as it is."""
        assert not policy.in_version, f"a {policy.type} has a whole, whose version moves: say it by `tell`"
        if policy.directory:
            await self.touch_directory()
        await append(self.session, await self._told(policy, entity_id, event, changed))

    def entry(
        self, policy: Policy, entity_id: str, event: DomainEvent, changed: Mapping[str, tuple[Any, Any]]
    ) -> Entry:
        """Return an entry of the log of something that this unit of work does."""
        return entry(
            event,
            workspace_id=self.viewer.workspace_id,
            entity=policy.type,
            entity_id=entity_id,
            at=self.now,
            by=self.viewer.actor,
            changes=changed,
            address=self.origin.address,
            request_id=self.request_id,
            cause=self.cause,
        )

    def _admit(self, policy: Policy, new: Iterable[Any], old: Iterable[Any] = ()) -> None:
        """Raise Refused LIMIT where the workspace is full, and RateLimited where it writes too fast. Members, roles and
        keys change in a full one too: who may come in must not depend on it."""
        if self.quotas is not None:
            size, viewer = bytes_of_change(new, old), self.viewer
            self.quotas.admit(viewer.workspace_id, size, member_id=viewer.member_id, always=policy.directory)

    async def touch_directory(self) -> None:
        """Let every process look members up again, once: one of them, a team or a role changes in this transaction."""
        if self._directory_touched:
            return
        self._directory_touched = True
        await self.session.confirm()
        await self.session.execute(_TOUCH_DIRECTORY, self.viewer.binds)

    async def _encrypt(self, row: Row) -> bool:
        """Encrypt the texts that an operation has set in marked columns, before they reach the row, the log or the
        database; returns whether there are any. Raises Refused INVALID."""
        marks = encrypted_columns(type(row))
        changed = changes(row) if marks else {}
        if any(mark.column in changed for mark in marks):
            assert self.vault is not None, "this unit of work was made without a vault"
            stored = {name: old for name, (old, _) in changed.items()}
            given = {name: new for name, (_, new) in changed.items()}
            workspace_id = self.viewer.workspace_id
            sealed = await encrypted_values(self.vault, self.session, workspace_id, row.id, marks, stored, given)
            for name, value in sealed.items():
                setattr(row, name, value)
            return True
        return False

    def _refused(self, policy: Policy, error: asyncpg.IntegrityConstraintViolationError) -> Exception:
        """Return what a constraint that does not hold means to who wrote the row."""
        match error:
            case asyncpg.UniqueViolationError():
                return Refused("TAKEN", taken(error, policy), input_of(error))
            case asyncpg.ForeignKeyViolationError():
                return Refused("NOT_FOUND", "A record that this one points to does not exist.", input_of(error))
            case asyncpg.CheckViolationError():
                return misfit(error, policy)
            case _:
                return error

    def _needed(self, policy: Policy, id_: str, _: asyncpg.IntegrityConstraintViolationError) -> Refused:
        """Return the refusal to put a row into the recycle bin that others need: how many, of those that the viewer
        sees."""
        users = self.users.get((policy.type, id_)) or "other records"
        return Refused("IN_USE", f"This {words(policy.type)} is still used by {users}.")

    def _in_use(self, policy: Policy, error: asyncpg.IntegrityConstraintViolationError) -> Refused:
        """Return the refusal to remove a row that others refer to. It names their kind, where the viewer sees that."""
        seen = (each.policy for each in self.access.types.values() if each.allows(READ))
        found = next((each.type for each in seen if each.table.name == error.table_name), None)
        users = "other records" if found is None else plural(found)
        return Refused("IN_USE", f"This {words(policy.type)} is still used by {users}.")


@dataclass(slots=True)
class Attempt:
    """A unit of work within another one."""

    work: Work
    kept: bool = False

    def keep(self) -> None:
        """Let stay what it did."""
        self.kept = True


TimerHandler = Callable[[Work, Due], Awaitable[None]]
"""Does what is due, as the installation, in the transaction that removes the timer; `Slice.timers` has them by kind."""
_TOUCH_DIRECTORY = Statement(
    "INSERT INTO workspace_directory (workspace_id, directory_version) VALUES ($1, 1)"
    " ON CONFLICT (workspace_id) DO UPDATE SET directory_version = workspace_directory.directory_version + 1",
    ("workspace_id",),
    {},
)


def _own(of: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in of.items() if name not in HOUSEKEEPING and value is not None}


__all__ = ["CREATE", "DELETE", "READ", "UPDATE", "DomainEvent", "Due", "Sent", "TimerHandler", "Work"]
