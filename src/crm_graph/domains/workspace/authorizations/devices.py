"""Devices that wait for a member to let them in: they ask with a device code, the member answers a user code."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from crm_graph.db.session import ReadSession, Session
from crm_graph.db.statements import Statement
from crm_graph.domains.workspace.accounts.browsers import SignedInBrowser, use_browser
from crm_graph.domains.workspace.accounts.journal import By, record
from crm_graph.domains.workspace.authorizations.codes import hash_code
from crm_graph.domains.workspace.authorizations.events import DeviceAnswered
from crm_graph.identity.origin import Origin
from crm_graph.identity.services import Services
from crm_graph.kernel.errors import Unauthenticated
from crm_graph.kernel.ids import new_id

INTERVAL_SECONDS = 5
"""How long a device waits between two questions; RFC 8628 lets it become so much longer each time that it did not."""
MAX_INTERVAL_SECONDS = 300
KEPT = timedelta(days=1)

_DROP = Statement("DELETE FROM device_code WHERE workspace_id = $1 AND expires_at < $2", ("workspace_id", "before"), {})
_ADD = Statement(
    """
    INSERT INTO device_code (workspace_id, id, client_id, sha256, user_code, scope, expires_at, interval_seconds,
                             version, created_at, updated_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 1, $9, $9)
    """,
    ("workspace_id", "id", "client_id", "sha256", "user_code", "scope", "expires_at", "interval", "now"),
    {},
)
_TAKE = Statement(
    """
    SELECT id, client_id, member_id, scope, approved, auth_time, interval_seconds, polled_at, signed_in_id,
           expires_at > $3 AS lives
    FROM device_code WHERE workspace_id = $1 AND sha256 = $2 AND used_at IS NULL FOR UPDATE
    """,
    ("workspace_id", "sha256", "now"),
    {},
)
_NOTE_POLL = Statement(
    """
    UPDATE device_code SET polled_at = $3, interval_seconds = $4, updated_at = $3
    WHERE workspace_id = $1 AND id = $2
    """,
    ("workspace_id", "id", "now", "interval"),
    {},
)
_USE = Statement(
    "UPDATE device_code SET used_at = $3, updated_at = $3 WHERE workspace_id = $1 AND id = $2",
    ("workspace_id", "id", "now"),
    {},
)
_WAITING = Statement(
    """
    SELECT device_code.client_id, client.name, device_code.scope
    FROM device_code
    JOIN api_client AS client ON client.workspace_id = device_code.workspace_id AND client.id = device_code.client_id
    WHERE device_code.workspace_id = $1 AND user_code = $2 AND approved IS NULL AND expires_at > $3
    """,
    ("workspace_id", "user_code", "now"),
    {},
)
_ANSWER = Statement(
    """
    UPDATE device_code
    SET member_id = $3, approved = $4, auth_time = $5, signed_in_id = $7, version = version + 1, updated_at = $6
    WHERE workspace_id = $1 AND user_code = $2 AND approved IS NULL AND expires_at > $6
    RETURNING client_id
    """,
    ("workspace_id", "user_code", "member_id", "approved", "auth_time", "now", "signed_in_id"),
    {},
)


@dataclass(frozen=True, slots=True)
class FoundDevice:
    """A device that asks, its row locked. `approved` is None while nobody has answered."""

    workspace_id: str
    id: str
    client_id: str
    scope: str
    lives: bool
    approved: bool | None
    member_id: str | None
    auth_time: datetime | None
    interval_seconds: int
    polled_at: datetime | None
    signed_in_id: str | None
    """The browser's sign-in by which it was answered: a yes is good while that lives."""


@dataclass(frozen=True, slots=True)
class WaitingDevice:
    """What a member is shown of the device that waits for them."""

    client_id: str
    app: str
    scope: str


