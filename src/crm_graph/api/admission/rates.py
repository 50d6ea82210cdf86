"""How often somebody may ask: requests, cost, and time to read documents per minute, of a member, an API client or an
address.

The generic cell rate algorithm: a time per quota instead of counters, so that a minute's quota may be used at once and
comes back evenly. In memory and per process: N processes allow N times as much, so whoever runs several divides the
settings, or lets the proxy in front of them send a member to the same process. The library for it, `limits`, takes
9 to 21 us a hit, and a request has two to four, beside a point query's 90; this takes 0.6.

Decided in D-api-03 (ARCHITECTURE.md).
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from math import ceil
from typing import TypeAlias

from crm_graph.kernel.errors import LimitExceeded, RateLimited

WINDOW_S = 60
EXACT_S = 1e-6
"""Below this a wait is the error of adding fractions."""
DOCUMENT_MS_OF_NOBODY = 6_000
"""For whom no time to read documents was said."""
Header = tuple[bytes, bytes]
Whose: TypeAlias = tuple[Hashable, int, int] | tuple[Hashable, int, int, int]
"""Who, and per minute their requests, their cost, and the milliseconds that their documents may take to be read."""


class Quota:
    """A quota per minute, and how much of it is used: the time at which all of it will be back."""

    __slots__ = ("_each_s", "back_at", "is_used_up", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self._each_s = WINDOW_S / size
        self.back_at = 0.0
        self.is_used_up = False
        """Whether it was, when it was last charged for what was done already; see `payers.py`."""

    def wait_s(self, now: float, amount: float) -> float:
        """Return for how many seconds `amount` cannot be taken; 0 or less where it can."""
        used_s = self.back_at - now
        return (used_s if used_s > 0 else 0.0) + amount * self._each_s - WINDOW_S

    def is_over(self, now: float) -> bool:
        """Return whether more was taken than there was."""
        return self.back_at - now > WINDOW_S

    def take(self, now: float, amount: float) -> None:
        """Take an amount, whether or not it is there."""
        back_at = self.back_at
        self.back_at = (back_at if back_at > now else now) + amount * self._each_s

    def left(self, now: float) -> tuple[int, int]:
        """Return how much can be taken, and after how many seconds all of it is back."""
        used_s = self.back_at - now
        if used_s <= 0:
            return self.size, 0
        return int((WINDOW_S - used_s) / self._each_s + 1e-6) if used_s < WINDOW_S else 0, ceil(used_s)

    def resize(self, size: int) -> None:
        """Let the quota be another one from now on."""
        if size != self.size:
            self.back_at = 0.0
            self.size, self._each_s = size, WINDOW_S / size


class Allowance:
    """The quotas of somebody. That of documents is in milliseconds; it is known only afterwards what one took, so it
    can be overdrawn, and then nothing is let in until it is not."""

    __slots__ = ("cost", "documents", "requests")

    def __init__(self, requests: int, cost: int, document_ms: int) -> None:
        self.requests = Quota(requests)
        self.cost = Quota(cost)
        self.documents = Quota(document_ms)


class QuotaExceeded(RateLimited):
    """Raised when a quota is used up; `headers` tell how much is left of each."""

    def __init__(self, message: str, retry_after_s: int, headers: list[Header]) -> None:
        super().__init__(message, retry_after_s)
        self.headers = headers


class Spending:
    """What one request takes from the allowances of everybody who answers for it."""

    __slots__ = ("_allowances", "_clock")

    def __init__(self, allowances: tuple[Allowance, ...], clock: Callable[[], float]) -> None:
        self._allowances = allowances
        self._clock = clock

    def take_request(self) -> None:
        """Count the request. Raises QuotaExceeded, and then counts nothing."""
        now = self._clock()
        for allowance in self._allowances:
            if allowance.documents.is_over(now):
                raise self._exceeded(
                    "Documents that are new here took too long to read", allowance.documents.wait_s(now, 0)
                )
            if allowance.requests.wait_s(now, 1) > EXACT_S:
                wait_s = max(other.requests.wait_s(now, 1) for other in self._allowances)
                raise self._exceeded("Too many requests", wait_s)
        for allowance in self._allowances:
            allowance.requests.take(now, 1)

    def take_cost(self, cost: int) -> None:
        """Count what the operation costs. Raises QuotaExceeded, and LimitExceeded for what no minute ever allows."""
        now = self._clock()
        for allowance in self._allowances:
            if cost > allowance.cost.size:
                message = (
                    f"The operation costs {cost}, and all of a minute may cost {allowance.cost.size}: ask for less."
                )
                raise LimitExceeded(message)
            if allowance.cost.wait_s(now, cost) > EXACT_S:
                wait_s = max(other.cost.wait_s(now, cost) for other in self._allowances)
                raise self._exceeded("The operations of the last minute cost too much together", wait_s)
        for allowance in self._allowances:
            allowance.cost.take(now, cost)

    def charge_reading(self, seconds: float) -> None:
        """Count the time that a document took to be read, whether or not it can be run."""
        now = self._clock()
        for allowance in self._allowances:
            allowance.documents.take(now, seconds * 1000)

    def headers(self) -> list[Header]:
        """Return `RateLimit` and `RateLimit-Policy` as the IETF's draft has them: of the quotas with the least left."""
        now = self._clock()
        first, *others = self._allowances
        requests, cost = first.requests, first.cost
        requests_left, cost_left = requests.left(now), cost.left(now)
        for allowance in others:
            left = allowance.requests.left(now)
            if left < requests_left:
                requests, requests_left = allowance.requests, left
            left = allowance.cost.left(now)
            if left < cost_left:
                cost, cost_left = allowance.cost, left
        state = b'"requests";r=%d;t=%d, "cost";r=%d;t=%d' % (*requests_left, *cost_left)
        return [(b"ratelimit-policy", _policy(requests.size, cost.size)), (b"ratelimit", state)]

    def _exceeded(self, what: str, wait_s: float) -> QuotaExceeded:
        seconds = ceil(wait_s - EXACT_S)
        return QuotaExceeded(f"{what}: try again in {seconds} s.", seconds, self.headers())


