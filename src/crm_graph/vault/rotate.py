"""New keys: data keys with everything encrypted anew under them, and the same keys under a new master key.

Encrypting anew writes no event and moves no version: to whoever may read a value it is what it was, so there is nothing
to tell subscribers, no conflict for somebody who edits the row meanwhile, and no change for the audit trail to hold.
What the log and backups keep stays under the old keys, which therefore are never deleted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ARRAY, ColumnElement, String, Table, Text, and_, bindparam, func, or_, select, update

from crm_graph.db.session import Record, Session
from crm_graph.db.statements import Statement, compile_statement
from crm_graph.kernel.errors import Unreadable
from crm_graph.vault.columns import Ciphertexts
from crm_graph.vault.keys import DATA, INDEX, WorkspaceKeys, version_of
from crm_graph.vault.vault import Vault, key_context

BATCH_ROWS = 500
MAX_PASSES = 20
"""How often what others held locked, or wrote under an old key, is looked for again."""
PAUSE_S = 0.5
Progress = Callable[[str, int, int], None]
"""Receives what is being done, how much of it is done, and how much there is."""

_VERSIONS = Statement(
    "SELECT purpose, version, created_at, retired_at FROM workspace_key WHERE workspace_id = $1"
    " ORDER BY purpose, version FOR UPDATE",
    ("workspace_id",),
    {},
)
_RETIRE = Statement(
    "UPDATE workspace_key SET retired_at = $3 WHERE workspace_id = $1 AND purpose = $2 AND version < $4"
    " AND retired_at IS NULL",
    ("workspace_id", "purpose", "now", "version"),
    {},
)
_WORKSPACES = Statement("SELECT DISTINCT workspace_id FROM workspace_key ORDER BY 1", (), {})
_WRAPPED = Statement(
    "SELECT purpose, version, wrapped, wrapped_by FROM workspace_key WHERE workspace_id = $1 AND wrapped_by <> $2"
    " ORDER BY purpose, version",
    ("workspace_id", "name"),
    {},
)
_REWRAP = Statement(
    "UPDATE workspace_key SET wrapped = $5, wrapped_by = $6"
    " WHERE workspace_id = $1 AND purpose = $2 AND version = $3 AND wrapped = $4 RETURNING version",
    ("workspace_id", "purpose", "version", "old", "wrapped", "name"),
    {},
)

_GIVEN = ("key", "old", "new", "blind")
"""What a batch is written with, a list each: which row, the ciphertext that was read, and what takes its place."""


@dataclass(frozen=True, slots=True)
class Rotated:
    """What a rotation did: values encrypted anew, those that cannot be read, and those that are left for another."""

    version: int
    values: int
    unreadable: int
    left: int


async def workspaces_with_keys(vault: Vault) -> list[str]:
    """Return the ids of the workspaces that have keys."""
    return [row[0] for row in await vault.database.primary_reader().fetch(_WORKSPACES, {})]


async def rotate(
    vault: Vault, workspaces: Iterable[str], columns: Sequence[Ciphertexts], progress: Progress, *, index: bool = False
) -> dict[str, Rotated]:
    """Make a new data key of each workspace that has keys, with `index` a new key of its blind index too, and encrypt
    everything anew; returns what was done, by workspace.

    A rotation that was interrupted is gone on with: it is unfinished as long as an older key is not retired. Before
    anything is encrypted anew, every process has had the time to take the new keys up.
    """
    started = {id_: versions for id_ in workspaces if (versions := await _start(vault, id_, index=index)) is not None}
    if started:
        await _wait(vault, max(versions.made_at for versions in started.values()), progress)
    return {id_: await _rewrite(vault, id_, versions, columns, progress) for id_, versions in started.items()}


async def _rewrite(
    vault: Vault, workspace_id: str, versions: _Versions, columns: Sequence[Ciphertexts], progress: Progress
) -> Rotated:
    vault.forget(workspace_id)
    keys = await vault.existing(vault.database.primary_reader(), workspace_id)
    assert keys is not None
    done = [await _Rewriting(vault, keys, column, progress).run() for column in columns]
    values, unreadable, left = (
        sum(getattr(report, name) for report in done) for name in ("values", "unreadable", "left")
    )
    if not left:
        await _retire(vault, workspace_id, versions)
    return Rotated(versions.data, values, unreadable, left)


async def rewrap(vault: Vault, workspace_id: str) -> int:
    """Wrap the keys of a workspace by the master key that wraps now; returns how many were wrapped by another."""
    done = 0
    async with vault.database.apart() as session:
        bound: dict[str, Any] = {"workspace_id": workspace_id, "name": vault.service.name}
        for purpose, version, wrapped, _ in await session.fetch(_WRAPPED, bound):
            context = key_context(workspace_id, purpose, version)
            anew = await vault.service.wrap(await vault.service.unwrap(wrapped, context), context)
            values = {**bound, "purpose": purpose, "version": version, "old": wrapped, "wrapped": anew}
            done += int(bool(await session.execute(_REWRAP, values)))
    return done


@dataclass(frozen=True, slots=True)
class _Versions:
    """The versions to encrypt and to index with, and when the newest of them was made."""

    data: int
    index: int
    made_at: datetime


async def _start(vault: Vault, workspace_id: str, *, index: bool) -> _Versions | None:
    """Make the new keys, unless a rotation is unfinished; the rows of the old ones are locked, so one makes them.

    The old ones are unwrapped first: whoever has another master key must not add keys that nobody else can read.
    """
    async with vault.database.apart() as session:
        rows = await session.fetch(_VERSIONS, {"workspace_id": workspace_id})
        vault.forget(workspace_id)
        if await vault.existing(session, workspace_id) is None:
            return None
        unfinished = any(len(_in_use(rows, purpose)) > 1 for purpose in (DATA, INDEX))
        for purpose in (DATA, INDEX) if index else (DATA,):
            if not unfinished:
                await vault.add_key(session, workspace_id, purpose, _newest(rows, purpose) + 1)
        rows = await session.fetch(_VERSIONS, {"workspace_id": workspace_id})
        made_at = max(datetime.fromisoformat(row["created_at"]) for row in rows)
        return _Versions(_newest(rows, DATA), _newest(rows, INDEX), made_at)


def _newest(rows: Sequence[Record], purpose: str) -> int:
    return max(int(row["version"]) for row in rows if row["purpose"] == purpose)


def _in_use(rows: Sequence[Record], purpose: str) -> list[int]:
    return [row["version"] for row in rows if row["purpose"] == purpose and row["retired_at"] is None]


async def _wait(vault: Vault, made_at: datetime, progress: Progress) -> None:
    """Wait until no process encrypts under an older key: each reads keys again after the time that it keeps them."""
    ready_at = made_at + timedelta(milliseconds=vault.cache_ms)
    total = max(1, vault.cache_ms)
    while (left := (ready_at - vault.clock()) / timedelta(milliseconds=1)) > 0:
        progress("waiting for every process to take up the key", total - min(total, int(left)), total)
        await asyncio.sleep(min(left / 1000, PAUSE_S))


async def _retire(vault: Vault, workspace_id: str, versions: _Versions) -> None:
    async with vault.database.apart() as session:
        for purpose, version in ((DATA, versions.data), (INDEX, versions.index)):
            bound = {"workspace_id": workspace_id, "purpose": purpose, "version": version, "now": vault.clock()}
            await session.execute(_RETIRE, bound)


class _Rewriting:
    """Encrypts one column of one workspace anew: batch by batch in the order of the ids, a transaction each, so that it
    may be stopped at any time. Rows that somebody holds locked are left for the next pass: it never waits for them."""

    def __init__(self, vault: Vault, keys: WorkspaceKeys, column: Ciphertexts, progress: Progress) -> None:
        self.vault, self.keys, self.column, self.progress = vault, keys, column, progress
        self.select, self.write = _select_batch(column), _write_batch(column)
        self.counted = _count_old(column)
        self.bound = {
            "workspace_id": keys.workspace_id,
            "current": f"e1.{keys.current}.%",
            "current_blind": f"b{max(keys.index)}.%",
        }
        self.values = 0
        self.unreadable: set[str] = set()

    async def run(self) -> Rotated:
        """Encrypt everything anew that is not under the current key."""
        total = left = await self._count()
        for number in range(MAX_PASSES):
            if left <= len(self.unreadable):
                break
            if number:
                await asyncio.sleep(PAUSE_S)
            await self._pass(total)
            left = await self._count()
        return Rotated(self.keys.current, self.values, len(self.unreadable), max(0, left - len(self.unreadable)))

    async def _pass(self, total: int) -> None:
        last: str | None = "0" * 32
        while last is not None:
            async with self.vault.database.apart() as session:
                last = await self._batch(session, last)
            what = f"{self.column.table.name}.{self.column.column}"
            self.progress(what, min(total, self.values), max(total, 1))

    async def _batch(self, session: Session, after: str) -> str | None:
        """Encrypt the rows after an id anew; returns the last id, None where there are no more."""
        rows = await session.fetch(self.select, {**self.bound, "after": after})
        anew: list[tuple[Any, ...]] = []
        for row in rows:
            try:
                anew.append((row[self.column.key], row[self.column.column], *self._anew(row)))
            except Unreadable:
                self.unreadable.add(row[self.column.key])
        if anew:
            given = dict(zip(_GIVEN, map(list, zip(*anew, strict=True)), strict=True))
            self.values += len(await session.execute(self.write, {**self.bound, **given}))
        return str(rows[-1][self.column.key]) if rows else None

    def _anew(self, row: Record) -> tuple[str, str | None]:
        place, mark, text = self.column.place_of(row), self.column.mark, row[self.column.column]
        clear = self.keys.decrypt(text, place)
        sealed = text if version_of(text) == self.keys.current else self.keys.encrypt(clear, place)
        return sealed, None if mark is None else self.keys.blind(mark.normal(clear.decode()), mark.name)[0]

    async def _count(self) -> int:
        async with self.vault.database.apart() as session:
            row = await session.fetch_row(self.counted, self.bound)
        assert row is not None
        return int(row[0])


def _old(column: Ciphertexts) -> ColumnElement[bool]:
    """Return whether a row's value is not under the current keys."""
    stored = column.table.c[column.column]
    old: ColumnElement[bool] = stored.not_like(bindparam("current", type_=String()))
    if column.mark is not None:
        old = or_(old, column.table.c[column.mark.blind].not_like(bindparam("current_blind", type_=String())))
    return and_(column.table.c.workspace_id == _workspace(column.table), stored.is_not(None), old)


