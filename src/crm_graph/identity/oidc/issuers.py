"""The issuers that a process has heard of: their metadata and keys, kept for a while, fetched as rarely as can be.

A key that nobody knows makes the set be fetched again, once per cool-down: tokens with invented key ids are no way to
make us fetch. A set that cannot be fetched leaves the last one in force until it is too old.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from crm_graph.identity.oidc.discovery import Metadata, parse_metadata, well_known
from crm_graph.identity.oidc.fetch import Fetcher
from crm_graph.identity.oidc.keys import KeyRing, PublicKey, parse_keys
from crm_graph.identity.origin import parse_networks
from crm_graph.kernel.clock import Clock, system_clock
from crm_graph.kernel.errors import IssuerFault
from crm_graph.kernel.settings import Settings

MAX_ISSUERS = 1_000


@dataclass(slots=True)
class _Known:
    """What is known of an issuer. Times are those of the last success, and of the last try."""

    found: tuple[Metadata, KeyRing] | None = None
    at: datetime | None = None
    tried: datetime | None = None
    fault: IssuerFault | None = None
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


class Issuers:
    """One a process."""

    def __init__(self, fetcher: Fetcher, settings: Settings, clock: Clock = system_clock) -> None:
        self.fetcher = fetcher
        self._fresh = timedelta(seconds=settings.provider_keys_seconds)
        self._max_age = timedelta(seconds=settings.provider_keys_max_seconds)
        self._cool_down = timedelta(seconds=settings.provider_cooldown_seconds)
        self._clock = clock
        self._known: OrderedDict[str, _Known] = OrderedDict()

    @classmethod
    def of(cls, settings: Settings, clock: Clock = system_clock) -> Issuers:
        """Return the issuers of a process with these settings. Raises OperatorError for networks that are none."""
        networks = parse_networks(settings.provider_private, "CRM_PROVIDER_PRIVATE")
        fetcher = Fetcher(networks, settings.provider_timeout_ms / 1000, settings.provider_max_bytes)
        return cls(fetcher, settings, clock)

    async def metadata(self, issuer: str) -> Metadata:
        """Return what an issuer says of itself. Raises IssuerFault."""
        return (await self._current(issuer))[0]

    async def key(self, issuer: str, kid: str | None, algorithm: str) -> PublicKey | None:
        """Return the key that a token of an issuer names, or None where it has no such key. Raises IssuerFault."""
        _, ring = await self._current(issuer)
        key = ring.find(kid, algorithm)
        if key is not None:
            return key
        _, ring = await self._again(issuer, ring)
        return ring.find(kid, algorithm)

    async def examine(self, issuer: str) -> tuple[Metadata, KeyRing]:
        """Return what an issuer says now, past all that is remembered. Raises IssuerFault."""
        return await self._fetch(issuer)

    async def aclose(self) -> None:
        """Close what is open."""
        await self.fetcher.aclose()

    async def _current(self, issuer: str) -> tuple[Metadata, KeyRing]:
        known = self._of(issuer)
        if known.found is not None and self._age(known.at) < self._fresh:
            return known.found
        if known.found is not None and self._age(known.at) < self._max_age and known.turn.locked():
            return known.found  # somebody is fetching: nobody else waits for that
        async with known.turn:
            if known.found is None or self._age(known.at) >= self._fresh:
                await self._try(issuer, known)
            if known.found is None or self._age(known.at) >= self._max_age:
                known.found = None
                raise known.fault or IssuerFault(f"{issuer} is not known")
            return known.found

    async def _again(self, issuer: str, seen: KeyRing) -> tuple[Metadata, KeyRing]:
        """Fetch once more, unless that was done lately, or somebody else has done it meanwhile."""
        known = self._of(issuer)
        async with known.turn:
            if known.found is not None and known.found[1] is seen:
                await self._try(issuer, known)
            if known.found is None:
                raise known.fault or IssuerFault(f"{issuer} is not known")
            return known.found

    async def _try(self, issuer: str, known: _Known) -> None:
        """Fetch, if the last time is long enough ago; a fault is kept beside what was known before. Whatever goes wrong
        counts as a try: an error that nobody thought of must not be one that anybody can repeat at will."""
        if self._age(known.tried) < self._cool_down:
            return
        known.tried = self._clock()
        try:
            known.found = await self._fetch(issuer)
            known.at, known.fault = self._clock(), None
        except IssuerFault as fault:
            known.fault = fault
        except asyncio.CancelledError:  # whoever comes next tries again
            known.tried = None
            raise

    async def _fetch(self, issuer: str) -> tuple[Metadata, KeyRing]:
        metadata = parse_metadata(issuer, await self.fetcher.get(well_known(issuer)))
        return metadata, parse_keys(await self.fetcher.get(metadata.jwks_uri), metadata.jwks_uri)

    def _of(self, issuer: str) -> _Known:
        known = self._known.get(issuer)
        if known is None:
            known = self._known[issuer] = _Known()
            if len(self._known) > MAX_ISSUERS:
                self._known.popitem(last=False)
        self._known.move_to_end(issuer)
        return known

    def _age(self, at: datetime | None) -> timedelta:
        return timedelta.max if at is None else self._clock() - at
