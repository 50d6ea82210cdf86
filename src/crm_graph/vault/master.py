"""Master keys from `CRM_MASTER_KEY`, else derived from the installation's secrets.

Several in `CRM_MASTER_KEY`, separated by commas, rotate: the first wraps, all unwrap. Those of the installation's
secrets always unwrap too, so that setting the variable later locks nobody out; `crm-graph keys rewrap` moves over.
Without the variable the master key lies where the data lies unless `CRM_SECRET` is set (`crm-graph doctor` says so).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from crm_graph.kernel.errors import OperatorError
from crm_graph.vault.service import KeyService

VARIABLE = "CRM_MASTER_KEY"
SERVICE_VARIABLE = "CRM_KEY_SERVICE"
MIN_LENGTH = 32
NONCE_BYTES = 12
_FINGERPRINT_BYTES = 4
_FORMAT = b"\x01"
FROM_ENVIRONMENT, FROM_SECRET = "environment", "secret"


@dataclass(frozen=True, slots=True, repr=False)
class MasterKey:
    """One master key. `fingerprint` says which one wrapped something; it tells nothing else about the key."""

    source: str
    fingerprint: bytes
    cipher: AESGCM

    @classmethod
    def of(cls, secret: bytes, source: str) -> MasterKey:
        """Return the master key of a secret."""

        def derive(purpose: str, length: int) -> bytes:
            return HKDF(SHA256(), length, None, f"crm-graph master key {purpose}".encode()).derive(secret)

        return cls(source, derive("fingerprint", _FINGERPRINT_BYTES), AESGCM(derive("wrapping", 32)))

    @property
    def name(self) -> str:
        """What it is called in the table of keys and by `crm-graph keys status`: `environment:1f2e3d4c`."""
        return f"{self.source}:{self.fingerprint.hex()}"


class MasterKeys:
    """A `KeyService` of master keys in memory. The first wraps, all of them unwrap."""

    def __init__(self, keys: Sequence[MasterKey]) -> None:
        assert keys, "there is always an installation secret to derive one from"
        self._keys = tuple(keys)

    @classmethod
    def of(cls, environment: Mapping[str, str], secrets: Sequence[bytes]) -> MasterKeys:
        """Return the master keys of this installation. Raises OperatorError for one that is too short."""
        return cls([*keys_of_environment(environment), *(MasterKey.of(secret, FROM_SECRET) for secret in secrets)])

    @property
    def name(self) -> str:
        """See `KeyService`."""
        return self._keys[0].name

    async def wrap(self, key: bytes, context: Mapping[str, str]) -> bytes:
        """See `KeyService`."""
        master, nonce = self._keys[0], os.urandom(NONCE_BYTES)
        return _FORMAT + master.fingerprint + nonce + master.cipher.encrypt(nonce, key, _associated(context))

    async def unwrap(self, wrapped: bytes, context: Mapping[str, str]) -> bytes:
        """See `KeyService`."""
        head = len(_FORMAT) + _FINGERPRINT_BYTES
        fingerprint, nonce, rest = wrapped[len(_FORMAT) : head], wrapped[head : head + NONCE_BYTES], wrapped[head:]
        master = next((key for key in self._keys if key.fingerprint == fingerprint), None)
        if master is None or not wrapped.startswith(_FORMAT):
            known = ", ".join(key.name for key in self._keys)
            raise OperatorError(
                f"the keys of workspace {context.get('workspace')} are wrapped by a master key that is not given here "
                f"(fingerprint {fingerprint.hex()}; given are {known})",
                f"put that key back at the end of {VARIABLE} (or its secret at the end of CRM_SECRET), then run "
                "`crm-graph keys rewrap`",
            )
        try:
            return master.cipher.decrypt(nonce, rest[NONCE_BYTES:], _associated(context))
        except (InvalidTag, ValueError):
            raise OperatorError(
                f"a key of workspace {context.get('workspace')} was altered: {VARIABLE} does not open it any more",
                "restore the rows of the table workspace_key from a backup",
            ) from None


def keys_of_environment(environment: Mapping[str, str]) -> list[MasterKey]:
    """Return the master keys of `CRM_MASTER_KEY`, none where it is not set. Raises OperatorError for one that is too
    short."""
    given = [text.strip() for text in environment.get(VARIABLE, "").split(",") if text.strip()]
    for text in given:
        if len(text) < MIN_LENGTH:
            raise OperatorError(
                f"{VARIABLE} is shorter than {MIN_LENGTH} characters",
                "set it to a random one, for example the output of `openssl rand -hex 32`",
            )
    return [MasterKey.of(text.encode(), FROM_ENVIRONMENT) for text in given]


def load_service(environment: Mapping[str, str], secrets: Sequence[bytes]) -> KeyService:
    """Return what wraps this installation's keys: what `CRM_KEY_SERVICE=package.module:make` makes of the environment,
    else the master keys. Raises OperatorError."""
    named = environment.get(SERVICE_VARIABLE)
    if not named:
        return MasterKeys.of(environment, secrets)
    module, _, attribute = named.partition(":")
    try:
        make: Callable[[Mapping[str, str]], KeyService] = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise OperatorError(
            f"{SERVICE_VARIABLE}={named!r} cannot be loaded: {error}",
            "name a function of an installed module, as `package.module:make`",
        ) from error
    return make(environment)


def _associated(context: Mapping[str, str]) -> bytes:
    """Return a context as bytes, each in one way only."""
    return b"".join(
        len(part).to_bytes(4, "big") + part
        for name in sorted(context)
        for part in (name.encode(), context[name].encode())
    )
