"""Counts attempts before anything is looked at, each in a transaction of its own: twenty aliases in one operation are
twenty attempts, and so are twenty requests at once, whatever becomes of them.

Windows are fixed and short. A long lock would be a weapon: whoever knows an address could keep its owner out. So an
account is shut for the rest of a window of minutes only, an address that is shut does not count against the accounts
it goes on to name, and attempts from where a member signed in before are counted apart (`sign_in.py`): the owner at
their usual place is not locked out by a crowd elsewhere. Sessions that exist go on in any case.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from ipaddress import IPv6Address, ip_address, ip_network

from crm_graph.db.statements import Statement
from crm_graph.identity.services import Services
from crm_graph.kernel.errors import RateLimited

TOO_MANY = "There were too many attempts. Try again later."
_PURPOSE = "attempts"
_IPV6_PREFIX = 64
"""What one subscriber has, and can pick addresses from at will."""
DAY_S = 24 * 60 * 60
HOUR_S = 60 * 60

_COUNT = Statement(
    """
    INSERT INTO attempt (subject, ends_at, attempts) VALUES ($1, $2, 1)
    ON CONFLICT (subject, ends_at) DO UPDATE SET attempts = attempt.attempts + 1 RETURNING attempts
    """,
    ("subject", "ends_at"),
    {},
)
_REFUND = Statement(
    "UPDATE attempt SET attempts = attempts - 1 WHERE subject = $1 AND ends_at = $2 AND attempts > 0",
    ("subject", "ends_at"),
    {},
)
_FORGET = Statement("DELETE FROM attempt WHERE ends_at < $1", ("now",), {})


class Kind(Enum):
    """What is counted."""

    SIGN_IN = "sign-in"
    SECOND_FACTOR = "second factor"
    SECOND_FACTOR_DAY = "second factor of a day"
    RESET = "reset"
    LINK = "link"
    MAIL = "mail"
    USER_CODE = "user code"
    CLIENT_SECRET = "client secret"  # noqa: S105 - no password
    PASSWORD = "password"  # noqa: S105 - no password


@dataclass(frozen=True, slots=True)
class Counted:
    """An attempt that was counted: the how many-th of its window, of how many."""

    subject: bytes
    ends_at: datetime
    attempts: int
    limit: int
    retry_after_s: int

    @property
    def is_first_over(self) -> bool:
        """Whether this is the attempt with which the limit was passed: the one worth an entry in the log."""
        return self.attempts == self.limit + 1

    def check(self) -> None:
        """Raise RateLimited when the limit is passed."""
        if self.attempts > self.limit:
            raise RateLimited(TOO_MANY, self.retry_after_s)


async def count(services: Services, kind: Kind, value: str, limit: int, window_s: int | None = None) -> Counted:
    """Count one attempt of a kind by, or at, `value`, and commit. Windows are of `CRM_ATTEMPT_WINDOW_SECONDS` unless
    given."""
    window_s = window_s or services.settings.attempt_window_seconds
    now = services.clock().timestamp()
    ends_at = (int(now) // window_s + 1) * window_s
    subject = hmac.digest(services.keys(_PURPOSE)[0], f"{kind.value}\0{value}".encode(), hashlib.sha256)
    until = datetime.fromtimestamp(ends_at, UTC)
    async with services.database.transaction() as session:
        (row,) = await session.execute(_COUNT, {"subject": subject, "ends_at": until})
    return Counted(subject, until, int(row["attempts"]), limit, max(1, round(ends_at - now)))


async def count_and_check(services: Services, kind: Kind, value: str, limit: int, window_s: int | None = None) -> None:
    """Count one attempt that is never taken back. Raises RateLimited over the limit."""
    (await count(services, kind, value, limit, window_s)).check()


async def count_address(services: Services, kind: Kind, address: str | None) -> Counted | None:
    """Count one attempt of a kind from an address; None where there is none, as for a command."""
    network = network_of(address)
    if network is None:
        return None
    return await count(services, kind, f"address {network}", services.settings.attempts_per_address)


async def take_back(services: Services, *counted: Counted | None) -> None:
    """Take attempts back: they were right."""
    async with services.database.transaction() as session:
        for each in counted:
            if each is not None:
                await session.execute(_REFUND, {"subject": each.subject, "ends_at": each.ends_at})


async def forget_old(services: Services) -> None:
    """Delete the counters of windows that are over."""
    async with services.database.transaction() as session:
        await session.execute(_FORGET, {"now": services.clock()})


def network_of(address: str | None) -> str | None:
    """Return what an address is counted as: itself, or the /64 of an IPv6 one."""
    if address is None:
        return None
    if isinstance(ip_address(address), IPv6Address):
        return str(ip_network(f"{address}/{_IPV6_PREFIX}", strict=False))
    return address
