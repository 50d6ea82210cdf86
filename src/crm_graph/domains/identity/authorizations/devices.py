"""Devices that wait for a member to let them in: they ask with a device code, the member answers a user code.

They wait outside of all workspaces: whoever has heard of a client may make one wait, and the command line says at most
the name of a workspace, which may be none. A device belongs to a workspace once a member of it has answered.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from crm_graph.db.session import ReadSession, Session
from crm_graph.db.statements import Statement
from crm_graph.domains.identity.accounts.browsers import SignedInBrowser, use_browser
from crm_graph.domains.identity.accounts.journal import By, record
from crm_graph.domains.identity.authorizations.apps import COMMAND_LINE, add_command_line
from crm_graph.domains.identity.authorizations.codes import hash_code
from crm_graph.domains.identity.authorizations.events import DeviceAnswered
from crm_graph.identity.origin import Origin
from crm_graph.identity.services import Services
from crm_graph.identity.viewer import NOBODY
from crm_graph.kernel.errors import Unauthenticated
from crm_graph.kernel.ids import new_id

INTERVAL_SECONDS = 5
"""How long a device waits between two questions; RFC 8628 lets it become so much longer each time that it did not."""
MAX_INTERVAL_SECONDS = 300
KEPT = timedelta(days=1)

_DROP = Statement("DELETE FROM device_code WHERE expires_at < $1", ("before",), {})
_ADD = Statement(
    """
    INSERT INTO device_code (id, workspace_id, client_id, asked_as, sha256, user_code, scope, expires_at,
                             interval_seconds, version, created_at, updated_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 1, $10, $10)
    """,
    (
        "id",
        "workspace_id",
        "client_id",
        "asked_as",
        "sha256",
        "user_code",
        "scope",
        "expires_at",
        "interval",
        "now",
    ),
    {},
)
_TAKE = Statement(
    """
    SELECT id, workspace_id, client_id, asked_as, member_id, scope, approved, auth_time, interval_seconds, polled_at,
           signed_in_id, expires_at > $4 AS lives
    FROM device_code
    WHERE sha256 = $1 AND used_at IS NULL AND CASE WHEN $3::text IS NULL THEN workspace_id = $2 ELSE asked_as = $3 END
    FOR UPDATE
    """,
    ("sha256", "workspace_id", "asked_as", "now"),
    {},
)
_NOTE_POLL = Statement(
    "UPDATE device_code SET polled_at = $2, interval_seconds = $3, updated_at = $2 WHERE id = $1",
    ("id", "now", "interval"),
    {},
)
_USE = Statement("UPDATE device_code SET used_at = $2, updated_at = $2 WHERE id = $1", ("id", "now"), {})
_IS_OURS = f"""user_code = $2 AND approved IS NULL AND expires_at > $3 AND (workspace_id = $1 OR workspace_id IS NULL
    AND asked_as IN ('{COMMAND_LINE}', (SELECT '{COMMAND_LINE}@' || slug FROM workspace
                                        WHERE workspace_id = $1 AND id = $1)))"""  # noqa: S608 - constants
"""That a device waits for the members of a workspace: for them alone, or, the command line, for whoever comes."""
_WAITING = Statement(
    f"SELECT client_id, scope FROM device_code WHERE {_IS_OURS}",  # noqa: S608 - constants
    ("workspace_id", "user_code", "now"),
    {},
)
_LOCK = Statement(f"{_WAITING.text} FOR UPDATE", _WAITING.names, {})
_ANSWER = Statement(
    f"""
    UPDATE device_code SET workspace_id = $1, client_id = coalesce(client_id, $7), member_id = $4, approved = $5,
        auth_time = $6, signed_in_id = $8, version = version + 1, updated_at = $3
    WHERE {_IS_OURS} RETURNING client_id
    """,  # noqa: S608 - constants
    ("workspace_id", "user_code", "now", "member_id", "approved", "auth_time", "command_line_id", "signed_in_id"),
    {},
)


@dataclass(frozen=True, slots=True)
class FoundDevice:
    """A device that asks, its row locked. `approved` is None while nobody has answered."""

    id: str
    workspace_id: str | None
    """Of its client, or of the member who answered; None for the command line while nobody has."""
    client_id: str | None
    asked_as: str | None
    """The command line's client id as it was sent; None for any other client."""
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
class NewDevice:
    """What a device that begins to wait is known by; see `FoundDevice`."""

    workspace_id: str | None
    client_id: str | None
    asked_as: str | None
    scope: str
    user_code: str


