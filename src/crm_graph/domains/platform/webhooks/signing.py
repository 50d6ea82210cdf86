"""Standard Webhooks' signatures, and the secrets that make them: sealed when they are made, opened when they sign."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
from collections.abc import Sequence

from crm_graph.identity.sealing import seal, unseal
from crm_graph.identity.services import Services

PREFIX = "whsec_"
SECRET_BYTES = 32
PURPOSE = "webhook signing secret"


def new_secret() -> str:
    """Return a signing secret as receivers are told it."""
    return PREFIX + base64.b64encode(os.urandom(SECRET_BYTES)).decode()


def seal_secret(services: Services, workspace_id: str, secret: str) -> str:
    """Return a secret as it is stored."""
    return seal(services, PURPOSE, workspace_id, secret.encode())


def open_secret(services: Services, workspace_id: str, sealed: str) -> str:
    """Return a secret. Raises OperatorError where no secret of the installation opens it."""
    return unseal(services, PURPOSE, workspace_id, sealed).decode()


def message_id(endpoint_id: str, cursor: str) -> str:
    """Return the `webhook-id` of an event, or of a ping, for an endpoint: however often it is told, the same."""
    return f"msg_{hashlib.sha256(f'{endpoint_id}:{cursor}'.encode()).hexdigest()[:32]}"


def signatures(secrets: Sequence[str], id_: str, timestamp: int, body: bytes) -> str:
    """Return the `webhook-signature` header: one signature for each secret that is good."""
    signed = f"{id_}.{timestamp}.".encode() + body
    return " ".join(f"v1,{_sign(secret, signed)}" for secret in secrets)


def _sign(secret: str, signed: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(PREFIX))
    return base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