@lru_cache(1_000)
def _policy(requests: int, cost: int) -> bytes:
    return f'"requests";q={requests};w={WINDOW_S}, "cost";q={cost};w={WINDOW_S}'.encode()


class Rates:
    """All allowances of a process. Those not used for longest are forgotten when there are too many, which at worst
    gives somebody a fresh minute."""

    def __init__(self, entries: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._entries = entries
        self._clock = clock
        self._allowances: OrderedDict[Hashable, Allowance] = OrderedDict()
        self._failures: OrderedDict[str, Quota] = OrderedDict()

    def __len__(self) -> int:
        return len(self._allowances) + len(self._failures)

    def spending(self, *whose: Whose) -> Spending:
        """Return the spending of a request of all of these."""
        if len(whose) == 1:
            return Spending((self._allowance(*whose[0]),), self._clock)
        return Spending(tuple(self._allowance(*limits) for limits in whose), self._clock)

    def refuse_failing(self, address: str | None) -> None:
        """Raise RateLimited for an address that failed to authenticate too often: before its next try is verified."""
        quota = self._failures.get(network_of(address))
        wait_s = 0.0 if quota is None else quota.wait_s(self._clock(), 1)
        if wait_s > EXACT_S:
            seconds = ceil(wait_s - EXACT_S)
            message = f"Too many credentials from this address were wrong: try again in {seconds} s."
            raise RateLimited(message, seconds)

    def count_failure(self, address: str | None, most: int) -> None:
        """Count a credential that was wrong."""
        network = network_of(address)
        quota = self._failures.get(network)
        if quota is None:
            quota = self._failures[network] = Quota(most)
            if len(self._failures) > self._entries:
                self._failures.popitem(last=False)
        self._failures.move_to_end(network)
        quota.take(self._clock(), 1)

    def _allowance(
        self, who: Hashable, requests: int, cost: int, document_ms: int = DOCUMENT_MS_OF_NOBODY
    ) -> Allowance:
        allowance = self._allowances.get(who)
        if allowance is None:
            allowance = self._allowances[who] = Allowance(requests, cost, document_ms)
            if len(self._allowances) > self._entries:
                self._allowances.popitem(last=False)
            return allowance
        self._allowances.move_to_end(who)
        if allowance.requests.size != requests or allowance.cost.size != cost:
            allowance.requests.resize(requests)
            allowance.cost.resize(cost)
        return allowance


@lru_cache(10_000)
def network_of(address: str | None) -> str:
    """Return what counts as one address: of IPv6 the /64, which one customer has whole. Without one, all count as
    one: a socket file, say."""
    if address is None:
        return ""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    return f"{IPv6Address(int(parsed) >> 64 << 64)}/64" if isinstance(parsed, IPv6Address) else str(parsed)
