"""How the secrets of sessions are spelled: workspace, session and a number, and an HMAC over them and a salt.

So one that is genuine but old is told from a forged one without keeping any; and who shows one says where its row is.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass

from crm_graph.identity.services import Services

MAX_LENGTH = 200
SALT_BYTES = 16
_BODY_BYTES = 16 + 16 + 4
_MAC_BYTES = 32


@dataclass(frozen=True, slots=True)
class Spelling:
    """One kind of secret: what it begins with, and what its key is derived for."""

    prefix: str
    purpose: str

    def spell(self, services: Services, workspace_id: str, session_id: str, number: int, salt: bytes) -> str:
        """Return the text of a secret."""
        body = bytes.fromhex(workspace_id) + bytes.fromhex(session_id) + number.to_bytes(4)
        mac = _mac(services.keys(self.purpose)[0], body, salt)
        return self.prefix + base64.urlsafe_b64encode(body + mac).rstrip(b"=").decode()

    def parse(self, text: str) -> Spelled | None:
        """Return a secret taken apart, or None for what cannot be one."""
        if not text.startswith(self.prefix) or len(text) > MAX_LENGTH:
            return None
        encoded = text.removeprefix(self.prefix)
        try:
            given = base64.b64decode(encoded + "=" * (-len(encoded) % 4), b"-_", validate=True)
        except (binascii.Error, ValueError):
            return None
        if len(given) != _BODY_BYTES + _MAC_BYTES:
            return None
        return Spelled(self.purpose, given[:_BODY_BYTES], given[_BODY_BYTES:])


@dataclass(frozen=True, slots=True)
class Spelled:
    """A secret taken apart; whether it is genuine is known with its session's salt."""

    purpose: str
    body: bytes
    mac: bytes

    @property
    def workspace_id(self) -> str:
        """The workspace that it names."""
        return self.body[:16].hex()

    @property
    def session_id(self) -> str:
        """The session that it names."""
        return self.body[16:32].hex()

    @property
    def number(self) -> int:
        """The generation of a refresh token."""
        return int.from_bytes(self.body[32:])

    def is_genuine(self, services: Services, salt: bytes) -> bool:
        """Return whether it was made here, for the session with this salt."""
        return any(hmac.compare_digest(self.mac, _mac(key, self.body, salt)) for key in services.keys(self.purpose))


def _mac(key: bytes, body: bytes, salt: bytes) -> bytes:
    return hmac.digest(key, body + salt, hashlib.sha256)


REFRESH_TOKEN = Spelling("crmr_", "refresh tokens")
BROWSER = Spelling("crmb_", "browser sign-ins")
"""The cookie of the authorization server's pages."""
