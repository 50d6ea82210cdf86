"""API keys: how one is spelled, made, found again, and how its last use is noted.

A key is `crmk_` and the Base64url of its workspace, its id and 32 secret bytes, so it says itself where its row is.
Only the SHA-256 of its text is kept: the secret is random, so nothing slower would make it harder to guess.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import logging
import secrets
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from crm_graph.db.outages import OUTAGES
from crm_graph.db.pool import Database
from crm_graph.db.session import ReadSession
from crm_graph.db.statements import Statement
from crm_graph.identity.tokens import Claims
from crm_graph.kernel.clock import Clock, system_clock
from crm_graph.kernel.errors import Unauthenticated

log = logging.getLogger("crm_graph.keys")

MARK = "crmk_"
"""What every key begins with: scanners of source code find a leaked one by it."""
SECRET_BYTES = 32
_LENGTH = len(MARK) + 86
"""Of a key's text: 16 + 16 + 32 bytes are 86 letters of Base64."""
PREFIX_LENGTH = len(MARK) + 42
"""What is shown of a key, 31.5 bytes of its workspace and id: all of it that is no secret."""
NEVER = datetime.max.replace(tzinfo=UTC)
MAX_REMEMBERED_KEYS = 10_000
"""Keys that a process remembers, about 700 bytes each."""
MAX_NOTING = 100
"""Notes of a last use that may be under way at once; more are left out, and made by a later request."""
USE_INTERVAL = timedelta(minutes=1)
_WRONG = "The API key is unknown, revoked or over."

_FIND = Statement(
    """
    SELECT api_key.sha256, api_key.client_id, api_key.expires_at, client.member_id
    FROM api_key
    JOIN api_client AS client ON client.workspace_id = api_key.workspace_id AND client.id = api_key.client_id
    WHERE api_key.workspace_id = $1 AND api_key.id = $2
      AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $3)
    """,
    ("workspace_id", "key_id", "now"),
    {},
)
_NOTE_USE = Statement(
    """
    UPDATE api_key SET last_used_at = $3
    WHERE workspace_id = $1 AND id = $2 AND (last_used_at IS NULL OR last_used_at <= $4)
      AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $3)
    """,
    ("workspace_id", "key_id", "now", "before"),
    {},
)


_LIST = Statement(
    """
    SELECT id, name, prefix, created_at, expires_at, revoked_at, last_used_at FROM api_key
    WHERE workspace_id = $1 AND client_id = $2 ORDER BY id
    """,
    ("workspace_id", "client_id"),
    {},
)