async def save_device(
    services: Services,
    session: Session,
    workspace_id: str,
    client_id: str,
    scope: str,
    device_code: str,
    user_code: str,
) -> None:
    """Let a device wait; drop those whose time is long over."""
    now = services.clock()
    await session.execute(_DROP, {"workspace_id": workspace_id, "before": now - KEPT})
    values = {
        "workspace_id": workspace_id,
        "id": new_id(),
        "client_id": client_id,
        "sha256": hash_code(device_code),
        "user_code": user_code,
        "scope": scope,
        "expires_at": now + timedelta(seconds=services.settings.device_code_seconds),
        "interval": INTERVAL_SECONDS,
        "now": now,
    }
    await session.execute(_ADD, values)


async def take_device(services: Services, session: Session, workspace_id: str, device_code: str) -> FoundDevice | None:
    """Return a device by its code, locked until the transaction ends; None for one that is unknown, or was let in."""
    values = {"workspace_id": workspace_id, "sha256": hash_code(device_code), "now": services.clock()}
    row = await session.fetch_row(_TAKE, values)
    if row is None:
        return None
    return FoundDevice(
        workspace_id,
        row["id"],
        row["client_id"],
        row["scope"],
        row["lives"],
        row["approved"],
        row["member_id"],
        _time(row["auth_time"]),
        row["interval_seconds"],
        _time(row["polled_at"]),
        row["signed_in_id"],
    )


async def note_poll(services: Services, session: Session, device: FoundDevice) -> bool:
    """Note that a device asked; return whether it did so too soon, which makes it wait longer from now on."""
    now = services.clock()
    wait = timedelta(seconds=device.interval_seconds)
    early = device.polled_at is not None and now - device.polled_at < wait
    interval = min(device.interval_seconds + (INTERVAL_SECONDS if early else 0), MAX_INTERVAL_SECONDS)
    values = {"workspace_id": device.workspace_id, "id": device.id, "now": now, "interval": interval}
    await session.execute(_NOTE_POLL, values)
    return early


async def use_device(services: Services, session: Session, device: FoundDevice) -> None:
    """Note that a device was let in: its code is not good any more."""
    values = {"workspace_id": device.workspace_id, "id": device.id, "now": services.clock()}
    await session.execute(_USE, values)


async def find_waiting(
    services: Services, reader: ReadSession, workspace_id: str, user_code: str
) -> WaitingDevice | None:
    """Return the device that waits under a user code in a workspace, or None."""
    values = {"workspace_id": workspace_id, "user_code": user_code, "now": services.clock()}
    row = await reader.fetch_row(_WAITING, values)
    return None if row is None else WaitingDevice(row["client_id"], row["name"], row["scope"])


async def answer_device(
    services: Services,
    session: Session,
    signed_in: SignedInBrowser,
    user_code: str,
    origin: Origin,
    *,
    approved: bool,
) -> bool:
    """Let a device in, or not, as the member who is signed in, with the event. Return whether one waited. Raises
    Unauthenticated where the browser's sign-in has ended meanwhile."""
    workspace_id, member_id = signed_in.workspace_id, signed_in.member_id
    values = {
        "workspace_id": workspace_id,
        "user_code": user_code,
        "member_id": member_id,
        "approved": approved,
        "auth_time": signed_in.at,
        "now": services.clock(),
        "signed_in_id": signed_in.session_id,
    }
    rows = await session.execute(_ANSWER, values)
    if not rows:
        return False
    if not await use_browser(services, session, workspace_id, signed_in.session_id, member_id):
        raise Unauthenticated("The sign-in has ended meanwhile.")
    app_id = rows[0]["client_id"]
    by = By(member_id, origin, None, app_id)
    await record(services, session, workspace_id, member_id, DeviceAnswered(app_id, approved), by)
    return True


def normalize_user_code(text: str) -> str:
    """Return a user code as it is kept, from however it was typed."""
    letters = "".join(letter for letter in text.upper() if letter.isascii() and letter.isalnum())
    return f"{letters[:4]}-{letters[4:8]}" if len(letters) == 8 else ""


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
