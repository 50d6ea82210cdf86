"""How often the authorization server may be asked: by one address at one endpoint, and by one client that has shown its
secret. Not by client id alone: that is public, and whoever names it could keep its owner out.

Counted in each process: what must hold across processes, guesses at secrets and user codes, is counted in the database
(`accounts/meter.py`).
"""

from __future__ import annotations

from collections import OrderedDict

from crm_graph.kernel.clock import Clock

WINDOW_S = 60
MAX_COUNTED = 20_000
"""Who is remembered at once, about 200 bytes each; the oldest are forgotten."""


class Limiter:
    """Counts requests in fixed windows of a minute."""

    def __init__(self, per_minute: int, clock: Clock) -> None:
        self._per_minute = per_minute
        self._clock = clock
        self._window = -1
        self._counts: OrderedDict[tuple[str, str], int] = OrderedDict()

    def retry_after_s(self, what: str, who: str | None) -> int:
        """Count one request; return after how many seconds to come again where it is one too many, otherwise 0."""
        if who is None:
            return 0
        now = int(self._clock().timestamp())
        if now // WINDOW_S != self._window:
            self._window = now // WINDOW_S
            self._counts.clear()
        key = (what, who)
        self._counts[key] = self._counts.get(key, 0) + 1
        if len(self._counts) > MAX_COUNTED:
            self._counts.popitem(last=False)
        return WINDOW_S - now % WINDOW_S if self._counts.get(key, 0) > self._per_minute else 0
