"""What this process does for all: the roles that it is elected for, and how far it is behind in them."""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass(slots=True)
class Role:
    """A piece of background work that one of all processes does."""

    held: bool = False
    """Whether this process does it now."""
    _lag_s: float | None = None
    _at: float = 0.0

    def reports(self, lag_s: float) -> None:
        """Note how far it was behind when it looked, which is now."""
        self._lag_s, self._at = lag_s, time.monotonic()

    @property
    def lag_s(self) -> float | None:
        """How far it can be behind: as when it last looked, and the time since. None where it does not say, or another
        process does it."""
        return None if self._lag_s is None or not self.held else self._lag_s + time.monotonic() - self._at


ROLES: dict[str, Role] = {}
"""Those of the process, by name; each is here once its process stands for it."""


def role(name: str) -> Role:
    """Return a role of this process."""
    return ROLES.setdefault(name, Role())
