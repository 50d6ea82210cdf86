"""Passwords: what may be one, and Argon2id over them, off the event loop.

Hashing takes 20 ms and 19 MiB on purpose. It runs on a few threads of its own, so that the event loop goes on and a
crowd at the door costs a bounded part of the machine; argon2-cffi gives up the interpreter lock meanwhile.
"""

from __future__ import annotations

import asyncio
import hashlib
import unicodedata
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from crm_graph.identity.breached import contains
from crm_graph.kernel.errors import OperatorError, RateLimited, Refused
from crm_graph.kernel.settings import Settings

T = TypeVar("T")

BUSY = "Too many passwords are being checked right now. Try again in a moment."
_NO_PASSWORD = b"the password of those who have none"


class Passwords:
    """Checks, hashes and verifies. `verifications` counts the latter, for the proof that every attempt costs one."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._hasher = PasswordHasher(settings.argon2_iterations, settings.argon2_memory_kib, settings.argon2_lanes)
        self._breached = Path(settings.breached_passwords) if settings.breached_passwords else None
        self._running = 0
        self.verifications = 0

    @cached_property
    def _threads(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self._settings.argon2_threads, "argon2")

    @cached_property
    def _decoy(self) -> str:
        """A hash that nothing verifies against, with today's parameters: checking it costs what any check costs."""
        return self._hasher.hash(_NO_PASSWORD)

    async def check_new(self, password: str, email: str, field: str = "password") -> None:
        """Raise Refused where a password is too short or too long, is the member's own address, or is a known one.

        Length is counted in characters after NFKC. Nothing is asked of its composition: that makes passwords worse
        (NIST SP 800-63B, section 3.1.1.2).
        """
        settings = self._settings
        normal = _normal(password)
        if len(normal) < settings.password_min_length:
            least = settings.password_min_length
            raise Refused("INVALID", f"A password must have at least {least} characters.", (field,))
        if len(password) > settings.password_max_length or len(normal) > settings.password_max_length:
            most = settings.password_max_length
            raise Refused("INVALID", f"A password must have at most {most} characters.", (field,))
        if normal.lower() == _normal(email).lower():
            raise Refused("INVALID", "A password must not be the e-mail address.", (field,))
        if self._breached is not None and await self._in_thread(lambda: self._is_breached(password, normal)):
            message = "This password is on the list of those that became known in a breach: take another."
            raise Refused("INVALID", message, (field,))

    def _is_breached(self, *spellings: str) -> bool:
        assert self._breached is not None
        digests = {hashlib.sha1(spelling.encode(), usedforsecurity=False).hexdigest().upper() for spelling in spellings}
        try:
            return any(contains(self._breached, digest) for digest in digests)
        except OSError as error:
            raise OperatorError(
                f"CRM_BREACHED_PASSWORDS={self._breached} cannot be read: {error.strerror}", "correct or unset it"
            ) from error

    async def hash(self, password: str) -> str:
        """Return the hash of a password, in Argon2's own notation. Raises RateLimited where too many wait."""
        secret = _normal(password).encode()
        return await self._in_thread(lambda: self._hasher.hash(secret))

    async def verify(self, hashed: str | None, password: str) -> bool:
        """Return whether a password is the one of a hash; see `verify_each`."""
        (right,) = await self.verify_each((hashed,), password)
        return right

    async def verify_each(self, hashes: Sequence[str | None], password: str) -> list[bool]:
        """Return of each of some hashes whether a password is the one of it: all are verified, whichever fit. None,
        for who has none or is not there, costs the same and is false. Raises RateLimited where too many wait: each
        hash takes a place in the queue, and either all get one or none."""
        self._refuse_beyond(len(hashes))
        self.verifications += len(hashes)
        too_long = len(password) > self._settings.password_max_length
        secret = b"" if too_long else _normal(password).encode()

        def verify(hashed: str | None) -> bool:
            return self._verify(self._decoy if hashed is None else hashed, secret)

        running = [self._start(partial(verify, hashed)) for hashed in hashes]
        verdicts = [await asyncio.shield(verification) for verification in running]
        return [right and hashed is not None and not too_long for right, hashed in zip(verdicts, hashes, strict=True)]

    def _verify(self, hashed: str, secret: bytes) -> bool:
        try:
            return self._hasher.verify(hashed, secret)
        except (VerificationError, InvalidHashError):
            return False

    def is_outdated(self, hashed: str) -> bool:
        """Return whether a hash was made with other parameters than today's."""
        return self._hasher.check_needs_rehash(hashed)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        """Run something on one of the threads, also to its end when whoever waits for it is gone."""
        self._refuse_beyond(1)
        return await asyncio.shield(self._start(work))

    def _start(self, work: Callable[[], T]) -> asyncio.Future[T]:
        self._running += 1
        running = asyncio.get_running_loop().run_in_executor(self._threads, work)
        running.add_done_callback(self._finished)
        return running

    def _refuse_beyond(self, more: int) -> None:
        """Raise RateLimited where so many more would be too many."""
        if self._running + more > self._settings.argon2_threads + self._settings.argon2_queue_size:
            raise RateLimited(BUSY, 1)

    def _finished(self, running: asyncio.Future[Any]) -> None:
        self._running -= 1
        if not running.cancelled():
            running.exception()  # seen, where nobody waits for it any more


def _normal(password: str) -> str:
    """Return a password as it is hashed: however a keyboard composed its letters, they are the same."""
    return unicodedata.normalize("NFKC", password)
