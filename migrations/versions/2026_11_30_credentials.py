"""Credentials: browsers' sign-ins are sessions, what came from what, and RSA keys for ID tokens

Revision: 2026_11_30_credentials
Follows: 2026_11_30_workspace_usage
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "2026_11_30_credentials"
down_revision = "2026_11_30_workspace_usage"
branch_labels = None
depends_on = None

_METHODS = "'PASSWORD', 'OIDC', 'INVITATION', 'RESET', 'OAUTH', 'DEVICE'"


def upgrade() -> None:
    """Wait for no lock longer than a client would: a migration that cannot have it fails, and is tried again.

    Sessions of tokens go on. Who is signed in at the pages of `/oauth` signs in again: that was in no row.
    """
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = '10min'")
    op.add_column("member", sa.Column("not_before", sa.DateTime(timezone=True), nullable=True))
    op.add_column("member_session", sa.Column("kind", sa.Text(), server_default="TOKENS", nullable=False))
    op.add_column("member_session", sa.Column("signed_in_id", sa.Uuid(as_uuid=False), nullable=True))
    op.add_column("member_session", sa.Column("identity_id", sa.Uuid(as_uuid=False), nullable=True))
    op.create_check_constraint(op.f("ck_member_session_kind"), "member_session", "kind IN ('TOKENS', 'BROWSER')")
    op.drop_constraint(op.f("ck_member_session_method"), "member_session", type_="check")
    op.create_check_constraint(
        op.f("ck_member_session_method"), "member_session", f"method IN ({_METHODS}, 'OPERATOR')"
    )
    op.add_column("authorization_code", sa.Column("signed_in_id", sa.Uuid(as_uuid=False), nullable=True))
    op.add_column("device_code", sa.Column("signed_in_id", sa.Uuid(as_uuid=False), nullable=True))
    op.add_column("webhook_endpoint", sa.Column("member_id", sa.Uuid(as_uuid=False), nullable=True))
    # As far as the log still tells; the others are known with their next change.
    op.execute(
        """
        UPDATE webhook_endpoint SET member_id = (
            SELECT actor FROM event WHERE event.workspace_id = webhook_endpoint.workspace_id
            AND entity = 'WebhookEndpoint' AND entity_id = webhook_endpoint.id
            AND type IN ('WebhookEndpointCreated', 'WebhookEndpointUpdated') AND actor IS NOT NULL
            ORDER BY xid DESC, seq DESC LIMIT 1
        )
        """
    )
    op.create_table(
        "signing_key",
        sa.Column("secret_id", sa.Text(), nullable=False),
        sa.Column("period", sa.BigInteger(), nullable=False),
        sa.Column("sealed", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("secret_id", "period", name=op.f("signing_key_pkey")),
    )


def downgrade() -> None:
    """Undo it. Sessions that the older code does not know end."""
    op.drop_table("signing_key")
    op.drop_column("webhook_endpoint", "member_id")
    op.drop_column("device_code", "signed_in_id")
    op.drop_column("authorization_code", "signed_in_id")
    op.execute("DELETE FROM member_session WHERE kind <> 'TOKENS' OR method = 'OPERATOR'")
    op.drop_constraint(op.f("ck_member_session_kind"), "member_session", type_="check")
    op.drop_constraint(op.f("ck_member_session_method"), "member_session", type_="check")
    op.create_check_constraint(op.f("ck_member_session_method"), "member_session", f"method IN ({_METHODS})")
    for column in ("identity_id", "signed_in_id", "kind"):
        op.drop_column("member_session", column)
    op.drop_column("member", "not_before")
