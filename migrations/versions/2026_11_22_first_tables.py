"""The first tables

Revision: 2026_11_22_first_tables
Follows:
"""

from __future__ import annotations

import secrets

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import UserDefinedType

revision = "2026_11_22_first_tables"
down_revision = None
branch_labels = None
depends_on = None


class Xid8(UserDefinedType):
    """Postgres' 64-bit transaction id."""

    def get_col_spec(self, **_: object) -> str:
        """Return the type's name."""
        return "xid8"


SORT_KEY = """
CREATE FUNCTION crm_sort_key(text) RETURNS bytea LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$ SELECT convert_to(lower($1), 'GB18030') $$
"""
# How text is ordered: in any case, and Han characters by pinyin, which is GB18030's order for the common ones. Postgres
# calls convert_to stable because it depends on the database's encoding; that never changes, so the wrapper is immutable
# and can be indexed.


def upgrade() -> None:
    """Wait for no lock longer than a client would: a migration that cannot have it fails, and is tried again."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = '10min'")
    op.execute(SORT_KEY)
    op.create_table(
        "event",
        sa.Column("workspace_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("seq", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("xid", Xid8(), server_default=sa.text("pg_current_xact_id()"), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("entity", sa.Text(), nullable=False),
        sa.Column("entity_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("actor", sa.Uuid(as_uuid=False), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changes", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("data", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "seq", name=op.f("event_pkey")),
    )
    op.create_index("ix_event_entity", "event", ["workspace_id", "entity_id", "xid", "seq"], unique=False)
    op.create_index("ix_event_position", "event", ["xid", "seq"], unique=False)
    op.create_table(
        "installation_secret",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("installation_secret_pkey")),
    )
    op.create_table(
        "workspace",
        sa.Column("workspace_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("base_currency", sa.Text(), nullable=False),
        sa.Column("time_zone", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("workspace_id = id", name=op.f("ck_workspace_is_its_own")),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("workspace_pkey")),
    )
    op.create_index("uq_workspace_slug", "workspace", ["slug"], unique=True)
    op.create_table(
        "member",
        sa.Column("workspace_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), server_default="ACTIVE", nullable=False),
        sa.Column("team_id", sa.Uuid(as_uuid=False), nullable=True),
        sa.Column("manager_id", sa.Uuid(as_uuid=False), nullable=True),
        sa.Column("external_id", sa.Text(), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("status IN ('ACTIVE', 'SUSPENDED')", name=op.f("ck_member_status")),
        sa.ForeignKeyConstraint(
            ["workspace_id", "manager_id"], ["member.workspace_id", "member.id"], name=op.f("fk_member_manager_id")
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "workspace_id"],
            ["workspace.workspace_id", "workspace.id"],
            name=op.f("fk_member_workspace_id"),
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("member_pkey")),
        sa.UniqueConstraint("workspace_id", "external_id", name=op.f("uq_member_workspace_id_external_id")),
    )
    op.create_index("ix_member_manager_id", "member", ["workspace_id", "manager_id", "id"], unique=False)
    op.create_index("ix_member_team_id", "member", ["workspace_id", "team_id", "id"], unique=False)
    op.create_index("uq_member_email", "member", ["workspace_id", sa.literal_column("lower(email)")], unique=True)
    op.create_table(
        "order_counter",
        sa.Column("workspace_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("year", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id", "workspace_id"],
            ["workspace.workspace_id", "workspace.id"],
            name=op.f("fk_order_counter_workspace_id"),
        ),
        sa.PrimaryKeyConstraint("workspace_id", "year", name=op.f("order_counter_pkey")),
    )
    op.create_table(
        "pipeline",
        sa.Column("workspace_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id", "workspace_id"],
            ["workspace.workspace_id", "workspace.id"],
            name=op.f("fk_pipeline_workspace_id"),
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("pipeline_pkey")),
        sa.UniqueConstraint("workspace_id", "name", name=op.f("uq_pipeline_workspace_id_name")),
    )
    op.create_table(
        "product",
        sa.Column("workspace_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("sku", sa.Text(), nullable=True),
        sa.Column("series", sa.Text(), nullable=True),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("price", sa.Numeric(precision=18, scale=4), nullable=True),
        sa.Column("currency", sa.Text(), nullable=True),
        sa.Column("active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("(price IS NULL) = (currency IS NULL)", name=op.f("ck_product_price_has_currency")),
        sa.ForeignKeyConstraint(
            ["workspace_id", "workspace_id"],
            ["workspace.workspace_id", "workspace.id"],
            name=op.f("fk_product_workspace_id"),
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("product_pkey")),
        sa.UniqueConstraint("workspace_id", "sku", name=op.f("uq_product_workspace_id_sku")),
    )
    op.create_table(
        "ticket_counter",
        sa.Column("workspace_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("last_number", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id", "workspace_id"],
            ["workspace.workspace_id", "workspace.id"],
            name=op.f("fk_ticket_counter_workspace_id"),
        ),
        sa.PrimaryKeyConstraint("workspace_id", name=op.f("ticket_counter_pkey")),
    )
    op.create_table(
        "campaign",
        sa.Column("workspace_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), server_default="PLANNED", nullable=False),
        sa.Column("starts_on", sa.Date(), nullable=True),
        sa.Column("ends_on", sa.Date(), nullable=True),
        sa.Column("budget", sa.Numeric(precision=18, scale=4), nullable=True),
        sa.Column("cost", sa.Numeric(precision=18, scale=4), nullable=True),
        sa.Column("currency", sa.Text(), nullable=True),
        sa.Column("goal", sa.Text(), nullable=True),
        sa.Column("owner_id", sa.Uuid(as_uuid=False), nullable=True),
        sa.Column("external_id", sa.Text(), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "channel IN ('EMAIL', 'SMS', 'EVENT', 'ADVERTISEMENT', 'SOCIAL')", name=op.f("ck_campaign_channel")
        ),
        sa.CheckConstraint(
            "status IN ('PLANNED', 'ACTIVE', 'PAUSED', 'COMPLETED', 'CANCELLED')", name=op.f("ck_campaign_status")
        ),
        sa.CheckConstraint(
            "(budget IS NULL AND cost IS NULL) = (currency IS NULL)", name=op.f("ck_campaign_money_has_currency")
        ),
        sa.CheckConstraint("budget >= 0", name=op.f("ck_campaign_budget")),
        sa.CheckConstraint("cost >= 0", name=op.f("ck_campaign_cost")),
        sa.CheckConstraint("ends_on >= starts_on", name=op.f("ck_campaign_ends_after_start")),
        sa.ForeignKeyConstraint(
            ["workspace_id", "owner_id"], ["member.workspace_id", "member.id"], name=op.f("fk_campaign_owner_id")
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "workspace_id"],
            ["workspace.workspace_id", "workspace.id"],
            name=op.f("fk_campaign_workspace_id"),
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("campaign_pkey")),
        sa.UniqueConstraint("workspace_id", "external_id", name=op.f("uq_campaign_workspace_id_external_id")),
    )
    op.create_index("ix_campaign_owner_id", "campaign", ["workspace_id", "owner_id", "id"], unique=False)
    op.create_index("ix_campaign_status", "campaign", ["workspace_id", "status", "id"], unique=False)
    op.create_table(
        "customer",
        sa.Column("workspace_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("kind", sa.Text(), server_default="COMPANY", nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("lifecycle", sa.Text(), server_default="POTENTIAL", nullable=False),
        sa.Column("lifecycle_since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("industry", sa.Text(), nullable=True),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("phone", sa.Text(), nullable=True),
        sa.Column("website", sa.Text(), nullable=True),
        sa.Column("city", sa.Text(), nullable=True),
        sa.Column("country", sa.Text(), nullable=True),
        sa.Column("employees", sa.Integer(), nullable=True),
        sa.Column("founded_year", sa.Integer(), nullable=True),
        sa.Column("annual_revenue", sa.Numeric(precision=18, scale=4), nullable=True),
        sa.Column("currency", sa.Text(), nullable=True),
        sa.Column("source", sa.Text(), nullable=True),
        sa.Column("owner_id", sa.Uuid(as_uuid=False), nullable=True),
        sa.Column("parent_id", sa.Uuid(as_uuid=False), nullable=True),
        sa.Column("external_id", sa.Text(), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("kind IN ('COMPANY', 'PERSON')", name=op.f("ck_customer_kind")),
        sa.CheckConstraint(
            "lifecycle IN ('POTENTIAL', 'INTERESTED', 'ACTIVE', 'CHURNED')", name=op.f("ck_customer_lifecycle")
        ),
        sa.CheckConstraint(
            "(annual_revenue IS NULL) = (currency IS NULL)", name=op.f("ck_customer_revenue_has_currency")
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "owner_id"], ["member.workspace_id", "member.id"], name=op.f("fk_customer_owner_id")
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "parent_id"], ["customer.workspace_id", "customer.id"], name=op.f("fk_customer_parent_id")
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "workspace_id"],
            ["workspace.workspace_id", "workspace.id"],
            name=op.f("fk_customer_workspace_id"),
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("customer_pkey")),
        sa.UniqueConstraint("workspace_id", "external_id", name=op.f("uq_customer_workspace_id_external_id")),
    )
    op.create_index("ix_customer_lifecycle", "customer", ["workspace_id", "lifecycle", "id"], unique=False)
    op.create_index(
        "ix_customer_name_folded", "customer", ["workspace_id", sa.literal_column("lower(name)")], unique=False
    )
    op.create_index(
        "ix_customer_name_sorted",
        "customer",
        ["workspace_id", sa.literal_column("crm_sort_key(name)"), "id"],
        unique=False,
    )
    op.create_index("ix_customer_owner_id", "customer", ["workspace_id", "owner_id", "id"], unique=False)
    op.create_index("ix_customer_parent_id", "customer", ["workspace_id", "parent_id", "id"], unique=False)
    op.create_table(
        "member_role",
        sa.Column("workspace_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("member_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id", "member_id"],
            ["member.workspace_id", "member.id"],
            name=op.f("fk_member_role_member_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("workspace_id", "member_id", "role", name=op.f("member_role_pkey")),
    )
    op.create_table(
        "stage",
        sa.Column("workspace_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("pipeline_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("probability", sa.Integer(), nullable=False),
        sa.Column("required_fields", sa.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("kind IN ('OPEN', 'WON', 'LOST')", name=op.f("ck_stage_kind")),
        sa.CheckConstraint("probability BETWEEN 0 AND 100", name=op.f("ck_stage_probability")),
        sa.ForeignKeyConstraint(
            ["workspace_id", "pipeline_id"],
            ["pipeline.workspace_id", "pipeline.id"],
            name=op.f("fk_stage_pipeline_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("stage_pkey")),
        sa.UniqueConstraint("workspace_id", "pipeline_id", "name", name=op.f("uq_stage_workspace_id_pipeline_id_name")),
    )
    op.create_table(
        "team",
        sa.Column("workspace_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("parent_id", sa.Uuid(as_uuid=False), nullable=True),
        sa.Column("manager_id", sa.Uuid(as_uuid=False), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id", "manager_id"], ["member.workspace_id", "member.id"], name=op.f("fk_team_manager_id")
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "parent_id"], ["team.workspace_id", "team.id"], name=op.f("fk_team_parent_id")
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "workspace_id"],
            ["workspace.workspace_id", "workspace.id"],
            name=op.f("fk_team_workspace_id"),
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("team_pkey")),
        sa.UniqueConstraint("workspace_id", "name", name=op.f("uq_team_workspace_id_name")),
    )
    op.create_index("ix_team_parent_id", "team", ["workspace_id", "parent_id", "id"], unique=False)
    op.create_table(
        "contact",
        sa.Column("workspace_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("customer_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("title", sa.Text(), nullable=True),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("phone", sa.Text(), nullable=True),
        sa.Column("external_id", sa.Text(), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id", "customer_id"],
            ["customer.workspace_id", "customer.id"],
            name=op.f("fk_contact_customer_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("contact_pkey")),
        sa.UniqueConstraint("workspace_id", "external_id", name=op.f("uq_contact_workspace_id_external_id")),
    )
    op.create_index("ix_contact_customer_id", "contact", ["workspace_id", "customer_id", "id"], unique=False)
    op.create_table(
        "opportunity",
        sa.Column("workspace_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.Uuid(as_uuid=False), nullable=True),
        sa.Column("pipeline_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("stage_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("stage_since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("amount", sa.Numeric(precision=18, scale=4), nullable=True),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("probability", sa.Integer(), nullable=False),
        sa.Column("expected_close", sa.Date(), nullable=True),
        sa.Column("opened_on", sa.Date(), nullable=True),
        sa.Column("closed_on", sa.Date(), nullable=True),
        sa.Column("next_step", sa.Text(), nullable=True),
        sa.Column("source", sa.Text(), nullable=True),
        sa.Column("lost_reason", sa.Text(), nullable=True),
        sa.Column("owner_id", sa.Uuid(as_uuid=False), nullable=True),
        sa.Column("external_id", sa.Text(), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("status IN ('OPEN', 'WON', 'LOST')", name=op.f("ck_opportunity_status")),
        sa.CheckConstraint("probability BETWEEN 0 AND 100", name=op.f("ck_opportunity_probability")),
        sa.ForeignKeyConstraint(
            ["workspace_id", "customer_id"],
            ["customer.workspace_id", "customer.id"],
            name=op.f("fk_opportunity_customer_id"),
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "owner_id"], ["member.workspace_id", "member.id"], name=op.f("fk_opportunity_owner_id")
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "pipeline_id"],
            ["pipeline.workspace_id", "pipeline.id"],
            name=op.f("fk_opportunity_pipeline_id"),
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "stage_id"], ["stage.workspace_id", "stage.id"], name=op.f("fk_opportunity_stage_id")
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("opportunity_pkey")),
        sa.UniqueConstraint("workspace_id", "external_id", name=op.f("uq_opportunity_workspace_id_external_id")),
    )
    op.create_index("ix_opportunity_customer_id", "opportunity", ["workspace_id", "customer_id", "id"], unique=False)
    op.create_index("ix_opportunity_owner_id", "opportunity", ["workspace_id", "owner_id", "id"], unique=False)
    op.create_index("ix_opportunity_pipeline_id", "opportunity", ["workspace_id", "pipeline_id", "id"], unique=False)
    op.create_index("ix_opportunity_stage_id", "opportunity", ["workspace_id", "stage_id", "id"], unique=False)
    op.create_index(
        "ix_opportunity_status_amount", "opportunity", ["workspace_id", "status", "amount", "id"], unique=False
    )
    op.create_table(
        "campaign_member",
        sa.Column("workspace_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("campaign_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("customer_id", sa.Uuid(as_uuid=False), nullable=True),
        sa.Column("contact_id", sa.Uuid(as_uuid=False), nullable=True),
        sa.Column("status", sa.Text(), server_default="TARGETED", nullable=False),
        sa.Column("responded_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "status IN ('TARGETED', 'SENT', 'OPENED', 'RESPONDED', 'CONVERTED', 'UNSUBSCRIBED')",
            name=op.f("ck_campaign_member_status"),
        ),
        sa.CheckConstraint(
            "customer_id IS NOT NULL OR contact_id IS NOT NULL", name=op.f("ck_campaign_member_is_somebody")
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "campaign_id"],
            ["campaign.workspace_id", "campaign.id"],
            name=op.f("fk_campaign_member_campaign_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "contact_id"],
            ["contact.workspace_id", "contact.id"],
            name=op.f("fk_campaign_member_contact_id"),
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "customer_id"],
            ["customer.workspace_id", "customer.id"],
            name=op.f("fk_campaign_member_customer_id"),
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("campaign_member_pkey")),
    )
    op.create_index(
        "ix_campaign_member_campaign_id", "campaign_member", ["workspace_id", "campaign_id", "id"], unique=False
    )
    op.create_index(
        "ix_campaign_member_contact_id", "campaign_member", ["workspace_id", "contact_id", "id"], unique=False
    )
    op.create_index(
        "ix_campaign_member_customer_id", "campaign_member", ["workspace_id", "customer_id", "id"], unique=False
    )
    op.create_index(
        "uq_campaign_member_contact_id",
        "campaign_member",
        ["workspace_id", "campaign_id", "contact_id"],
        unique=True,
        postgresql_where=sa.text("contact_id IS NOT NULL"),
    )
    op.create_index(
        "uq_campaign_member_customer_id",
        "campaign_member",
        ["workspace_id", "campaign_id", "customer_id"],
        unique=True,
        postgresql_where=sa.text("contact_id IS NULL"),
    )
    op.create_table(
        "opportunity_line",
        sa.Column("workspace_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("opportunity_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("product_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("quantity", sa.Numeric(), nullable=False),
        sa.Column("unit_price", sa.Numeric(precision=18, scale=4), nullable=False),
        sa.Column("discount_percent", sa.Numeric(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("total", sa.Numeric(precision=18, scale=4), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("discount_percent BETWEEN 0 AND 100", name=op.f("ck_opportunity_line_discount")),
        sa.CheckConstraint("quantity > 0", name=op.f("ck_opportunity_line_quantity")),
        sa.ForeignKeyConstraint(
            ["workspace_id", "opportunity_id"],
            ["opportunity.workspace_id", "opportunity.id"],
            name=op.f("fk_opportunity_line_opportunity_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "product_id"],
            ["product.workspace_id", "product.id"],
            name=op.f("fk_opportunity_line_product_id"),
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("opportunity_line_pkey")),
    )
    op.create_index(
        "ix_opportunity_line_opportunity_id", "opportunity_line", ["workspace_id", "opportunity_id", "id"], unique=False
    )
    op.create_index(
        "ix_opportunity_line_product_id", "opportunity_line", ["workspace_id", "product_id", "id"], unique=False
    )
    op.create_table(
        "sales_order",
        sa.Column("workspace_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("opportunity_id", sa.Uuid(as_uuid=False), nullable=True),
        sa.Column("owner_id", sa.Uuid(as_uuid=False), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("subtotal", sa.Numeric(precision=18, scale=4), nullable=False),
        sa.Column("discount_percent", sa.Numeric(), nullable=False),
        sa.Column("total", sa.Numeric(precision=18, scale=4), nullable=False),
        sa.Column("ordered_on", sa.Date(), nullable=False),
        sa.Column("submitted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("approved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("approved_by_id", sa.Uuid(as_uuid=False), nullable=True),
        sa.Column("rejected_reason", sa.Text(), nullable=True),
        sa.Column("cancelled_reason", sa.Text(), nullable=True),
        sa.Column("shipped_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("notes", sa.Text(), nullable=True),
        sa.Column("external_id", sa.Text(), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "status IN ('DRAFT', 'SUBMITTED', 'APPROVED', 'REJECTED', 'SHIPPED', 'DELIVERED', 'CLOSED', 'CANCELLED')",
            name=op.f("ck_sales_order_status"),
        ),
        sa.CheckConstraint("discount_percent BETWEEN 0 AND 100", name=op.f("ck_sales_order_discount")),
        sa.CheckConstraint("total BETWEEN 0 AND subtotal", name=op.f("ck_sales_order_totals")),
        sa.ForeignKeyConstraint(
            ["workspace_id", "approved_by_id"],
            ["member.workspace_id", "member.id"],
            name=op.f("fk_sales_order_approved_by_id"),
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "customer_id"],
            ["customer.workspace_id", "customer.id"],
            name=op.f("fk_sales_order_customer_id"),
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "opportunity_id"],
            ["opportunity.workspace_id", "opportunity.id"],
            name=op.f("fk_sales_order_opportunity_id"),
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "owner_id"], ["member.workspace_id", "member.id"], name=op.f("fk_sales_order_owner_id")
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("sales_order_pkey")),
        sa.UniqueConstraint("workspace_id", "external_id", name=op.f("uq_sales_order_workspace_id_external_id")),
        sa.UniqueConstraint("workspace_id", "number", name=op.f("uq_sales_order_workspace_id_number")),
    )
    op.create_index("ix_sales_order_customer_id", "sales_order", ["workspace_id", "customer_id", "id"], unique=False)
    op.create_index(
        "ix_sales_order_opportunity_id", "sales_order", ["workspace_id", "opportunity_id", "id"], unique=False
    )
    op.create_index("ix_sales_order_owner_id", "sales_order", ["workspace_id", "owner_id", "id"], unique=False)
    op.create_index(
        "ix_sales_order_status_ordered_on", "sales_order", ["workspace_id", "status", "ordered_on", "id"], unique=False
    )
    op.create_table(
        "stage_move",
        sa.Column("workspace_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("opportunity_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("from_stage_id", sa.Uuid(as_uuid=False), nullable=True),
        sa.Column("to_stage_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("member_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("moved_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seconds_in_stage", sa.Integer(), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id", "from_stage_id"],
            ["stage.workspace_id", "stage.id"],
            name=op.f("fk_stage_move_from_stage_id"),
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "member_id"], ["member.workspace_id", "member.id"], name=op.f("fk_stage_move_member_id")
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "opportunity_id"],
            ["opportunity.workspace_id", "opportunity.id"],
            name=op.f("fk_stage_move_opportunity_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "to_stage_id"], ["stage.workspace_id", "stage.id"], name=op.f("fk_stage_move_to_stage_id")
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("stage_move_pkey")),
    )
    op.create_index(
        "ix_stage_move_opportunity_id", "stage_move", ["workspace_id", "opportunity_id", "id"], unique=False
    )
    op.create_table(
        "ticket",
        sa.Column("workspace_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("priority", sa.Text(), server_default="NORMAL", nullable=False),
        sa.Column("status", sa.Text(), server_default="NEW", nullable=False),
        sa.Column("customer_id", sa.Uuid(as_uuid=False), nullable=True),
        sa.Column("contact_id", sa.Uuid(as_uuid=False), nullable=True),
        sa.Column("product_id", sa.Uuid(as_uuid=False), nullable=True),
        sa.Column("assignee_id", sa.Uuid(as_uuid=False), nullable=True),
        sa.Column("first_response_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("resolved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("resolution", sa.Text(), nullable=True),
        sa.Column("satisfaction", sa.Integer(), nullable=True),
        sa.Column("external_id", sa.Text(), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("channel IN ('EMAIL', 'PHONE', 'CHAT', 'WEB', 'SOCIAL')", name=op.f("ck_ticket_channel")),
        sa.CheckConstraint(
            "kind IN ('QUESTION', 'COMPLAINT', 'SERVICE_REQUEST', 'FEEDBACK')", name=op.f("ck_ticket_kind")
        ),
        sa.CheckConstraint("priority IN ('LOW', 'NORMAL', 'HIGH', 'URGENT')", name=op.f("ck_ticket_priority")),
        sa.CheckConstraint("status IN ('NEW', 'OPEN', 'PENDING', 'RESOLVED', 'CLOSED')", name=op.f("ck_ticket_status")),
        sa.CheckConstraint("satisfaction BETWEEN 1 AND 5", name=op.f("ck_ticket_satisfaction")),
        sa.ForeignKeyConstraint(
            ["workspace_id", "assignee_id"], ["member.workspace_id", "member.id"], name=op.f("fk_ticket_assignee_id")
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "contact_id"], ["contact.workspace_id", "contact.id"], name=op.f("fk_ticket_contact_id")
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "customer_id"],
            ["customer.workspace_id", "customer.id"],
            name=op.f("fk_ticket_customer_id"),
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "product_id"], ["product.workspace_id", "product.id"], name=op.f("fk_ticket_product_id")
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "workspace_id"],
            ["workspace.workspace_id", "workspace.id"],
            name=op.f("fk_ticket_workspace_id"),
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("ticket_pkey")),
        sa.UniqueConstraint("workspace_id", "external_id", name=op.f("uq_ticket_workspace_id_external_id")),
        sa.UniqueConstraint("workspace_id", "number", name=op.f("uq_ticket_workspace_id_number")),
    )
    op.create_index("ix_ticket_assignee_id", "ticket", ["workspace_id", "assignee_id", "id"], unique=False)
    op.create_index("ix_ticket_contact_id", "ticket", ["workspace_id", "contact_id", "id"], unique=False)
    op.create_index("ix_ticket_customer_id", "ticket", ["workspace_id", "customer_id", "id"], unique=False)
    op.create_index("ix_ticket_product_id", "ticket", ["workspace_id", "product_id", "id"], unique=False)
    op.create_index("ix_ticket_status", "ticket", ["workspace_id", "status", "id"], unique=False)
    op.create_table(
        "order_line",
        sa.Column("workspace_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("order_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("product_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("quantity", sa.Numeric(), nullable=False),
        sa.Column("unit_price", sa.Numeric(precision=18, scale=4), nullable=False),
        sa.Column("discount_percent", sa.Numeric(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("total", sa.Numeric(precision=18, scale=4), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("discount_percent BETWEEN 0 AND 100", name=op.f("ck_order_line_discount")),
        sa.CheckConstraint("quantity > 0", name=op.f("ck_order_line_quantity")),
        sa.ForeignKeyConstraint(
            ["workspace_id", "order_id"],
            ["sales_order.workspace_id", "sales_order.id"],
            name=op.f("fk_order_line_order_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "product_id"],
            ["product.workspace_id", "product.id"],
            name=op.f("fk_order_line_product_id"),
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("order_line_pkey")),
    )
    op.create_index("ix_order_line_order_id", "order_line", ["workspace_id", "order_id", "id"], unique=False)
    op.create_index("ix_order_line_product_id", "order_line", ["workspace_id", "product_id", "id"], unique=False)
    op.create_table(
        "order_status_change",
        sa.Column("workspace_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("order_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("from_status", sa.Text(), nullable=True),
        sa.Column("to_status", sa.Text(), nullable=False),
        sa.Column("member_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "from_status IN ('DRAFT', 'SUBMITTED', 'APPROVED', 'REJECTED',"
            " 'SHIPPED', 'DELIVERED', 'CLOSED', 'CANCELLED')",
            name=op.f("ck_order_status_change_from_status"),
        ),
        sa.CheckConstraint(
            "to_status IN ('DRAFT', 'SUBMITTED', 'APPROVED', 'REJECTED',"
            " 'SHIPPED', 'DELIVERED', 'CLOSED', 'CANCELLED')",
            name=op.f("ck_order_status_change_to_status"),
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "member_id"],
            ["member.workspace_id", "member.id"],
            name=op.f("fk_order_status_change_member_id"),
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "order_id"],
            ["sales_order.workspace_id", "sales_order.id"],
            name=op.f("fk_order_status_change_order_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("order_status_change_pkey")),
    )
    op.create_index(
        "ix_order_status_change_order_id", "order_status_change", ["workspace_id", "order_id", "id"], unique=False
    )
    op.create_table(
        "ticket_reply",
        sa.Column("workspace_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("ticket_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("public", sa.Boolean(), nullable=False),
        sa.Column("author_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id", "author_id"], ["member.workspace_id", "member.id"], name=op.f("fk_ticket_reply_author_id")
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "ticket_id"],
            ["ticket.workspace_id", "ticket.id"],
            name=op.f("fk_ticket_reply_ticket_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("ticket_reply_pkey")),
    )
    op.create_index("ix_ticket_reply_author_id", "ticket_reply", ["workspace_id", "author_id", "id"], unique=False)
    op.create_index("ix_ticket_reply_ticket_id", "ticket_reply", ["workspace_id", "ticket_id", "id"], unique=False)
    op.create_foreign_key(
        "fk_member_team_id", "member", "team", ["workspace_id", "team_id"], ["workspace_id", "id"]
    )  # after both tables: a team has a manager and a member has a team
    op.execute(
        sa.text("INSERT INTO installation_secret (secret, created_at) VALUES (:secret, now())").bindparams(
            secret=secrets.token_bytes(32)
        )
    )


def downgrade() -> None:
    """The way back."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_constraint("fk_member_team_id", "member", type_="foreignkey")
    op.drop_index("ix_ticket_reply_ticket_id", table_name="ticket_reply")
    op.drop_index("ix_ticket_reply_author_id", table_name="ticket_reply")
    op.drop_table("ticket_reply")
    op.drop_index("ix_order_status_change_order_id", table_name="order_status_change")
    op.drop_table("order_status_change")
    op.drop_index("ix_order_line_product_id", table_name="order_line")
    op.drop_index("ix_order_line_order_id", table_name="order_line")
    op.drop_table("order_line")
    op.drop_index("ix_ticket_status", table_name="ticket")
    op.drop_index("ix_ticket_product_id", table_name="ticket")
    op.drop_index("ix_ticket_customer_id", table_name="ticket")
    op.drop_index("ix_ticket_contact_id", table_name="ticket")
    op.drop_index("ix_ticket_assignee_id", table_name="ticket")
    op.drop_table("ticket")
    op.drop_index("ix_stage_move_opportunity_id", table_name="stage_move")
    op.drop_table("stage_move")
    op.drop_index("ix_sales_order_status_ordered_on", table_name="sales_order")
    op.drop_index("ix_sales_order_owner_id", table_name="sales_order")
    op.drop_index("ix_sales_order_opportunity_id", table_name="sales_order")
    op.drop_index("ix_sales_order_customer_id", table_name="sales_order")
    op.drop_table("sales_order")
    op.drop_index("ix_opportunity_line_product_id", table_name="opportunity_line")
    op.drop_index("ix_opportunity_line_opportunity_id", table_name="opportunity_line")
    op.drop_table("opportunity_line")
    op.drop_index(
        "uq_campaign_member_customer_id", table_name="campaign_member", postgresql_where=sa.text("contact_id IS NULL")
    )
    op.drop_index(
        "uq_campaign_member_contact_id",
        table_name="campaign_member",
        postgresql_where=sa.text("contact_id IS NOT NULL"),
    )
    op.drop_index("ix_campaign_member_customer_id", table_name="campaign_member")
    op.drop_index("ix_campaign_member_contact_id", table_name="campaign_member")
    op.drop_index("ix_campaign_member_campaign_id", table_name="campaign_member")
    op.drop_table("campaign_member")
    op.drop_index("ix_opportunity_status_amount", table_name="opportunity")
    op.drop_index("ix_opportunity_stage_id", table_name="opportunity")
    op.drop_index("ix_opportunity_pipeline_id", table_name="opportunity")
    op.drop_index("ix_opportunity_owner_id", table_name="opportunity")
    op.drop_index("ix_opportunity_customer_id", table_name="opportunity")
    op.drop_table("opportunity")
    op.drop_index("ix_contact_customer_id", table_name="contact")
    op.drop_table("contact")
    op.drop_index("ix_team_parent_id", table_name="team")
    op.drop_table("team")
    op.drop_table("stage")
    op.drop_table("member_role")
    op.drop_index("ix_customer_parent_id", table_name="customer")
    op.drop_index("ix_customer_owner_id", table_name="customer")
    op.drop_index("ix_customer_name_sorted", table_name="customer")
    op.drop_index("ix_customer_name_folded", table_name="customer")
    op.drop_index("ix_customer_lifecycle", table_name="customer")
    op.drop_table("customer")
    op.drop_index("ix_campaign_status", table_name="campaign")
    op.drop_index("ix_campaign_owner_id", table_name="campaign")
    op.drop_table("campaign")
    op.drop_table("ticket_counter")
    op.drop_table("product")
    op.drop_table("pipeline")
    op.drop_table("order_counter")
    op.drop_index("uq_member_email", table_name="member")
    op.drop_index("ix_member_team_id", table_name="member")
    op.drop_index("ix_member_manager_id", table_name="member")
    op.drop_table("member")
    op.drop_index("uq_workspace_slug", table_name="workspace")
    op.drop_table("workspace")
    op.drop_table("installation_secret")
    op.drop_index("ix_event_position", table_name="event")
    op.drop_index("ix_event_entity", table_name="event")
    op.drop_table("event")
    op.execute("DROP FUNCTION crm_sort_key(text)")
