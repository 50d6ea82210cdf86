"""What ends with what, where the slice that causes it lies below those whose rows end: as `ON DELETE CASCADE` says it
of rows that go, this says it of rows that stay. `identity/register.py` has the whole table.

Authorization codes and the answers to devices are in no statement here: each is good only while the browser's sign-in
that it came from lives, and that is asked, under a lock, where one is redeemed.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from crm_graph.db.session import Session
from crm_graph.db.statements import Statement

_OF_MEMBERS = ("workspace_id", "members", "now")
# The member's row first: whoever starts a session holds it meanwhile, so none is started past the others.
_SUSPENDED = (
    Statement("UPDATE member SET not_before = $3 WHERE workspace_id = $1 AND id = ANY($2::uuid[])", _OF_MEMBERS, {}),
    Statement(
        """
        UPDATE member_session SET revoked_at = $3, revoked_reason = 'SUSPENDED', updated_at = $3
        WHERE workspace_id = $1 AND member_id = ANY($2::uuid[]) AND revoked_at IS NULL
        """,
        _OF_MEMBERS,
        {},
    ),
    Statement(
        "DELETE FROM member_link WHERE workspace_id = $1 AND member_id = ANY($2::uuid[]) AND used_at IS NULL",
        ("workspace_id", "members"),
        {},
    ),
    Statement(
        "DELETE FROM consent WHERE workspace_id = $1 AND member_id = ANY($2::uuid[])", ("workspace_id", "members"), {}
    ),
)
_OF_IDENTITY = Statement(
    """
    UPDATE member_session SET revoked_at = $3, revoked_reason = 'PROVIDER', updated_at = $3
    WHERE workspace_id = $1 AND identity_id = $2 AND revoked_at IS NULL
    """,
    ("workspace_id", "id", "now"),
    {},
)
_OF_PROVIDER = Statement(
    """
    UPDATE member_session SET revoked_at = $3, revoked_reason = 'PROVIDER', updated_at = $3
    WHERE workspace_id = $1 AND revoked_at IS NULL AND identity_id IN (
        SELECT id FROM member_identity WHERE workspace_id = $1 AND provider_id = $2
    )
    """,
    ("workspace_id", "id", "now"),
    {},
)
_OF_CLIENT = Statement(
    """
    UPDATE member_session SET revoked_at = $3, revoked_reason = 'CLIENT', updated_at = $3
    WHERE workspace_id = $1 AND client_id = $2 AND revoked_at IS NULL
    """,
    ("workspace_id", "id", "now"),
    {},
)
_KEYS = Statement(
    "UPDATE api_key SET revoked_at = $3, version = version + 1, updated_at = $3"
    " WHERE workspace_id = $1 AND client_id = $2 AND revoked_at IS NULL",
    ("workspace_id", "id", "now"),
    {},
)


async def of_suspended(session: Session, workspace_id: str, members: Sequence[str], now: datetime) -> None:
    """End for good what lets members in who are suspended in this transaction: it does not work again with them."""
    if not members:
        return
    for statement in _SUSPENDED:
        await session.execute(statement, {"workspace_id": workspace_id, "members": list(members), "now": now})


async def of_identity(session: Session, workspace_id: str, identity_id: str, now: datetime) -> None:
    """End the sessions of whoever came by the link of a provider's account."""
    await session.execute(_OF_IDENTITY, {"workspace_id": workspace_id, "id": identity_id, "now": now})


async def of_provider(session: Session, workspace_id: str, provider_id: str, now: datetime) -> None:
    """End the sessions of all who came by a provider: before its links go."""
    await session.execute(_OF_PROVIDER, {"workspace_id": workspace_id, "id": provider_id, "now": now})


async def of_client_kind(
    session: Session, workspace_id: str, client_id: str, now: datetime, *, is_public: bool
) -> None:
    """End what a client got as a client of the other kind: its sessions, and its keys where it keeps no secret now."""
    values = {"workspace_id": workspace_id, "id": client_id, "now": now}
    await session.execute(_OF_CLIENT, values)
    if is_public:
        await session.execute(_KEYS, values)