def _workspace(table: Table) -> ColumnElement[Any]:
    return bindparam("workspace_id", type_=table.c.workspace_id.type)


def _count_old(column: Ciphertexts) -> Statement:
    return compile_statement(select(func.count()).select_from(column.table).where(_old(column)))


def _select_batch(column: Ciphertexts) -> Statement:
    table = column.table
    key = table.c[column.key]
    names = dict.fromkeys([column.key, column.column, *([column.holder] if column.holder else [])])
    query = select(*(table.c[name] for name in names)).where(_old(column), key > bindparam("after", type_=key.type))
    return compile_statement(query.order_by(key).limit(BATCH_ROWS).with_for_update(skip_locked=True))


def _write_batch(column: Ciphertexts) -> Statement:
    """Return the statement that puts new ciphertexts in the place of those that were read, and of no others."""
    table, key = column.table, column.table.c[column.key]
    types = (key.type, Text(), Text(), Text())
    lists = (bindparam(name, type_=ARRAY(array_type)) for name, array_type in zip(_GIVEN, types, strict=True))
    given = func.unnest(*lists).table_valued(*_GIVEN, name="given").render_derived()
    changed = {column.column: given.c.new}
    if column.mark is not None:
        changed[column.mark.blind] = given.c.blind
    return compile_statement(
        update(table)
        .where(
            table.c.workspace_id == _workspace(column.table),
            key == given.c.key,
            table.c[column.column] == given.c.old,
        )
        .values(changed)
        .returning(key)
    )
