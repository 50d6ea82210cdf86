"""Secrets that must be read again, sealed for the database: a TOTP secret, a provider's client secret.

AES-SIV under a key of the installation's secrets and one purpose; the workspace is associated data, so that a value
copied into another workspace's row does not open there. Whoever replaces `CRM_SECRET` keeps the old one behind the
new, or what was sealed under it is lost.
"""

from __future__ import annotations

import base64
import binascii

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from crm_graph.identity.services import Services
from crm_graph.kernel.errors import OperatorError

_KEY_LENGTH = 64


def seal(services: Services, purpose: str, workspace_id: str, data: bytes) -> str:
    """Return data sealed for one purpose in one workspace, as text."""
    sealed = AESSIV(services.keys(_of(purpose), _KEY_LENGTH)[0]).encrypt(data, [workspace_id.encode()])
    return base64.urlsafe_b64encode(sealed).decode()


def unseal(services: Services, purpose: str, workspace_id: str, text: str) -> bytes:
    """Return what was sealed. Raises OperatorError when no secret of the installation opens it."""
    try:
        sealed = base64.urlsafe_b64decode(text)
    except (binascii.Error, ValueError):
        sealed = b""
    for key in services.keys(_of(purpose), _KEY_LENGTH):
        try:
            return AESSIV(key).decrypt(sealed, [workspace_id.encode()])
        except (InvalidTag, ValueError):
            continue
    raise OperatorError(
        f"what was sealed for {purpose} cannot be opened",
        "put the secret that it was sealed under back into CRM_SECRET, behind the new one and a comma",
    )


def _of(purpose: str) -> str:
    return f"sealing {purpose}"
