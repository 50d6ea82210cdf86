"""The cookie by which the authorization server's own pages know who has signed in, sealed and short-lived.

It is no credential for the API: nothing but the pages under `/oauth` reads it, and they ask the database whether the
member may still come in.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from crm_graph.identity.services import Services

COOKIE = "crm_signed_in"
_PURPOSE = "browser sign-in"
MAX_LENGTH = 1_000


@dataclass(frozen=True, slots=True)
class BrowserSignIn:
    """That a member proved who they are, at a time and in a way: a method of the session that follows."""

    workspace_id: str
    member_id: str
    at: datetime
    method: str


def seal(services: Services, sign_in: BrowserSignIn) -> str:
    """Return the cookie's value."""
    fields = [sign_in.workspace_id, sign_in.member_id, int(sign_in.at.timestamp()), sign_in.method]
    sealed = AESSIV(services.keys(_PURPOSE, 64)[0]).encrypt(orjson.dumps(fields), None)
    return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()


def unseal(services: Services, text: str | None, max_age: timedelta) -> BrowserSignIn | None:
    """Return what a cookie says; None for one that is not ours, or older than `max_age`."""
    if not text or len(text) > MAX_LENGTH:
        return None
    try:
        sealed = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        return None
    for key in services.keys(_PURPOSE, 64):
        try:
            workspace_id, member_id, at, method = orjson.loads(AESSIV(key).decrypt(sealed, None))
        except (InvalidTag, ValueError):
            continue
        found = BrowserSignIn(workspace_id, member_id, datetime.fromtimestamp(at, UTC), method)
        return found if services.clock() - found.at <= max_age else None
    return None
