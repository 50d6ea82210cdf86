"""Links that let a member in once: invitations, and resets of a password.

The token spells the workspace, the link and 32 random bytes, of which a hash is kept. A link is bound to the password
that was there when it was made: it dies when that changes, by whatever way.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
from dataclasses import dataclass
from datetime import timedelta

from crm_graph.db.session import Session
from crm_graph.db.statements import Statement
from crm_graph.domains.identity.accounts.enums import LinkPurpose
from crm_graph.identity.services import Services
from crm_graph.kernel.ids import new_id

PREFIX = "crml_"
MAX_LENGTH = 200
_SECRET_BYTES = 32
_BODY_BYTES = 16 + 16

_INSERT = Statement(
    """
    INSERT INTO member_link (workspace_id, id, member_id, purpose, sha256, generation, expires_at, version, created_at,
                             updated_at)
    SELECT $1, $2, $3, $4, $5,
           coalesce((SELECT generation FROM credential WHERE workspace_id = $1 AND member_id = $3), 0), $6, 1, $7, $7
    """,
    ("workspace_id", "id", "member_id", "purpose", "sha256", "expires_at", "now"),
    {},
)
_FIND = Statement(
    """
    SELECT link.member_id, link.sha256, link.generation, member.name, member.email
    FROM member_link AS link
    JOIN member ON member.workspace_id = link.workspace_id AND member.id = link.member_id
    LEFT JOIN credential ON credential.workspace_id = link.workspace_id AND credential.member_id = link.member_id
    WHERE link.workspace_id = $1 AND link.id = $2 AND link.purpose = $3 AND link.used_at IS NULL
      AND link.expires_at > $4 AND link.generation = coalesce(credential.generation, 0)
      AND member.status = 'ACTIVE' AND member.kind = 'PERSON'
    """,
    ("workspace_id", "id", "purpose", "now"),
    {},
)
_USE = Statement(
    """
    UPDATE member_link SET used_at = $3, updated_at = $3
    WHERE workspace_id = $1 AND id = $2 AND used_at IS NULL RETURNING id
    """,
    ("workspace_id", "id", "now"),
    {},
)
_FORGET = Statement("DELETE FROM member_link WHERE workspace_id = $1 AND expires_at < $2", ("workspace_id", "now"), {})


@dataclass(frozen=True, slots=True)
class Link:
    """A link that is good: whose it is."""

    workspace_id: str
    id: str
    member_id: str
    name: str
    email: str
    generation: int


def lifetime_of(services: Services, purpose: LinkPurpose) -> timedelta:
    """Return how long links of a purpose are good."""
    if purpose is LinkPurpose.INVITATION:
        return timedelta(days=services.settings.invitation_days)
    return timedelta(minutes=services.settings.reset_minutes)


async def make_link(
    services: Services, session: Session, workspace_id: str, member_id: str, purpose: LinkPurpose
) -> str:
    """Write a link for a member and return its address, token included. It takes the place of none before it."""
    id_, secret, now = new_id(), os.urandom(_SECRET_BYTES), services.clock()
    values = {
        "workspace_id": workspace_id,
        "id": id_,
        "member_id": member_id,
        "purpose": purpose.value,
        "sha256": hashlib.sha256(secret).digest(),
        "expires_at": now + lifetime_of(services, purpose),
        "now": now,
    }
    await session.execute(_FORGET, values)
    await session.execute(_INSERT, values)
    body = bytes.fromhex(workspace_id) + bytes.fromhex(id_)
    token = PREFIX + base64.urlsafe_b64encode(body + secret).rstrip(b"=").decode()
    return f"{_page(services, purpose)}#{token}"


def _page(services: Services, purpose: LinkPurpose) -> str:
    """Return the page that a link leads to. The token stands behind `#`: it reaches no server's log."""
    settings = services.settings
    chosen = settings.invitation_url if purpose is LinkPurpose.INVITATION else settings.reset_url
    path = "invitation" if purpose is LinkPurpose.INVITATION else "reset"
    return chosen or f"{(settings.public_url or LOCAL_URL).rstrip('/')}/account/{path}"


LOCAL_URL = "http://127.0.0.1:8000"
"""Where `crm-graph dev` serves: what links lead to while no CRM_PUBLIC_URL says better. Never the Host of a request,
which whoever asks for a reset would choose."""


@dataclass(frozen=True, slots=True)
class ShownToken:
    """A link's token taken apart."""

    workspace_id: str
    id: str
    secret: bytes


def parse(text: str) -> ShownToken | None:
    """Return a token taken apart, or None for what is none."""
    if not text.startswith(PREFIX) or len(text) > MAX_LENGTH:
        return None
    encoded = text.removeprefix(PREFIX)
    try:
        given = base64.b64decode(encoded + "=" * (-len(encoded) % 4), b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    if len(given) != _BODY_BYTES + _SECRET_BYTES:
        return None
    return ShownToken(given[:16].hex(), given[16:_BODY_BYTES].hex(), given[_BODY_BYTES:])


async def find_link(services: Services, session: Session, shown: ShownToken, purpose: LinkPurpose) -> Link | None:
    """Return the link of a token, if it is good for a purpose: not used, not over, and no older than the password."""
    values = {"workspace_id": shown.workspace_id, "id": shown.id, "purpose": purpose.value, "now": services.clock()}
    row = await session.fetch_row(_FIND, values)
    if row is None or not hmac.compare_digest(hashlib.sha256(shown.secret).digest(), bytes(row["sha256"])):
        return None
    return Link(shown.workspace_id, shown.id, row["member_id"], row["name"], row["email"], row["generation"])


async def use_link(services: Services, session: Session, link: Link) -> bool:
    """Use a link up, under its lock; return whether this transaction is the one that does."""
    values = {"workspace_id": link.workspace_id, "id": link.id, "now": services.clock()}
    return bool(await session.execute(_USE, values))
