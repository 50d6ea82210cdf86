"""The installation's secret: from `CRM_SECRET`, else one that the first migration made and the database keeps.

Kept in the database so that a new installation needs no configuration and all its processes agree. The price: a dump
of the database can sign tokens. Production sets `CRM_SECRET` (`crm-graph doctor` says so); several, separated by
commas, rotate: the first signs and seals, all are accepted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from crm_graph.db.session import ReadSession
from crm_graph.db.statements import Statement
from crm_graph.kernel.errors import OperatorError

MIN_SECRET_LENGTH = 32
_SECRET = Statement("SELECT secret FROM installation_secret ORDER BY created_at DESC, id", (), {})


def secrets_of_environment(environment: Mapping[str, str], name: str = "CRM_SECRET") -> list[bytes]:
    """Return the secrets of a variable, or none. Raises OperatorError for one that is too short."""
    digests = []
    for text in environment.get(name, "").split(","):
        text = text.strip()
        if not text:
            continue
        if len(text) < MIN_SECRET_LENGTH:
            raise OperatorError(
                f"{name} is shorter than {MIN_SECRET_LENGTH} characters",
                "set it to a random one, for example the output of `openssl rand -hex 32`",
            )
        digests.append(hashlib.sha256(text.encode()).digest())
    return digests


async def load_secrets(session: ReadSession, environment: Mapping[str, str]) -> list[bytes]:
    """Return the secrets of this installation, the signing one first. Raises OperatorError."""
    given = secrets_of_environment(environment)
    if given:
        return given
    rows = await session.fetch(_SECRET, {})
    if not rows:
        raise OperatorError("the database keeps no secret", "set CRM_SECRET, for example to `openssl rand -hex 32`")
    return [bytes(row["secret"]) for row in rows]