@dataclass(frozen=True, slots=True)
class WaitingDevice:
    """What a member is shown of the device that waits for them. `client_id` is None for the command line where the
    workspace has no client of it yet."""

    client_id: str | None
    scope: str


async def save_device(services: Services, session: Session, device_code: str, new: NewDevice) -> None:
    """Let a device wait; drop those whose time is long over."""
    now = services.clock()
    await session.execute(_DROP, {"before": now - KEPT})
    values = {name: getattr(new, name) for name in NewDevice.__slots__}
    values |= {"id": new_id(), "sha256": hash_code(device_code), "interval": INTERVAL_SECONDS, "now": now}
    values["expires_at"] = now + timedelta(seconds=services.settings.device_code_seconds)
    await session.execute(_ADD, values)


async def take_device(
    services: Services, session: Session, workspace_id: str, asked_as: str | None, device_code: str
) -> FoundDevice | None:
    """Return a device of a workspace, or of the command line as it asks, by its code, locked until the transaction
    ends; None for one that is unknown, or was let in."""
    values = {"sha256": hash_code(device_code), "workspace_id": workspace_id, "asked_as": asked_as}
    row = await session.fetch_row(_TAKE, {**values, "now": services.clock()})
    if row is None:
        return None
    return FoundDevice(
        row["id"],
        row["workspace_id"],
        row["client_id"],
        row["asked_as"],
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
    values = {"id": device.id, "now": now, "interval": interval}
    await session.execute(_NOTE_POLL, values)
    return early


async def use_device(services: Services, session: Session, device: FoundDevice) -> None:
    """Note that a device was let in: its code is not good any more."""
    values = {"id": device.id, "now": services.clock()}
    await session.execute(_USE, values)


async def find_waiting(
    services: Services, reader: ReadSession, workspace_id: str, user_code: str
) -> WaitingDevice | None:
    """Return the device that waits under a user code for members of a workspace, or None."""
    values = {"workspace_id": workspace_id, "user_code": user_code, "now": services.clock()}
    row = await reader.fetch_row(_WAITING, values)
    return None if row is None else WaitingDevice(row["client_id"], row["scope"])


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
    Unauthenticated where the browser's sign-in has ended meanwhile.

    The command line belongs to the member's workspace from then on; one that is let in has a client there, made with
    the first.
    """
    workspace_id, member_id = signed_in.workspace_id, signed_in.member_id
    now, by = services.clock(), By(member_id, origin)
    values = {
        "workspace_id": workspace_id,
        "user_code": user_code,
        "now": now,
        "member_id": member_id,
        "approved": approved,
        "auth_time": signed_in.at,
        "signed_in_id": signed_in.session_id,
    }
    row = await session.fetch_row(_LOCK, values)
    if row is None:
        return False
    if not await use_browser(services, session, workspace_id, signed_in.session_id, member_id):
        raise Unauthenticated("The sign-in in the browser has ended: start again.")
    app_id = row["client_id"]
    if app_id is None and approved:
        app_id = await add_command_line(session, workspace_id, by, now)
        if app_id is None:
            return False
    await session.execute(_ANSWER, {**values, "command_line_id": app_id})
    event = DeviceAnswered(app_id or NOBODY, approved)
    await record(services, session, workspace_id, member_id, event, replace(by, client_id=app_id))
    return True


def normalize_user_code(text: str) -> str:
    """Return a user code as it is kept, from however it was typed."""
    letters = "".join(letter for letter in text.upper() if letter.isascii() and letter.isalnum())
    return f"{letters[:4]}-{letters[4:8]}" if len(letters) == 8 else ""


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
