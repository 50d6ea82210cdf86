"""The client secret of a provider: sealed when it is given, opened when a code is redeemed, and nothing between."""

from __future__ import annotations

from crm_graph.domains.identity.providers.operations import NewSecret
from crm_graph.identity.sealing import seal, unseal
from crm_graph.identity.services import Services
from crm_graph.kernel.errors import Refused

MAX_SECRET_LENGTH = 1_000
PURPOSE = "provider client secret"


def seal_secret(services: Services, workspace_id: str, secret: str | None) -> NewSecret:
    """Return a client secret as it is stored. Raises Refused INVALID for one that is none."""
    if secret is None:
        return NewSecret(None)
    if not 0 < len(secret) <= MAX_SECRET_LENGTH or not secret.isprintable():
        raise Refused(
            "INVALID", f"`clientSecret` must be 1 to {MAX_SECRET_LENGTH} printable letters.", ("clientSecret",)
        )
    return NewSecret(seal(services, PURPOSE, workspace_id, secret.encode()))


def open_secret(services: Services, workspace_id: str, sealed: str | None) -> str | None:
    """Return a client secret; None where there is none. Raises OperatorError where no secret of ours opens it."""
    return None if sealed is None else unseal(services, PURPOSE, workspace_id, sealed).decode()
