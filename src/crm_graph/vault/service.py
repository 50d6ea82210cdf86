"""The port behind which the master key is: the environment's (`master.py`), or a KMS."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class KeyService(Protocol):
    """Wraps the keys of workspaces, 32 bytes each, so that the database may keep them.

    It is asked once per key and process, not per value. A KMS takes `context` as its encryption context (AWS), its
    additional authenticated data (Google, Vault Transit's `associated_data`): `unwrap` must refuse another context
    than `wrap` was given, else a key could be moved to another workspace.
    """

    @property
    def name(self) -> str:
        """What wraps now, at most 200 characters: kept beside each key, so that one that others wrapped is found."""
        ...

    async def wrap(self, key: bytes, context: Mapping[str, str]) -> bytes:
        """Return a key that only `unwrap` can read. Raises OperatorError when the service does not do so."""
        ...

    async def unwrap(self, wrapped: bytes, context: Mapping[str, str]) -> bytes:
        """Return the key. Raises OperatorError when this service did not wrap it, or for another context."""
        ...