@dataclass(frozen=True, slots=True)
class ListedKey:
    """A key as the operator sees it; times as the database prints them."""

    id: str
    name: str
    prefix: str
    created_at: str
    expires_at: str | None
    revoked_at: str | None
    last_used_at: str | None


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key as it is made: `text` is for its holder, once; the rest is kept."""

    text: str
    prefix: str
    sha256: str


@dataclass(frozen=True, slots=True)
class LiveKey:
    """A key that was shown and is good: of which client, and as which member that client acts by itself."""

    workspace_id: str
    key_id: str
    client_id: str
    member_id: str | None
    """None for a client that acts for members only."""
    expires_at: datetime | None


def make_key(workspace_id: str, key_id: str) -> NewKey:
    """Return a new key of a workspace under the id of its row."""
    raw = bytes.fromhex(workspace_id) + bytes.fromhex(key_id) + secrets.token_bytes(SECRET_BYTES)
    text = MARK + base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
    return NewKey(text, text[:PREFIX_LENGTH], _hash(text))


async def verify_key(session: ReadSession, text: str, now: datetime) -> LiveKey | None:
    """Return the key that a text is; None for one that is malformed, unknown, revoked or over, whichever it is."""
    ids = _ids(text)
    if ids is None:
        return None
    workspace_id, key_id = ids
    row = await session.fetch_row(_FIND, {"workspace_id": workspace_id, "key_id": key_id, "now": now})
    if row is None or not hmac.compare_digest(row["sha256"], _hash(text)):
        return None
    expires_at = None if row["expires_at"] is None else datetime.fromisoformat(row["expires_at"])
    return LiveKey(workspace_id, key_id, row["client_id"], row["member_id"], expires_at)


async def list_keys(session: ReadSession, workspace_id: str, client_id: str) -> list[ListedKey]:
    """Return all keys of a client, the oldest first."""
    rows = await session.fetch(_LIST, {"workspace_id": workspace_id, "client_id": client_id})
    return [ListedKey(*row) for row in rows]


async def note_use(database: Database, workspace_id: str, key_id: str, now: datetime) -> None:
    """Keep when a key was used last, to the minute. No event: it would be one for each minute of each key."""
    async with database.transaction() as session:
        values = {"workspace_id": workspace_id, "key_id": key_id, "now": now, "before": now - USE_INTERVAL}
        await session.execute(_NOTE_USE, values)


class ApiKeys:
    """Resolves keys shown as bearer tokens. Implements `identity.Resolver`.

    A key is remembered by its hash, so that requests cost no statement. That it still lives is asked by the guard of
    each request (`accounts/directory.py`), so one that was revoked is refused with the next request all the same.
    """

    def __init__(self, database: Database, clock: Clock = system_clock) -> None:
        self._database = database
        self._clock = clock
        self._known: OrderedDict[str, Claims] = OrderedDict()
        self._noted: dict[str, datetime] = {}
        self._noting: set[asyncio.Task[None]] = set()

    def known(self, token: str) -> Claims | None:
        """Return the claims of a key that was verified before and is not over; costs a hash."""
        if not token.startswith(MARK):
            return None
        key = _hash(token)
        claims = self._known.get(key)
        if claims is None:
            return None
        if claims.expires_at <= self._clock():
            del self._known[key]
            return None
        self._note(claims)
        return claims

    async def __call__(self, token: str) -> Claims | None:
        """Return the claims of a key; None for what is no key. Raises Unauthenticated."""
        if not token.startswith(MARK):
            return None
        known = self.known(token)
        if known is not None:
            return known
        now = self._clock()
        key = await verify_key(self._database.primary_reader(), token, now)
        if key is None:
            raise Unauthenticated(_WRONG)
        if key.member_id is None:
            raise Unauthenticated("The API key's client has no roles of its own: it acts for members only.")
        claims = Claims(
            key.workspace_id, key.member_id, key.expires_at or NEVER, client_id=key.client_id, key_id=key.key_id
        )
        self._known[_hash(token)] = claims
        if len(self._known) > MAX_REMEMBERED_KEYS:
            _, dropped = self._known.popitem(last=False)
            self._noted.pop(dropped.key_id or "", None)
        self._note(claims)
        return claims

    async def close(self) -> None:
        """Wait for the notes that are under way."""
        await asyncio.gather(*self._noting)

    def _note(self, claims: Claims) -> None:
        """Note a use beside the request, once a minute and process; it never fails a request."""
        assert claims.key_id is not None
        now, last = self._clock(), self._noted.get(claims.key_id)
        if (last is not None and now - last < USE_INTERVAL) or len(self._noting) >= MAX_NOTING:
            return
        self._noted[claims.key_id] = now
        task = asyncio.get_running_loop().create_task(self._write(claims.workspace_id, claims.key_id, now))
        self._noting.add(task)
        task.add_done_callback(self._noting.discard)

    async def _write(self, workspace_id: str, key_id: str, now: datetime) -> None:
        try:
            await note_use(self._database, workspace_id, key_id, now)
        except Exception as error:  # the database is away, say: the next minute notes it
            if not OUTAGES.tell(error):
                log.warning("the last use of an API key could not be noted: %s", type(error).__name__)


def _ids(text: str) -> tuple[str, str] | None:
    if len(text) != _LENGTH or not text.startswith(MARK) or not text.isascii():
        return None
    try:
        raw = base64.b64decode(text[len(MARK) :] + "==", altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw[:16].hex(), raw[16:32].hex()


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
