"""Outages: a failure that repeats with every request or round is logged once, and then once a minute."""

from __future__ import annotations

import logging
import time

from crm_graph.kernel.errors import OperatorError

AGAIN_S = 60


class Outage:
    """Something that may be away. A log of one line per request would say no more, and fill a disk."""

    def __init__(self, log: logging.Logger, what: str) -> None:
        self._log = log
        self._what = what
        self._began: float | None = None
        self._told = 0.0
        self.failures = 0
        """How often it failed in all."""
        self._failures_before = 0

    def fails(self, error: BaseException) -> None:
        """Count a failure; it is said where it is the first for a minute."""
        now = time.monotonic()
        self.failures += 1
        if self._began is None or now - self._told >= 2 * AGAIN_S:
            self._began, self._failures_before = now, self.failures - 1
        elif now - self._told < AGAIN_S:
            return
        self._told = now
        count = self.failures - self._failures_before
        self._log.warning("%s: %s, %d times; trying again", self._what, _said(error), count)

    def ends(self) -> None:
        """Say that it works again, where it did not."""
        if self._began is None:
            return
        seconds, count = time.monotonic() - self._began, self.failures - self._failures_before
        self._began = None
        self._log.warning("%s: works again after %.0f s and %d failures", self._what, seconds, count)


def _said(error: BaseException) -> str:
    """Return what an operator is told of an error: ours say it, others may hold what is stored."""
    return f"{error.what} (fix: {error.fix})" if isinstance(error, OperatorError) else type(error).__name__
