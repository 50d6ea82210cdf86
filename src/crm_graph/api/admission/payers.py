"""Who pays for connections: of each member, API client, workspace and address, how long they held any in a minute.

Requests and cost (`rates.py`) are counted before anything runs, by what an operation may cost. This is counted
afterwards, by what it did cost: the seconds for which connections were lent, which is the time of the statements, of
those that were stopped too, and of the Python between them. Whoever has used up a minute's seconds is refused until
some are back. In memory and per process, as rates are; 1 us a request.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from math import ceil

from crm_graph.api.admission.rates import EXACT_S, WINDOW_S, Quota, network_of
from crm_graph.identity.origin import Origin
from crm_graph.identity.tokens import Claims
from crm_graph.identity.viewer import Viewer
from crm_graph.kernel.errors import RateLimited
from crm_graph.kernel.settings import Settings


@dataclass(slots=True)
class Tally:
    """What all paid in a process."""

    seconds: float = 0.0
    refused: int = 0


class Payer:
    """Somebody who is lent connections; implements `db.lending.Payer`. `key` has the share of the connections."""

    __slots__ = ("_clock", "_quotas", "_tally", "key")

    def __init__(self, key: Hashable, quotas: tuple[Quota, ...], clock: Callable[[], float], tally: Tally) -> None:
        self._tally = tally
        self.key = key
        self._quotas = quotas
        self._clock = clock

    def charge(self, seconds: float) -> None:
        """Count seconds for which a connection was held."""
        now = self._clock()
        self._tally.seconds += seconds
        for quota in self._quotas:
            quota.take(now, seconds)
            if quota.back_at - now > WINDOW_S:
                quota.is_used_up = True

    def wait_s(self) -> float:
        """Return for how many seconds nothing more may be asked; 0 or less where it may."""
        now = self._clock()
        return max(quota.wait_s(now, 0) for quota in self._quotas)

    def refuse_busy(self) -> None:
        """Raise RateLimited where a quota is used up. Whether one is was seen when it was charged: to look at the clock
        for each request costs more than to look at a flag."""
        for quota in self._quotas:
            if quota.is_used_up:
                self._refuse()

    def _refuse(self) -> None:
        now = self._clock()
        for quota in self._quotas:
            quota.is_used_up = quota.wait_s(now, 0) > EXACT_S
        wait_s = self.wait_s()
        if wait_s > EXACT_S:
            self._tally.refused += 1
            seconds = ceil(wait_s)
            message = (
                f"Your operations kept the database busy for too long in the last minute: try again in {seconds} s."
            )
            raise RateLimited(message, seconds)


class Payers:
    """All who pay in a process. Who came first is forgotten when there are too many, which at worst gives somebody a
    fresh minute: to remember who came last costs each request."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self.tally = Tally()
        self._payers: OrderedDict[Hashable, Payer] = OrderedDict()
        self._quotas: OrderedDict[Hashable, Quota] = OrderedDict()

    def of(self, claims: Claims, origin: Origin) -> Payer:
        """Return who pays for a request: its member, with the workspace and the API client, or its address."""
        if claims.is_anonymous:
            return self._of_address(origin.address)
        return self.of_member(claims.workspace_id, claims.member_id, claims.client_id)

    def of_member(self, workspace_id: str, member_id: str, client_id: str | None = None) -> Payer:
        """Return a member as who pays, whether for requests or for what is live."""
        name = workspace_id, member_id, client_id
        payer = self._payers.get(name)
        if payer is not None:
            return payer
        settings = self._settings
        quotas = [
            self._quota((workspace_id, member_id), settings.rate_member_busy_seconds),
            self._quota(workspace_id, settings.rate_workspace_busy_seconds),
        ]
        if client_id is not None:
            quotas.append(self._quota((workspace_id, client_id), settings.rate_client_busy_seconds))
        return self._keep(name, (workspace_id, member_id), quotas)

    def of_viewer(self, viewer: Viewer) -> Payer:
        """Return a viewer as who pays."""
        return self.of_member(viewer.workspace_id, viewer.member_id, viewer.client_id)

    def of_webhooks(self, workspace_id: str) -> Payer:
        """Return a workspace as who pays for its webhooks: by themselves, so that they keep none of its members out."""
        key = "webhooks", workspace_id
        payer = self._payers.get(key)
        return payer or self._keep(key, key, [self._quota(key, self._settings.rate_webhooks_busy_seconds)])

    def _of_address(self, address: str | None) -> Payer:
        key = "address", network_of(address)
        payer = self._payers.get(key)
        return payer or self._keep(key, key, [self._quota(key, self._settings.rate_address_busy_seconds)])

    def _keep(self, name: Hashable, key: Hashable, quotas: list[Quota]) -> Payer:
        payer = self._payers[name] = Payer(key, tuple(quotas), self._clock, self.tally)
        if len(self._payers) > self._settings.rate_entries:
            self._payers.popitem(last=False)
        return payer

    def _quota(self, whose: Hashable, seconds: int) -> Quota:
        quota = self._quotas.get(whose)
        if quota is None:
            quota = self._quotas[whose] = Quota(seconds)
            if len(self._quotas) > self._settings.rate_entries:
                self._quotas.popitem(last=False)
        self._quotas.move_to_end(whose)
        return quota
