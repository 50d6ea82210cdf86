"""Counts attempts before anything is looked at, each in a transaction of its own: twenty aliases in one operation are
twenty attempts, and so are twenty requests at once, whatever becomes of them.

Windows are fixed and short. A long lock would be a weapon: whoever knows an address could keep its owner out. So an
account is shut for the rest of a window of minutes only, an address that is shut does not count against the accounts
it goes on to name, and attempts from where a member signed in before are counted apart (`sign_in.py`): the owner at
their usual place is not locked out by a crowd elsewhere. Sessions that exist go on in any case.

What is counted is a `Subject`, and all of those that are not the network somebody comes from name a workspace: ids are
unique in one only, and the same address can have an account in each, so that otherwise who administers one workspace
could use up the attempts of somebody in another.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from ipaddress import IPv6Address, ip_address, ip_network
from typing import NewType

import orjson

from crm_graph.db.session import Session
from crm_graph.db.statements import Statement
from crm_graph.identity.services import Services
from crm_graph.kernel.errors import RateLimited

TOO_MANY = "There were too many attempts. Try again later."
_PURPOSE = "attempts"
_IPV6_PREFIX = 64
"""What one subscriber has, and can pick addresses from at will."""
DAY_S = 24 * 60 * 60
HOUR_S = 60 * 60

Subject = NewType("Subject", str)
"""What attempts are counted by, or at: made by one of the functions below, none of which forgets the workspace."""

# In the order of the subjects, so that two who count the same ones do not wait for each other in a circle.
_COUNT = Statement(
    """
    INSERT INTO attempt (subject, ends_at, attempts) SELECT unnest($1::bytea[]), $2, 1
    ON CONFLICT (subject, ends_at) DO UPDATE SET attempts = attempt.attempts + 1 RETURNING subject, attempts
    """,
    ("subjects", "ends_at"),
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

    @property
    def is_over(self) -> bool:
        """Whether the limit is passed."""
        return self.attempts > self.limit

    def check(self) -> None:
        """Raise RateLimited when the limit is passed."""
        if self.is_over:
            raise RateLimited(TOO_MANY, self.retry_after_s)


def of_member(workspace_id: str, member_id: str) -> Subject:
    """Return the subject of a member who is known."""
    return _subject("member", workspace_id, member_id)


def of_link(workspace_id: str, link_id: str) -> Subject:
    """Return the subject of a link that was shown."""
    return _subject("link", workspace_id, link_id)


def of_account(workspace: str | None, email: str, network: str | None = None) -> Subject:
    """Return the subject of whoever has an address in a workspace, by its short name, there or not; None for who names
    none. `network` counts those who come from it apart."""
    return _subject("account", workspace or "", email, network or "")


def of_nobody(number: int, email: str) -> Subject:
    """Return a subject that is counted in the place of an account that is not there."""
    return _subject("nobody", str(number), email)


def of_network(network: str) -> Subject:
    """Return the subject of a network, as `network_of` has it: the one kind that is of no workspace."""
    return _subject("network", network)


def _subject(*parts: str) -> Subject:
    """Return parts as one text: as JSON, so that no part can be written to end like the next one begins."""
    return Subject(orjson.dumps(parts).decode())


async def tally(
    services: Services,
    session: Session,
    kind: Kind,
    subjects: Sequence[Subject],
    limit: int,
    window_s: int | None = None,
) -> list[Counted]:
    """Count one attempt of a kind at each of several subjects, all different, in the transaction of `session`: one
    statement. Windows are of `CRM_ATTEMPT_WINDOW_SECONDS` unless given."""
    window_s = window_s or services.settings.attempt_window_seconds
    now = services.clock().timestamp()
    ends_at = (int(now) // window_s + 1) * window_s
    key = services.keys(_PURPOSE)[0]
    hashes = [hmac.digest(key, f"{kind.value}\0{subject}".encode(), hashlib.sha256) for subject in subjects]
    until = datetime.fromtimestamp(ends_at, UTC)
    rows = await session.execute(_COUNT, {"subjects": sorted(hashes), "ends_at": until})
    attempts = {bytes(row["subject"]): int(row["attempts"]) for row in rows}
    wait_s = max(1, round(ends_at - now))
    return [Counted(hashed, until, attempts[hashed], limit, wait_s) for hashed in hashes]


async def count_each(
    services: Services, kind: Kind, subjects: Sequence[Subject], limit: int, window_s: int | None = None
) -> list[Counted]:
    """Count one attempt of a kind at each of several subjects, and commit."""
    async with services.database.transaction() as session:
        return await tally(services, session, kind, subjects, limit, window_s)


async def count(services: Services, kind: Kind, subject: Subject, limit: int, window_s: int | None = None) -> Counted:
    """Count one attempt of a kind at a subject, and commit."""
    (counted,) = await count_each(services, kind, (subject,), limit, window_s)
    return counted


async def count_and_check(
    services: Services, kind: Kind, subject: Subject, limit: int, window_s: int | None = None
) -> None:
    """Count one attempt that is never taken back. Raises RateLimited over the limit."""
    (await count(services, kind, subject, limit, window_s)).check()


async def count_address(services: Services, kind: Kind, address: str | None) -> Counted | None:
    """Count one attempt of a kind from an address; None where there is none, as for a command."""
    network = network_of(address)
    if network is None:
        return None
    return await count(services, kind, of_network(network), services.settings.attempts_per_address)


async def take_back(services: Services, *counted: Counted | None) -> None:
    """Take attempts back: they were right."""
    given = sorted((each for each in counted if each is not None), key=lambda each: each.subject)
    async with services.database.transaction() as session:
        for each in given:
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
