"""The vault of a process: the keys of each workspace, made at first need and kept for a while; `seal` and `open`."""

from __future__ import annotations

import asyncio
import os
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from crm_graph.db.pool import Database
from crm_graph.db.session import ReadSession, Record, Session
from crm_graph.db.statements import Statement
from crm_graph.kernel.clock import Clock, system_clock
from crm_graph.kernel.errors import Unreadable
from crm_graph.vault.keys import DATA, INDEX, KEY_BYTES, Place, WorkspaceKeys, version_of
from crm_graph.vault.service import KeyService

_READ = Statement(
    "SELECT purpose, version, wrapped FROM workspace_key WHERE workspace_id = $1 ORDER BY purpose, version",
    ("workspace_id",),
    {},
)
_INSERT = Statement(
    "INSERT INTO workspace_key (workspace_id, purpose, version, wrapped, wrapped_by, created_at)"
    " VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING RETURNING version",
    ("workspace_id", "purpose", "version", "wrapped", "wrapped_by", "created_at"),
    {},
)


@dataclass(frozen=True, slots=True)
class _Kept:
    """Keys as they were read, with the wrapped ones: what is known need not be unwrapped again."""

    keys: WorkspaceKeys
    wrapped: Mapping[tuple[str, int], bytes]
    read_at_s: float


@dataclass(slots=True, repr=False, eq=False)
class Vault:
    """The keys of all workspaces, as far as this process needs them.

    Keys are read again after `cache_ms`, so that every process takes up a new version, and forgets deleted ones, by
    then. `max_workspaces` bounds what is kept, about 1 KB each.
    """

    service: KeyService
    database: Database
    cache_ms: int = 30_000
    max_workspaces: int = 10_000
    clock: Clock = system_clock
    _kept: OrderedDict[str, _Kept] = field(default_factory=OrderedDict)
    _making: dict[str, asyncio.Lock] = field(default_factory=dict)

    async def seal(self, session: ReadSession, workspace_id: str, purpose: str, data: bytes, holder: str = "") -> str:
        """Return the ciphertext of a secret of a workspace.

        It opens for the same workspace, `purpose` (`totp secret`) and `holder` (the id of whose it is) only, so that it
        cannot be moved. The session reads the keys where they are not at hand.
        """
        keys = await self.keys(session, workspace_id)
        return keys.encrypt(data, Place(purpose, holder))

    async def open(self, session: ReadSession, workspace_id: str, purpose: str, text: str, holder: str = "") -> bytes:
        """Return the secret that `seal` was given. Raises Unreadable for a text that was altered or moved."""
        keys = await self.existing(session, workspace_id, (text,))
        if keys is None:
            raise Unreadable(purpose, holder)
        return keys.decrypt(text, Place(purpose, holder))

    async def keys(self, session: ReadSession, workspace_id: str) -> WorkspaceKeys:
        """Return the keys of a workspace, to encrypt with; they are made if there are none.

        In a transaction of its own, on a connection of its own: it is committed whatever becomes of the caller's, so
        that nothing is ever encrypted under a key that is gone, and a long import keeps nobody waiting for its end.
        """
        workspace = await self.existing(session, workspace_id)
        if workspace is not None:
            return workspace
        async with self._making.setdefault(workspace_id, asyncio.Lock()):
            try:
                return (self._kept.get(workspace_id) or await self._make(workspace_id)).keys
            finally:
                self._making.pop(workspace_id, None)

    async def _make(self, workspace_id: str) -> _Kept:
        """Make the first keys of a workspace, or read those that another process has just made."""
        async with self.database.apart() as session:
            for purpose in (DATA, INDEX):
                await self.add_key(session, workspace_id, purpose, 1)
            kept = await self._read(session, workspace_id)
        assert kept is not None
        return kept

    async def existing(
        self, session: ReadSession, workspace_id: str, texts: Iterable[str] = ()
    ) -> WorkspaceKeys | None:
        """Return the keys of a workspace that has any, with those of all of these ciphertexts, if they exist.

        No statement where they are at hand; one every `cache_ms`, or for a version that is not known yet.
        """
        kept = self._kept.get(workspace_id)
        if (
            kept is None
            or (time.monotonic() - kept.read_at_s) * 1000 >= self.cache_ms
            or any(version_of(text) not in kept.keys.data for text in texts)
        ):
            kept = await self._read(session, workspace_id)
        else:
            self._kept.move_to_end(workspace_id)
        return None if kept is None else kept.keys

    async def add_key(self, session: Session, workspace_id: str, purpose: str, version: int) -> bool:
        """Make a key of a workspace, unless there is one of this version; returns whether it did."""
        key = os.urandom(KEY_BYTES)
        wrapped = await self.service.wrap(key, key_context(workspace_id, purpose, version))
        values = {
            "workspace_id": workspace_id,
            "purpose": purpose,
            "version": version,
            "wrapped": wrapped,
            "wrapped_by": self.service.name,
            "created_at": self.clock(),
        }
        return bool(await session.execute(_INSERT, values))

    def forget(self, workspace_id: str) -> None:
        """Read a workspace's keys again when they are needed next."""
        self._kept.pop(workspace_id, None)

    async def _read(self, session: ReadSession, workspace_id: str) -> _Kept | None:
        """Read the keys past a guard of the session's, which is none of theirs."""
        rows = await ReadSession(session.connection).fetch(_READ, {"workspace_id": workspace_id})
        if not rows:
            self.forget(workspace_id)
            return None
        before = self._kept.get(workspace_id)
        kept = self._kept[workspace_id] = await self._unwrapped(workspace_id, rows, before)
        self._kept.move_to_end(workspace_id)
        while len(self._kept) > self.max_workspaces:
            self._kept.popitem(last=False)
        return kept

    async def _unwrapped(self, workspace_id: str, rows: Sequence[Record], before: _Kept | None) -> _Kept:
        data: dict[int, AESGCM] = {}
        index: dict[int, bytes] = {}
        wrapped: dict[tuple[str, int], bytes] = {}
        for purpose, version, blob in rows:
            wrapped[purpose, version] = bytes(blob)
            known = before is not None and before.wrapped.get((purpose, version)) == blob
            ciphers: dict[int, Any] = data if purpose == DATA else index
            if known and before is not None:
                ciphers[version] = (before.keys.data if purpose == DATA else before.keys.index)[version]
            else:
                key = await self.service.unwrap(blob, key_context(workspace_id, purpose, version))
                ciphers[version] = AESGCM(key) if purpose == DATA else key
        return _Kept(WorkspaceKeys(workspace_id, data, index), wrapped, time.monotonic())


def key_context(workspace_id: str, purpose: str, version: int) -> dict[str, str]:
    """Return what a wrapped key is bound to."""
    return {"workspace": workspace_id, "purpose": purpose, "version": str(version)}
